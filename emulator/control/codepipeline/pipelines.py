"""Pipelines: created, read, changed, tagged; their transitions."""

from __future__ import annotations

import copy
from typing import Any

from emulator.control.codepipeline import executions
from emulator.control.codepipeline.structure import checked
from emulator.control.codepipeline.tables import Json, Pipeline, Transition, now, pipeline, pipelines, stage, tables
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


def _create(store: Store, call: Call) -> Answer:
    """A new pipeline runs at once, as on AWS."""
    declaration = checked(store, call, call.parameters["pipeline"])
    tags = call.parameters.get("tags") or []
    with store.change():
        name = declaration["name"]
        if name in pipelines(store, call):
            raise AwsError("PipelineNameInUseException", f"A pipeline with the name '{name}' already exists in account")
        made = Pipeline(declaration, call.arn(name), tags={tag["key"]: tag["value"] for tag in tags})
        declaration["version"] = 1
        pipelines(store, call)[name] = made
        executions.start(made, (call.account, call.region), {"triggerType": "CreatePipeline", "triggerDetail": ""})
    return {"pipeline": declaration, "tags": tags}


def _update(store: Store, call: Call) -> Answer:
    found = pipeline(store, _named(call, call.parameters["pipeline"]["name"]))
    declaration = checked(store, call, call.parameters["pipeline"])
    with store.change():
        found.version += 1
        declaration["version"] = found.version
        found.declaration, found.updated = declaration, now()
    return {"pipeline": declaration}


def _named(call: Call, name: str) -> Call:
    return Call(call.service, call.operation, {"name": name}, call.account, call.region, call.access_key, call.forward)


def _get(store: Store, call: Call) -> Answer:
    found = pipeline(store, call)
    version = call.parameters.get("version")
    if version and version != found.version:
        raise AwsError(
            "PipelineVersionNotFoundException", f"The pipeline {found.name} has no version {version} any more"
        )
    metadata = {"pipelineArn": found.arn, "created": found.created, "updated": found.updated}
    return {"pipeline": copy.deepcopy(found.declaration), "metadata": metadata}


def _delete(store: Store, call: Call) -> Answer:
    """Says nothing when there is none; what runs is left to its end, as its deployments and builds are."""
    with store.change():
        pipelines(store, call).pop(call.parameters["name"], None)
    return {}


def _list(store: Store, call: Call) -> Answer:
    return {"pipelines": [_summary(each) for _, each in sorted(pipelines(store, call).items())]}


def _summary(found: Pipeline) -> Json:
    return {
        "name": found.name, "version": found.version, "created": found.created, "updated": found.updated,
        "pipelineType": found.declaration["pipelineType"], "executionMode": found.declaration["executionMode"],
    }  # fmt: skip


def _disable(store: Store, call: Call) -> Answer:
    return _transition(store, call, Transition(False, call.parameters["reason"], now(), executions.caller(store, call)))


def _enable(store: Store, call: Call) -> Answer:
    return _transition(store, call, Transition(True, "", now(), executions.caller(store, call)))


def _transition(store: Store, call: Call, wanted: Transition) -> Answer:
    found = pipeline(store, call)
    with store.change():
        found.transitions[stage(found, call)["name"], call.parameters["transitionType"]] = wanted
    return {}


def _tagged(store: Store, call: Call) -> Pipeline:
    arn = call.parameters["resourceArn"]
    for found in tables(store).pipelines.get((call.account, call.region), {}).values():
        if found.arn == arn:
            return found
    raise AwsError("ResourceNotFoundException", f"The resource {arn} does not exist")


def _tag(store: Store, call: Call) -> Answer:
    with store.change():
        _tagged(store, call).tags.update({tag["key"]: tag["value"] for tag in call.parameters["tags"]})
    return {}


def _untag(store: Store, call: Call) -> Answer:
    with store.change():
        tags: dict[str, Any] = _tagged(store, call).tags
        for key in call.parameters["tagKeys"]:
            tags.pop(key, None)
    return {}


def _tags(store: Store, call: Call) -> Answer:
    return {"tags": [{"key": key, "value": value} for key, value in _tagged(store, call).tags.items()]}


OPERATIONS: dict[str, Operation] = {
    "CreatePipeline": _create,
    "DeletePipeline": _delete,
    "DisableStageTransition": _disable,
    "EnableStageTransition": _enable,
    "GetPipeline": _get,
    "ListPipelines": _list,
    "ListTagsForResource": _tags,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdatePipeline": _update,
}
