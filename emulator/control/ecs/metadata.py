"""What a container asks about itself: task metadata version 4 and the credentials of its task role, over plain HTTP.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from emulator.control import roles
from emulator.control.ecs import lookup, shapes
from emulator.control.ecs.tables import Container, Task
from emulator.state.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/_ecs/"
PRINCIPAL = "ecs-tasks.amazonaws.com"


def application(store: Store) -> WSGIApplication:
    """`/_ecs/v4/<key>/<container>[/task]` and `/_ecs/credentials/<key>`; a key is known to its task alone."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _answer(store, environ["PATH_INFO"].removeprefix(PREFIX).strip("/").split("/"))
        body = json.dumps(
            {"code": "NotFound", "message": "no such task"} if found is None else found, default=_iso
        ).encode()
        status = "404 Not Found" if found is None else "200 OK"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _iso(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _answer(store: Store, path: list[str]) -> dict[str, Any] | None:
    tables = lookup.tables(store)
    kind, key, *rest = [*path, ""]
    task = next((t for t in list(tables.tasks.values()) if t.key == key and t.status != "STOPPED"), None)
    if task is None:
        return None
    if kind == "credentials":
        return _credentials(store, task)
    if kind != "v4" or not rest:
        return None
    if rest[1:2] == ["task"]:
        return _task(task)
    container = next((c for c in task.containers if c.name == rest[0]), None)
    return _container(task, container) if container and rest[1:] == [""] else None


def _credentials(store: Store, task: Task) -> dict[str, Any] | None:
    role = task.overrides.get("taskRoleArn") or task.definition.document.get("taskRoleArn")
    if not role:
        return None
    credentials = roles.assume(store, role, PRINCIPAL)
    return {
        "RoleArn": role,
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "Token": credentials.token,
        "Expiration": (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _task(task: Task) -> dict[str, Any]:
    return shapes.without_none({
        "Cluster": task.cluster_arn, "TaskARN": task.arn, "Family": task.definition.family,
        "Revision": str(task.definition.revision), "DesiredStatus": task.desired, "KnownStatus": task.status,
        "Limits": _limits(task), "PullStartedAt": task.pull_started_at, "PullStoppedAt": task.pull_stopped_at,
        "AvailabilityZone": task.availability_zone, "LaunchType": "FARGATE",
        "Containers": [_container(task, each) for each in task.containers],
        "ServiceName": task.group.partition("service:")[2] or None,
    })  # fmt: skip


def _limits(task: Task) -> dict[str, float]:
    document = task.definition.document
    return {"CPU": int(document.get("cpu") or 0) / 1024, "Memory": int(document.get("memory") or 0)}


def _container(task: Task, container: Container) -> dict[str, Any]:
    definition = container.definition
    return shapes.without_none({
        "DockerId": container.runtime_id, "Name": container.name, "DockerName": container.name,
        "Image": definition["image"], "ImageID": container.digest, "ContainerARN": container.arn, "Type": "NORMAL",
        "DesiredStatus": task.desired, "KnownStatus": container.status, "ExitCode": container.exit_code,
        "Limits": {"CPU": definition.get("cpu", 0)},
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn, "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.arn, "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
        },
        "CreatedAt": task.created_at, "StartedAt": task.started_at,
        "Networks": [{
            "NetworkMode": "awsvpc", "IPv4Addresses": [task.address] if task.address else [],
            "PrivateDNSName": task.interface.get("privateDnsName"), "MACAddress": task.interface.get("macAddress"),
        }],
    })  # fmt: skip
