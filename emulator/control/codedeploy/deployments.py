"""Deployments: made, read, continued and stopped; emulator/loops/codedeploy runs them."""

from __future__ import annotations

import copy
from typing import Any

from emulator.control import roles
from emulator.control.codedeploy import appspec, configs, groups, revisions
from emulator.control.codedeploy.tables import (
    Application,
    Deployment,
    Event,
    Group,
    Json,
    application,
    deployment,
    group,
    new_deployment_id,
    scope,
    tables,
)  # fmt: skip
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_EVENTS = ("BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic",
           "BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic")  # fmt: skip


def _create(store: Store, call: Call) -> Answer:
    app, found = group(store, call)
    if app.platform != "ECS":
        raise AwsError(
            "UnsupportedActionForDeploymentTypeException",
            f"the emulator runs deployments of the ECS compute platform only, and {app.name} is of {app.platform}",
        )
    revision = revisions.checked(call.parameters.get("revision"))
    settings = _overridden(call, found)
    config = configs.for_platform(store, call, settings["deploymentConfigName"], app.platform)
    s3 = store.clients("s3", call.region, _credentials(store, settings))
    spec = appspec.parse(revisions.text(store, revision, s3))
    made = Deployment(
        new_deployment_id(), scope(call), app.name, found.name, settings, config, revision, spec,
        description=call.parameters.get("description") or "", events=_events(settings, spec),
    )  # fmt: skip
    with store.change():
        _none_runs(store, found, made)
        if last := tables(store).deployments.get(found.last_successful or ""):
            made.previous_revision = last.revision
        tables(store).deployments[made.id] = made
        found.last_attempted = made.id
        revisions.remember(app, revision, found.name)
    return {"deploymentId": made.id}


def _overridden(call: Call, found: Group) -> Json:
    settings = copy.deepcopy(found.settings)
    given = call.parameters
    if given.get("deploymentConfigName"):
        settings["deploymentConfigName"] = given["deploymentConfigName"]
    if given.get("autoRollbackConfiguration"):
        groups.check_rollback(given["autoRollbackConfiguration"])
        settings["autoRollbackConfiguration"] = given["autoRollbackConfiguration"]
    if given.get("overrideAlarmConfiguration"):
        groups.check_alarms(given["overrideAlarmConfiguration"], "InvalidAlarmConfigException")
        settings["alarmConfiguration"] = given["overrideAlarmConfiguration"]
    return settings


def _credentials(store: Store, settings: Json) -> Any:
    try:
        return roles.assume(store, settings["serviceRoleArn"], groups.PRINCIPAL)
    except roles.RoleRefused as error:
        raise AwsError("InvalidRoleException", f"AWS CodeDeploy cannot assume the service role: {error}") from error


def _none_runs(store: Store, found: Group, made: Deployment) -> None:
    for other in list(tables(store).deployments.values()):
        same = (other.scope, other.application, other.group_name) == (made.scope, made.application, found.name)
        if same and not other.over:
            raise AwsError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{found.name}' is already deploying deployment '{other.id}'.",
            )


def _events(settings: Json, spec: Json) -> list[Event]:
    tested = bool(settings["loadBalancerInfo"]["targetGroupPairInfoList"][0].get("testTrafficRoute"))
    if not tested and "AfterAllowTestTraffic" in spec["hooks"]:
        raise appspec.AppSpecError(
            "The AppSpec file has the hook AfterAllowTestTraffic, but the deployment group has no test listener."
        )
    return [Event(name) for name in _EVENTS if tested or "Test" not in name]


def _get(store: Store, call: Call) -> Answer:
    return {"deploymentInfo": info(deployment(store, call))}


def _batch_get(store: Store, call: Call) -> Answer:
    known = tables(store).deployments
    wanted = [known[each] for each in call.parameters["deploymentIds"] if each in known]
    return {"deploymentsInfo": [info(each) for each in wanted if each.scope == scope(call)]}


def info(of: Deployment) -> Json:
    """DeploymentInfo."""
    optional = {
        "errorInformation": of.error, "startTime": of.started, "completeTime": of.completed,
        "previousRevision": of.previous_revision, "rollbackInfo": of.rollback or None,
        "description": of.description or None,
        "autoRollbackConfiguration": of.group.get("autoRollbackConfiguration"),
        "overrideAlarmConfiguration": of.group.get("alarmConfiguration"),
    }  # fmt: skip
    return {
        "applicationName": of.application, "deploymentGroupName": of.group_name, "deploymentId": of.id,
        "deploymentConfigName": of.group["deploymentConfigName"], "revision": of.revision, "status": of.status,
        "createTime": of.created, "deploymentOverview": _overview(of), "creator": of.creator,
        "ignoreApplicationStopFailures": False, "updateOutdatedInstancesOnly": False,
        "deploymentStyle": of.group["deploymentStyle"], "computePlatform": "ECS", "fileExistsBehavior": "DISALLOW",
        "blueGreenDeploymentConfiguration": of.group["blueGreenDeploymentConfiguration"],
        "loadBalancerInfo": of.group["loadBalancerInfo"], "deploymentStatusMessages": [],
        "instanceTerminationWaitTimeStarted": of.termination_wait_started,
        **{key: value for key, value in optional.items() if value is not None},
    }  # fmt: skip


def _overview(of: Deployment) -> Json:
    """An ECS deployment has one target, so one of these is 1."""
    state = {"Created": "Pending", "Queued": "Pending", "Stopped": "Skipped"}.get(of.status, of.status)
    counts = dict.fromkeys(("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready"), 0)
    return {**counts, state: 1}


def _list(store: Store, call: Call) -> Answer:
    """Newest first, as AWS lists them."""
    given = call.parameters
    found = [each for each in list(tables(store).deployments.values()) if each.scope == scope(call)]
    if given.get("applicationName"):
        app: Application = application(store, call)
        found = [each for each in found if each.application == app.name]
        if given.get("deploymentGroupName"):
            _, wanted = group(store, call)
            found = [each for each in found if each.group_name == wanted.name]
    elif given.get("deploymentGroupName"):
        raise AwsError("ApplicationNameRequiredException", "Application name is missing")
    if statuses := given.get("includeOnlyStatuses"):
        found = [each for each in found if each.status in statuses]
    span = given.get("createTimeRange") or {}
    if span.get("start"):
        found = [each for each in found if each.created.timestamp() >= _stamp(span["start"])]
    if span.get("end"):
        found = [each for each in found if each.created.timestamp() <= _stamp(span["end"])]
    return {"deployments": [each.id for each in reversed(found)]}


def _stamp(moment: Any) -> float:
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else float(moment)


def _continue(store: Store, call: Call) -> Answer:
    with store.change():
        found = _running(store, call)
        wait = call.parameters.get("deploymentWaitType") or "READY_WAIT"
        if wait not in ("READY_WAIT", "TERMINATION_WAIT"):
            raise AwsError("InvalidDeploymentWaitTypeException", f"The deployment wait type {wait} is not valid.")
        if found.waiting != wait:
            raise AwsError(
                "DeploymentIsNotInReadyStateException",
                f"The deployment {found.id} is not waiting to {'reroute traffic' if wait[0] == 'R' else 'terminate'}.",
            )
        found.skip_wait = True
    return {}


def _skip_wait(store: Store, call: Call) -> Answer:
    with store.change():
        found = _running(store, call)
        if found.waiting != "TERMINATION_WAIT":
            raise AwsError(
                "DeploymentNotStartedException", f"The deployment {found.id} is not waiting to terminate blue."
            )
        found.skip_wait = True
    return {}


def _stop(store: Store, call: Call) -> Answer:
    """With `autoRollbackEnabled` it rolls back; without, the group's own events decide whether a rollback follows."""
    with store.change():
        found = _running(store, call)
        if found.rolls_back:
            raise AwsError(
                "UnsupportedActionForDeploymentTypeException",
                f"The deployment {found.id} is a rollback and cannot be stopped.",
            )
        found.stop = "rollback" if call.parameters.get("autoRollbackEnabled") else "stop"
    return {"status": "Pending", "statusMessage": "Stopping deployment."}


def _running(store: Store, call: Call) -> Deployment:
    found = deployment(store, call)
    if found.over:
        raise AwsError("DeploymentAlreadyCompletedException", f"The deployment {found.id} is already complete.")
    return found


OPERATIONS: dict[str, Operation] = {
    "BatchGetDeployments": _batch_get,
    "ContinueDeployment": _continue,
    "CreateDeployment": _create,
    "GetDeployment": _get,
    "ListDeployments": _list,
    "SkipWaitTimeForInstanceTermination": _skip_wait,
    "StopDeployment": _stop,
}
