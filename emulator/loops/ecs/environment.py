"""What a container is started with: overrides, ECS's own environment variables, environment files, limits."""

from __future__ import annotations

import copy
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.ecs.metadata import PREFIX, PRINCIPAL
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


def of_ecs(store: Store, task: Task, container: str, host: str) -> dict[str, str]:
    """What Fargate sets, and the emulator's endpoint, where code in the task finds AWS; `host` is this machine."""
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{store.config.port}",
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_REGION": task.region,
        "AWS_DEFAULT_REGION": task.region,
        "ECS_CONTAINER_METADATA_URI_V4": f"http://{host}:{store.config.port}{PREFIX}v4/{task.key}/{container}",
    }
    role = task.overrides.get("taskRoleArn") or task.definition.document.get("taskRoleArn")
    if role and host == "localhost":
        variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = (
            f"http://{host}:{store.config.port}{PREFIX}credentials/{task.key}"
        )
    elif role:  # SDKs ask for credentials over plain HTTP on loopback only
        credentials = roles.assume(store, role, PRINCIPAL)
        variables["AWS_ACCESS_KEY_ID"] = credentials.access_key
        variables["AWS_SECRET_ACCESS_KEY"] = credentials.secret_key
        variables["AWS_SESSION_TOKEN"] = credentials.token or ""
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
        ports=_ports(definition),
        task_ports=tuple(port for each in task.definition.containers for port in _ports(each)),
        shares_network=not _ends_first(task, definition["name"]),
        mounts=_mounts(task, definition),
        init=bool(linux.get("initProcessEnabled")),
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


def _ports(definition: dict[str, Any]) -> tuple[int, ...]:
    mappings = definition.get("portMappings") or []
    return tuple(mapping["containerPort"] for mapping in mappings if mapping.get("containerPort"))


def _ends_first(task: Task, name: str) -> bool:
    """Whether another container waits for the end of this one."""
    return any(
        dependency["containerName"] == name and dependency["condition"] in ("COMPLETE", "SUCCESS")
        for each in task.definition.containers
        for dependency in each.get("dependsOn") or []
    )


def _mounts(task: Task, definition: dict[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """The task's own (empty) volumes; others, as EFS, are not here."""
    own = {volume["name"] for volume in task.definition.document["volumes"] if set(volume) <= {"name", "host"}}
    return tuple(
        (mount["sourceVolume"], mount["containerPath"], bool(mount.get("readOnly")))
        for mount in definition.get("mountPoints") or []
        if mount.get("sourceVolume") in own
    )
