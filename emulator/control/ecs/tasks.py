"""Tasks: RunTask, StopTask and what can be asked about them."""

from __future__ import annotations

from typing import Any

from emulator.control.ecs import capacity, errors, launch, lookup, service_rules, shapes
from emulator.control.ecs.tables import Cluster, Fleet, Task, TaskDefinition
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


def run_task(store: Store, call: Call) -> Answer:
    parameters = call.parameters
    cluster = lookup.cluster(store, call)
    definition = lookup.active_task_definition(store, parameters["taskDefinition"])
    revision = launch.revision(store, call, cluster, definition)
    count = parameters.get("count") or 1
    if not 1 <= count <= 10:
        raise errors.invalid("Count should be between 1 and 10.")
    if revision.launch_type == "EC2":
        raise errors.invalid("No Container Instances were found in your cluster.")
    launch.check_subnets(store, call, revision)
    if not (parameters.get("overrides") or {}).get("taskRoleArn"):
        service_rules.check_execute_command(parameters, definition, "task")
    _check_overrides(parameters.get("overrides") or {}, definition)
    tags = launch.task_tags(store, parameters.get("propagateTags") or "NONE", definition, None)
    tags |= lookup.tags_of(parameters.get("tags"))
    if parameters.get("enableECSManagedTags"):
        tags["aws:ecs:clusterName"] = cluster.name
    ticket = Fleet(revision=revision, status="ACTIVE")
    tasks = [
        launch.new_task(
            cluster, definition, revision,
            group=parameters.get("group") or f"family:{definition.family}",
            started_by=parameters.get("startedBy"),
            capacity_provider=capacity.next_provider(ticket, revision.strategy),
            overrides=parameters.get("overrides") or {}, tags=dict(tags),
            execute_command=bool(parameters.get("enableExecuteCommand")),
        )
        for _ in range(count)
    ]  # fmt: skip
    with store.change():
        tables = lookup.tables(store)
        if token := parameters.get("clientToken"):  # the same call again starts nothing
            before = [tables.tasks[arn] for arn in tables.runs.get(token, ()) if arn in tables.tasks]
            tasks = before or tasks
            tables.runs[token] = [task.arn for task in tasks]
        tables.tasks.update({task.arn: task for task in tasks})
        return {"tasks": [shapes.task(task, ["TAGS"]) for task in tasks], "failures": []}


def _check_overrides(overrides: dict[str, Any], definition: TaskDefinition) -> None:
    names = {container["name"] for container in definition.containers}
    for override in overrides.get("containerOverrides") or []:
        if override.get("name") not in names:
            raise errors.invalid(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )


def start_task(store: Store, call: Call) -> Answer:
    lookup.cluster(store, call)
    raise errors.invalid("No Container Instances were found in your cluster.")


def stop_task(store: Store, call: Call) -> Answer:
    with store.change():
        cluster = lookup.cluster(store, call)
        found = lookup.task(store, call, cluster.name, call.parameters["task"])
        if not found:
            raise errors.invalid("The referenced task was not found.")
        if found.status != "STOPPED":
            found.stop("UserInitiated", call.parameters.get("reason") or "Task stopped by user")
        return {"task": shapes.task(found, ["TAGS"])}


def describe_tasks(store: Store, call: Call) -> Answer:
    names = call.parameters["tasks"]
    if not names:
        raise errors.invalid("Tasks cannot be empty.")
    if len(names) > 100:
        raise errors.invalid("Tasks can have at most 100 items.")
    with store.lock:
        cluster = lookup.cluster(store, call)
        found = {name: lookup.task(store, call, cluster.name, name) for name in names}
        include = call.parameters.get("include") or []
        missing = [name if name.startswith("arn:") else call.arn(f"task/{cluster.name}/{name}")
                   for name, task in found.items() if not task]  # fmt: skip
        return {
            "tasks": [shapes.task(task, include) for task in found.values() if task],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in missing],
        }


def list_tasks(store: Store, call: Call) -> Answer:
    """By cluster, and by family, service, startedBy, launch type; running ones unless `desiredStatus` is STOPPED."""
    with store.lock:
        cluster = lookup.cluster(store, call)
        wanted = _Filter(store, call, cluster)
        found = [task.arn for task in lookup.tables(store).tasks.values() if wanted(task)]
        return lookup.page(call, found, "taskArns")


class _Filter:
    def __init__(self, store: Store, call: Call, cluster: Cluster) -> None:
        self._parameters = call.parameters
        self._cluster = cluster.arn
        self._desired = call.parameters.get("desiredStatus") or "RUNNING"
        self._group = None
        if name := call.parameters.get("serviceName"):
            arn = lookup.service_arn(call, cluster.name, name)
            if arn not in lookup.tables(store).services:
                raise errors.service_not_found()
            self._group = f"service:{arn.rpartition('/')[2]}"

    def __call__(self, task: Task) -> bool:
        given = self._parameters
        return (
            task.cluster_arn == self._cluster
            and task.desired == self._desired
            and (self._group is None or task.group == self._group)
            and (not given.get("family") or task.definition.family == given["family"])
            and (not given.get("startedBy") or task.started_by == given["startedBy"])
            and given.get("launchType") in (None, "", "FARGATE")
            and not given.get("containerInstance")
        )


def execute_command(store: Store, call: Call) -> Answer:
    """The session protocol (SSM) is not here; what is wrong with the call is said first, as AWS would."""
    cluster = lookup.cluster(store, call)
    found = lookup.task(store, call, cluster.name, call.parameters["task"])
    if not found:
        raise errors.invalid("The referenced task was not found.")
    if not found.execute_command:
        raise errors.invalid("The execute command failed because execute command was not enabled when the task was run"
                             " or the execute command agent isn’t running. Wait and try again or run a new task with"
                             " execute command enabled and try again.")  # fmt: skip
    raise AwsError("UnsupportedFeatureException", "the emulator does not support ecs:ExecuteCommand")
