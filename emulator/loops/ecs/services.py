"""One service: starts what is missing, replaces what is sick, stops what is too much, and says so in events.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

import time

from emulator.control.ecs import capacity, launch
from emulator.control.ecs.tables import Deployment, EcsTables, Fleet, Service, Task, TaskSet, now
from emulator.loops.ecs import announcements, rolling
from emulator.loops.ecs.balancers import Balancers
from emulator.state.store import Store

_ITS_OWN_FAULT = ("EssentialContainerExited", "TaskFailedToStart")
_LONGEST_PAUSE = 60.0  # seconds between two tries; AWS goes up to minutes, and never starts as fast as this
_LIVED_WELL = 10.0  # seconds: a task that ran so long did not fail to start
_SETTLED = 3.0  # seconds: what nobody checks is taken for healthy when it ran so long
_SAID_AFTER = 3  # failures in a row
_NO_INSTANCES = (
    "was unable to place a task because no container instance met all of its requirements. Reason: No Container"
    " Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS"
    " Developer Guide."
)


class Step:
    """One comparison of what a service wants with what it has."""

    def __init__(self, store: Store, service: Service, balancers: Balancers) -> None:
        self._store = store
        self._tables = store.table(EcsTables)
        self._service = service
        self._balancers = balancers

    def run(self) -> None:
        for fleet in self._service.fleets:
            self._count_failures(fleet)
            self._stop_sick(fleet)
        now_allowed = rolling.counts(self._store, self._service, self.healthy)
        for fleet in self._service.fleets:
            self._scale(fleet, now_allowed.get(fleet.id, fleet.desired))
        self._drop_drained()
        self._judge()

    # --- failures

    def _count_failures(self, fleet: Fleet) -> None:
        for task in self._tables.tasks_of(fleet, live=False):
            # As soon as it fails, not when it has gone: its successor would start meanwhile.
            if task.stop_code in _ITS_OWN_FAULT and not task.counted:
                with self._store.lock:
                    task.counted = True
                    self._punish(fleet, task)

    def _punish(self, fleet: Fleet, task: Task) -> None:
        """The next start of the fleet waits the longer, the more tasks failed in a row."""
        if isinstance(fleet, Deployment):
            fleet.failed_tasks += 1
        if _age(task) > _LIVED_WELL:
            return
        fleet.failures += 1
        pause = 0.0 if fleet.failures == 1 else min(_LONGEST_PAUSE, 2.0 ** (fleet.failures - 2))
        fleet.not_before = time.monotonic() + pause
        if fleet.failures == _SAID_AFTER:
            self._tell(fleet, "is unable to consistently start tasks successfully. For more information, see the"
                              " Troubleshooting section of the Amazon ECS Developer Guide.")  # fmt: skip
            announcements.service_acted(self._store, self._service, "SERVICE_TASK_START_IMPAIRED")

    # --- health

    def _stop_sick(self, fleet: Fleet) -> None:
        for task in self._tables.tasks_of(fleet):
            if task.status != "RUNNING":
                continue
            if task.health == "UNHEALTHY":
                self._replace(fleet, task, "Task failed container health checks")
                self._tell(fleet, f"(task {task.id}) failed container health checks.")
                continue
            for target in self._balancers.targets(task):
                self._judge_target(fleet, task, target)

    def _judge_target(self, fleet: Fleet, task: Task, target: tuple[str, str, int]) -> None:
        group, _, port = target
        health = self._balancers.health(target)
        if health.state != "unhealthy" or _age(task) < (self._service.grace or 0):
            return
        self._tell(fleet, f"(port {port}) is unhealthy in (target-group {group}) due to (reason {health.description}).")
        self._replace(fleet, task, f"Task failed ELB health checks in (target-group {group})")

    def _replace(self, fleet: Fleet, task: Task, reason: str) -> None:
        with self._store.lock:
            if task.desired == "STOPPED":
                return
            task.stop("ServiceSchedulerInitiated", reason)
            self._punish(fleet, task)
        self._tell(fleet, f"has stopped 1 running tasks: (task {task.id}).")

    def healthy(self, task: Task) -> bool:
        """Running, its health checks passed, and every load balancer that uses it content."""
        if task.status != "RUNNING" or task.desired != "RUNNING":
            return False
        checked = any("healthCheck" in c.definition for c in task.containers if c.definition.get("essential", True))
        if checked and task.health != "HEALTHY":
            return False
        states = {self._balancers.health(target).state for target in self._balancers.targets(task)}
        if not states <= {"healthy", "unused"}:
            return False
        return checked or "healthy" in states or _age(task) >= _SETTLED

    # --- numbers

    def _scale(self, fleet: Fleet, wanted: int) -> None:
        tasks = self._tables.tasks_of(fleet)
        if len(tasks) < wanted and time.monotonic() >= fleet.not_before and self._service.status == "ACTIVE":
            self._start(fleet, wanted - len(tasks))
        elif len(tasks) > wanted:
            self._stop(fleet, tasks, len(tasks) - wanted)

    def _start(self, fleet: Fleet, count: int) -> None:
        service = self._service
        if fleet.revision.launch_type == "EC2":
            fleet.not_before = time.monotonic() + _LONGEST_PAUSE
            self._tell(fleet, _NO_INSTANCES)
            return
        with self._store.lock:
            definition = self._tables.definition(fleet.revision.task_definition)
            cluster = self._tables.clusters[service.cluster_arn]
            tags = launch.task_tags(self._store, service.propagate_tags, definition, service.arn)
            if service.managed_tags:
                tags |= {"aws:ecs:clusterName": cluster.name, "aws:ecs:serviceName": service.name}
            started = [
                launch.new_task(
                    cluster, definition, fleet.revision, group=f"service:{service.name}", started_by=fleet.id,
                    capacity_provider=capacity.next_provider(fleet, fleet.revision.strategy), tags=dict(tags),
                    execute_command=service.execute_command,
                )
                for _ in range(count)
            ]  # fmt: skip
            self._tables.tasks.update({task.arn: task for task in started})
        self._tell(fleet, f"has started {count} tasks: {_named(started)}.")

    def _stop(self, fleet: Fleet, tasks: list[Task], count: int) -> None:
        """First those that do not run yet, then the youngest."""
        kind = "taskSet" if isinstance(fleet, TaskSet) else "deployment"
        chosen = sorted(tasks, key=lambda task: (task.status == "RUNNING", -task.created_at.timestamp()))[:count]
        with self._store.lock:
            for task in chosen:
                task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by ({kind} {fleet.id})")
        if any(self._balancers.targets(task) for task in chosen):
            self._tell(fleet, f"has begun draining connections on {count} tasks.")
        self._tell(fleet, f"has stopped {count} running tasks: {_named(chosen)}.")

    # --- what it has come to

    def _drop_drained(self) -> None:
        service = self._service
        gone = [fleet for fleet in service.fleets if self._is_gone(fleet)]
        if not gone and not (service.status == "DRAINING" and not service.fleets):
            return
        with self._store.change():
            service.task_sets = [each for each in service.task_sets if each not in gone]
            service.deployments = [each for each in service.deployments if each not in gone]
            if service.status == "DRAINING" and not service.fleets:
                service.status = "INACTIVE"

    def _is_gone(self, fleet: Fleet) -> bool:
        if self._service.status == "DRAINING":
            ends = True
        elif isinstance(fleet, Deployment):
            # While a newer one is under way it can come back to this one.
            ends = fleet.status == "ACTIVE" and self._service.deployments[0].rollout != "IN_PROGRESS"
        else:
            ends = fleet.status == "DRAINING"
        return ends and all(task.status == "STOPPED" for task in self._tables.tasks_of(fleet, live=False))

    def _judge(self) -> None:
        """Whether each task set, and the service, is steady now; what changed is told."""
        steady = [self._is_steady(fleet) for fleet in self._service.fleets]
        for task_set, is_steady in zip(self._service.task_sets, steady, strict=False):
            self._set_stability(task_set, "STEADY_STATE" if is_steady else "STABILIZING")
        now_steady = all(steady) and self._service.status == "ACTIVE"
        if now_steady != self._service.steady:
            with self._store.change():
                self._service.steady = now_steady
                if now_steady:
                    self._service.tell(f"(service {self._service.name}) has reached a steady state.")
                    announcements.service_acted(self._store, self._service, "SERVICE_STEADY_STATE")

    def _set_stability(self, task_set: TaskSet, stability: str) -> None:
        if task_set.stability == stability:
            return
        with self._store.change():
            task_set.stability, task_set.stability_at = stability, now()
            if stability == "STEADY_STATE":
                self._tell(task_set, "updated state to STEADY_STATE.")

    def _is_steady(self, fleet: Fleet) -> bool:
        tasks = [task for task in self._tables.tasks_of(fleet, live=False) if task.status != "STOPPED"]
        steady = len(tasks) == fleet.desired and all(self.healthy(task) for task in tasks)
        if isinstance(fleet, Deployment) and (fleet.status != "PRIMARY" or fleet.rollout != "COMPLETED"):
            steady = False
        if steady and tasks and min(_age(task) for task in tasks) > _LIVED_WELL:
            fleet.failures = 0
        return steady

    def _tell(self, fleet: Fleet, message: str) -> None:
        name = self._service.name
        who = f"(service {name}, taskSet {fleet.id})" if isinstance(fleet, TaskSet) else f"(service {name})"
        with self._store.lock:
            self._service.tell(f"{who} {message}")


def _age(task: Task) -> float:
    """Seconds that it has run, or ran."""
    return ((task.stopped_at or now()) - task.started_at).total_seconds() if task.started_at else 0.0


def _named(tasks: list[Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)
