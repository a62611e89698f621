"""Deployment configurations: the predefined ones, and custom canary and linear ones.

https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
"""

from __future__ import annotations

import re
import uuid

from emulator.control.codedeploy.tables import Json, now, scope, tables
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_ALL_AT_ONCE: Json = {"type": "AllAtOnce"}


def _canary(percentage: int, interval: int) -> Json:
    return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": percentage, "canaryInterval": interval}}


def _linear(percentage: int, interval: int) -> Json:
    return {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": percentage, "linearInterval": interval}}


def _predefined() -> dict[str, Json]:
    shifts = {"ECSAllAtOnce": ("ECS", _ALL_AT_ONCE), "LambdaAllAtOnce": ("Lambda", _ALL_AT_ONCE)}
    for minutes in (5, 15):
        shifts[f"ECSCanary10Percent{minutes}Minutes"] = ("ECS", _canary(10, minutes))
    for minutes in (1, 3):
        shifts[f"ECSLinear10PercentEvery{minutes}Minutes"] = ("ECS", _linear(10, minutes))
    for minutes in (5, 10, 15, 30):
        shifts[f"LambdaCanary10Percent{minutes}Minutes"] = ("Lambda", _canary(10, minutes))
    for minutes in (1, 2, 3, 10):  # "1Minutes" for ECS, "1Minute" for Lambda: so AWS named them
        plural = "s" if minutes > 1 else ""
        shifts[f"LambdaLinear10PercentEvery{minutes}Minute{plural}"] = ("Lambda", _linear(10, minutes))
    found: dict[str, Json] = {}
    for name, (platform, routing) in shifts.items():
        found[f"CodeDeployDefault.{name}"] = {"computePlatform": platform, "trafficRoutingConfig": routing}
    hosts = {"AllAtOnce": ("HOST_COUNT", 0), "HalfAtATime": ("FLEET_PERCENT", 50), "OneAtATime": ("HOST_COUNT", -1)}
    for name, (kind, value) in hosts.items():
        healthy = {"type": kind, "value": value}
        found[f"CodeDeployDefault.{name}"] = {"computePlatform": "Server", "minimumHealthyHosts": healthy}
    return found


PREDEFINED: dict[str, Json] = {
    name: {"deploymentConfigName": name, "deploymentConfigId": f"00000000-0000-0000-0000-{index:012d}", **config}
    for index, (name, config) in enumerate(sorted(_predefined().items()), 1)
}

DEFAULT = {
    "ECS": "CodeDeployDefault.ECSAllAtOnce",
    "Lambda": "CodeDeployDefault.LambdaAllAtOnce",
    "Server": "CodeDeployDefault.OneAtATime",
}


def find(store: Store, call: Call, name: str) -> Json:
    """DeploymentConfigInfo by name."""
    config = tables(store).configs.get(scope(call), {}).get(name) or PREDEFINED.get(name)
    if config is None:
        raise AwsError("DeploymentConfigDoesNotExistException", f"No Deployment Configuration found for name: {name}")
    return config


def for_platform(store: Store, call: Call, name: str, platform: str) -> Json:
    config = find(store, call, name)
    if config["computePlatform"] != platform:
        raise AwsError(
            "InvalidDeploymentConfigNameException",
            f"The deployment configuration {name} is for the {config['computePlatform']} compute platform and cannot "
            f"be used with {platform}.",
        )
    return config


def _create(store: Store, call: Call) -> Answer:
    name = _name(call)
    if not re.fullmatch(r"[\w+=,.@-]{1,100}", name) or name.startswith("CodeDeployDefault."):
        raise AwsError(
            "InvalidDeploymentConfigNameException", f"The deployment configuration name {name} is not valid."
        )
    platform = call.parameters.get("computePlatform") or "Server"
    config: Json = {"deploymentConfigName": name, "computePlatform": platform, "createTime": now()}
    if platform == "Server":
        if not call.parameters.get("minimumHealthyHosts"):
            raise AwsError("InvalidMinimumHealthyHostValueException", "The minimum healthy hosts value is missing.")
        config["minimumHealthyHosts"] = call.parameters["minimumHealthyHosts"]
    else:
        config["trafficRoutingConfig"] = _routing(call.parameters.get("trafficRoutingConfig"))
    with store.change():
        mine = tables(store).configs.setdefault(scope(call), {})
        if name in mine:
            raise AwsError(
                "DeploymentConfigAlreadyExistsException",
                f"A deployment configuration with the name {name} already exists.",
            )
        config["deploymentConfigId"] = str(uuid.uuid4())
        mine[name] = config
    return {"deploymentConfigId": config["deploymentConfigId"]}


def _routing(routing: Json | None) -> Json:
    refused = "InvalidTrafficRoutingConfigurationException"
    kind = (routing or {}).get("type")
    if routing is None or kind not in ("AllAtOnce", "TimeBasedCanary", "TimeBasedLinear"):
        raise AwsError(refused, "The traffic routing configuration is missing or its type is not valid.")
    if kind == "AllAtOnce":
        return _ALL_AT_ONCE
    word = "canary" if kind == "TimeBasedCanary" else "linear"
    steps = routing.get(f"timeBased{word.capitalize()}") or {}
    percentage, interval = steps.get(f"{word}Percentage", 0), steps.get(f"{word}Interval", 0)
    if not 1 <= percentage <= 99:
        raise AwsError(refused, f"The {word} percentage must be between 1 and 99.")
    if not 1 <= interval <= 2880:
        raise AwsError(refused, f"The {word} interval must be between 1 and 2880 minutes.")
    return _canary(percentage, interval) if word == "canary" else _linear(percentage, interval)


def _delete(store: Store, call: Call) -> Answer:
    name = _name(call)
    if name in PREDEFINED:
        raise AwsError("InvalidOperationException", f"The deployment configuration {name} cannot be deleted.")
    with store.change():
        for application in tables(store).applications.get(scope(call), {}).values():
            for group in application.groups.values():
                if group.settings.get("deploymentConfigName") == name:
                    raise AwsError("DeploymentConfigInUseException", f"The deployment configuration {name} is in use.")
        tables(store).configs.get(scope(call), {}).pop(name, None)
    return {}


def _get(store: Store, call: Call) -> Answer:
    return {"deploymentConfigInfo": find(store, call, _name(call))}


def _list(store: Store, call: Call) -> Answer:
    return {"deploymentConfigsList": [*PREDEFINED, *tables(store).configs.get(scope(call), {})]}


def _name(call: Call) -> str:
    name = call.parameters.get("deploymentConfigName")
    if not name:
        raise AwsError("DeploymentConfigNameRequiredException", "The deployment configuration name is missing.")
    return str(name)


OPERATIONS: dict[str, Operation] = {
    "CreateDeploymentConfig": _create,
    "DeleteDeploymentConfig": _delete,
    "GetDeploymentConfig": _get,
    "ListDeploymentConfigs": _list,
}
