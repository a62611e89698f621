"""Application Auto Scaling: moto keeps targets and policies; their tags are ours."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


@dataclass
class Tags:
    """By ARN of the scalable target."""

    of: dict[str, dict[str, str]] = field(default_factory=dict)


def register_scalable_target(store: Store, call: Call) -> Answer:
    answer = call.moto()
    with store.lock:
        tags = store.table(Tags).of.setdefault(answer["ScalableTargetARN"], {})
        tags.update(call.parameters.get("Tags") or {})
    return answer


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


def _tags(store: Store, call: Call) -> dict[str, str]:
    arn = call.parameters["ResourceARN"]
    found = store.table(Tags).of.get(arn)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"The resource {arn} doesn't exist.", ResourceName=arn)
    return found


OPERATIONS: dict[str, Operation] = {
    "ListTagsForResource": list_tags_for_resource,
    "RegisterScalableTarget": register_scalable_target,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
