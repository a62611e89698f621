"""CloudWatch's metrics: what was put, and the statistics of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# As CloudWatch keeps them: points of a second are merged into minutes, and those forgotten after 15 days.
_FINE, _COARSE, _FORGET = 300, 60, 15 * 86_400


@dataclass(frozen=True)
class Metric:
    """Its identity. `dimensions` are sorted; a metric with others is another metric."""

    region: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, region: str, namespace: str, name: str, dimensions: Iterable[Mapping[str, str]] | None) -> Metric:
        return cls(region, namespace, name, tuple(sorted((each["Name"], each["Value"]) for each in dimensions or ())))


@dataclass
class Summary:
    """The samples of a stretch of time. `values` is empty for what came as statistics: those have no percentiles."""

    count: float = 0.0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    values: Counter[float] = field(default_factory=Counter)

    def add(self, other: Summary) -> None:
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.values.update(other.values)

    def statistic(self, name: str) -> float | None:
        """Sum, Average, Minimum, Maximum, SampleCount or a percentile (p99); None for what there is not."""
        if not self.count:
            return None
        if name.startswith("p"):
            return self._percentile(float(name[1:]))
        return {
            "Sum": self.total,
            "Average": self.total / self.count,
            "Minimum": self.least,
            "Maximum": self.most,
            "SampleCount": self.count,
        }.get(name)

    def _percentile(self, percent: float) -> float | None:
        wanted = math.ceil(percent / 100 * sum(self.values.values()))
        seen = 0.0
        for value, count in sorted(self.values.items()):
            seen += count
            if seen >= wanted:
                return value
        return None


def summary(values: Iterable[float], counts: Iterable[float] | None = None) -> Summary:
    samples: Counter[float] = Counter()
    for value, count in zip(values, counts, strict=True) if counts else ((value, 1.0) for value in values):
        samples[value] += count  # type: ignore[assignment]  # CloudWatch's counts are floats
    total = sum(value * count for value, count in samples.items())
    return Summary(sum(samples.values()), total, min(samples), max(samples), samples)


@dataclass
class Series:
    """One metric over time: a summary for each second that has samples, in whole minutes further back."""

    unit: str = "None"
    points: dict[int, Summary] = field(default_factory=dict)
    compacted: float = 0

    def add(self, moment: float, samples: Summary) -> None:
        self.points.setdefault(int(moment), Summary()).add(samples)
        if time.time() - self.compacted > _COARSE:
            self._compact()

    def between(self, start: float, end: float) -> Summary:
        """All samples from `start` to before `end`."""
        whole = Summary()
        for second, point in self.points.items():
            if start <= second < end:
                whole.add(point)
        return whole

    def windows(self, start: float, end: float, period: int) -> dict[int, Summary]:
        """By the beginning of each aligned period that has samples."""
        found: dict[int, Summary] = {}
        first = math.floor(start / period) * period
        for second, point in sorted(self.points.items()):
            if first <= second < end:
                found.setdefault(second // period * period, Summary()).add(point)
        return found

    def _compact(self) -> None:
        now = self.compacted = time.time()
        kept: dict[int, Summary] = {}
        for second, point in sorted(self.points.items()):
            if second < now - _FORGET:
                continue
            bucket = second // _COARSE * _COARSE if second < now - _FINE else second
            kept.setdefault(bucket, Summary()).add(point)
        self.points = kept


@dataclass
class Metrics:
    """A table of the store."""

    series: dict[Metric, Series] = field(default_factory=dict)

    def put(self, metric: Metric, moment: float, samples: Summary, unit: str) -> None:
        series = self.series.setdefault(metric, Series())
        series.unit = unit
        series.add(moment, samples)
