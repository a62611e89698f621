"""Judges every alarm by its metric.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
A period is judged when it has ended, as on AWS; one that is breached already, whatever its rest brings, at once.
"""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulator.control.cloudwatch.alarms import Alarm, Alarms, move
from emulator.control.cloudwatch.metrics import query
from emulator.loops.runner import Loop, isolated
from emulator.state.store import Store

_LATE = 2.0  # seconds that a sample may take from where it is measured to here
_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
# Statistics that more samples can only raise, or only lower.
_RISING, _FALLING = ("Sum", "SampleCount", "Maximum"), ("Minimum",)


@dataclass(frozen=True)
class Verdict:
    """`state` None: it stays as it is."""

    state: str | None
    reason: str = ""
    data: str = ""


def step(store: Store) -> None:
    with store.lock:
        alarms = list(store.table(Alarms).of.values())
    for alarm in alarms:
        with isolated(store, f"alarm {alarm.name} of {alarm.region}"):
            verdict = judge(store, alarm, time.time())
            if verdict.state and verdict.state != alarm.state:
                move(store, alarm, verdict.state, verdict.reason, verdict.data)


def judge(store: Store, alarm: Alarm, now: float) -> Verdict:
    settings = alarm.settings
    period, number = _period(settings), int(settings["EvaluationPeriods"])
    ended = int((now - _LATE) // period * period)
    first = ended - number * period
    values = _values(store, alarm, first, ended + period)
    running = values.get(ended)
    if running is not None and _decided(settings, running):
        first, ended = first + period, ended + period
    points = [values.get(second) for second in range(first, ended, period)]
    return _verdict(settings, points, first, period)


def _verdict(settings: dict[str, Any], points: list[float | None], first: int, period: int) -> Verdict:
    needed = int(settings.get("DatapointsToAlarm") or len(points))
    missing = settings.get("TreatMissingData") or "missing"
    there = [point for point in points if point is not None]
    if not there and missing in ("missing", "ignore"):
        state = None if missing == "ignore" else "INSUFFICIENT_DATA"
        return Verdict(state, f"Insufficient Data: {len(points)} datapoints were unknown.")
    breaches = sum(_breaches(settings, point) for point in there)
    absent = len(points) - len(there)
    if missing == "breaching":
        breaches += absent
    # Where missing points are neither good nor bad, all points that there are must breach.
    enough = breaches >= needed or (missing in ("missing", "ignore") and absent > 0 and breaches == len(there))
    state = "ALARM" if enough else "OK"
    return Verdict(state, _reason(settings, points, first, period, state), _data(settings, points, first, period))


def _breaches(settings: dict[str, Any], value: float) -> bool:
    return _COMPARISONS[settings["ComparisonOperator"]][0](value, float(settings["Threshold"]))


def _decided(settings: dict[str, Any], value: float) -> bool:
    """Whether a period that is not over is breached for good."""
    upwards = settings["ComparisonOperator"].startswith("Greater")
    one_way = _RISING if upwards else _FALLING
    return settings.get("Statistic") in one_way and _breaches(settings, value)


def _values(store: Store, alarm: Alarm, start: int, end: int) -> dict[int, float]:
    """The alarm's metric or expression by the beginning of each period."""
    queries = alarm.settings.get("Metrics") or [_query(alarm.settings)]
    span = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    points = query(store, alarm.region, queries, *span)
    judged = [each["Id"] for each in queries if each.get("ReturnData", True)]
    return points[judged[0]] if judged else {}


def _query(settings: dict[str, Any]) -> dict[str, Any]:
    names = ("Namespace", "MetricName", "Dimensions")
    statistic = {
        "Metric": {name: settings[name] for name in names},
        "Period": settings["Period"],
        "Stat": settings.get("Statistic") or settings["ExtendedStatistic"],
    }
    return {"Id": "alarm", "MetricStat": statistic}


def _period(settings: dict[str, Any]) -> int:
    if settings.get("Period"):
        return int(settings["Period"])
    periods = [each.get("Period") or each.get("MetricStat", {}).get("Period") for each in settings["Metrics"]]
    return max(int(each) for each in periods if each)


def _reason(settings: dict[str, Any], points: list[float | None], first: int, period: int, state: str) -> str:
    total = len(points)
    words = _COMPARISONS[settings["ComparisonOperator"]][1]
    threshold = float(settings["Threshold"])
    named = [
        f"{point} ({datetime.fromtimestamp(first + index * period, UTC):%d/%m/%y %H:%M:%S})"
        for index, point in enumerate(points)
        if point is not None
    ]
    if not named:
        kind = "NonBreaching" if settings.get("TreatMissingData") == "notBreaching" else "Breaching"
        return (
            f"Threshold Crossed: no datapoints were received for {total} period{'s' * (total > 1)} and {total} missing "
            f"datapoint{'s were' if total > 1 else ' was'} treated as [{kind}]."
        )
    was = "was" if state == "ALARM" else "was not"
    needed = int(settings.get("DatapointsToAlarm") or total)
    change = "OK -> ALARM" if state == "ALARM" else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(named)} out of the last {total} datapoints [{', '.join(reversed(named))}] {was} "
        f"{words} the threshold ({threshold}) (minimum {needed} datapoint{'s' * (needed > 1)} for {change} transition)."
    )


def _data(settings: dict[str, Any], points: list[float | None], first: int, period: int) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": datetime.now(UTC).isoformat(),
            "startDate": datetime.fromtimestamp(first, UTC).isoformat(),
            "statistic": settings.get("Statistic"),
            "period": period,
            "recentDatapoints": [point for point in points if point is not None],
            "threshold": settings["Threshold"],
        }
    )


LOOP = Loop("alarms", step)
