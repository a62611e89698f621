"""What ECS can do and the emulator cannot, refused by name, so that moto's inert tables never answer for it."""

from __future__ import annotations

from collections.abc import Callable

from emulator.control.ecs import lookup
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_REFUSED = (
    "CreateCapacityProvider", "DeleteAttributes", "DeleteCapacityProvider", "DeregisterContainerInstance",
    "DescribeServiceDeployments", "DescribeServiceRevisions", "DiscoverPollEndpoint", "GetTaskProtection",
    "ListServiceDeployments", "ListServicesByNamespace", "PutAttributes", "RegisterContainerInstance",
    "StopServiceDeployment", "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange",
    "UpdateCapacityProvider", "UpdateContainerAgent", "UpdateContainerInstancesState", "UpdateTaskProtection",
)  # fmt: skip


def _refuse(store: Store, call: Call) -> Answer:
    raise AwsError("UnsupportedFeatureException", f"the emulator does not support ecs:{call.operation}")


def _no_container_instances(store: Store, call: Call) -> Answer:
    """A cluster of Fargate tasks has none."""
    lookup.cluster(store, call)
    return {"containerInstanceArns": []}


def _missing_container_instances(store: Store, call: Call) -> Answer:
    lookup.cluster(store, call)
    failures = [{"arn": name, "reason": "MISSING"} for name in call.parameters["containerInstances"]]
    return {"containerInstances": [], "failures": failures}


def _no_attributes(store: Store, call: Call) -> Answer:
    lookup.cluster(store, call)
    return {"attributes": []}


OPERATIONS: dict[str, Callable[[Store, Call], Answer]] = {
    **dict.fromkeys(_REFUSED, _refuse),
    "DescribeContainerInstances": _missing_container_instances,
    "ListAttributes": _no_attributes,
    "ListContainerInstances": _no_container_instances,
}
