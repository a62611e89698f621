"""Finds what a call names, by short name or ARN, and pages through lists."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from emulator.control.ecs import errors
from emulator.control.ecs.tables import Cluster, EcsTables, Service, Task, TaskDefinition, TaskSet
from emulator.state.call import Call
from emulator.state.store import Store

Thing = TypeVar("Thing")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


def tables(store: Store) -> EcsTables:
    return store.table(EcsTables)


def check_name(name: str, what: str) -> None:
    """Letters, digits, hyphens and underscores, at most 255."""
    if not _NAME.fullmatch(name or ""):
        raise errors.invalid(f"{what} name invalid.")


def cluster_arn(call: Call, name: str | None) -> str:
    name = name or "default"
    return name if name.startswith("arn:") else call.arn(f"cluster/{name}")


def cluster(store: Store, call: Call) -> Cluster:
    """The cluster that the call names, `default` when it names none; it must be active."""
    found = tables(store).clusters.get(cluster_arn(call, call.parameters.get("cluster")))
    if not found or found.status == "INACTIVE":
        raise errors.cluster_not_found()
    return found


def service_arn(call: Call, cluster_name: str, name: str) -> str:
    """Both forms of a service's ARN, with and without the cluster, and its name, are the same service."""
    return call.arn(f"service/{cluster_name}/{name.rpartition('/')[2]}")


def service(store: Store, call: Call) -> Service:
    """The service that the call names."""
    name = cluster(store, call).name
    found = tables(store).services.get(service_arn(call, name, call.parameters["service"]))
    if not found:
        raise errors.service_not_found()
    return found


def active_service(store: Store, call: Call) -> Service:
    found = service(store, call)
    if found.status != "ACTIVE":
        raise errors.service_not_active()
    return found


def task_set(found: Service, name: str) -> TaskSet:
    for candidate in found.task_sets:
        if name in (candidate.arn, candidate.id, candidate.id.partition("/")[2]):
            return candidate
    raise errors.task_set_not_found()


def task(store: Store, call: Call, cluster_name: str, name: str) -> Task | None:
    return tables(store).tasks.get(call.arn(f"task/{cluster_name}/{name.rpartition('/')[2]}"))


def task_definition(store: Store, name: str) -> TaskDefinition | None:
    """By ARN, `family:revision`, or `family` (its last active revision)."""
    family, _, revision = name.rpartition("/")[2].partition(":")
    revisions = tables(store).families.get(family, [])
    if revision:
        return next((d for d in revisions if str(d.revision) == revision), None)
    return next((d for d in reversed(revisions) if d.status == "ACTIVE"), None)


def active_task_definition(store: Store, name: str) -> TaskDefinition:
    """One that can be run, as CreateService and RunTask want it."""
    found = task_definition(store, name)
    if not found:
        raise errors.client("TaskDefinition not found.")
    if found.status != "ACTIVE":
        raise errors.client("TaskDefinition is inactive")
    return found


def page(call: Call, things: Sequence[Thing], key: str, limit: int = 100) -> dict[str, Any]:
    """`things` from `nextToken` on, at most `maxResults`, as `{key: […], "nextToken": …}`."""
    start = _decode(call.parameters.get("nextToken"))
    size = min(call.parameters.get("maxResults") or limit, limit)
    answer: dict[str, Any] = {key: list(things[start : start + size])}
    if start + size < len(things):
        answer["nextToken"] = base64.b64encode(str(start + size).encode()).decode()
    return answer


def _decode(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError):
        raise errors.invalid("Invalid token") from None


def tags_of(parameters: list[dict[str, str]] | None) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in parameters or []}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
