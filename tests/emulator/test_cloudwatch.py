from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.control.cloudwatch.alarms import Alarm
from emulator.control.cloudwatch.expressions import evaluate
from emulator.emulator import Emulator
from emulator.loops.alarms import judge
from emulator.state.call import AwsError
from emulator.state.metrics import Metric, Metrics, summary
from emulator.state.store import Store
from tests.waiting import eventually

_DIMENSIONS = [{"Name": "TargetGroup", "Value": "targetgroup/blue/1"}]


@pytest.fixture
def cloudwatch(emulator: Emulator) -> Any:
    return emulator.store.clients("cloudwatch")


def test_statistics_of_values_with_counts(cloudwatch: Any) -> None:
    now = datetime.now(UTC)
    datum = {"MetricName": "Time", "Dimensions": _DIMENSIONS, "Timestamp": now, "Values": [1, 10], "Counts": [3, 1]}
    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{**datum, "Unit": "Seconds"}])
    answer = cloudwatch.get_metric_statistics(
        Namespace="Test",
        MetricName="Time",
        Dimensions=_DIMENSIONS,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"],
    )
    point = answer["Datapoints"][0]
    assert [point[name] for name in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")] == [13, 3.25, 1, 10, 4]
    assert point["Unit"] == "Seconds"


def test_percentiles(cloudwatch: Any) -> None:
    now = datetime.now(UTC)
    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Time", "Values": list(range(1, 101))}])
    point = cloudwatch.get_metric_statistics(
        Namespace="Test",
        MetricName="Time",
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        ExtendedStatistics=["p50", "p99"],
    )["Datapoints"][0]
    assert point["ExtendedStatistics"] == {"p50": 50, "p99": 99}


def test_a_metric_is_found_by_its_dimensions_only(cloudwatch: Any) -> None:
    cloudwatch.put_metric_data(
        Namespace="Test", MetricData=[{"MetricName": "Count", "Dimensions": _DIMENSIONS, "Value": 1}]
    )
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=1)}
    query = {
        "Id": "m",
        "MetricStat": {"Metric": {"Namespace": "Test", "MetricName": "Count"}, "Period": 60, "Stat": "Sum"},
    }
    assert cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"][0]["Values"] == []
    query["MetricStat"]["Metric"]["Dimensions"] = _DIMENSIONS  # type: ignore[index]
    assert cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"][0]["Values"] == [1]
    assert cloudwatch.list_metrics(Namespace="Test")["Metrics"] == [
        {"Namespace": "Test", "MetricName": "Count", "Dimensions": _DIMENSIONS}
    ]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("errors / requests * 100", {60: 50.0}),
        ("(errors + errors) / 2", {0: 5.0, 60: 1.0}),
        ("SUM([errors, requests])", {0: 5.0, 60: 3.0}),
        ("FILL(requests, 0)", {0: 0.0, 60: 2.0}),
        ("errors - MAX(errors)", {0: 0.0, 60: -4.0}),
        ("-errors", {0: -5.0, 60: -1.0}),
    ],
)
def test_metric_math(expression: str, value: dict[int, float]) -> None:
    metrics = {"errors": {0: 5.0, 60: 1.0}, "requests": {60: 2.0}}
    assert evaluate(expression, metrics) == value


@pytest.mark.parametrize("expression", ["errors +", "unknown * 2", "__import__('os')", "errors.real", "7", "[errors]"])
def test_what_is_no_metric_math_is_refused(expression: str) -> None:
    with pytest.raises(AwsError, match="Error in expression"):
        evaluate(expression, {"errors": {0: 1.0}})


@pytest.fixture
def store(tmp_path: Any) -> Store:
    return Store(tmp_path)


_MINUTE = time.time() // 60 * 60 - 120  # the beginning of a minute not long ago


def alarm(**settings: Any) -> Alarm:
    plain = {"AlarmName": "errors", "Namespace": "Test", "MetricName": "Count", "Dimensions": [], "Statistic": "Sum"}
    rule = {
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    return Alarm("123456789012", "us-east-1", {**plain, **rule, **settings})


def put(store: Store, *samples: tuple[float, float]) -> None:
    """(seconds after the minute began, value)"""
    for offset, value in samples:
        metric = Metric("us-east-1", "Test", "Count")
        store.table(Metrics).put(metric, _MINUTE + offset, summary([value]), "Count")


def state(store: Store, alarm: Alarm, offset: float) -> str | None:
    return judge(store, alarm, _MINUTE + offset).state


def test_an_alarm_judges_whole_periods(store: Store) -> None:
    put(store, (0, 3), (30, 1))
    assert state(store, alarm(), 63) == "OK"
    put(store, (59, 1))
    assert state(store, alarm(), 63) == "ALARM"
    assert state(store, alarm(), 125) == "INSUFFICIENT_DATA"


def test_a_sum_that_is_too_high_already_does_not_wait_for_the_end_of_its_period(store: Store) -> None:
    put(store, (1, 5))
    assert state(store, alarm(), 4) == "ALARM"


def test_a_minimum_waits_for_the_end_of_its_period(store: Store) -> None:
    least = alarm(Statistic="Minimum", Threshold=1.0, TreatMissingData="notBreaching")
    put(store, (1, 1))
    assert state(store, least, 30) == "OK"
    assert state(store, least, 63) == "ALARM"
    put(store, (40, 0))
    assert state(store, least, 63) == "OK"


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("missing", "INSUFFICIENT_DATA"), ("ignore", None), ("notBreaching", "OK"), ("breaching", "ALARM")],
)
def test_missing_data_is_treated_as_told(store: Store, treatment: str, expected: str | None) -> None:
    assert state(store, alarm(TreatMissingData=treatment), 63) == expected


def test_m_of_n_datapoints(store: Store) -> None:
    two_of_three = alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    put(store, (0, 9), (60, 1), (120, 9))
    assert state(store, two_of_three, 183) == "ALARM"
    assert state(store, alarm(EvaluationPeriods=3), 183) == "OK"


def test_an_alarm_on_metric_math(store: Store) -> None:
    named = {"Namespace": "Test", "MetricName": "Count", "Dimensions": []}
    metrics = [
        {"Id": "m", "ReturnData": False, "MetricStat": {"Metric": named, "Period": 60, "Stat": "Sum"}},
        {"Id": "twice", "Expression": "m * 2"},
    ]
    put(store, (0, 3))
    assert state(store, alarm(MetricName=None, Metrics=metrics), 63) == "ALARM"


def test_an_alarm_goes_off_and_its_history_says_why(cloudwatch: Any) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="Test",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        Tags=[{"Key": "team", "Value": "chat"}],
    )
    cloudwatch.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Errors", "Value": 7}])

    def alarm() -> Any:
        found = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]
        return found if found["StateValue"] == "ALARM" else None

    found = eventually(alarm)
    assert "greater than or equal to the threshold (5.0)" in found["StateReason"]
    history = cloudwatch.describe_alarm_history(AlarmName="errors", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert history[0]["HistorySummary"].endswith("to ALARM")
    assert cloudwatch.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"] == [
        {"Key": "team", "Value": "chat"}
    ]


def test_a_new_setting_keeps_the_alarms_state(cloudwatch: Any) -> None:
    rule = {"Namespace": "Test", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    rule |= {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "ignore"}
    cloudwatch.put_metric_alarm(AlarmName="errors", Threshold=5, **rule)
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")
    cloudwatch.put_metric_alarm(AlarmName="errors", Threshold=6, **rule)
    found = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"][0]
    assert (found["Threshold"], found["StateReason"]) == (6.0, "a drill")
    cloudwatch.delete_alarms(AlarmNames=["errors"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_an_impossible_alarm_is_refused(cloudwatch: Any) -> None:
    with pytest.raises(ClientError, match="DatapointsToAlarm must be less"):
        cloudwatch.put_metric_alarm(
            AlarmName="errors",
            Namespace="Test",
            MetricName="Errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            DatapointsToAlarm=2,
            Threshold=5,
            ComparisonOperator="GreaterThanThreshold",
        )


def test_old_points_are_merged_into_minutes(store: Store) -> None:
    metric, now = Metric("us-east-1", "Test", "Count"), time.time()
    table = store.table(Metrics)
    for second in range(3600):
        table.put(metric, now - second, summary([1.0]), "Count")
    series = table.series[metric]
    series.compacted = 0
    table.put(metric, now, summary([1.0]), "Count")
    assert len(series.points) < 500
    assert series.between(0, now + 1).total == 3601


@pytest.mark.parametrize(
    "missing", ["ComparisonOperator", "EvaluationPeriods", "MetricName", "Namespace", "Period", "Threshold"]
)
def test_an_alarm_that_nobody_could_judge_is_refused(cloudwatch: Any, missing: str) -> None:
    whole = {
        "AlarmName": "errors", "Namespace": "App", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip
    with pytest.raises(ClientError, match=f"{missing} must not be null") as refused:
        cloudwatch.put_metric_alarm(**{name: value for name, value in whole.items() if name != missing})
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    cloudwatch.put_metric_alarm(**whole)
