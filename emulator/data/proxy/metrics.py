"""Counters of one period, in the names and dimensions of CloudWatch's AWS/ApplicationELB."""

from __future__ import annotations

import math
from collections import Counter

from .messages import Metric

Dimensions = tuple[str | None, str | None]  # load balancer, target group


class Meter:
    """Collects samples; take() hands them over and starts anew.

    A count of n requests is n samples of 1, as on AWS (whose Average of a count is 1 and whose Sum is n).
    """

    def __init__(self) -> None:
        self._samples: dict[tuple[Dimensions, str], Counter[float]] = {}
        self._units: dict[str, str] = {}

    def add(self, name: str, load_balancer: str | None, group: str | None, value: float = 1.0, times: int = 1) -> None:
        """A sample of a metric in exactly these dimensions."""
        self._samples.setdefault(((load_balancer, group), name), Counter())[value] += times

    def count(self, name: str, load_balancer: str, group: str | None = None, value: float = 1.0) -> None:
        """A sample in all dimensions it belongs to: the load balancer, the target group, and both together."""
        self.add(name, load_balancer, None, value)
        if group is not None:
            self.add(name, load_balancer, group, value)
            self.add(name, None, group, value)

    def count_elb_code(self, status: int, load_balancer: str) -> None:
        """A status code that the load balancer gave itself."""
        if status >= 300:
            self.add(f"HTTPCode_ELB_{status // 100}XX_Count", load_balancer, None)
        if status in (500, 502, 503, 504):
            self.add(f"HTTPCode_ELB_{status}_Count", load_balancer, None)

    def time_response(self, load_balancer: str, group: str, seconds: float) -> None:
        """TargetResponseTime, to three digits: enough for percentiles, and few distinct values."""
        self._units["TargetResponseTime"] = "Seconds"
        self.count("TargetResponseTime", load_balancer, group, _three_digits(seconds))

    def take(self) -> tuple[Metric, ...]:
        """Everything since the last call."""
        samples, self._samples = self._samples, {}
        return tuple(
            Metric(name, load_balancer, group, tuple(counts), tuple(counts.values()), self._units.get(name, "Count"))
            for ((load_balancer, group), name), counts in samples.items()
        )


def _three_digits(seconds: float) -> float:
    if seconds <= 0:
        return 0.0
    return round(seconds, 2 - math.floor(math.log10(seconds)))
