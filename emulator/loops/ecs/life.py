"""One task from PROVISIONING to STOPPED, in a thread of its own that mostly sleeps.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

import logging
import threading
import time

from botocore.exceptions import ClientError

from emulator.control.ecs.tables import Task, now
from emulator.data.tasks.runtime import PullFailed, Runtime
from emulator.loops.ecs import announcements, network, secrets
from emulator.loops.ecs.balancers import Balancers
from emulator.loops.ecs.containers import ContainerRun
from emulator.loops.ecs.failures import Failed, StopAsked
from emulator.state.clients import Credentials
from emulator.state.store import Store
from emulator.state.targets import Targets

log = logging.getLogger("emulator.ecs")

_LAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL when the emulator itself stops


class Life:
    """`nudge` it when the task's desired status changed; `abandon` it when the emulator ends."""

    def __init__(self, store: Store, runtime: Runtime, task: Task, balancers: Balancers) -> None:
        self.task = task
        self._store = store
        self._runtime = runtime
        self._balancers = balancers
        self._bell = threading.Condition()
        self._rung = False
        self._abandoned = False
        self._registered = False
        self.containers: list[ContainerRun] = []
        self._thread = threading.Thread(target=self._run, name=f"task {task.id[:8]}", daemon=True)

    def begin(self) -> Life:
        self._thread.start()
        return self

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def nudge(self) -> None:
        with self._bell:
            self._rung = True
            self._bell.notify_all()

    def abandon(self) -> None:
        """Ends without ceremony: no draining, little grace."""
        self._abandoned = True
        self.task.stop("TerminationNotice", "The emulator stops.")
        self.nudge()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._provision()
            self._pull()
            self._start()
            self._activate()
            self._watch()
        except StopAsked:
            log.debug("task %s was asked to stop", self.task.id)
        except Failed as failure:
            self._stop(failure.code, failure.reason)
        except Exception as error:
            log.exception("task %s", self.task.id)
            self._stop("TaskFailedToStart", f"InternalError: {type(error).__name__}; see the emulator's log")
        finally:
            self._end()

    # --- the way up

    def _provision(self) -> None:
        self._check()
        network.attach(self._store, self.task)
        self._move("PENDING")
        with self._store.change():
            self.task.connected_at = now()

    def _pull(self) -> None:
        self._check()
        credentials = secrets.execution_credentials(self._store, self.task)
        secrets.check_task_role(self._store, self.task)
        self.task.pull_started_at = now()
        self.containers = [
            ContainerRun(self._store, self._runtime, self.task, each, self.nudge) for each in self.task.containers
        ]
        for container in self.containers:
            self._check()
            self._prepare(container, credentials)
        self.task.pull_stopped_at = now()

    def _prepare(self, container: ContainerRun, credentials: Credentials) -> None:
        try:
            container.prepare(credentials)
        except PullFailed as error:
            reason = f"CannotPullContainerError: {error}"
            container.shown.reason = reason
            raise Failed(reason) from None

    def _start(self) -> None:
        """Each container when those that it depends on are as far as it wants."""
        waiting = list(self.containers)
        by_name = {container.shown.name: container for container in self.containers}
        while waiting:
            ready = [container for container in waiting if container.may_start(by_name)]
            for container in ready:
                self._check()
                container.start()
                waiting.remove(container)
            self._check_essential()
            if waiting and not ready:
                self._sleep(min(container.patience() for container in waiting))
        with self._store.change():
            self.task.started_at = now()

    def _activate(self) -> None:
        """Registers the task as a target, now that it has a real address."""
        self._move("ACTIVATING")
        self._check()
        if self._balancers.targets(self.task):
            self._publish_addresses()
            self._registered = True
            try:
                self._balancers.register(self.task)
            except ClientError as error:
                raise Failed(f"Task failed to register with its target group: {error}") from None
        self._check()
        self._move("RUNNING")
        log.info("task %s of %s runs", self.task.id[:8], self.task.group)

    def _publish_addresses(self) -> None:
        table = self._store.table(Targets)
        with self._store.change():
            for balancer in self.task.revision.load_balancers:
                container = next(c for c in self.containers if c.shown.name == balancer["containerName"])
                port = int(balancer["containerPort"])
                real = container.address(port)
                if real and self.task.address:
                    table.addresses[self.task.address, port] = real

    def _watch(self) -> None:
        while True:
            self._check_essential()
            self._sleep(None)

    # --- the way down

    def _end(self) -> None:
        try:
            self._drain()
            self._terminate()
        except Exception:
            log.exception("end of task %s", self.task.id)
        self._move("DEPROVISIONING")
        with self._store.change():
            self.task.execution_stopped_at = now()
            for key in [key for key in self._store.table(Targets).addresses if key[0] == self.task.address]:
                del self._store.table(Targets).addresses[key]
        if not self._abandoned:
            network.detach(self._store, self.task)
        with self._store.change():
            for container in self.task.containers:
                container.status = "STOPPED"
            self.task.stopped_at = now()
        self._move("STOPPED")
        codes = ", ".join(f"{each.name} exited with {each.exit_code}" for each in self.task.containers)
        log.info("task %s of %s stopped: %s (%s)", self.task.id[:8], self.task.group, self.task.stopped_reason, codes)

    def _drain(self) -> None:
        """Deregisters first and waits for open requests, as long as there is a container to answer them."""
        self._move("DEACTIVATING")
        if not self._registered or self._abandoned:
            return
        self._balancers.deregister(self.task)
        seen = 0
        while not self._balancers.drained(self.task) and not self._abandoned and self._essentials_run():
            seen = self._store.wait(seen, 1.0)

    def _essentials_run(self) -> bool:
        return not any(container.essential and container.ended for container in self.containers)

    def _terminate(self) -> None:
        """SIGTERM, then SIGKILL after each one's stopTimeout; dependents before what they depend on."""
        self._move("STOPPING")
        running = [container for container in self.containers if container.started and not container.ended]
        while running:
            needed = {name for container in running for name in container.needs}
            first = [container for container in running if container.shown.name not in needed] or running
            for container in first:
                container.ask_to_stop(_LAST_GRACE if self._abandoned else None)
            for container in first:
                container.await_end()
            running = [container for container in running if container not in first]
        for container in self.containers:
            container.close()

    # --- what every step needs

    def _move(self, status: str) -> None:
        with self._store.change():
            self.task.move(status)
            announcements.task_changed(self._store, self.task)

    def _stop(self, code: str, reason: str) -> None:
        with self._store.change():
            self.task.stop(code, reason)

    def _check(self) -> None:
        if self.task.desired == "STOPPED":
            raise StopAsked

    def _check_essential(self) -> None:
        self._check()
        for container in self.containers:
            if container.essential and container.ended:
                raise Failed(container.why_it_ended(), "EssentialContainerExited")

    def _sleep(self, seconds: float | None) -> None:
        """Until somebody rings, or the time is over; raises StopAsked when it is the end that they want."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._bell:
            self._bell.wait_for(lambda: self._rung, None if deadline is None else max(0.0, deadline - time.monotonic()))
            self._rung = False
        self._check()
