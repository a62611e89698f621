"""One environment as the phases see it: its settings, its doors to the outside, and what is known to be applied."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.config import Config
from orchestrator.errors import Refused
from orchestrator.tools import ports
from orchestrator.tools.aws import Aws
from orchestrator.tools.bucket import Bucket, State
from orchestrator.tools.cancel import Cancel, Say
from orchestrator.tools.terraform import Terraform
from orchestrator.tools.terraform_events import Change

Answers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """How a phase ended: applied, unchanged, skipped, planned, destroyed, failed or blocked."""

    phase: str
    result: str
    note: str = ""
    seconds: float = 0.0
    changes: tuple[Change, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        changes = [{"address": change.address, "action": change.action} for change in self.changes]
        return {
            "phase": self.phase,
            "result": self.result,
            "note": self.note,
            "seconds": round(self.seconds, 2),
            "changes": changes,
        }


class Site:
    """``say`` gets a line that the user should see whatever else is shown; every wait asks ``cancel``."""

    def __init__(self, config: Config, say: Say) -> None:
        self.config = config
        self.say = say
        self.cancel = Cancel()
        self.aws = Aws(config)
        self.bucket = Bucket(self.aws)
        self.records: dict[str, dict[str, Any] | None] = {}
        self.states: dict[str, State | None] = {}
        self.rebuild = ""  # the name of the image's build, where it is to be built anew
        self._lock = threading.Lock()

    @cached_property
    def terraform(self) -> Terraform:
        return Terraform(self.aws, self.bucket)

    def interrupt(self) -> list[str]:
        """Ends every wait, and interrupts what runs; the stacks whose Terraform saves its state now.

        It is called from a signal handler: nothing may be made that is not there yet.
        """
        self.cancel.request()
        terraform = self.__dict__.get("terraform")
        if terraform is not None:
            terraform.interrupt()
        return self.saving()

    def saving(self) -> list[str]:
        """The stacks whose Terraform is at work."""
        terraform = self.__dict__.get("terraform")
        return terraform.at_work() if terraform is not None else []

    def survey(self, phases: list[str], stacks: list[str]) -> None:
        """Fetches every record and state at the same time: a no-op deploy is little more than this."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            records = {name: pool.submit(self.bucket.record, name) for name in phases}
            states = {name: pool.submit(self.bucket.state, name) for name in stacks}
            self.records = {name: future.result() for name, future in records.items()}
            self.states = {name: future.result() for name, future in states.items()}

    def record(self, phase: str) -> dict[str, Any]:
        return self.records.get(phase) or {}

    def put_record(self, phase: str, record: dict[str, Any]) -> None:
        self.bucket.put_record(phase, record)
        with self._lock:
            self.records[phase] = record

    def refetch(self, stack: str) -> State | None:
        state = self.bucket.state(stack)
        with self._lock:
            self.states[stack] = state
        return state


def check_ports(site: Site) -> None:
    """A loopback endpoint's load balancer listens on this machine: its ports must be free, or ours already."""
    state = site.states.get("network")
    if not site.config.endpoint_is_loopback or (state and state.managed):
        return
    taken = ports.busy(site.config.listener_ports)
    if taken:
        raise Refused(
            f"port {taken[0]} of this machine is taken by another program",
            f"stop it, or choose others in {site.config.source}: network.production_port, network.test_port",
        )
