"""The table that *is* the system: which phases there are, what each needs, and what each does.

::

    network ─────────────────┐
    secret ──────────────────┤
    ecr ──► image ───────────┴─► ecs ──┐
    artifacts ─────────────────────────┴─► pipeline
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.errors import Refused
from orchestrator.image_phase import ImageWork
from orchestrator.site import Answers, Outcome, Site
from orchestrator.stack_phase import StackWork
from orchestrator.tools import secret
from orchestrator.tools.terraform_events import Listener


class Work(Protocol):
    """What a phase can do; ``needs`` are the answers of the phases that it needs, by their names."""

    def prepare(self, site: Site) -> None: ...

    def answer(self, site: Site) -> dict[str, Any] | None: ...

    def stale(self, site: Site, needs: Answers) -> str: ...

    def apply(
        self, site: Site, needs: Answers, listener: Listener, *, yes: bool, answered: Callable[[], None]
    ) -> Outcome:
        """``answered`` may be called before the end, once those that need this phase can go on."""

    def plan(self, site: Site, needs: Answers, listener: Listener) -> Outcome: ...

    def destroy(self, site: Site, needs: Answers, listener: Listener) -> Outcome: ...


@dataclass(frozen=True)
class Phase:
    """One row: ``needs`` come first, ``about`` is what a reader of the table is told, ``waits`` are the seconds that
    the Terraform provider waits in it whatever the machine (measured, docs/decisions/0017)."""

    name: str
    needs: tuple[str, ...]
    about: str
    work: Work = field(repr=False)
    waits: int = 0


PHASES: tuple[Phase, ...] = (
    Phase(
        "network", (), "VPC or an existing one, load balancer, listeners, target groups", StackWork("network"), waits=60
    ),
    Phase(
        "ecr", (), "repository of the images, and a build for machines without Docker", StackWork("ecr", bucket=True)
    ),
    Phase("image", ("ecr",), "build the chatbot's image, push it, answer its digest", ImageWork("image")),
    Phase("secret", (), "the Hugging Face token's secret, which may be set before anything else", StackWork("secret")),
    Phase(
        "ecs",
        ("network", "ecr", "image", "secret"),
        "cluster, roles, task definition, service, CodeDeploy, alarms",
        StackWork(
            "ecs", reads=("taskdef.json", "appspec.yaml"), hook="terraform/modules/deployment/hook", service=True
        ),
        waits=20,
    ),
    Phase("artifacts", (), "what releases pass from stage to stage: bucket and key", StackWork("artifacts"), waits=64),
    Phase(
        "pipeline",
        ("artifacts", "ecr", "ecs"),
        "source, build project, pipeline, event rule and their roles",
        StackWork("pipeline", settings=("image",)),
    ),
)


def names() -> list[str]:
    return [phase.name for phase in PHASES]


def find(name: str) -> Phase:
    for phase in PHASES:
        if phase.name == name:
            return phase
    raise Refused(f"there is no phase '{name}'", f"phases: {', '.join(names())}")


def sorter(chosen: Iterable[str], *, reverse: bool = False) -> graphlib.TopologicalSorter[str]:
    """The chosen phases in the order of their needs; reversed, what is needed comes last."""
    wanted = set(chosen)
    graph: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for phase in PHASES:
        if phase.name not in wanted:
            continue
        graph.add(phase.name)
        for need in wanted.intersection(phase.needs):
            graph.add(*((need, phase.name) if reverse else (phase.name, need)))
    graph.prepare()
    return graph


def urgency(name: str) -> int:
    """Seconds of waiting between the phase's beginning and the end of everything that needs it."""
    behind = [urgency(phase.name) for phase in PHASES if name in phase.needs]
    return find(name).waits + max(behind, default=0)


def dependants(name: str, chosen: Iterable[str]) -> set[str]:
    """The chosen phases that need ``name``, directly or through others."""
    found: set[str] = set()
    for phase in PHASES:
        if phase.name in set(chosen) and (name in phase.needs or found.intersection(phase.needs)):
            found.add(phase.name)
    return found


def token(site: Site) -> str:
    """The environment's Hugging Face token, for the model alone; empty where none is set or its secret is not there."""
    name = secret_name(site)
    return secret.read(site.aws, name) if name else ""


def secret_name(site: Site) -> str:
    """The token's secret; empty where it was not made yet."""
    answer = find("secret").work.answer(site)
    return str(answer["name"]) if answer else ""


def answers(site: Site, phase: Phase) -> tuple[Answers, list[str]]:
    """What the phase's needs answered when they were last applied, and the names of those that never were."""
    known: dict[str, Mapping[str, Any]] = {}
    missing = []
    for need in phase.needs:
        answer = find(need).work.answer(site)
        if answer is None:
            missing.append(need)
        else:
            known[need] = answer
    return known, missing
