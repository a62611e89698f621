"""Deployment groups: where a deployment goes, how, and what undoes it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.codedeploy import configs
from emulator.control.codedeploy.tables import (
    Application,
    Deployment,
    Group,
    Json,
    application,
    applications,
    group,
    scope,
    tables,
)  # fmt: skip
from emulator.control.operation import Operation
from emulator.control.tags import tag_map
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

PRINCIPAL = "codedeploy.amazonaws.com"

_SETTINGS = (
    "deploymentConfigName", "ec2TagFilters", "onPremisesInstanceTagFilters", "serviceRoleArn", "triggerConfigurations",
    "alarmConfiguration", "autoRollbackConfiguration", "outdatedInstancesStrategy", "deploymentStyle",
    "blueGreenDeploymentConfiguration", "loadBalancerInfo", "ec2TagSet", "onPremisesTagSet", "ecsServices",
    "terminationHookEnabled",
)  # fmt: skip


def _create(store: Store, call: Call) -> Answer:
    app = application(store, call)
    name = _valid_name(call.parameters.get("deploymentGroupName"))
    settings = _defaults(app.platform)
    settings.update(_given(call))
    _check(store, call, app, settings, None)
    with store.change():
        if name in app.groups:
            raise AwsError(
                "DeploymentGroupAlreadyExistsException", f"A deployment group with the name {name} already exists"
            )
        made = Group(name, settings, tags=tag_map(call.parameters.get("tags")))
        app.groups[name] = made
    return {"deploymentGroupId": made.id}


def _update(store: Store, call: Call) -> Answer:
    app, found = group(store, call, "currentDeploymentGroupName")
    name = _valid_name(call.parameters.get("newDeploymentGroupName") or found.name)
    settings = {**found.settings, **_given(call)}
    _check(store, call, app, settings, found)
    with store.change():
        if name != found.name and name in app.groups:
            raise AwsError(
                "DeploymentGroupAlreadyExistsException", f"A deployment group with the name {name} already exists"
            )
        found.settings = settings
        for deployment in _of_group(store, call, app.name, found.name):
            deployment.group_name = name
        app.groups[name] = app.groups.pop(found.name)
        found.name = name
    return {"hooksNotCleanedUp": []}


def _given(call: Call) -> Json:
    return {key: copy.deepcopy(call.parameters[key]) for key in _SETTINGS if call.parameters.get(key) is not None}


def _valid_name(name: Any) -> str:
    if not name:
        raise AwsError("DeploymentGroupNameRequiredException", "Deployment Group name is missing")
    if not re.fullmatch(r"[\w+=,.@ -]{1,100}", name):
        raise AwsError("InvalidDeploymentGroupNameException", f"The deployment group name {name} is not valid.")
    return str(name)


def _defaults(platform: str) -> Json:
    style = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}
    return {
        "deploymentConfigName": configs.DEFAULT[platform], "ec2TagFilters": [], "onPremisesInstanceTagFilters": [],
        "triggerConfigurations": [], "outdatedInstancesStrategy": "UPDATE", "deploymentStyle": style,
        "terminationHookEnabled": False,
    }  # fmt: skip


def _check(store: Store, call: Call, app: Application, settings: Json, current: Group | None) -> None:
    configs.for_platform(store, call, settings["deploymentConfigName"], app.platform)
    role = settings.get("serviceRoleArn")
    if not role:
        raise AwsError("RoleRequiredException", "The service role ARN is missing.")
    try:
        roles.check(store, role, PRINCIPAL)
    except roles.RoleRefused as error:
        message = f"AWS CodeDeploy does not have the permissions required to assume the role {role}. ({error})"
        raise AwsError("InvalidRoleException", message) from error
    check_alarms(settings.get("alarmConfiguration"), "InvalidAlarmConfigException")
    check_rollback(settings.get("autoRollbackConfiguration"))
    if app.platform == "ECS":
        for rule in _ECS_RULES:
            rule(settings)
        _service_is_free(store, call, settings, current)
        _service_is_ours(store, call, settings)


def check_alarms(alarms: Json | None, code: str) -> None:
    if not alarms:
        return
    names = [alarm.get("name") for alarm in alarms.get("alarms") or []]
    if alarms.get("enabled") and not names:
        raise AwsError(code, "The alarm configuration is enabled, but has no alarms.")
    if len(names) > 10:
        raise AwsError("AlarmsLimitExceededException", "A deployment group can have no more than 10 alarms.")
    if len(set(names)) != len(names) or not all(names):
        raise AwsError(code, "The alarm configuration has an alarm without a name, or the same one twice.")


def check_rollback(rollback: Json | None) -> None:
    if rollback and rollback.get("enabled") and not rollback.get("events"):
        raise AwsError("InvalidAutoRollbackConfigException", "Auto rollback is enabled, but has no events.")


def _style(settings: Json) -> None:
    if settings["deploymentStyle"] != {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}:
        raise AwsError(
            "InvalidDeploymentStyleException",
            "For ECS deployment group, deployment type must be BLUE_GREEN and deployment option must be "
            "WITH_TRAFFIC_CONTROL.",
        )


def _blue_green(settings: Json) -> None:
    refused = "InvalidBlueGreenDeploymentConfigurationException"
    blue_green = settings.get("blueGreenDeploymentConfiguration")
    if not blue_green:
        raise AwsError(refused, "For ECS deployment group, BlueGreenDeploymentConfiguration must be specified.")
    ready = blue_green.get("deploymentReadyOption") or {}
    ending = blue_green.get("terminateBlueInstancesOnDeploymentSuccess") or {}
    if not ready.get("actionOnTimeout"):
        raise AwsError(refused, "DeploymentReadyOption must be specified with an ActionOnTimeout.")
    if ready["actionOnTimeout"] == "CONTINUE_DEPLOYMENT" and ready.get("waitTimeInMinutes"):
        raise AwsError(refused, "WaitTimeInMinutes cannot be specified with CONTINUE_DEPLOYMENT.")
    if ending.get("action") != "TERMINATE":
        raise AwsError(refused, "For ECS deployment group, the action on blue instances must be TERMINATE.")
    for wait in (ready.get("waitTimeInMinutes") or 0, ending.get("terminationWaitTimeInMinutes") or 0):
        if not 0 <= wait <= 2880:
            raise AwsError(refused, "A wait time must be between 0 and 2880 minutes.")


def _load_balancer(settings: Json) -> None:
    pairs = (settings.get("loadBalancerInfo") or {}).get("targetGroupPairInfoList") or []
    if len(pairs) != 1:
        raise AwsError(
            "InvalidLoadBalancerInfoException", "For ECS deployment group, exactly one target group pair is required."
        )
    (pair,) = pairs
    names = [target_group.get("name") for target_group in pair.get("targetGroups") or []]
    if len(set(names)) != 2 or not all(names):
        raise AwsError("InvalidTargetGroupPairException", "A target group pair must have two target groups.")
    if len((pair.get("prodTrafficRoute") or {}).get("listenerArns") or []) != 1:
        raise AwsError("InvalidLoadBalancerInfoException", "A production traffic route must have exactly one listener.")
    if len((pair.get("testTrafficRoute") or {}).get("listenerArns") or []) > 1:
        raise AwsError("InvalidLoadBalancerInfoException", "A test traffic route must have exactly one listener.")


def _one_service(settings: Json) -> None:
    services = settings.get("ecsServices") or []
    if len(services) != 1 or not all(services[0].get(key) for key in ("serviceName", "clusterName")):
        raise AwsError(
            "InvalidECSServiceException", "For ECS deployment group, exactly one ECS service must be specified."
        )


_ECS_RULES: tuple[Callable[[Json], None], ...] = (_style, _blue_green, _one_service, _load_balancer)


def _service_is_free(store: Store, call: Call, settings: Json, current: Group | None) -> None:
    for app in applications(store, call).values():
        for other in app.groups.values():
            if other is not current and other.settings.get("ecsServices") == settings["ecsServices"]:
                raise AwsError(
                    "ECSServiceMappingLimitExceededException",
                    f"The ECS service {settings['ecsServices'][0]['serviceName']} is already in the deployment group "
                    f"{other.name}.",
                )


def _service_is_ours(store: Store, call: Call, settings: Json) -> None:
    service = settings["ecsServices"][0]
    ecs = store.clients("ecs", call.region, roles.assume(store, settings["serviceRoleArn"], PRINCIPAL))
    try:
        found = ecs.describe_services(cluster=service["clusterName"], services=[service["serviceName"]])["services"]
    except ClientError:
        found = []
    if not found or found[0]["status"] == "INACTIVE":
        raise AwsError(
            "InvalidECSServiceException",
            f"The ECS service {service['serviceName']} in the cluster {service['clusterName']} does not exist.",
        )
    if (found[0].get("deploymentController") or {}).get("type") != "CODE_DEPLOY":
        raise AwsError(
            "InvalidECSServiceException",
            "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.",
        )


def _delete(store: Store, call: Call) -> Answer:
    """Says nothing when there is none; its history goes, and a deployment that runs is left to its end."""
    app = application(store, call)
    name = _valid_name(call.parameters.get("deploymentGroupName"))
    with store.change():
        app.groups.pop(name, None)
    return {"hooksNotCleanedUp": []}


def _get(store: Store, call: Call) -> Answer:
    return {"deploymentGroupInfo": _info(store, *group(store, call))}


def _batch_get(store: Store, call: Call) -> Answer:
    app = application(store, call)
    found = [app.groups[name] for name in call.parameters["deploymentGroupNames"] if name in app.groups]
    return {"deploymentGroupsInfo": [_info(store, app, each) for each in found]}


def _list(store: Store, call: Call) -> Answer:
    app = application(store, call)
    return {"applicationName": app.name, "deploymentGroups": sorted(app.groups)}


def _info(store: Store, app: Application, found: Group) -> Json:
    info: Json = {
        "applicationName": app.name, "deploymentGroupId": found.id, "deploymentGroupName": found.name,
        "computePlatform": app.platform, "autoScalingGroups": [], **copy.deepcopy(found.settings),
    }  # fmt: skip
    deployments = tables(store).deployments
    if last := deployments.get(found.last_successful or ""):
        info["lastSuccessfulDeployment"] = _summary(last)
        info["targetRevision"] = last.revision
    if last := deployments.get(found.last_attempted or ""):
        info["lastAttemptedDeployment"] = _summary(last)
    return info


def _summary(deployment: Deployment) -> Json:
    summary = {"deploymentId": deployment.id, "status": deployment.status, "createTime": deployment.created}
    return {**summary, "endTime": deployment.completed} if deployment.completed else summary


def _of_group(store: Store, call: Call, app: str, name: str) -> list[Deployment]:
    return [
        each for each in list(tables(store).deployments.values())
        if each.scope == scope(call) and (each.application, each.group_name) == (app, name)
    ]  # fmt: skip


OPERATIONS: dict[str, Operation] = {
    "BatchGetDeploymentGroups": _batch_get,
    "CreateDeploymentGroup": _create,
    "DeleteDeploymentGroup": _delete,
    "GetDeploymentGroup": _get,
    "ListDeploymentGroups": _list,
    "UpdateDeploymentGroup": _update,
}
