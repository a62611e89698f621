"""The wait for the service: it ends when people are served, and says why when they will not be."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from orchestrator.errors import Interrupted, ServiceUnsteady
from orchestrator.tools import service
from orchestrator.tools.cancel import Cancel
from orchestrator.tools.terraform_events import Progress

ECS = {"cluster_name": "chatbot", "service_name": "chatbot", "task_family": "chatbot"}
NETWORK = {"target_groups": {"blue": {"arn": "blue"}, "green": {"arn": "green"}}}


class FakeService:
    """An ECS service that comes up one step at a time: (running, healthy, steady) per look."""

    def __init__(self, *steps: tuple[int, int, bool], group: str = "green", stopped: int = 0, earlier: int = 0) -> None:
        self._steps = list(steps)
        self._group = group
        self._stopped = [f"earlier{number}" for number in range(earlier)]
        self._stops = [f"task{number}" for number in range(stopped)]
        self.deregistered: list[str] = []
        self.revisions: list[str] = []

    def client(self, _: str) -> FakeService:
        return self

    def describe_services(self, **_: Any) -> dict[str, Any]:
        running, _healthy, steady = self._steps[0]
        primary = {
            "status": "PRIMARY", "runningCount": running, "computedDesiredCount": 2,
            "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
            "loadBalancers": [{"targetGroupArn": self._group}],
        }  # fmt: skip
        return {"services": [{"desiredCount": 2, "taskSets": [{"status": "ACTIVE"}, primary]}]}

    def describe_target_health(self, TargetGroupArn: str) -> dict[str, Any]:
        assert TargetGroupArn == self._group, "the colour that serves is asked, not blue"
        healthy = self._steps[0][1]
        if len(self._steps) > 1:
            self._steps.pop(0)
        states = ["healthy"] * healthy + ["initial"] * (2 - healthy)
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in states]}

    def list_tasks(self, **_: Any) -> dict[str, Any]:
        listed, self._stopped, self._stops = list(self._stopped), self._stopped + self._stops, []
        return {"taskArns": listed}

    def describe_tasks(self, tasks: list[str], **_: Any) -> dict[str, Any]:
        task = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container exited",
                "containers": [{"exitCode": 3}]}  # fmt: skip
        return {"tasks": [{**task, "taskArn": arn} for arn in tasks]}

    def get_paginator(self, _: str) -> FakeService:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"taskDefinitionArns": self.revisions}]

    def deregister_task_definition(self, taskDefinition: str) -> None:
        self.deregistered.append(taskDefinition)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAUSE", 0)


def test_the_wait_ends_when_every_task_is_healthy_and_no_sooner() -> None:
    seen: list[Progress] = []
    fake = FakeService((0, 0, False), (2, 0, False), (2, 1, True), (2, 2, False), (2, 2, True))
    service.wait(fake, ECS, NETWORK, seen.append, Cancel())  # type: ignore[arg-type]
    assert [progress.done for progress in seen] == [0, 0, 1, 2, 2]


def test_tasks_that_keep_stopping_end_the_wait_with_their_reason() -> None:
    fake = FakeService((0, 0, False), stopped=service.HOPELESS)
    with pytest.raises(ServiceUnsteady, match=r"Essential container exited \(exit code 3\)") as failed:
        service.wait(fake, ECS, NETWORK, lambda _: None, Cancel())  # type: ignore[arg-type]
    assert "logs" in failed.value.remedy


def test_what_stopped_in_an_earlier_run_does_not_end_this_one() -> None:
    fake = FakeService((0, 0, False), (2, 2, True), stopped=service.HOPELESS - 1, earlier=service.HOPELESS)
    service.wait(fake, ECS, NETWORK, lambda _: None, Cancel())  # type: ignore[arg-type]


def test_patience_ends() -> None:
    with pytest.raises(ServiceUnsteady, match="1 of 2 tasks run, 1 healthy"):
        service.wait(FakeService((1, 1, False)), ECS, NETWORK, lambda _: None, Cancel(), patience=0)  # type: ignore[arg-type]


def test_only_the_familys_own_revisions_are_deregistered() -> None:
    fake = FakeService((0, 0, False))
    fake.revisions = [f"arn:aws:ecs:x:1:task-definition/{name}" for name in ("chatbot:1", "chatbot:2", "chatbot-two:1")]
    assert service.deregister(fake, "chatbot") == 2  # type: ignore[arg-type]
    assert [arn.rpartition("/")[2] for arn in fake.deregistered] == ["chatbot:1", "chatbot:2"]


def test_ctrl_c_ends_the_wait_at_once_and_says_that_the_service_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAUSE", 60)
    cancel = Cancel()
    threading.Timer(0.2, cancel.request).start()
    began = time.monotonic()
    with pytest.raises(Interrupted, match="goes on starting by itself: 0 of 2 tasks run"):
        service.wait(FakeService((0, 0, False)), ECS, NETWORK, lambda _: None, cancel)  # type: ignore[arg-type]
    assert time.monotonic() - began < 30
