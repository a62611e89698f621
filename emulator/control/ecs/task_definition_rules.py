"""What RegisterTaskDefinition refuses, in the order and the words of ECS.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from emulator.control.ecs import errors, lookup

Document = dict[str, Any]

_UNITS = {"vcpu": 1024, "gb": 1024}
_GIB = 1024
# Fargate's cpu units, and the memory in MiB that each may have.
FARGATE_SIZES: dict[int, list[int]] = {
    256: [512, 1024, 2048],
    512: [_GIB * n for n in range(1, 5)],
    1024: [_GIB * n for n in range(2, 9)],
    2048: [_GIB * n for n in range(4, 17)],
    4096: [_GIB * n for n in range(8, 31)],
    8192: [_GIB * n for n in range(16, 61, 4)],
    16384: [_GIB * n for n in range(32, 121, 8)],
}
_NETWORK_MODES = ("bridge", "host", "awsvpc", "none")
_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/.+")


def check(document: Document) -> None:
    """Raises ClientException or InvalidParameterException for what ECS would refuse."""
    lookup.check_name(document.get("family", ""), "Family")
    containers = document.get("containerDefinitions") or []
    if not containers:
        raise errors.client("Container definitions should not be empty.")
    if document.get("networkMode", "bridge") not in _NETWORK_MODES:
        raise errors.client(f"networkMode should be one of [{', '.join(_NETWORK_MODES)}]")
    for container in containers:
        _check_container(container, document)
    _check_names(containers)
    _check_dependencies(containers)
    if not any(container.get("essential", True) for container in containers):
        raise errors.client("At least one essential container must be defined.")
    _check_roles(document)
    if "FARGATE" in (document.get("requiresCompatibilities") or []):
        _check_fargate(document, containers)


def _check_container(container: Document, document: Document) -> None:
    for key in ("name", "image"):
        if not container.get(key):
            raise errors.client(f"Container.{key} should not be null or empty.")
    name = container["name"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name):
        raise errors.client(
            f"Invalid container name: {name}. Up to 255 letters (uppercase and lowercase), hyphens, underscores, and"
            " numbers are allowed."
        )
    limits = (container.get("memory"), container.get("memoryReservation"))
    if not any(limits) and not document.get("memory"):
        raise errors.client(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be"
            " specified."
        )
    if all(limits) and container["memory"] < container["memoryReservation"]:
        raise errors.client(
            f"Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'."
        )
    _check_ports(container, document)
    _check_logs(container)
    _check_health(container)
    _check_secrets(container, document)


def _check_ports(container: Document, document: Document) -> None:
    for mapping in container.get("portMappings") or []:
        port = mapping.get("containerPort")
        if port is not None and not 0 < port < 65536:
            raise errors.client(f"Invalid port number: {port}")
        host = mapping.get("hostPort")
        if document.get("networkMode") == "awsvpc" and host not in (None, 0, port):
            raise errors.client(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match."
            )


def _check_logs(container: Document) -> None:
    logs = container.get("logConfiguration")
    if not logs or logs["logDriver"] != "awslogs":
        return
    options = logs.get("options") or {}
    for option in ("awslogs-group", "awslogs-region"):
        if not options.get(option):
            raise errors.client(f"Log driver awslogs requires options: {option}")


def _check_health(container: Document) -> None:
    check_ = container.get("healthCheck")
    if not check_:
        return
    if not check_.get("command") or check_["command"][0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise errors.client("Health check command must be prefixed with CMD or CMD-SHELL.")
    for key, low, high in (("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)):
        value = check_.get(key)
        if value is not None and not low <= value <= high:
            raise errors.client(f"Health check {key} must be between {low} and {high}.")


def _check_secrets(container: Document, document: Document) -> None:
    secrets = container.get("secrets") or []
    if secrets and not document.get("executionRoleArn"):
        raise errors.client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    names = [pair["name"] for pair in container.get("environment") or [] if "name" in pair]
    for secret in secrets:
        if secret["name"] in names:
            raise errors.client(f"The secret name must be unique and not shared with any new or existing environment"
                                f" variables set on the container, such as '{secret['name']}'.")  # fmt: skip


def _check_names(containers: Iterable[Document]) -> None:
    seen = set()
    for container in containers:
        if container["name"] in seen:
            raise errors.client("Container names should be unique.")
        seen.add(container["name"])


def _check_dependencies(containers: list[Document]) -> None:
    by_name = {container["name"]: container for container in containers}
    for container in containers:
        for dependency in container.get("dependsOn") or []:
            other, condition = dependency["containerName"], dependency["condition"]
            if other not in by_name:
                raise errors.client(
                    f"Container '{container['name']}' depends on '{other}', which is not in the task definition."
                )
            if condition not in ("START", "COMPLETE", "SUCCESS", "HEALTHY"):
                raise errors.client("Container dependency condition should be one of [START,COMPLETE,SUCCESS,HEALTHY]")
            if condition in ("COMPLETE", "SUCCESS") and by_name[other].get("essential", True):
                raise errors.client(
                    f"Container '{other}' cannot be essential when another container depends on it with the condition"
                    f" {condition}."
                )
            if condition == "HEALTHY" and "healthCheck" not in by_name[other]:
                raise errors.client(
                    f"Container '{other}' must define a health check to be used with the dependency condition HEALTHY."
                )
    _check_cycles(by_name)


def _check_cycles(by_name: dict[str, Document]) -> None:
    waiting = {name: {d["containerName"] for d in c.get("dependsOn") or []} for name, c in by_name.items()}
    while ready := [name for name, needs in waiting.items() if not needs]:
        for name in ready:
            del waiting[name]
        for needs in waiting.values():
            needs.difference_update(ready)
    if waiting:
        raise errors.client("Container dependencies should not form a cycle.")


def _check_roles(document: Document) -> None:
    for key, word in (("taskRoleArn", "taskRoleArn"), ("executionRoleArn", "executionRoleArn")):
        value = document.get(key)
        if value and value.startswith("arn:") and not _ROLE.fullmatch(value):
            raise errors.client(f"Invalid '{word}' value '{value}'.")


def _check_fargate(document: Document, containers: list[Document]) -> None:
    if document.get("networkMode") != "awsvpc":
        raise errors.client("Fargate only supports network mode ‘awsvpc’.")
    cpu, memory = size(document.get("cpu"), "cpu"), size(document.get("memory"), "memory")
    if cpu is None or memory is None:
        raise errors.client("Fargate requires that 'cpu' be defined at the task level." if cpu is None else
                            "Fargate requires that 'memory' be defined at the task level.")  # fmt: skip
    if memory not in FARGATE_SIZES.get(cpu, []):
        raise errors.client(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the"
                            " Amazon ECS documentation for the valid values.")  # fmt: skip
    if sum(container.get("cpu", 0) for container in containers) > cpu:
        raise errors.client("The sum of the container 'cpu' values must not be more than the task's 'cpu'.")
    for container in containers:
        _check_fargate_container(container, document, memory)


def _check_fargate_container(container: Document, document: Document, memory: int) -> None:
    name = container["name"]
    for key in ("memory", "memoryReservation"):
        if container.get(key, 0) > memory:
            raise errors.client(
                f"Invalid setting for container '{name}'. '{key}' cannot be larger than the task's memory."
            )
    if container.get("privileged"):
        raise errors.client("Fargate does not support privileged containers.")
    if container.get("links"):
        raise errors.client("Links are not supported when networkMode=awsvpc.")
    logs = container.get("logConfiguration")
    if logs and logs["logDriver"] not in _LOG_DRIVERS:
        raise errors.client("Fargate only supports the log drivers awslogs, splunk and awsfirelens.")
    if logs and logs["logDriver"] == "awslogs":
        if not document.get("executionRoleArn"):
            raise errors.client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )
        if "awslogs-stream-prefix" not in (logs.get("options") or {}):
            raise errors.client("Log driver awslogs requires options: awslogs-stream-prefix")
    if ".dkr.ecr." in container["image"] and not document.get("executionRoleArn"):
        raise errors.client("Fargate requires task definition to have execution role ARN to support ECR images.")
    if container.get("stopTimeout", 0) > 120:
        raise errors.client("The stopTimeout value must be less than or equal to 120 seconds on Fargate.")


def size(value: str | None, what: str) -> int | None:
    """CPU units or MiB: `1024`, `1 vCPU`, `2 GB`."""
    if value is None or value == "":
        return None
    text = value.strip().lower().replace(" ", "")
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            text, scale = text[: -len(unit)], factor
            break
    else:
        scale = 1
    try:
        return int(float(text) * scale)
    except ValueError:
        raise errors.client(f"Invalid '{what}' setting for task: {value}") from None
