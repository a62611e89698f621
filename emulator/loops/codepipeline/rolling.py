"""Deploy actions of the rolling kind: a new task definition for an ECS service.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-ECS.html
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from emulator.loops.codepipeline.action import Action, ActionFailed, Steps

# What DescribeTaskDefinition answers and RegisterTaskDefinition does not take.
_READ_ONLY = (
    "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy",
    "deregisteredAt", "deregisteredBy", "deregisteredReason",
)  # fmt: skip


def ecs(action: Action) -> Steps:
    images = _images(action)
    client = action.client("ecs")
    cluster, service = action.configuration["ClusterName"], action.configuration["ServiceName"]
    try:
        arn = _registered(client, cluster, service, images)
        client.update_service(cluster=cluster, service=service, taskDefinition=arn)
        yield 1
        while not _rolled_out(client, cluster, service, arn):
            yield 1
    except ClientError as error:
        raise ActionFailed("ConfigurationError", error.response["Error"]["Message"]) from error


def _images(action: Action) -> dict[str, str]:
    (artifact,) = action.run.inputs
    path = action.configuration.get("FileName") or "imagedefinitions.json"
    body = action.file(artifact, path)
    if body is None:
        raise ActionFailed(
            "ConfigurationError", f"Did not find the image definition file {path} in the input artifacts ZIP file"
        )
    try:
        return {each["name"]: each["imageUri"] for each in json.loads(body)}
    except (ValueError, KeyError, TypeError) as error:
        raise ActionFailed(
            "ConfigurationError", f"The image definition file {path} contains invalid JSON format"
        ) from error


def _registered(client: Any, cluster: str, service: str, images: dict[str, str]) -> str:
    found = client.describe_services(cluster=cluster, services=[service])["services"]
    if not found:
        raise ActionFailed("ConfigurationError", f"The Amazon ECS service {service} does not exist")
    current = client.describe_task_definition(taskDefinition=found[0]["taskDefinition"])["taskDefinition"]
    wanted = {key: value for key, value in current.items() if key not in _READ_ONLY}
    names = {container["name"] for container in wanted["containerDefinitions"]}
    if unknown := sorted(set(images) - names):
        raise ActionFailed(
            "ConfigurationError", f"The AWS ECS container {unknown[0]} does not exist in the task definition"
        )
    for container in wanted["containerDefinitions"]:
        container["image"] = images.get(container["name"], container["image"])
    return str(client.register_task_definition(**wanted)["taskDefinition"]["taskDefinitionArn"])


def _rolled_out(client: Any, cluster: str, service: str, arn: str) -> bool:
    (found,) = client.describe_services(cluster=cluster, services=[service])["services"]
    (primary,) = [each for each in found["deployments"] if each["status"] == "PRIMARY"]
    if primary.get("rolloutState") == "FAILED" or primary["taskDefinition"] != arn:
        raise ActionFailed(
            "JobFailed", f"The deployment of the service {service} failed: {primary.get('rolloutStateReason')}"
        )
    return len(found["deployments"]) == 1 and primary["runningCount"] >= primary["desiredCount"]
