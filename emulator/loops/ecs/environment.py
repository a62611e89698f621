"""What a container is started with: overrides, ECS's own environment variables, environment files, limits."""

from __future__ import annotations

import copy
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.ecs.tables import Task
from emulator.data.tasks.runtime import Image, Spec
from emulator.loops.ecs.failures import initialization
from emulator.state.clients import Credentials
from emulator.state.store import Store


def overridden(task: Task, definition: dict[str, Any]) -> dict[str, Any]:
    """The container definition with what RunTask's `overrides` say of it."""
    merged = copy.deepcopy(definition)
    for override in task.overrides.get("containerOverrides") or []:
        if override.get("name") != definition["name"]:
            continue
        for key in ("command", "cpu", "memory", "memoryReservation"):
            if override.get(key):
                merged[key] = override[key]
        names = {pair["name"] for pair in override.get("environment") or []}
        kept = [pair for pair in merged.get("environment") or [] if pair["name"] not in names]
        merged["environment"] = kept + (override.get("environment") or [])
        merged["environmentFiles"] = (merged.get("environmentFiles") or []) + (override.get("environmentFiles") or [])
    return merged


def of_ecs(store: Store, task: Task, container: str, prefix: str) -> dict[str, str]:
    """What Fargate sets, and the emulator's endpoint, where code in the task finds AWS."""
    base = f"http://127.0.0.1:{store.config.port}{prefix}"
    variables = {
        "AWS_ENDPOINT_URL": store.config.url,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_REGION": task.region,
        "AWS_DEFAULT_REGION": task.region,
        "ECS_CONTAINER_METADATA_URI_V4": f"{base}v4/{task.key}/{container}",
    }
    if task.overrides.get("taskRoleArn") or task.definition.document.get("taskRoleArn"):
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{base}credentials/{task.key}"
    return variables


def from_files(store: Store, task: Task, definition: dict[str, Any], credentials: Credentials) -> dict[str, str]:
    """`environmentFiles` from S3: lines of NAME=value, `#` a comment; read with the execution role."""
    variables: dict[str, str] = {}
    for file in definition.get("environmentFiles") or []:
        bucket, _, key = file["value"].partition(":::")[2].partition("/")
        s3 = store.clients("s3", task.region, credentials)
        try:
            text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8", "replace")
        except ClientError as error:
            raise initialization(f"failed to download env files: file download command: {error}") from None
        for line in text.splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.lstrip().startswith("#"):
                variables[name.strip()] = value
    return variables


def spec(task: Task, definition: dict[str, Any], image: Image, environment: dict[str, str], essential: bool) -> Spec:
    linux = definition.get("linuxParameters") or {}
    return Spec(
        task=task.id,
        name=definition["name"],
        image=image,
        environment=environment,
        entry_point=definition.get("entryPoint") or None,
        command=definition.get("command") or None,
        working_directory=definition.get("workingDirectory"),
        user=definition.get("user"),
        ports=tuple(mapping["containerPort"] for mapping in definition.get("portMappings") or []),
        cpu=definition.get("cpu") or int(task.definition.document.get("cpu") or 0),
        memory=definition.get("memory") or _memory(task),
        read_only=bool(definition.get("readonlyRootFilesystem")),
        tmpfs=tuple((each["containerPath"], each["size"]) for each in linux.get("tmpfs") or []),
        ulimits=tuple((each["name"], each["softLimit"], each["hardLimit"]) for each in definition.get("ulimits") or []),
        essential=essential,
        labels={**(definition.get("dockerLabels") or {}), "com.amazonaws.ecs.task-arn": task.arn},
    )


def _memory(task: Task) -> int | None:
    memory = task.overrides.get("memory") or task.definition.document.get("memory")
    return int(memory) if memory else None
