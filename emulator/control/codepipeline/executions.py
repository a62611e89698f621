"""Executions: started, read, stopped, retried, rolled back; emulator/loops/codepipeline runs them."""

from __future__ import annotations

import copy

from botocore.exceptions import ClientError

from emulator.control.codepipeline.tables import (
    Execution,
    Json,
    Pipeline,
    Scope,
    execution,
    now,
    pipeline,
    stage,
    tables,
)  # fmt: skip
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.clients import Credentials
from emulator.state.store import Store

_AT_ONCE = 50  # executions of a pipeline, https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html


def caller(store: Store, call: Call) -> str:
    """The ARN of whoever calls."""
    try:
        sts = store.clients("sts", call.region, Credentials(call.access_key))
        return str(sts.get_caller_identity()["Arn"])
    except ClientError:
        return f"arn:aws:iam::{call.account}:root"


def start(found: Pipeline, scope: Scope, trigger: Json, variables: dict[str, str] | None = None) -> Execution:
    """A new execution, first in line at the first stage; hold the lock."""
    declared = {each["name"]: each.get("defaultValue", "") for each in found.declaration.get("variables") or []}
    made = Execution(
        found.name, scope, found.version, copy.deepcopy(found.declaration), trigger, {**declared, **(variables or {})},
        last_position=len(found.declaration["stages"]) - 1,
    )  # fmt: skip
    found.executions[made.id] = made
    return made


def _start(store: Store, call: Call) -> Answer:
    found = pipeline(store, call)
    given = {each["name"]: each["value"] for each in call.parameters.get("variables") or []}
    _check_variables(found, given)
    token = call.parameters.get("clientRequestToken")
    rule = tables(store).event_rules.get(token or "")
    trigger = {"triggerType": "CloudWatchEvent", "triggerDetail": rule}
    if not rule:
        trigger = {"triggerType": "StartPipelineExecution", "triggerDetail": caller(store, call)}
    with store.change():
        if token and token in found.tokens:
            return {"pipelineExecutionId": found.tokens[token]}
        check_limit(found)
        made = start(found, (call.account, call.region), trigger, given)
        made.source_revisions = {each["actionName"]: each for each in call.parameters.get("sourceRevisions") or []}
        if token:
            found.tokens[token] = made.id
    return {"pipelineExecutionId": made.id}


def check_limit(found: Pipeline) -> None:
    if sum(not each.over for each in list(found.executions.values())) >= _AT_ONCE:
        raise AwsError(
            "ConcurrentPipelineExecutionsLimitExceededException",
            f"The pipeline {found.name} has {_AT_ONCE} executions in progress",
        )


def _check_variables(found: Pipeline, given: dict[str, str]) -> None:
    declared = {each["name"]: each for each in found.declaration.get("variables") or []}
    if unknown := sorted(set(given) - set(declared)):
        raise AwsError("ValidationException", f"The pipeline {found.name} has no variable with the name {unknown[0]}")
    for name, each in declared.items():
        if name not in given and each.get("defaultValue") is None:
            raise AwsError("ValidationException", f"The variable {name} has no default value and was not given")


def _get(store: Store, call: Call) -> Answer:
    found = execution(pipeline(store, call), call)
    revisions = [
        {"name": name, **run.revision}
        for run in found.runs if run.revision for name in run.outputs
    ]  # fmt: skip
    answer: Json = {
        "pipelineName": found.pipeline, "pipelineVersion": found.version, "pipelineExecutionId": found.id,
        "status": found.status, "statusSummary": found.summary, "trigger": found.trigger,
        "artifactRevisions": [_artifact_revision(each) for each in revisions], "executionMode": found.mode,
        "variables": [{"name": name, "resolvedValue": value} for name, value in found.variables.items()],
        "executionType": found.kind,
    }  # fmt: skip
    if found.rollback_of:
        answer["rollbackMetadata"] = {"rollbackTargetPipelineExecutionId": found.rollback_of}
    return {"pipelineExecution": answer}


def _artifact_revision(revision: Json) -> Json:
    members = ("name", "revisionId", "revisionSummary", "created", "revisionUrl")
    return {key: revision[key] for key in members if revision.get(key) is not None}


def _list(store: Store, call: Call) -> Answer:
    """Newest first."""
    found = list(pipeline(store, call).executions.values())
    wanted = (call.parameters.get("filter") or {}).get("succeededInStage", {}).get("stageName")
    if wanted:
        found = [each for each in found if wanted in each.stages and each.stages[wanted].status == "Succeeded"]
    limit = call.parameters.get("maxResults") or 100
    first = int(call.parameters.get("nextToken") or 0)
    page = found[::-1][first : first + limit]
    answer: Answer = {"pipelineExecutionSummaries": [_summary(each) for each in page]}
    if first + limit < len(found):
        answer["nextToken"] = str(first + limit)
    return answer


def _summary(found: Execution) -> Json:
    summary: Json = {
        "pipelineExecutionId": found.id, "status": found.status, "statusSummary": found.summary,
        "startTime": found.started, "lastUpdateTime": found.updated, "trigger": found.trigger,
        "sourceRevisions": [
            {"actionName": run.name, **{key: value for key, value in run.revision.items() if key != "created"}}
            for run in found.runs if run.revision
        ],
        "executionMode": found.mode, "executionType": found.kind,
    }  # fmt: skip
    if found.stop_reason:
        summary["stopTrigger"] = {"reason": found.stop_reason}
    if found.rollback_of:
        summary["rollbackMetadata"] = {"rollbackTargetPipelineExecutionId": found.rollback_of}
    return summary


def _stop(store: Store, call: Call) -> Answer:
    with store.change():
        found = execution(pipeline(store, call), call)
        if found.over:
            raise AwsError(
                "PipelineExecutionNotStoppableException", f"The execution {found.id} has the status {found.status}"
            )
        abandon = bool(call.parameters.get("abandon"))
        if found.stop and not (abandon and found.stop == "wait"):
            raise AwsError("DuplicatedStopRequestException", f"The execution {found.id} is already stopping")
        found.stop, found.status = "abandon" if abandon else "wait", "Stopping"
        found.stop_reason, found.updated = call.parameters.get("reason") or "", now()
    return {"pipelineExecutionId": found.id}


def _retry(store: Store, call: Call) -> Answer:
    with store.change():
        found = pipeline(store, call)
        name = stage(found, call)["name"]
        failed = execution(found, call)
        if found.latest.get(name) != failed.id:
            raise AwsError(
                "NotLatestPipelineExecutionException",
                f"The execution {failed.id} is not the latest in the stage {name}",
            )
        run = failed.stages.get(name)
        if run is None or run.status not in ("Failed", "Stopped") or not failed.over:
            raise AwsError(
                "StageNotRetryableException", f"The stage {name} of the execution {failed.id} has not failed"
            )
        run.manual_retries += 1
        again(failed, name, call.parameters["retryMode"])
    return {"pipelineExecutionId": failed.id}


def again(failed: Execution, name: str, mode: str) -> None:
    """Puts `failed` back into its stage `name`: its failed actions run again, or all of them; hold the lock."""
    run = failed.stages[name]
    run.status = "InProgress"
    for action in list(run.actions):
        if mode == "ALL_ACTIONS" or run.actions[action].status != "Succeeded":
            del run.actions[action]
    failed.status, failed.stop, failed.waiting, failed.updated = "InProgress", None, False, now()
    failed.position = next(
        index for index, each in enumerate(failed.declaration["stages"]) if each["name"] == name
    )  # fmt: skip


def _roll_back(store: Store, call: Call) -> Answer:
    with store.change():
        found = pipeline(store, call)
        name = stage(found, call)["name"]
        target = found.executions.get(call.parameters["targetPipelineExecutionId"])
        if target is None:
            raise AwsError("PipelineExecutionNotFoundException", "The target execution does not exist")
        trigger = {"triggerType": "ManualRollback", "triggerDetail": caller(store, call)}
        made = roll_back(found, name, target, trigger)
    return {"pipelineExecutionId": made.id}


def roll_back(found: Pipeline, name: str, target: Execution, trigger: Json) -> Execution:
    """An execution of the stage `name` alone, with what `target` had in it; hold the lock."""
    position = next(index for index, each in enumerate(found.declaration["stages"]) if each["name"] == name)
    if position == 0:
        raise AwsError("UnableToRollbackStageException", f"The source stage {name} cannot be rolled back")
    if target.version != found.version:
        raise AwsError(
            "PipelineExecutionOutdatedException", f"The execution {target.id} ran an earlier version of the pipeline"
        )
    if name not in target.stages or target.stages[name].status != "Succeeded":
        raise AwsError(
            "UnableToRollbackStageException", f"The execution {target.id} did not succeed in the stage {name}"
        )
    made = start(found, target.scope, trigger, target.variables)
    made.rollback_of, made.position, made.last_position = target.id, position, position
    made.artifacts, made.namespaces = dict(target.artifacts), copy.deepcopy(target.namespaces)
    return made


OPERATIONS: dict[str, Operation] = {
    "GetPipelineExecution": _get,
    "ListPipelineExecutions": _list,
    "RetryStageExecution": _retry,
    "RollbackStage": _roll_back,
    "StartPipelineExecution": _start,
    "StopPipelineExecution": _stop,
}
