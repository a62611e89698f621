"""Runs CodeDeploy's deployments, a step at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.codedeploy.tables import (
    Deployment,
    Event,
    Json,
    monotonic,
    new_deployment_id,
    now,
    tables,
)  # fmt: skip
from emulator.loops.codedeploy.notices import notify
from emulator.loops.codedeploy.release import release, undo
from emulator.loops.codedeploy.run import Failed, Run
from emulator.loops.runner import Loop
from emulator.state.store import Store

log = logging.getLogger("emulator.codedeploy")

_ALARMS_EVERY = 1.0  # seconds


@dataclass
class Runs:
    """The deployments under way, by id."""

    by_id: dict[str, Run] = field(default_factory=dict)


def reconcile(store: Store) -> None:
    """One step of every deployment that is due."""
    with store.lock:
        unfinished = [each for each in list(tables(store).deployments.values()) if not each.over]
    runs = store.table(Runs).by_id
    for deployment in unfinished:
        run = runs.get(deployment.id)
        if run is None:
            run = runs[deployment.id] = Run(store, deployment)
        _step(run)
        if deployment.over:
            del runs[deployment.id]


def _step(run: Run) -> None:
    stopping = run.deployment.stop and not run.failure
    if monotonic() < run.due and not stopping and not run.deployment.skip_wait:
        return
    try:
        if run.steps is None:
            _start(run)
        if run.failure is None and not run.deployment.rolls_back:
            _watch(run)
        assert run.steps is not None
        run.due = monotonic() + next(run.steps)
    except StopIteration:
        _finish(run)
    except Failed as failure:
        _fail(run, failure)
    except ClientError as error:
        _fail(run, _explained(error))
    except roles.RoleRefused as error:
        _fail(run, Failed("IAM_ROLE_MISSING", f"CodeDeploy cannot assume the service role: {error}."))
    except Exception as error:  # a deployment that fails must end, whatever failed
        log.exception("deployment %s", run.deployment.id)
        _fail(run, Failed("INTERNAL_ERROR", f"The emulator failed: {error!r}"))


def _start(run: Run) -> None:
    with run.change() as deployment:
        deployment.status, deployment.started = "InProgress", now()
    run.steps = undo(run) if run.deployment.rolls_back else release(run)
    notify(run, "START")


def _watch(run: Run) -> None:
    """Raises Failed where the user stops it or an alarm does."""
    if run.deployment.stop:
        raise Failed(
            "MANUAL_STOP", "The deployment was stopped by the user.",
            cause="DEPLOYMENT_STOP_ON_REQUEST", status="Stopped",
        )  # fmt: skip
    alarms = run.deployment.group.get("alarmConfiguration") or {}
    if not alarms.get("enabled") or monotonic() < run.alarms_due:
        return
    run.alarms_due = monotonic() + _ALARMS_EVERY
    if active := _active_alarms(run, alarms):
        raise Failed(
            "ALARM_ACTIVE",
            "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the "
            f"affected deployments have been stopped. Activated alarms: {', '.join(f'<{name}>' for name in active)}",
            cause="DEPLOYMENT_STOP_ON_ALARM", status="Stopped",
        )  # fmt: skip


def _active_alarms(run: Run, alarms: Json) -> list[str]:
    names = [alarm["name"] for alarm in alarms["alarms"]]
    try:
        answer = run.client("cloudwatch").describe_alarms(
            AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    except ClientError:
        if alarms.get("ignorePollAlarmFailure"):
            return []
        raise
    found = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    missing = sorted(set(names) - {alarm["AlarmName"] for alarm in found})
    if missing and not alarms.get("ignorePollAlarmFailure"):
        raise Failed(
            "ALARM_ACTIVE", f"CodeDeploy could not retrieve the state of these alarms: {', '.join(missing)}.",
            cause="DEPLOYMENT_STOP_ON_ALARM", status="Stopped",
        )  # fmt: skip
    return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


def _explained(error: ClientError) -> Failed:
    """An AWS call of ours that failed, in CodeDeploy's words."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code.startswith("AccessDenied"):
        return Failed("IAM_ROLE_PERMISSIONS", message)
    if "TaskSet" in error.operation_name or "Service" in error.operation_name:
        return Failed(
            "ECS_UPDATE_ERROR",
            f"The ECS service cannot be updated due to an unexpected error: {message} (Service: AmazonECS; Status "
            f"Code: 400; Error Code: {code}). Check your ECS service status.",
        )
    return Failed(
        "ELASTIC_LOAD_BALANCING_INVALID", f"The ELB could not be updated due to the following error: {message}"
    )


def _fail(run: Run, failure: Failed) -> None:
    """A rollback is a deployment of its own where one is configured; else this one puts back what it moved."""
    if run.failure is not None or run.deployment.rolls_back:  # the undoing itself failed
        log.error("deployment %s could not be undone: %s", run.deployment.id, failure)
        run.failure = run.failure or failure
        return _finish(run)
    run.failure = failure
    with run.change() as deployment:
        deployment.waiting = None
        for event in deployment.events:
            _close(event, failure)
    if _rolls_back(run.deployment, failure):
        _roll_back(run)
        return _finish(run)
    run.steps, run.due = undo(run), 0.0
    return None


def _close(event: Event, failure: Failed) -> None:
    if event.status == "InProgress":
        stopped = failure.status == "Stopped"
        event.status, event.ended = "Skipped" if stopped else "Failed", now()
        event.diagnostics = failure.diagnostics or {
            "errorCode": "UnknownError", "scriptName": "", "message": str(failure), "logTail": ""
        }  # fmt: skip
    elif event.status == "Pending":
        event.status = "Skipped"


def _rolls_back(deployment: Deployment, failure: Failed) -> bool:
    if deployment.stop == "rollback":
        return True
    configured = deployment.group.get("autoRollbackConfiguration") or {}
    return bool(configured.get("enabled")) and failure.cause in configured.get("events", [])


def _roll_back(run: Run) -> None:
    failed = run.deployment
    made = Deployment(
        new_deployment_id(), failed.scope, failed.application, failed.group_name, failed.group, failed.config,
        failed.previous_revision or failed.revision, failed.spec, creator="codeDeployRollback",
        events=[Event("AllowTraffic", "InProgress", now())], colours=failed.colours, listeners=failed.listeners,
        rolls_back=failed.id, started=now(),
    )  # fmt: skip
    made.rollback = {
        "rollbackTriggeringDeploymentId": failed.id,
        "rollbackMessage": f"Deployment {made.id} is triggered to roll back deployment {failed.id}.",
    }
    with run.change():
        failed.rollback = {"rollbackDeploymentId": made.id, "rollbackMessage": made.rollback["rollbackMessage"]}
        tables(run.store).deployments[made.id] = made
    notify(Run(run.store, made), "ROLLBACK")


def _finish(run: Run) -> None:
    with run.change() as deployment:
        failure = run.failure
        deployment.status = failure.status if failure else "Succeeded"
        deployment.error = {"code": failure.code, "message": str(failure)} if failure else None
        deployment.completed = now()
        for event in deployment.events:
            if event.status == "InProgress":
                event.status, event.ended = "Failed" if failure else "Succeeded", now()
        _tell_group(run, deployment)
    notify(run, {"Succeeded": "SUCCESS", "Failed": "FAILURE", "Stopped": "STOP"}[deployment.status])


def _tell_group(run: Run, deployment: Deployment) -> None:
    applications = tables(run.store).applications.get(deployment.scope, {})
    application = applications.get(deployment.application)
    group = application.groups.get(deployment.group_name) if application else None
    if group:
        group.last_attempted = deployment.id
        if deployment.status == "Succeeded":
            group.last_successful = deployment.id


LOOP = Loop("codedeploy", reconcile, every=0.25)
