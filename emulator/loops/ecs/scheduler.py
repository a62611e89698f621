"""Compares what ECS should run with what it runs, and keeps a thread for every task."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from emulator.control.ecs.tables import EcsTables, now
from emulator.data.tasks.runtime import Runtime
from emulator.loops.ecs import services
from emulator.loops.ecs.ahead import Ahead
from emulator.loops.ecs.balancers import Balancers
from emulator.loops.ecs.life import Life
from emulator.loops.ecs.metrics import Meter
from emulator.loops.ecs.runtimes import choose
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

STOPPED_KEPT = timedelta(hours=1)


class Scheduler:
    """`step` is called by one thread; `close` ends every task at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = store.table(EcsTables)
        self._balancers = Balancers(store)
        self._lives: dict[str, Life] = {}
        self.meter = Meter(store)
        self._runtime: Runtime | None = None
        self._ahead: Ahead | None = None
        store.on_close(self.close)

    def step(self) -> None:
        if self._runtime is None:  # at the start of the emulator: what a killed one left on Docker goes now
            self._runtime = choose(self._store)
            self._ahead = Ahead(self._store, self._runtime)
        if self._ahead:
            self._ahead.look()
        for service in list(self._tables.services.values()):
            if service.status == "INACTIVE":
                continue
            try:
                services.Step(self._store, service, self._balancers).run()
            except Exception:  # what is wrong with one service must not stop the others
                log.exception("service %s", service.name)
        self._live(self._runtime)
        self._forget()
        self.meter.step(self._lives)

    def _live(self, runtime: Runtime) -> None:
        """A life for each new task, and a nudge for each that shall end."""
        for task in list(self._tables.tasks.values()):
            life = self._lives.get(task.arn)
            if life is None and task.status != "STOPPED":
                self._lives[task.arn] = Life(self._store, runtime, task, self._balancers).begin()
            elif life is not None and task.desired == "STOPPED":
                life.nudge()

    def _forget(self) -> None:
        for arn in [arn for arn, life in self._lives.items() if life.over]:
            del self._lives[arn]
        old = now() - STOPPED_KEPT
        with self._store.lock:
            for task in list(self._tables.tasks.values()):
                if task.stopped_at and task.stopped_at < old:
                    del self._tables.tasks[task.arn]

    def address(self, arn: str, port: int) -> str:
        """Where a container port of a running task really listens; KeyError when it does not."""
        found = (container.address(port) for container in self._lives[arn].containers)
        address = next((each for each in found if each), None)
        if address is None:
            raise KeyError(port)
        return address

    def close(self) -> None:
        lives = list(self._lives.values())
        for life in lives:
            life.abandon()
        deadline = time.monotonic() + 10
        for life in lives:
            life.join(max(0.0, deadline - time.monotonic()))
        if self._runtime:
            self._runtime.close()
