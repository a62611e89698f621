"""The AppSpec of an ECS deployment, YAML or JSON, checked and in one form.

https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html#reference-appspec-file-structure-resources-ecs
"""

from __future__ import annotations

from typing import Any

import yaml

from emulator.state.call import AwsError

HOOKS = ("BeforeInstall", "AfterInstall", "AfterAllowTestTraffic", "BeforeAllowTraffic", "AfterAllowTraffic")


class AppSpecError(AwsError):
    """The AppSpec is not one; CreateDeployment answers it as InvalidRevisionException, in AWS's words and ours."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "InvalidRevisionException",
            "The deployment failed because the AppSpec file that specifies the deployment configuration is missing or "
            f"has an invalid configuration. {message}",
        )


def parse(text: str) -> dict[str, Any]:
    """`{task_definition, container_name, container_port, platform_version?, network?, capacity_providers?, hooks}`.

    Keys are read in any case, as AWS reads them; `hooks` maps a lifecycle event to a Lambda function.
    """
    try:
        document = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        raise AppSpecError(
            "The input AppSpec file is a not well-formed yaml. The template cannot be parsed. "
            f"({' '.join(str(error).split())})"
        ) from error
    if not isinstance(document, dict):
        raise AppSpecError("The AppSpec file is empty or is not a mapping.")
    if str(_get(document, "version")) not in ("0.0", "0", "1"):
        raise AppSpecError("The AppSpec file's version is missing or not valid; it must be 0.0.")
    return {**_service(document), "hooks": _hooks(_get(document, "Hooks"))}


def _service(document: dict[str, Any]) -> dict[str, Any]:
    resources = _get(document, "Resources")
    if not isinstance(resources, list) or len(resources) != 1 or not isinstance(resources[0], dict):
        raise AppSpecError("The AppSpec file must have exactly one resource in its Resources section.")
    (resource,) = resources[0].values()
    if not isinstance(resource, dict) or _get(resource, "Type") != "AWS::ECS::Service":
        raise AppSpecError("The resource of an ECS deployment's AppSpec file must be of the type AWS::ECS::Service.")
    properties = _get(resource, "Properties")
    if not isinstance(properties, dict):
        raise AppSpecError("The AppSpec file's ECS service has no Properties.")
    balancer = _get(properties, "LoadBalancerInfo")
    balancer = balancer if isinstance(balancer, dict) else {}
    required = {
        "TaskDefinition": _get(properties, "TaskDefinition"),
        "LoadBalancerInfo.ContainerName": _get(balancer, "ContainerName"),
        "LoadBalancerInfo.ContainerPort": _get(balancer, "ContainerPort"),
    }
    for name, value in required.items():
        if value in (None, ""):
            raise AppSpecError(f"The AppSpec file is missing the required property {name}.")
    task_definition, container, port = required.values()
    if not str(port).isdigit():
        raise AppSpecError(f"The AppSpec file's ContainerPort {port!r} is not a number.")
    found = {"task_definition": str(task_definition), "container_name": str(container), "container_port": int(port)}
    return {**found, **_optional(properties)}


def _optional(properties: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if version := _get(properties, "PlatformVersion"):
        found["platform_version"] = str(version)
    if network := _get(_get(properties, "NetworkConfiguration") or {}, "AwsvpcConfiguration"):
        found["network"] = {
            "subnets": _get(network, "Subnets") or [],
            "securityGroups": _get(network, "SecurityGroups") or [],
            "assignPublicIp": _get(network, "AssignPublicIp") or "DISABLED",
        }
    if providers := _get(properties, "CapacityProviderStrategy"):
        found["capacity_providers"] = [_provider(provider) for provider in providers]
    return found


def _provider(provider: dict[str, Any]) -> dict[str, Any]:
    name = _get(provider, "CapacityProvider")
    if not name:
        raise AppSpecError("A CapacityProviderStrategy of the AppSpec file has no CapacityProvider.")
    return {
        "capacityProvider": name, "base": int(_get(provider, "Base") or 0), "weight": int(_get(provider, "Weight") or 0)
    }  # fmt: skip


def _hooks(section: Any) -> dict[str, str]:
    if section is None:
        return {}
    if not isinstance(section, list):
        raise AppSpecError("The AppSpec file's Hooks section must be a list.")
    found: dict[str, str] = {}
    for entry in section:
        if not isinstance(entry, dict):
            raise AppSpecError("Each hook of the AppSpec file must be a lifecycle event with a Lambda function.")
        for event, function in entry.items():
            if event not in HOOKS:
                raise AppSpecError(f"The AppSpec file's hook {event} is not a lifecycle event of an ECS deployment.")
            if not function:
                raise AppSpecError(f"The AppSpec file's hook {event} has no Lambda function.")
            if event in found:
                raise AppSpecError(f"The AppSpec file has more than one function for the hook {event}.")
            found[event] = str(function)
    return found


def _get(mapping: dict[str, Any], key: str) -> Any:
    return next((value for name, value in mapping.items() if str(name).lower() == key.lower()), None)
