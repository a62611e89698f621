"""A deployment's one target, the ECS service: its lifecycle events, its task sets, and the judgement of its hooks."""

from __future__ import annotations

from emulator.control.codedeploy.tables import Colour, Deployment, Event, Json, deployment, now
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_STATUS = {"Created": "Pending", "Queued": "Pending", "Stopped": "Skipped"}


def target_id(of: Deployment) -> str:
    return f"{of.service['clusterName'].rpartition('/')[2]}:{of.service['serviceName'].rpartition('/')[2]}"


def _target(of: Deployment) -> Json:
    cluster, service = target_id(of).split(":")
    account, region = of.scope
    ecs = {
        "deploymentId": of.id, "targetId": target_id(of),
        "targetArn": f"arn:aws:ecs:{region}:{account}:service/{cluster}/{service}",
        "lastUpdatedAt": of.changed, "lifecycleEvents": [_event(event) for event in of.events],
        "status": _STATUS.get(of.status, of.status), "taskSetsInfo": [_colour(colour) for colour in of.colours],
    }  # fmt: skip
    return {"deploymentTargetType": "ECSTarget", "ecsTarget": ecs}


def _event(event: Event) -> Json:
    times = {"startTime": event.started, "endTime": event.ended, "diagnostics": event.diagnostics}
    known = {key: value for key, value in times.items() if value is not None}
    return {"lifecycleEventName": event.name, "status": event.status, **known}


def _colour(colour: Colour) -> Json:
    return {
        "identifer": colour.id,  # the API's own spelling
        "desiredCount": colour.counts.get("desired", 0), "pendingCount": colour.counts.get("pending", 0),
        "runningCount": colour.counts.get("running", 0), "status": colour.status, "trafficWeight": colour.weight,
        "targetGroup": {"name": colour.target_group}, "taskSetLabel": colour.label,
    }  # fmt: skip


def _started(store: Store, call: Call) -> Deployment:
    found = deployment(store, call)
    if found.started is None:
        raise AwsError("DeploymentNotStartedException", f"The deployment {found.id} has not started yet.")
    return found


def _get(store: Store, call: Call) -> Answer:
    found = _started(store, call)
    wanted = call.parameters.get("targetId")
    if not wanted:
        raise AwsError("DeploymentTargetIdRequiredException", "The deployment target ID is missing.")
    if wanted != target_id(found):
        raise AwsError("DeploymentTargetDoesNotExistException", f"The deployment has no target {wanted}.")
    return {"deploymentTarget": _target(found)}


def _batch_get(store: Store, call: Call) -> Answer:
    found = _started(store, call)
    wanted = call.parameters.get("targetIds") or []
    if not wanted:
        raise AwsError("DeploymentTargetIdRequiredException", "The deployment target ID is missing.")
    for each in wanted:
        if each != target_id(found):
            raise AwsError("DeploymentTargetDoesNotExistException", f"The deployment has no target {each}.")
    return {"deploymentTargets": [_target(found) for _ in wanted]}


def _list(store: Store, call: Call) -> Answer:
    found = _started(store, call)
    for name, values in (call.parameters.get("targetFilters") or {}).items():
        if name == "TargetStatus" and _STATUS.get(found.status, found.status) not in values:
            return {"targetIds": []}
    return {"targetIds": [target_id(found)]}


def _put_hook_status(store: Store, call: Call) -> Answer:
    with store.change():
        found = deployment(store, call)
        wanted = call.parameters.get("lifecycleEventHookExecutionId")
        hook = next((each for each in found.hooks if each.execution_id == wanted), None)
        if hook is None:
            raise AwsError(
                "InvalidLifecycleEventHookExecutionIdException",
                f"The lifecycle event hook execution ID {wanted} is not one of the deployment {found.id}.",
            )
        status = call.parameters.get("status")
        if status not in ("Succeeded", "Failed"):
            raise AwsError(
                "InvalidLifecycleEventHookExecutionStatusException",
                f"The status {status} is not valid; it must be Succeeded or Failed.",
            )
        if hook.status is not None or found.event(hook.event).status != "InProgress":
            raise AwsError(
                "LifecycleEventAlreadyCompletedException", f"The lifecycle event {hook.event} is already complete."
            )
        hook.status = status
        found.changed = now()
    return {"lifecycleEventHookExecutionId": wanted}


OPERATIONS: dict[str, Operation] = {
    "BatchGetDeploymentTargets": _batch_get,
    "GetDeploymentTarget": _get,
    "ListDeploymentTargets": _list,
    "PutLifecycleEventHookExecutionStatus": _put_hook_status,
}
