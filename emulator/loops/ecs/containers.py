"""One container of a task: its environment, its logs, its health, its start and its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from emulator.control.ecs.tables import Container, Task
from emulator.data.tasks.runtime import Exit, Handle, Image, Runtime, StartFailed, Usage
from emulator.loops.ecs import environment, logs, secrets
from emulator.loops.ecs.failures import Failed
from emulator.state.clients import Credentials
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

_STOP_TIMEOUT = 30.0
_START_TIMEOUT = 180.0  # of a dependency, on Fargate


class ContainerRun:
    """`shown` is what DescribeTasks answers; `ring` wakes the task when something happened here."""

    def __init__(self, store: Store, runtime: Runtime, task: Task, shown: Container, ring: Callable[[], None]) -> None:
        self.shown = shown
        self.definition: dict[str, Any] = environment.overridden(task, shown.definition)
        self.essential = bool(shown.definition.get("essential", True))
        self.needs = [dependency["containerName"] for dependency in shown.definition.get("dependsOn") or []]
        self._store = store
        self._runtime = runtime
        self._task = task
        self._ring = ring
        self._image: Image | None = None
        self._environment: dict[str, str] = {}
        self._log: logs.LogStream | None = None
        self._handle: Handle | None = None
        self._deadline = 0.0
        self._waiting_since = time.monotonic()
        self._closing = threading.Event()

    def prepare(self, credentials: Credentials) -> None:
        """Everything that can fail before the start: image, secrets, log stream."""
        resolved = secrets.resolve(self._store, self._task, self.definition, credentials)
        files = environment.from_files(self._store, self._task, self.definition, credentials)
        secrets.check_registry(self._store, self._task, self.definition["image"], credentials)
        self._image = self._runtime.pull(self.definition["image"])
        self._log = logs.open_stream(self._store, self._task, self.definition, credentials)
        given = {pair["name"]: pair.get("value", "") for pair in self.definition.get("environment") or []}
        own = environment.of_ecs(self._store, self._task, self.shown.name, self._runtime.host(self._image))
        self._environment = own | files | given | resolved
        self.shown.digest = self._image.digest

    @property
    def started(self) -> bool:
        return self._handle is not None

    @property
    def ended(self) -> bool:
        return self._handle is not None and self._handle.poll() is not None

    def may_start(self, others: dict[str, ContainerRun]) -> bool:
        """Whether every dependency holds; raises Failed when one never will."""
        return all(
            _holds(self.shown.name, others[each["containerName"]], each["condition"])
            for each in self.definition.get("dependsOn") or []
        )

    def patience(self) -> float:
        """Seconds that are left to wait for dependencies; raises Failed when there are none."""
        left = self._waiting_since + (self.definition.get("startTimeout") or _START_TIMEOUT) - time.monotonic()
        if left <= 0:
            raise Failed(f"Container '{self.shown.name}' timed out waiting for its dependencies")
        return left

    def start(self) -> None:
        assert self._image is not None
        spec = environment.spec(self._task, self.definition, self._image, self._environment, self.essential)
        try:
            self._handle = self._runtime.start(spec, self._write, self._on_exit)
        except StartFailed as error:
            self.shown.reason = f"{error.code}: {error}"
            raise Failed(self.shown.reason) from None
        with self._store.change():
            self.shown.runtime_id = self._handle.runtime_id
            self.shown.status = "RUNNING"
        if "healthCheck" in self.definition and self.definition["healthCheck"]["command"][0] != "NONE":
            threading.Thread(target=self._check_health, name=f"health {self.shown.name}", daemon=True).start()

    def _write(self, line: bytes) -> None:
        if self._log:
            self._log.write(line)

    def _on_exit(self) -> None:
        self._closing.set()
        self._ring()

    def address(self, port: int) -> str | None:
        return self._handle.address(port) if self._handle else None

    def usage(self) -> Usage | None:
        return self._handle.usage() if self._handle else None

    def exit(self) -> Exit | None:
        return self._handle.poll() if self._handle else None

    def why_it_ended(self) -> str:
        found = self.exit()
        return found.reason if found and found.reason else "Essential container in task exited"

    # --- health: HEALTHY after one success, UNHEALTHY after `retries` failures in a row outside of the start period

    def _check_health(self) -> None:
        assert self._handle is not None
        settings = self.definition["healthCheck"]
        kind, *rest = settings["command"]
        command = ["/bin/sh", "-c", " ".join(rest)] if kind == "CMD-SHELL" else rest
        counting_from = time.monotonic() + (settings.get("startPeriod") or 0)
        failures = 0
        while not self._closing.wait(settings["interval"]):
            code = self._handle.run(command, settings["timeout"])
            if self._closing.is_set():
                return
            if code == 0:
                failures = 0
                self._show_health("HEALTHY")
            elif time.monotonic() >= counting_from:
                failures += 1
                if failures >= settings["retries"]:
                    self._show_health("UNHEALTHY")

    def _show_health(self, health: str) -> None:
        if self.shown.health != health:
            with self._store.change():
                self.shown.health = health
            self._ring()

    # --- the end

    def ask_to_stop(self, grace: float | None) -> None:
        """SIGTERM; `await_end` sends SIGKILL after `grace` seconds, by default the container's stopTimeout."""
        assert self._handle is not None
        self._closing.set()
        stop_timeout = self.definition.get("stopTimeout")
        self._deadline = time.monotonic() + (grace if grace is not None else stop_timeout or _STOP_TIMEOUT)
        self._handle.terminate()

    def await_end(self) -> None:
        assert self._handle is not None
        if self._handle.wait(max(0.0, self._deadline - time.monotonic())) is None:
            self._handle.kill()
            self._handle.wait(10)

    def close(self) -> None:
        """The exit code to where it is shown, the last lines to the logs, the files away."""
        self._closing.set()
        found = self.exit()
        with self._store.change():
            self.shown.status = "STOPPED"
            if found:
                self.shown.exit_code = found.code
                self.shown.reason = found.reason
        if self._log:
            self._log.close()
        if self._handle:
            self._handle.remove()


def _holds(name: str, other: ContainerRun, condition: str) -> bool:
    if condition == "START":
        return other.started
    if condition == "HEALTHY":
        return other.shown.health == "HEALTHY"
    if not other.ended:
        return False
    code = (other.exit() or Exit(1)).code
    if condition == "SUCCESS" and code != 0:
        raise Failed(f"Container '{name}' depends on '{other.shown.name}' to succeed, which exited with {code}")
    return True
