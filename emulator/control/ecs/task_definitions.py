"""Task definitions and their families."""

from __future__ import annotations

import copy
from typing import Any

from emulator.control.ecs import errors, lookup, shapes, task_definition_rules
from emulator.control.ecs.tables import TaskDefinition, now
from emulator.state.call import Answer, Call
from emulator.state.store import Store


def register_task_definition(store: Store, call: Call) -> Answer:
    """A new revision every time, also when nothing differs."""
    task_definition_rules.check(call.parameters)
    with store.change():
        tables = lookup.tables(store)
        family = call.parameters["family"]
        revisions = tables.families.setdefault(family, [])
        number = revisions[-1].revision + 1 if revisions else 1
        arn = call.arn(f"task-definition/{family}:{number}")
        document = _completed(call.parameters)
        found = TaskDefinition(family, number, arn, document, now(), f"arn:aws:iam::{call.account}:root")
        revisions.append(found)
        tables.tags[arn] = lookup.tags_of(call.parameters.get("tags"))
        return {"taskDefinition": shapes.task_definition(found), "tags": lookup.tag_list(tables.tags[arn])}


def _completed(parameters: dict[str, Any]) -> dict[str, Any]:
    """With what AWS adds: empty lists, `essential`, a host port, sizes in units, required attributes."""
    document = copy.deepcopy({key: value for key, value in parameters.items() if key not in ("tags", "family")})
    for key in ("volumes", "placementConstraints"):
        document[key] = document.get(key) or []
    for key in ("cpu", "memory"):
        if document.get(key):
            document[key] = str(task_definition_rules.size(document[key], key))
    for container in document["containerDefinitions"]:
        _complete_container(container, document.get("networkMode"))
    document["compatibilities"] = _compatibilities(document)
    document["requiresAttributes"] = _attributes(document)
    return document


def _complete_container(container: dict[str, Any], network_mode: str | None) -> None:
    container.setdefault("cpu", 0)
    container.setdefault("essential", True)
    for key in ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"):
        container[key] = container.get(key) or []
    for mapping in container["portMappings"]:
        mapping.setdefault("protocol", "tcp")
        if network_mode in ("awsvpc", "host"):
            mapping["hostPort"] = mapping.get("containerPort")
        else:
            mapping.setdefault("hostPort", 0)
    if "healthCheck" in container:
        container["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3} | container["healthCheck"]


def _compatibilities(document: dict[str, Any]) -> list[str]:
    fits_fargate = document.get("networkMode") == "awsvpc" and document.get("cpu") and document.get("memory")
    return ["EC2", "FARGATE"] if fits_fargate else ["EC2"]


def _attributes(document: dict[str, Any]) -> list[dict[str, str]]:
    names = {"com.amazonaws.ecs.capability.docker-remote-api.1.18"}
    if document.get("networkMode") == "awsvpc":
        names.add("ecs.capability.task-eni")
    if document.get("taskRoleArn"):
        names.add("com.amazonaws.ecs.capability.task-iam-role")
    for container in document["containerDefinitions"]:
        driver = container.get("logConfiguration", {}).get("logDriver")
        if driver:
            names.add(f"com.amazonaws.ecs.capability.logging-driver.{driver}")
        if driver == "awslogs":
            names.add("ecs.capability.execution-role-awslogs")
        if ".dkr.ecr." in container["image"]:
            names |= {"com.amazonaws.ecs.capability.ecr-auth", "ecs.capability.execution-role-ecr-pull"}
        for secret in container.get("secrets") or []:
            service = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
            names.add(f"ecs.capability.secrets.{service}.environment-variables")
    return [{"name": name} for name in sorted(names)]


def describe_task_definition(store: Store, call: Call) -> Answer:
    with store.lock:
        found = lookup.task_definition(store, call.parameters["taskDefinition"])
        if not found:
            raise errors.client("Unable to describe task definition.")
        answer: Answer = {"taskDefinition": shapes.task_definition(found)}
        if "TAGS" in (call.parameters.get("include") or []):
            answer["tags"] = lookup.tag_list(lookup.tables(store).tags.get(found.arn, {}))
        return answer


def list_task_definitions(store: Store, call: Call) -> Answer:
    status = call.parameters.get("status") or "ACTIVE"
    prefix = call.parameters.get("familyPrefix")
    with store.lock:
        found = [
            definition.arn
            for family, revisions in sorted(lookup.tables(store).families.items())
            for definition in revisions
            if definition.status == status and (not prefix or family == prefix)
        ]
    if call.parameters.get("sort") == "DESC":
        found.reverse()
    return lookup.page(call, found, "taskDefinitionArns")


def list_task_definition_families(store: Store, call: Call) -> Answer:
    status = call.parameters.get("status") or "ACTIVE"
    prefix = call.parameters.get("familyPrefix") or ""
    with store.lock:
        found = [
            family
            for family, revisions in sorted(lookup.tables(store).families.items())
            if family.startswith(prefix) and _family_is(revisions, status)
        ]
    return lookup.page(call, found, "families")


def _family_is(revisions: list[TaskDefinition], status: str) -> bool:
    active = any(d.status == "ACTIVE" for d in revisions)
    return status == "ALL" or active == (status == "ACTIVE")


def deregister_task_definition(store: Store, call: Call) -> Answer:
    """Running services keep theirs; new ones cannot use it."""
    name = call.parameters["taskDefinition"]
    revision = name.rpartition("/")[2].partition(":")[2]
    if not revision:
        raise errors.client("Revision is missing.")
    if not revision.isdigit():
        raise errors.invalid(f"Invalid revision number. Number: {revision}")
    with store.change():
        found = lookup.task_definition(store, name)
        if not found:
            raise errors.client("Unable to describe task definition.")
        if found.status == "ACTIVE":
            found.status, found.deregistered_at = "INACTIVE", now()
        return {"taskDefinition": shapes.task_definition(found)}


def delete_task_definitions(store: Store, call: Call) -> Answer:
    """Only what was deregistered; one in use stays DELETE_IN_PROGRESS as long as it is."""
    deleted, failures = [], []
    with store.change():
        tables = lookup.tables(store)
        in_use = tables.definitions_in_use()
        for name in call.parameters["taskDefinitions"]:
            found = lookup.task_definition(store, name) if ":" in name.rpartition("/")[2] else None
            if not found:
                failures.append({"arn": name, "reason": "The specified task definition does not exist. Specify a valid"
                                 " account, family, revision and try again."})  # fmt: skip
            elif found.status == "ACTIVE":
                failures.append({"arn": found.arn, "reason": "The specified task definition is still in ACTIVE status."
                                 " Please deregister the target and try again."})  # fmt: skip
            else:
                found.status, found.delete_requested_at = "DELETE_IN_PROGRESS", now()
                deleted.append(shapes.task_definition(found))
                if found.arn not in in_use:
                    _forget(tables.families, found)
    return {"taskDefinitions": deleted, "failures": failures}


def _forget(families: dict[str, list[TaskDefinition]], found: TaskDefinition) -> None:
    """Its number is never given again, so the last revision of a family is only marked."""
    revisions = families[found.family]
    if revisions[-1] is not found:
        revisions.remove(found)
