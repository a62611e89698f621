"""Alarms: what they are told, their state and its history. loops/alarms judges them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.control.events.bus import emit
from emulator.control.operation import Operation
from emulator.control.tags import tag_map, tag_pairs
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_HISTORY = 1000  # items kept of one alarm; AWS keeps those of 30 days
_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
_DEFAULTS: dict[str, Any] = {
    "ActionsEnabled": True,
    "OKActions": [],
    "AlarmActions": [],
    "InsufficientDataActions": [],
    "Dimensions": [],
}


@dataclass
class Alarm:
    """`settings` are the parameters of PutMetricAlarm with their defaults."""

    account: str
    region: str
    settings: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    history: list[Answer] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.settings["AlarmName"])

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{self.name}"

    def note(self, kind: str, text: str, data: Answer) -> None:
        item = {
            "AlarmName": self.name,
            "AlarmType": "MetricAlarm",
            "Timestamp": datetime.now(UTC),
            "HistoryItemType": kind,
            "HistorySummary": text,
            "HistoryData": json.dumps(data, default=str),
        }
        self.history = [*self.history, item][-_HISTORY:]

    def shape(self) -> Answer:
        settings = {key: value for key, value in self.settings.items() if key != "Tags" and value is not None}
        state = {
            "AlarmArn": self.arn,
            "AlarmConfigurationUpdatedTimestamp": self.updated,
            "StateValue": self.state,
            "StateReason": self.reason,
            "StateUpdatedTimestamp": self.since,
            "StateTransitionedTimestamp": self.since,
        }
        return settings | state | ({"StateReasonData": self.reason_data} if self.reason_data else {})


@dataclass
class Alarms:
    """A table of the store: by region and name."""

    of: dict[tuple[str, str], Alarm] = field(default_factory=dict)


def put_metric_alarm(store: Store, call: Call) -> Answer:
    settings = _DEFAULTS | {key: value for key, value in call.parameters.items() if value is not None}
    _check(settings)
    name = settings["AlarmName"]
    with store.change():
        alarms = store.table(Alarms).of
        tags = tag_map(settings.pop("Tags", []))
        if alarm := alarms.get((call.region, name)):
            # Its state stays until the next evaluation, and tags are for creation only.
            alarm.settings, alarm.updated = settings, datetime.now(UTC)
            alarm.note("ConfigurationUpdate", f'Alarm "{name}" updated', {"type": "Update"})
        else:
            alarm = alarms[call.region, name] = Alarm(call.account, call.region, settings, tags)
            alarm.note("ConfigurationUpdate", f'Alarm "{name}" created', {"type": "Create"})
    return {}


def describe_alarms(store: Store, call: Call) -> Answer:
    asked = call.parameters
    kinds = asked.get("AlarmTypes") or ["MetricAlarm"]
    with store.lock:
        found = [alarm for (region, _), alarm in sorted(store.table(Alarms).of.items()) if region == call.region]
        shapes = [
            alarm.shape()
            for alarm in found
            if "MetricAlarm" in kinds
            and (not asked.get("AlarmNames") or alarm.name in asked["AlarmNames"])
            and alarm.name.startswith(asked.get("AlarmNamePrefix") or "")
            and asked.get("StateValue") in (None, alarm.state)
            and _acts(alarm, asked.get("ActionPrefix"))
        ]
    start, size = int(asked.get("NextToken") or 0), int(asked.get("MaxRecords") or 100)
    more = {"NextToken": str(start + size)} if start + size < len(shapes) else {}
    return {"MetricAlarms": shapes[start : start + size], "CompositeAlarms": []} | more


def describe_alarms_for_metric(store: Store, call: Call) -> Answer:
    asked = call.parameters
    wanted = {(each["Name"], each["Value"]) for each in asked.get("Dimensions") or []}
    with store.lock:
        return {
            "MetricAlarms": [
                alarm.shape()
                for (region, _), alarm in sorted(store.table(Alarms).of.items())
                if region == call.region
                and alarm.settings.get("MetricName") == asked["MetricName"]
                and alarm.settings.get("Namespace") == asked["Namespace"]
                and {(each["Name"], each["Value"]) for each in alarm.settings["Dimensions"]} == wanted
            ]
        }


def delete_alarms(store: Store, call: Call) -> Answer:
    with store.change():
        alarms = store.table(Alarms).of
        for name in call.parameters["AlarmNames"]:
            alarms.pop((call.region, name), None)
    return {}


def set_alarm_state(store: Store, call: Call) -> Answer:
    asked = call.parameters
    alarm = _named(store, call.region, asked["AlarmName"])
    if asked["StateValue"] not in _STATES:
        raise AwsError("ValidationError", f"StateValue must be one of {', '.join(_STATES)}")
    move(store, alarm, asked["StateValue"], asked["StateReason"], asked.get("StateReasonData") or "")
    return {}


def enable_alarm_actions(store: Store, call: Call) -> Answer:
    return _switch_actions(store, call, True)


def disable_alarm_actions(store: Store, call: Call) -> Answer:
    return _switch_actions(store, call, False)


def describe_alarm_history(store: Store, call: Call) -> Answer:
    asked = call.parameters
    with store.lock:
        items = [
            item
            for (region, name), alarm in store.table(Alarms).of.items()
            if region == call.region and asked.get("AlarmName") in (None, name)
            for item in alarm.history
            if asked.get("HistoryItemType") in (None, item["HistoryItemType"])
            and (not asked.get("StartDate") or item["Timestamp"] >= asked["StartDate"])
            and (not asked.get("EndDate") or item["Timestamp"] <= asked["EndDate"])
        ]
    newest_first = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    items.sort(key=lambda item: item["Timestamp"], reverse=newest_first)
    return {"AlarmHistoryItems": items[: int(asked.get("MaxRecords") or 100)]}


def list_tags_for_resource(store: Store, call: Call) -> Answer:
    return {"Tags": tag_pairs(_by_arn(store, call).tags)}


def tag_resource(store: Store, call: Call) -> Answer:
    with store.lock:
        _by_arn(store, call).tags.update(tag_map(call.parameters["Tags"]))
    return {}


def untag_resource(store: Store, call: Call) -> Answer:
    with store.lock:
        tags = _by_arn(store, call).tags
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
    return {}


def move(store: Store, alarm: Alarm, state: str, reason: str, reason_data: str = "") -> None:
    """Brings an alarm to a state; when that is another one, history and EventBridge hear of it."""
    with store.change():
        before, changed = alarm.state, alarm.state != state
        alarm.state, alarm.reason, alarm.reason_data = state, reason, reason_data
        if not changed:
            return
        previous, alarm.since = alarm.since, datetime.now(UTC)
        old, new = {"stateValue": before}, {"stateValue": state, "stateReason": reason}
        alarm.note("StateUpdate", f"Alarm updated from {before} to {state}", {"oldState": old, "newState": new})
    detail = {
        "alarmName": alarm.name,
        "state": {"value": state, "reason": reason, "timestamp": alarm.since.isoformat()},
        "previousState": {"value": before, "timestamp": previous.isoformat()},
        "configuration": {"description": alarm.settings.get("AlarmDescription", "")},
    }
    emit(store, (alarm.account, alarm.region), "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm.arn])


def _check(settings: dict[str, Any]) -> None:
    # In these words: https://github.com/aws/aws-cdk/issues/7155, hashicorp/terraform-provider-aws#11105
    needed = ["ComparisonOperator", "EvaluationPeriods"]
    if not settings.get("Metrics"):
        needed += ["MetricName", "Namespace", "Period"]
    if not settings.get("ThresholdMetricId"):
        needed.append("Threshold")
    for name in needed:
        if settings.get(name) in (None, ""):
            raise AwsError("ValidationError", f"{name} must not be null")
    points = settings.get("DatapointsToAlarm")
    if points is not None and points > settings["EvaluationPeriods"]:
        raise AwsError("ValidationError", "DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if settings.get("MetricName") and not (settings.get("Statistic") or settings.get("ExtendedStatistic")):
        raise AwsError("ValidationError", "Exactly one of Statistic and ExtendedStatistic must be specified")


def _acts(alarm: Alarm, prefix: str | None) -> bool:
    settings = alarm.settings
    actions = [*settings["AlarmActions"], *settings["OKActions"], *settings["InsufficientDataActions"]]
    return prefix is None or any(action.startswith(prefix) for action in actions)


def _switch_actions(store: Store, call: Call, enabled: bool) -> Answer:
    with store.change():
        for name in call.parameters["AlarmNames"]:
            if alarm := store.table(Alarms).of.get((call.region, name)):
                alarm.settings["ActionsEnabled"] = enabled
    return {}


def _named(store: Store, region: str, name: str) -> Alarm:
    alarm = store.table(Alarms).of.get((region, name))
    if alarm is None:
        raise AwsError("ResourceNotFound", f"Alarm {name} does not exist")
    return alarm


def _by_arn(store: Store, call: Call) -> Alarm:
    name = call.parameters["ResourceARN"].partition(":alarm:")[2]
    alarm = store.table(Alarms).of.get((call.region, name))
    if alarm is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"Unknown: {call.parameters['ResourceARN']}",
            ResourceType="alarm",
            ResourceId=name,
        )
    return alarm


OPERATIONS: dict[str, Operation] = {
    "DeleteAlarms": delete_alarms,
    "DescribeAlarmHistory": describe_alarm_history,
    "DescribeAlarms": describe_alarms,
    "DescribeAlarmsForMetric": describe_alarms_for_metric,
    "DisableAlarmActions": disable_alarm_actions,
    "EnableAlarmActions": enable_alarm_actions,
    "ListTagsForResource": list_tags_for_resource,
    "PutMetricAlarm": put_metric_alarm,
    "SetAlarmState": set_alarm_state,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
