"""AWS/ECS metrics of each service, once a minute: CPU and memory of its tasks in percent of what they reserve."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.control.ecs.tables import Task
from emulator.loops.ecs.life import Life
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

PERIOD = 60.0


@dataclass(frozen=True)
class Sample:
    moment: float
    cpu_seconds: float
    memory: int


class Meter:
    """CPU needs two samples: a task's first minute gives only its memory."""

    def __init__(self, store: Store, period: float = PERIOD) -> None:
        self._store = store
        self.period = period
        self.due = time.monotonic() + period
        self._before: dict[str, Sample] = {}

    def step(self, lives: Mapping[str, Life]) -> None:
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + self.period
        values: dict[tuple[str, str, str], dict[str, list[float]]] = {}
        before, self._before = self._before, {}
        for arn, life in lives.items():
            task = life.task
            sample = _sample(life)
            if sample is None or not task.group.startswith("service:"):
                continue
            self._before[arn] = sample
            key = (task.region, task.cluster_arn.rpartition("/")[2], task.group.removeprefix("service:"))
            for name, value in _percentages(task, before.get(arn), sample).items():
                values.setdefault(key, {}).setdefault(name, []).append(value)
        for (region, cluster, service), metrics in values.items():
            self._publish(region, cluster, service, metrics)

    def _publish(self, region: str, cluster: str, service: str, metrics: dict[str, list[float]]) -> None:
        dimensions = [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}]
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Values": values, "Unit": "Percent"}
            for name, values in metrics.items()
        ]
        self._store.clients("cloudwatch", region).put_metric_data(Namespace="AWS/ECS", MetricData=data)


def _sample(life: Life) -> Sample | None:
    found = [usage for container in life.containers if (usage := container.usage())]
    if not found:
        return None
    return Sample(time.monotonic(), sum(u.cpu_seconds for u in found), sum(u.memory for u in found))


def _percentages(task: Task, before: Sample | None, after: Sample) -> dict[str, float]:
    document = task.definition.document
    cpu, memory = int(document.get("cpu") or 0), int(document.get("memory") or 0)
    values = {}
    if memory:
        values["MemoryUtilization"] = 100 * after.memory / (memory * 1024 * 1024)
    if cpu and before and after.moment > before.moment:
        used = (after.cpu_seconds - before.cpu_seconds) / (after.moment - before.moment)
        values["CPUUtilization"] = max(0.0, 100 * used / (cpu / 1024))
    return values
