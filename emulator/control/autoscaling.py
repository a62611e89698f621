"""Application Auto Scaling: targets, target-tracking and step policies with the alarms that drive them, activities.

loops/autoscaling acts on the alarms; scheduled actions are moto's and never run.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from emulator.control.operation import Operation
from emulator.control.tracking import Policy, delete_alarms, put_alarms, service_of
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

Key = tuple[str, str, str, str]  # region, service namespace, resource id, scalable dimension

_DIMENSION = "ecs:service:DesiredCount"
_ECS_ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


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
    delete_alarms(store, call.region, list(target.policies.values()))
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
        delete_alarms(store, call.region, [before])
    if kind == "TargetTrackingScaling":
        put_alarms(store, call, policy)
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
    delete_alarms(store, call.region, [policy])
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
