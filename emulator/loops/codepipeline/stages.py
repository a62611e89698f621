"""An execution on its way through the stages: who may enter one, what runs in it, what follows a failure.

https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html
"""

from __future__ import annotations

from emulator.control.codepipeline import executions
from emulator.control.codepipeline.tables import Execution, Json, Pipeline, StageRun, Transition, now
from emulator.loops.codepipeline.events import notify_execution, notify_stage
from emulator.loops.codepipeline.runs import Runs
from emulator.state.call import AwsError
from emulator.state.store import Store


def step(store: Store, pipeline: Pipeline, execution: Execution) -> None:
    """One step of one execution."""
    if execution.waiting:
        if execution.stop:
            _end(store, execution, "Stopped")
        elif _may_enter(pipeline, execution):
            _enter(store, pipeline, execution)
        return
    run = execution.stages[execution.stage["name"]]
    actions = store.table(Runs)
    if execution.stop == "abandon":
        actions.abandon(store, run)
    actions.step(store, execution, run)
    _proceed(store, pipeline, execution, run)


def _may_enter(pipeline: Pipeline, execution: Execution) -> bool:
    name = execution.stage["name"]
    if not pipeline.transitions.get((name, "Inbound"), Transition()).enabled:
        return False
    if execution.position > 0:
        before = execution.declaration["stages"][execution.position - 1]["name"]
        if not pipeline.transitions.get((before, "Outbound"), Transition()).enabled:
            return False
    if execution.mode == "PARALLEL":
        return True
    others = [each for each in list(pipeline.executions.values()) if each is not execution and not each.over]
    here = [each for each in others if each.stage["name"] == name]
    if any(not each.waiting for each in here):
        return False
    first = min([execution, *here], key=lambda each: each.arrived)
    return execution is first or execution.mode == "SUPERSEDED"


def supersede(store: Store, pipeline: Pipeline) -> None:
    """Where executions supersede each other, only the newest of those that wait before a stage is left."""
    for stage in pipeline.declaration["stages"]:
        waiting = [
            each for each in list(pipeline.executions.values())
            if not each.over and each.waiting and each.mode == "SUPERSEDED" and each.stage["name"] == stage["name"]
        ]  # fmt: skip
        waiting.sort(key=lambda each: each.started)
        for older in waiting[:-1]:
            older.summary = f"Superseded by {waiting[-1].id}"
            _end(store, older, "Superseded")


def _enter(store: Store, pipeline: Pipeline, execution: Execution) -> None:
    name = execution.stage["name"]
    with store.change():
        if not execution.stages:
            notify_execution(store, execution, "STARTED")
        execution.waiting, execution.updated = False, now()
        execution.stages[name] = StageRun(name)
        pipeline.latest[name] = execution.id
    notify_stage(store, execution, name, "STARTED")


def _proceed(store: Store, pipeline: Pipeline, execution: Execution, run: StageRun) -> None:
    """What follows when the actions that run have ended."""
    if any(not action.over for action in run.actions.values()):
        return
    failed = [action for action in run.actions.values() if action.status != "Succeeded"]
    if execution.stop and (
        failed or not _all_done(execution.stage, run) or execution.position < execution.last_position
    ):
        run.status = "Stopped"
        return _end(store, execution, "Stopped")
    if failed:
        return _failed(store, pipeline, execution, run)
    if not _all_done(execution.stage, run):
        return None
    with store.change():
        run.status, execution.updated = "Succeeded", now()
    notify_stage(store, execution, run.name, "SUCCEEDED")
    if execution.position == execution.last_position:
        return _end(store, execution, "Succeeded")
    with store.change():
        execution.position += 1
        execution.waiting, execution.arrived = True, now()
    return None


def _all_done(stage: Json, run: StageRun) -> bool:
    return all(action["name"] in run.actions for action in stage["actions"])


def _failed(store: Store, pipeline: Pipeline, execution: Execution, run: StageRun) -> None:
    on_failure = execution.stage.get("onFailure") or {}
    notify_stage(store, execution, run.name, "FAILED")
    if on_failure.get("result") == "RETRY" and run.retries == 0:
        with store.change():
            run.retries += 1
            mode = (on_failure.get("retryConfiguration") or {}).get("retryMode") or "FAILED_ACTIONS"
            executions.again(execution, run.name, mode)
        return
    run.status = "Failed"
    _end(store, execution, "Failed")
    if on_failure.get("result") == "ROLLBACK" and not execution.rollback_of:
        _roll_back(store, pipeline, execution, run.name)


def _roll_back(store: Store, pipeline: Pipeline, failed: Execution, stage: str) -> None:
    """To the last execution that succeeded in the stage; without one there is nothing to go back to."""
    good = [
        each for each in list(pipeline.executions.values())
        if each is not failed and stage in each.stages and each.stages[stage].status == "Succeeded"
    ]  # fmt: skip
    if good:
        trigger = {"triggerType": "AutomatedRollback", "triggerDetail": failed.id}
        try:
            with store.change():
                executions.roll_back(pipeline, stage, good[-1], trigger)
        except AwsError as error:
            failed.summary = f"{failed.summary} No rollback: {error.message}".strip()


def _end(store: Store, execution: Execution, status: str) -> None:
    with store.change():
        execution.status, execution.updated = status, now()
    notify_execution(store, execution, status.upper())
