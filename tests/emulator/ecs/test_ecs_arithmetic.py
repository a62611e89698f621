"""How many tasks, and where: the scheduler's sums, without a task."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from emulator.control.ecs.capacity import provider_of
from emulator.control.ecs.services import scaled
from emulator.control.ecs.tables import Deployment, Revision, Service, Task, TaskDefinition, now
from emulator.loops.ecs.rolling import _shares


@pytest.mark.parametrize(("desired", "percent", "tasks"), [(3, 50, 2), (10, 1, 1), (4, 25, 1), (2, 100, 2), (5, 0, 0)])
def test_a_task_sets_share_is_rounded_up(desired: int, percent: float, tasks: int) -> None:
    assert scaled(desired, {"value": percent, "unit": "PERCENT"}) == tasks


@pytest.mark.parametrize(
    ("base", "weights", "tasks", "expected"),
    [
        (1, (1, 3), 9, (3, 6)),
        (0, (1, 1), 10, (5, 5)),
        (2, (0, 1), 5, (2, 3)),
        (0, (1, 4), 5, (1, 4)),
        (3, (1, 1), 2, (2, 0)),
    ],
)
def test_providers_get_their_base_and_then_their_weight(
    base: int, weights: tuple[int, int], tasks: int, expected: tuple[int, int]
) -> None:
    strategy: list[dict[str, Any]] = [
        {"capacityProvider": "FARGATE", "base": base, "weight": weights[0]},
        {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": weights[1]},
    ]
    given = Counter(provider_of(number, strategy) for number in range(tasks))
    assert (given["FARGATE"], given["FARGATE_SPOT"]) == expected


# (desired, minimum %, maximum %, healthy new, new, healthy old, old) to (new that may be, old that may stay)
STEPS = [
    ((2, 100, 200, 0, 0, 2, 2), (2, 2)),  # doubles first
    ((2, 100, 200, 1, 2, 2, 2), (2, 1)),  # each that is healthy replaces one
    ((2, 100, 200, 2, 2, 2, 2), (2, 0)),
    ((1, 0, 100, 0, 0, 1, 1), (0, 0)),  # no room: the old one goes first
    ((1, 0, 100, 0, 0, 0, 0), (1, 0)),
    ((4, 50, 100, 0, 0, 4, 4), (0, 2)),  # half may go
    ((4, 50, 100, 0, 2, 2, 2), (2, 2)),
    ((4, 50, 100, 2, 2, 2, 2), (2, 0)),
    ((2, 100, 200, 0, 2, 1, 2), (2, 1)),  # what is not healthy serves nobody
    ((3, 100, 150, 0, 0, 3, 3), (1, 3)),  # the ceiling is rounded down
]


@pytest.mark.parametrize(("given", "expected"), STEPS)
def test_a_rolling_step_keeps_within_its_limits(given: tuple[int, ...], expected: tuple[int, int]) -> None:
    desired, minimum, maximum, new_fit, new, old_fit, old = given
    revision = Revision(task_definition="arn")
    service = Service(
        name="s", arn="arn", cluster_arn="arn", revision=revision, controller="ECS", desired=desired, created_by="me",
        deployment_configuration={"minimumHealthyPercent": minimum, "maximumPercent": maximum},
        deployments=[Deployment(revision=revision, status="PRIMARY"), Deployment(revision=revision, status="ACTIVE")],
    )  # fmt: skip
    primary, former = service.deployments
    tasks = {primary.id: [task() for _ in range(new)], former.id: [task() for _ in range(old)]}
    fit = [*tasks[primary.id][:new_fit], *tasks[former.id][:old_fit]]
    shares = _shares(service, tasks, lambda one: any(one is each for each in fit))
    assert (shares[primary.id], shares[former.id]) == expected


def task() -> Task:
    definition = TaskDefinition("f", 1, "arn", {"containerDefinitions": []}, now(), "me")
    return Task(
        id="t", arn="arn", cluster_arn="arn", region="us-east-1", account="1", definition=definition,
        revision=Revision(task_definition="arn"), group="g", started_by=None, capacity_provider=None, containers=[],
    )  # fmt: skip
