"""What goes on in a pipeline: its stages and their actions, and the approvals that they wait for."""

from __future__ import annotations

from emulator.control.codepipeline.executions import caller
from emulator.control.codepipeline.tables import (
    ActionRun,
    Execution,
    Json,
    Pipeline,
    StageRun,
    Transition,
    now,
    pipeline,
    stage,
)  # fmt: skip
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


def _state(store: Store, call: Call) -> Answer:
    found = pipeline(store, call)
    with store.lock:
        stages = [_stage_state(found, each) for each in found.declaration["stages"]]
    return {
        "pipelineName": found.name, "pipelineVersion": found.version, "stageStates": stages,
        "created": found.created, "updated": found.updated,
    }  # fmt: skip


def _stage_state(found: Pipeline, declared: Json) -> Json:
    name = declared["name"]
    transition = found.transitions.get((name, "Inbound"), Transition())
    inbound: Json = {"enabled": transition.enabled}
    if transition.changed:
        inbound.update(lastChangedBy=transition.by, lastChangedAt=transition.changed)
    if not transition.enabled:
        inbound["disabledReason"] = transition.reason
    latest = found.executions.get(found.latest.get(name, ""))
    run = latest.stages.get(name) if latest else None
    state: Json = {
        "stageName": name, "inboundTransitionState": inbound,
        "actionStates": [
            _action_state(each, _latest_run(found, run, name, each["name"])) for each in declared["actions"]
        ],
    }  # fmt: skip
    waiting = [
        each
        for each in list(found.executions.values())
        if not each.over and each.waiting and each.stage["name"] == name
    ]
    if waiting:
        state["inboundExecutions"] = [
            {"pipelineExecutionId": each.id, "status": each.status, "type": each.kind} for each in waiting
        ]
        state["inboundExecution"] = state["inboundExecutions"][-1]
    if latest and run:
        state["latestExecution"] = {"pipelineExecutionId": latest.id, "status": run.status, "type": latest.kind}
        if run.retries or run.manual_retries:
            automatic = run.retries > 0 and not run.manual_retries
            state["retryStageMetadata"] = {
                "autoStageRetryAttempt": run.retries, "manualStageRetryAttempt": run.manual_retries,
                "latestRetryTrigger": "AutomatedStageRetry" if automatic else "ManualStageRetry",
            }  # fmt: skip
    return state


def _latest_run(found: Pipeline, current: StageRun | None, stage_name: str, action: str) -> ActionRun | None:
    """Of the execution that is in the stage, or was; else the last one that this action ever had."""
    if current and action in current.actions:
        return current.actions[action]
    for each in reversed(list(found.executions.values())):
        for run in reversed(each.runs):
            if (run.stage, run.name) == (stage_name, action):
                return run
    return None


def _action_state(declared: Json, run: ActionRun | None) -> Json:
    state: Json = {"actionName": declared["name"]}
    if run is None:
        return state
    latest: Json = {"actionExecutionId": run.id, "status": run.status, "lastStatusChange": run.updated}
    optional = {
        "summary": run.summary, "token": run.token, "externalExecutionId": run.external_id,
        "externalExecutionUrl": run.external_url, "errorDetails": run.error, "lastUpdatedBy": run.updated_by,
        "logStreamARN": run.log_stream,
    }  # fmt: skip
    latest.update({key: value for key, value in optional.items() if value is not None})
    state["latestExecution"] = latest
    if run.revision:
        state["currentRevision"] = {
            "revisionId": run.revision["revisionId"], "revisionChangeId": run.revision["revisionId"],
            "created": run.revision.get("created") or run.started,
        }  # fmt: skip
        if run.revision.get("revisionUrl"):
            state["revisionUrl"] = run.revision["revisionUrl"]
    return state


def _list_actions(store: Store, call: Call) -> Answer:
    """Newest first."""
    found = pipeline(store, call)
    given = call.parameters.get("filter") or {}
    wanted = given.get("pipelineExecutionId") or given.get("latestInPipelineExecution", {}).get("pipelineExecutionId")
    if wanted and wanted not in found.executions:
        raise AwsError("PipelineExecutionNotFoundException", f"The pipeline {found.name} has no execution {wanted}")
    chosen = [found.executions[wanted]] if wanted else list(found.executions.values())
    details = [(run.started, _detail(each, run)) for each in chosen for run in each.runs]
    ordered = [detail for _, detail in sorted(details, key=lambda pair: pair[0], reverse=True)]
    limit = call.parameters.get("maxResults") or 100
    first = int(call.parameters.get("nextToken") or 0)
    answer: Answer = {"actionExecutionDetails": ordered[first : first + limit]}
    if first + limit < len(ordered):
        answer["nextToken"] = str(first + limit)
    return answer


def _detail(of: Execution, run: ActionRun) -> Json:
    declared = run.declaration
    given: Json = {
        "actionTypeId": declared["actionTypeId"], "configuration": declared["configuration"],
        "resolvedConfiguration": run.configuration, "region": declared.get("region") or of.scope[1],
        "inputArtifacts": _artifacts(run.inputs),
    }  # fmt: skip
    optional = {"roleArn": declared.get("roleArn"), "namespace": declared.get("namespace")}
    given.update({key: value for key, value in optional.items() if value})
    result = {
        "externalExecutionId": run.external_id, "externalExecutionSummary": run.summary,
        "externalExecutionUrl": run.external_url, "errorDetails": run.error, "logStreamARN": run.log_stream,
    }  # fmt: skip
    return {
        "pipelineExecutionId": of.id, "actionExecutionId": run.id, "pipelineVersion": of.version,
        "stageName": run.stage, "actionName": run.name, "startTime": run.started, "lastUpdateTime": run.updated,
        "status": run.status, "input": given,
        "output": {
            "outputArtifacts": _artifacts(run.outputs), "outputVariables": run.variables,
            "executionResult": {key: value for key, value in result.items() if value is not None},
        },
    }  # fmt: skip


def _artifacts(found: dict[str, tuple[str, str]]) -> list[Json]:
    return [{"name": name, "s3location": {"bucket": bucket, "key": key}} for name, (bucket, key) in found.items()]


def _approve(store: Store, call: Call) -> Answer:
    with store.change():
        found = pipeline(store, call)
        declared = stage(found, call)
        name = call.parameters["actionName"]
        if not any(action["name"] == name for action in declared["actions"]):
            raise AwsError(
                "ActionNotFoundException", f"The stage {declared['name']} has no action with the name {name}"
            )
        run = next(
            (
                run for each in list(found.executions.values()) for run in each.runs
                if run.stage == declared["name"] and run.name == name and run.token == call.parameters["token"]
            ),
            None,
        )  # fmt: skip
        if run is None:
            raise AwsError("InvalidApprovalTokenException", "The approval token is not valid")
        if run.over or run.summary is not None:
            raise AwsError("ApprovalAlreadyCompletedException", "The approval was already given or refused")
        result = call.parameters["result"]
        run.summary, run.updated_by, run.updated = result["summary"], caller(store, call), now()
        run.variables = {"decision": result["status"]}
    return {"approvedAt": run.updated}


OPERATIONS: dict[str, Operation] = {
    "GetPipelineState": _state,
    "ListActionExecutions": _list_actions,
    "PutApprovalResult": _approve,
}
