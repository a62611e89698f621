"""Scales ECS services as their policies say, when the policies' alarms say so.

https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import math
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.autoscaling import Scaling, Target
from emulator.control.tracking import Policy, metric_of, service_of
from emulator.loops.runner import Loop, isolated
from emulator.state.store import Store

_COOLDOWN = 300  # AWS's default for ECS services, out and in


def step(store: Store) -> None:
    with store.lock:
        found = [
            (region, target, policy)
            for (region, *_), target in store.table(Scaling).targets.items()
            for policy in target.policies.values()
            if policy.shape["PolicyType"] == "TargetTrackingScaling"
        ]
    for region, target, policy in found:
        with isolated(store, f"scaling policy {policy.shape.get('PolicyARN')}"):
            _track(store, region, target, policy)


def _track(store: Store, region: str, target: Target, policy: Policy) -> None:
    alarms = store.clients("cloudwatch", region).describe_alarms(AlarmNames=[policy.high, policy.low])["MetricAlarms"]
    raised = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    if not raised:
        return
    out = raised[0]["AlarmName"] == policy.high
    suspended = target.shape["SuspendedState"][f"DynamicScaling{'Out' if out else 'In'}Suspended"]
    configuration = policy.shape["TargetTrackingScalingPolicyConfiguration"]
    cooldown = configuration.get("ScaleOutCooldown" if out else "ScaleInCooldown", _COOLDOWN)
    if suspended or (policy.acted and time.monotonic() - policy.acted < cooldown):
        return
    value = _latest(store, region, metric_of(policy.shape))
    if value is not None:
        _scale(store, region, target, policy, value / float(configuration["TargetValue"]), raised[0])


def _scale(store: Store, region: str, target: Target, policy: Policy, ratio: float, alarm: dict[str, Any]) -> None:
    """To as many tasks as the target value wants, in the target's bounds; out only while a release is under way."""
    cluster, service = service_of(target.shape["ResourceId"])
    client = store.clients("ecs", region)
    found = client.describe_services(cluster=cluster, services=[service])["services"]
    if not found or found[0]["status"] != "ACTIVE":
        return
    desired = found[0]["desiredCount"]
    wanted = min(max(math.ceil(desired * ratio), target.shape["MinCapacity"]), target.shape["MaxCapacity"])
    releasing = len(found[0].get("taskSets", [])) > 1
    out = alarm["AlarmName"] == policy.high
    if wanted == desired or (wanted > desired) != out or (releasing and not out):
        return
    activity = _activity(target, policy, wanted, alarm)
    with store.change():  # whoever sees the new count finds why
        target.activities.append(activity)
    try:
        client.update_service(cluster=cluster, service=service, desiredCount=wanted)
    except ClientError:
        _end(store, activity, "Failed", f"Failed to set desired count to {wanted}.")
        raise
    policy.acted = time.monotonic()
    done = f"Successfully set desired count to {wanted}. Change successfully fulfilled by ecs."
    _end(store, activity, "Successful", done)


def _activity(target: Target, policy: Policy, wanted: int, alarm: dict[str, Any]) -> dict[str, Any]:
    return {
        "ActivityId": str(uuid.uuid4()),
        **{name: target.shape[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
        "Description": f"Setting desired count to {wanted}.",
        "Cause": f"monitor alarm {alarm['AlarmName']} in state ALARM triggered policy {policy.shape['PolicyName']}",
        "StartTime": datetime.now(UTC),
        "StatusCode": "InProgress",
        "StatusMessage": f"Setting desired count to {wanted}.",
    }


def _end(store: Store, activity: dict[str, Any], code: str, message: str) -> None:
    with store.change():
        activity.update(StatusCode=code, StatusMessage=message, EndTime=datetime.now(UTC))


def _latest(store: Store, region: str, metric: dict[str, Any]) -> float | None:
    now = datetime.now(UTC)
    statistic = metric.pop("Statistic")
    points = store.clients("cloudwatch", region).get_metric_statistics(
        **metric, StartTime=now - timedelta(minutes=3), EndTime=now, Period=60, Statistics=[statistic]
    )["Datapoints"]
    newest = max(points, key=lambda point: point["Timestamp"], default=None)
    return float(newest[statistic]) if newest else None


LOOP = Loop("autoscaling", step, every=5)
