"""Scaling policies that track a target: what they follow, and the two alarms that say when to scale."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_ECS_METRICS = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
# Target tracking scales out after three breached minutes, and in after fifteen well below the target.
_OUT_PERIODS, _IN_PERIODS, _IN_MARGIN = 3, 15, 0.9


@dataclass
class Policy:
    """`shape` is a ScalingPolicy of DescribeScalingPolicies."""

    shape: Answer
    high: str = ""  # names of its alarms
    low: str = ""
    acted: float = 0.0  # monotonic time of its last activity


def service_of(resource: str) -> tuple[str, str]:
    """Cluster and service of a resource id, `service/<cluster>/<service>`."""
    parts = resource.split("/")
    if len(parts) != 3 or parts[0] != "service":
        raise AwsError(
            "ValidationException", f"Unsupported service namespace, resource type or scalable dimension: {resource}"
        )
    return parts[1], parts[2]


def metric_of(policy: Answer) -> dict[str, Any]:
    """What a target-tracking policy follows: Namespace, MetricName, Dimensions, Statistic."""
    configuration = policy["TargetTrackingScalingPolicyConfiguration"]
    if custom := configuration.get("CustomizedMetricSpecification"):
        if "MetricName" not in custom:
            raise AwsError("ValidationException", "the emulator does not follow metric math in a scaling policy")
        return {key: custom.get(key, []) for key in ("Namespace", "MetricName", "Dimensions", "Statistic")}
    predefined = configuration["PredefinedMetricSpecification"]
    kind = predefined["PredefinedMetricType"]
    if kind == "ALBRequestCountPerTarget":
        group = predefined["ResourceLabel"][predefined["ResourceLabel"].index("targetgroup/") :]
        dimensions = [{"Name": "TargetGroup", "Value": group}]
        return _metric("AWS/ApplicationELB", "RequestCountPerTarget", dimensions, "Sum")
    if kind not in _ECS_METRICS:
        raise AwsError("ValidationException", f"the emulator does not support the metric type {kind}")
    cluster, service = service_of(policy["ResourceId"])
    dimensions = [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}]
    return _metric("AWS/ECS", _ECS_METRICS[kind], dimensions, "Average")


def _metric(namespace: str, name: str, dimensions: list[dict[str, str]], statistic: str) -> dict[str, Any]:
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions, "Statistic": statistic}


def put_alarms(store: Store, call: Call, policy: Policy) -> None:
    configuration = policy.shape["TargetTrackingScalingPolicyConfiguration"]
    value = float(configuration["TargetValue"])
    prefix = f"TargetTracking-{policy.shape['ResourceId']}"
    policy.high, policy.low = (f"{prefix}-Alarm{side}-{uuid.uuid4()}" for side in ("High", "Low"))
    sides = [(policy.high, "GreaterThanThreshold", value, _OUT_PERIODS)]
    if not configuration.get("DisableScaleIn"):
        sides.append((policy.low, "LessThanThreshold", value * _IN_MARGIN, _IN_PERIODS))
    client = store.clients("cloudwatch", call.region)
    for name, comparison, threshold, periods in sides:
        client.put_metric_alarm(
            AlarmName=name,
            AlarmDescription=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.shape['PolicyARN']}.",
            ComparisonOperator=comparison,
            Threshold=threshold,
            EvaluationPeriods=periods,
            Period=60,
            AlarmActions=[policy.shape["PolicyARN"]],
            **metric_of(policy.shape),
        )
    arn = f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm:"
    policy.shape["Alarms"] = [{"AlarmName": side[0], "AlarmARN": f"{arn}{side[0]}"} for side in sides]


def delete_alarms(store: Store, region: str, policies: list[Policy]) -> None:
    names = [alarm["AlarmName"] for policy in policies for alarm in policy.shape["Alarms"]]
    if names:
        store.clients("cloudwatch", region).delete_alarms(AlarmNames=names)
