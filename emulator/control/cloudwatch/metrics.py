"""PutMetricData and the questions about what was put."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from emulator.control.cloudwatch.expressions import Points, evaluate
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.metrics import Metric, Metrics, Series, Summary, summary
from emulator.state.store import Store


def put_metric_data(store: Store, call: Call) -> Answer:
    now = time.time()
    with store.lock:
        table = store.table(Metrics)
        for datum in call.parameters.get("MetricData") or []:
            metric = Metric.of(call.region, call.parameters["Namespace"], datum["MetricName"], datum.get("Dimensions"))
            moment = datum["Timestamp"].timestamp() if datum.get("Timestamp") else now
            table.put(metric, moment, _samples(datum), datum.get("Unit") or "None")
    return {}


def list_metrics(store: Store, call: Call) -> Answer:
    wanted = {
        (each["Name"], each["Value"]) if "Value" in each else each["Name"]
        for each in call.parameters.get("Dimensions") or []
    }
    with store.lock:
        found = [metric for metric in store.table(Metrics).series if metric.region == call.region]
    return {
        "Metrics": [
            _shape(metric)
            for metric in sorted(found, key=lambda metric: (metric.namespace, metric.name, metric.dimensions))
            if call.parameters.get("Namespace") in (None, metric.namespace)
            and call.parameters.get("MetricName") in (None, metric.name)
            and wanted <= {*metric.dimensions, *(name for name, _ in metric.dimensions)}
        ]
    }


def get_metric_statistics(store: Store, call: Call) -> Answer:
    asked = call.parameters
    metric = Metric.of(call.region, asked["Namespace"], asked["MetricName"], asked.get("Dimensions"))
    series, windows = _windows(store, metric, asked["StartTime"], asked["EndTime"], int(asked["Period"]))
    points = [
        {"Timestamp": datetime.fromtimestamp(second, UTC), "Unit": series.unit}
        | _statistics(point, asked.get("Statistics") or [])
        | _percentiles(point, asked.get("ExtendedStatistics") or [])
        for second, point in windows.items()
        if asked.get("Unit") in (None, series.unit)
    ]
    return {"Label": metric.name, "Datapoints": points}


def get_metric_data(store: Store, call: Call) -> Answer:
    asked = call.parameters
    start, end = asked["StartTime"], asked["EndTime"]
    if start >= end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
    points = query(store, call.region, asked["MetricDataQueries"], start, end)
    newest_first = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for each in asked["MetricDataQueries"]:
        if not each.get("ReturnData", True):
            continue
        found = sorted(points[each["Id"]].items(), reverse=newest_first)
        results.append(
            {
                "Id": each["Id"],
                "Label": each.get("Label") or _label(each),
                "Timestamps": [datetime.fromtimestamp(second, UTC) for second, _ in found],
                "Values": [value for _, value in found],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


def query(
    store: Store, region: str, queries: Iterable[dict[str, Any]], start: datetime, end: datetime
) -> dict[str, Points]:
    """Answers of MetricDataQueries by id: statistics first, then the expressions over them."""
    points: dict[str, Points] = {}
    expressions: list[dict[str, Any]] = []
    for each in queries:
        if "MetricStat" not in each:
            expressions.append(each)
            continue
        wanted, period = each["MetricStat"], int(each["MetricStat"]["Period"])
        named = wanted["Metric"]
        metric = Metric.of(region, named["Namespace"], named["MetricName"], named.get("Dimensions"))
        _, windows = _windows(store, metric, start, end, period)
        values = {second: point.statistic(wanted["Stat"]) for second, point in windows.items()}
        points[each["Id"]] = {second: value for second, value in values.items() if value is not None}
    while ready := [each for each in expressions if _depends(each, expressions) == set()]:
        for each in ready:
            points[each["Id"]] = evaluate(each["Expression"], points)
            expressions.remove(each)
    if expressions:
        raise AwsError("ValidationError", f"Error in expression '{expressions[0]['Id']}': it depends on itself")
    return points


def _depends(expression: dict[str, Any], others: list[dict[str, Any]]) -> set[str]:
    return {each["Id"] for each in others if each["Id"] in expression["Expression"]} - (
        set() if expression["Id"] in expression["Expression"] else {expression["Id"]}
    )


def _windows(
    store: Store, metric: Metric, start: datetime, end: datetime, period: int
) -> tuple[Series, dict[int, Summary]]:
    with store.lock:
        series = store.table(Metrics).series.get(metric, Series())
        return series, series.windows(start.timestamp(), end.timestamp(), period)


def _samples(datum: dict[str, Any]) -> Summary:
    if given := datum.get("StatisticValues"):
        return Summary(
            float(given["SampleCount"]), float(given["Sum"]), float(given["Minimum"]), float(given["Maximum"])
        )
    if datum.get("Values"):
        return summary([float(each) for each in datum["Values"]], [float(each) for each in datum.get("Counts") or []])
    if datum.get("Value") is None:
        raise AwsError(
            "MissingParameter",
            "At least one of the parameters Value, Values or StatisticValues must be specified for a metric datum.",
        )
    return summary([float(datum["Value"])])


def _statistics(point: Summary, names: list[str]) -> dict[str, float]:
    found = {name: point.statistic(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _percentiles(point: Summary, names: list[str]) -> Answer:
    return {"ExtendedStatistics": _statistics(point, names)} if names else {}


def _shape(metric: Metric) -> Answer:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _label(asked: dict[str, Any]) -> str:
    return str(asked["MetricStat"]["Metric"]["MetricName"]) if "MetricStat" in asked else str(asked["Id"])


OPERATIONS: dict[str, Operation] = {
    "GetMetricData": get_metric_data,
    "GetMetricStatistics": get_metric_statistics,
    "ListMetrics": list_metrics,
    "PutMetricData": put_metric_data,
}
