"""Task sets: how CodeDeploy, or somebody's own controller, runs two revisions of a service beside each other."""

from __future__ import annotations

import dataclasses

from emulator.control.ecs import errors, launch, lookup, service_rules, shapes
from emulator.control.ecs.services import new_task_set, scaled
from emulator.control.ecs.tables import Service, TaskSet, now
from emulator.state.call import Answer, Call
from emulator.state.store import Store

_UNITS = ("PERCENT",)


def create_task_set(store: Store, call: Call) -> Answer:
    """On AWS CodeDeploy's role calls it for a CODE_DEPLOY service too; then `startedBy` says so."""
    parameters = call.parameters
    cluster = lookup.cluster(store, call)
    found = _with_task_sets(store, call)
    definition = lookup.active_task_definition(store, parameters["taskDefinition"])
    scale = _scale(parameters.get("scale"))
    revision = launch.revision(store, call, cluster, definition)
    if not parameters.get("loadBalancers"):
        revision.load_balancers = found.revision.load_balancers
    service_rules.check_balancers(revision.load_balancers, definition)
    launch.check_subnets(store, call, revision)
    with store.change():
        if len(found.task_sets) >= 5:
            raise errors.invalid("5 deployments exist on the service. Unable to create new TaskSet since this exceeds"
                                 " the maximum limit.")  # fmt: skip
        made = new_task_set(
            found, cluster, revision, status="ACTIVE", scale=scale, external_id=parameters.get("externalId"),
            started_by="CODE_DEPLOY" if found.controller == "CODE_DEPLOY" else None,
        )  # fmt: skip
        found.task_sets.append(made)
        tables = lookup.tables(store)
        tables.tags[made.arn] = lookup.tags_of(parameters.get("tags"))
        return {"taskSet": shapes.task_set(tables, found, made, ["TAGS"])}


def _with_task_sets(store: Store, call: Call) -> Service:
    found = lookup.active_service(store, call)
    if found.controller == "ECS":
        raise errors.invalid(
            "Amazon ECS only supports task set management on services configured to use external deployment"
            " controllers."
        )
    return found


def _scale(given: dict[str, object] | None) -> dict[str, object]:
    scale = {"value": 0.0, "unit": "PERCENT"} | (given or {})
    value = scale["value"]
    if scale["unit"] not in _UNITS or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise errors.invalid("The scale value must be between 0 and 100 PERCENT.")
    return scale | {"value": float(value)}


def update_task_set(store: Store, call: Call) -> Answer:
    with store.change():
        found = _with_task_sets(store, call)
        task_set = lookup.task_set(found, call.parameters["taskSet"])
        if task_set.status == "DRAINING":
            raise errors.invalid("The task set is draining and cannot be updated.")
        task_set.scale = _scale(call.parameters["scale"])
        task_set.desired = scaled(found.desired, task_set.scale)
        task_set.updated_at = now()
        found.steady = False
        return {"taskSet": shapes.task_set(lookup.tables(store), found, task_set)}


def update_service_primary_task_set(store: Store, call: Call) -> Answer:
    """The primary's task definition, network and load balancers become the service's; the former primary is ACTIVE."""
    with store.change():
        found = _with_task_sets(store, call)
        primary = lookup.task_set(found, call.parameters["primaryTaskSet"])
        if primary.status == "DRAINING":
            raise errors.invalid("A draining task set cannot become the primary task set.")
        for task_set in found.task_sets:
            if task_set.status == "PRIMARY" and task_set is not primary:
                task_set.status, task_set.updated_at = "ACTIVE", now()
        primary.status, primary.updated_at = "PRIMARY", now()
        found.revision = dataclasses.replace(primary.revision)
        return {"taskSet": shapes.task_set(lookup.tables(store), found, primary)}


def delete_task_set(store: Store, call: Call) -> Answer:
    """Drains it; it is gone when its last task is. Without `force` it must have been scaled to zero."""
    with store.change():
        found = lookup.service(store, call)
        task_set = lookup.task_set(found, call.parameters["taskSet"])
        if not call.parameters.get("force"):
            _check_deletable(task_set)
        task_set.status, task_set.desired, task_set.updated_at = "DRAINING", 0, now()
        task_set.scale = task_set.scale | {"value": 0.0}
        return {"taskSet": shapes.task_set(lookup.tables(store), found, task_set)}


def _check_deletable(task_set: TaskSet) -> None:
    if task_set.status == "PRIMARY":
        raise errors.invalid("The primary task set cannot be deleted. Use force to delete it.")
    if task_set.desired > 0:
        raise errors.invalid("The task set cannot be deleted while it is scaled above 0. Use force to delete it.")


def describe_task_sets(store: Store, call: Call) -> Answer:
    """All of a service's, or those that are named."""
    with store.lock:
        found = lookup.service(store, call)
        names = call.parameters.get("taskSets") or []
        include = call.parameters.get("include") or []
        shown = [s for s in found.task_sets if not names or {s.arn, s.id, s.id.partition("/")[2]} & set(names)]
        known = {name for s in shown for name in (s.arn, s.id, s.id.partition("/")[2])}
        tables = lookup.tables(store)
        return {
            "taskSets": [shapes.task_set(tables, found, task_set, include) for task_set in shown],
            "failures": [{"arn": name, "reason": "MISSING"} for name in names if name not in known],
        }
