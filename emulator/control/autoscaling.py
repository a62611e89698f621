"""Application Auto Scaling: targets, target-tracking and step policies with the alarms that drive them, activities.

loops/autoscaling acts on the alarms; scheduled actions are moto's and never run.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

Key = tuple[str, str, str, str]  # region, service namespace, resource id, scalable dimension

_DIMENSION = "ecs:service:DesiredCount"
_ECS_ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
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


@dataclass
class Target:
    """`shape` is a ScalableTarget of DescribeScalableTargets."""

    shape: Answer
    tags: dict[str, str]
    policies: dict[str, Policy] = field(default_factory=dict)
    activities: list[Answer] = field(default_factory=list)


@dataclass
class Scaling:
    """A table of the store."""

    targets: dict[Key, Target] = field(default_factory=dict)


def register_scalable_target(store: Store, call: Call) -> Answer:
    given, key = call.parameters, _key(call)
    target = store.table(Scaling).targets.get(key)
    if target is None:
        _require_service(store, call)
        target = _new_target(call)
    shape = target.shape | {name: given[name] for name in ("MinCapacity", "MaxCapacity") if given.get(name) is not None}
    if "MinCapacity" not in shape or "MaxCapacity" not in shape:
        raise AwsError("ValidationException", "MinCapacity and MaxCapacity are required for a new scalable target")
    if shape["MinCapacity"] > shape["MaxCapacity"]:
        raise AwsError("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    shape["SuspendedState"] = shape["SuspendedState"] | (given.get("SuspendedState") or {})
    with store.change():
        target.shape = shape
        store.table(Scaling).targets[key] = target
    return {"ScalableTargetARN": shape["ScalableTargetARN"]}


def describe_scalable_targets(store: Store, call: Call) -> Answer:
    ids = call.parameters.get("ResourceIds")
    found = [target.shape for target in _of(store, call) if not ids or target.shape["ResourceId"] in ids]
    return {"ScalableTargets": found}


def deregister_scalable_target(store: Store, call: Call) -> Answer:
    target = _require_target(store, call)
    _delete_alarms(store, call.region, list(target.policies.values()))
    with store.change():
        del store.table(Scaling).targets[_key(call)]
    return {}


def put_scaling_policy(store: Store, call: Call) -> Answer:
    given, target = call.parameters, _require_target(store, call)
    name = given["PolicyName"]
    before = target.policies.get(name)
    policy = Policy(before.shape if before else _new_policy(call))
    kind = policy.shape["PolicyType"] = given.get("PolicyType") or policy.shape.get("PolicyType", "StepScaling")
    if kind not in ("StepScaling", "TargetTrackingScaling"):
        raise AwsError("ValidationException", f"the emulator does not support the policy type {kind}")
    configuration = f"{kind}PolicyConfiguration"
    policy.shape[configuration] = given.get(configuration) or policy.shape.get(configuration) or {}
    if before:
        _delete_alarms(store, call.region, [before])
    if kind == "TargetTrackingScaling":
        _put_alarms(store, call, policy)
    with store.change():
        target.policies[name] = policy
    return {"PolicyARN": policy.shape["PolicyARN"], "Alarms": policy.shape["Alarms"]}


def describe_scaling_policies(store: Store, call: Call) -> Answer:
    names = call.parameters.get("PolicyNames")
    return {
        "ScalingPolicies": [
            policy.shape
            for target in _of(store, call)
            if call.parameters.get("ResourceId") in (None, target.shape["ResourceId"])
            for name, policy in sorted(target.policies.items())
            if not names or name in names
        ]
    }


def delete_scaling_policy(store: Store, call: Call) -> Answer:
    target, name = _require_target(store, call), call.parameters["PolicyName"]
    policy = target.policies.get(name)
    if policy is None:
        raise AwsError(
            "ObjectNotFoundException", f"No scaling policy found for {_described(call)}, policy name: {name}"
        )
    _delete_alarms(store, call.region, [policy])
    with store.change():
        del target.policies[name]
    return {}


def describe_scaling_activities(store: Store, call: Call) -> Answer:
    wanted = call.parameters.get("ResourceId")
    found = [
        activity
        for target in _of(store, call)
        if wanted in (None, target.shape["ResourceId"])
        for activity in target.activities
    ]
    return {"ScalingActivities": sorted(found, key=lambda each: each["StartTime"], reverse=True)}


def list_tags_for_resource(store: Store, call: Call) -> Answer:
    return {"Tags": dict(_tags(store, call))}


def tag_resource(store: Store, call: Call) -> Answer:
    with store.lock:
        _tags(store, call).update(call.parameters["Tags"])
    return {}


def untag_resource(store: Store, call: Call) -> Answer:
    with store.lock:
        tags = _tags(store, call)
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
    return {}


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


def _put_alarms(store: Store, call: Call, policy: Policy) -> None:
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


def _delete_alarms(store: Store, region: str, policies: list[Policy]) -> None:
    names = [alarm["AlarmName"] for policy in policies for alarm in policy.shape["Alarms"]]
    if names:
        store.clients("cloudwatch", region).delete_alarms(AlarmNames=names)


def _new_target(call: Call) -> Target:
    given = call.parameters
    arn = f"arn:aws:application-autoscaling:{call.region}:{call.account}:scalable-target/{uuid.uuid4().hex}"
    shape = {
        **{name: given[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
        "RoleARN": given.get("RoleARN") or _ECS_ROLE.format(account=call.account),
        "CreationTime": datetime.now(UTC),
        "SuspendedState": dict.fromkeys(_SUSPENDED, False),
        "ScalableTargetARN": arn,
    }
    return Target(shape, dict(given.get("Tags") or {}))


def _new_policy(call: Call) -> Answer:
    given = call.parameters
    resource = f"resource/{given['ServiceNamespace']}/{given['ResourceId']}"
    name = given["PolicyName"]
    arn = f"arn:aws:autoscaling:{call.region}:{call.account}:scalingPolicy:{uuid.uuid4()}:{resource}:policyName/{name}"
    names = ("PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension")
    return {**{key: given[key] for key in names}, "PolicyARN": arn, "Alarms": [], "CreationTime": datetime.now(UTC)}


def _require_service(store: Store, call: Call) -> None:
    given = call.parameters
    if given["ServiceNamespace"] != "ecs" or given["ScalableDimension"] != _DIMENSION:
        kind = f"{given['ServiceNamespace']}, {given['ScalableDimension']}"
        raise AwsError("ValidationException", f"the emulator scales {_DIMENSION} only, not {kind}")
    cluster, service = service_of(given["ResourceId"])
    client = store.clients("ecs", call.region)
    try:
        found = client.describe_services(cluster=cluster, services=[service])["services"]
    except client.exceptions.ClientError:
        found = []
    if not any(each["status"] == "ACTIVE" for each in found):
        raise AwsError("ValidationException", f"ECS service doesn't exist: {given['ResourceId']}")


def _require_target(store: Store, call: Call) -> Target:
    target = store.table(Scaling).targets.get(_key(call))
    if target is None:
        raise AwsError("ObjectNotFoundException", f"No scalable target found for {_described(call)}")
    return target


def _described(call: Call) -> str:
    given = call.parameters
    return (
        f"service namespace: {given['ServiceNamespace']}, resource ID: {given['ResourceId']}, "
        f"scalable dimension: {given['ScalableDimension']}"
    )


def _of(store: Store, call: Call) -> list[Target]:
    given = call.parameters
    return [
        target
        for (region, namespace, _, dimension), target in sorted(store.table(Scaling).targets.items())
        if region == call.region
        and namespace == given["ServiceNamespace"]
        and given.get("ScalableDimension") in (None, dimension)
    ]


def _key(call: Call) -> Key:
    given = call.parameters
    return call.region, given["ServiceNamespace"], given["ResourceId"], given["ScalableDimension"]


def _tags(store: Store, call: Call) -> dict[str, str]:
    arn = call.parameters["ResourceARN"]
    for target in store.table(Scaling).targets.values():
        if target.shape["ScalableTargetARN"] == arn:
            return target.tags
    raise AwsError("ResourceNotFoundException", f"The resource {arn} doesn't exist.", ResourceName=arn)


OPERATIONS: dict[str, Operation] = {
    "DeleteScalingPolicy": delete_scaling_policy,
    "DeregisterScalableTarget": deregister_scalable_target,
    "DescribeScalableTargets": describe_scalable_targets,
    "DescribeScalingActivities": describe_scaling_activities,
    "DescribeScalingPolicies": describe_scaling_policies,
    "ListTagsForResource": list_tags_for_resource,
    "PutScalingPolicy": put_scaling_policy,
    "RegisterScalableTarget": register_scalable_target,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
