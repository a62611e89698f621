"""The actions under way: begun in the order that the stage says, stepped, timed out, ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from emulator.control import waits
from emulator.control.codepipeline.tables import ActionRun, Execution, Json, StageRun, now
from emulator.loops.codepipeline import approval, build, connections, deploy, function, rolling, sources
from emulator.loops.codepipeline.action import Action, ActionFailed, Steps
from emulator.loops.codepipeline.events import notify_action
from emulator.state.store import Store

log = logging.getLogger("emulator.codepipeline")

_PROVIDERS: dict[tuple[str, str], Callable[[Action], Steps]] = {
    ("Source", "CodeCommit"): sources.codecommit,
    ("Source", "S3"): sources.s3,
    ("Source", "ECR"): sources.ecr,
    ("Source", "CodeStarSourceConnection"): connections.connection,
    ("Build", "CodeBuild"): build.build,
    ("Test", "CodeBuild"): build.build,
    ("Approval", "Manual"): approval.manual,
    ("Deploy", "CodeDeployToECS"): deploy.codedeploy_to_ecs,
    ("Deploy", "ECS"): rolling.ecs,
    ("Deploy", "S3"): deploy.s3,
    ("Invoke", "Lambda"): function.function,
}


@dataclass
class Running:
    steps: Steps
    deadline: float
    due: float = 0.0


@dataclass
class Runs:
    """A table of the store: what runs, by the action run's id."""

    by_id: dict[str, Running] = field(default_factory=dict)

    def step(self, store: Store, execution: Execution, stage: StageRun) -> None:
        """Begins what is due in the stage, and takes one step of each action that runs."""
        if not execution.stop:
            for declaration in _next(execution.stage, stage):
                self._begin(store, execution, stage, declaration)
        for run in list(stage.actions.values()):
            if not run.over and run.id in self.by_id:
                self._step(store, execution, run)

    def abandon(self, store: Store, stage: StageRun) -> None:
        """The stage's actions are left to themselves."""
        with store.change():
            for run in stage.actions.values():
                if not run.over:
                    self.by_id.pop(run.id, None)
                    run.status, run.updated = "Abandoned", now()

    def _begin(self, store: Store, execution: Execution, stage: StageRun, declaration: Json) -> None:
        run = ActionRun(stage.name, declaration)
        with store.change():
            stage.actions[run.name] = run
            execution.runs.append(run)
        notify_action(store, execution, run, "STARTED")
        kind = declaration["actionTypeId"]
        provider = _PROVIDERS.get((kind["category"], kind["provider"]))
        try:
            if provider is None:
                raise ActionFailed(
                    "ConfigurationError", f"the emulator runs no actions of the provider {kind['provider']}"
                )
            steps = provider(Action(store, execution, run))
        except ActionFailed as error:
            return _end(store, execution, run, error)
        minutes = declaration.get("timeoutInMinutes") or approval.WEEK
        self.by_id[run.id] = Running(steps, time.monotonic() + waits.seconds(minutes))
        return None

    def _step(self, store: Store, execution: Execution, run: ActionRun) -> None:
        running = self.by_id[run.id]
        if time.monotonic() < running.due:
            return
        failure: ActionFailed | None = None
        try:
            if time.monotonic() > running.deadline:
                raise ActionFailed("JobFailed", "The action timed out.")
            running.due = time.monotonic() + next(running.steps)
            return
        except StopIteration:
            pass
        except ActionFailed as error:
            failure = error
        except ClientError as error:
            failure = ActionFailed("JobFailed", str(error))
        except Exception as error:  # an action that fails must end, whatever failed
            log.exception("action %s of %s", run.name, execution.pipeline)
            failure = ActionFailed("JobFailed", f"The emulator failed: {error!r}")
        del self.by_id[run.id]
        _end(store, execution, run, failure)


def _next(stage: Json, run: StageRun) -> list[Json]:
    """The actions of the lowest run order that has not been begun, once all before have succeeded."""
    missing = [each for each in stage["actions"] if each["name"] not in run.actions]
    if not missing or any(action.status != "Succeeded" for action in run.actions.values()):
        return []
    order = min(each["runOrder"] for each in missing)
    return [each for each in missing if each["runOrder"] == order]


def _end(store: Store, execution: Execution, run: ActionRun, failure: ActionFailed | None) -> None:
    with store.change():
        run.status, run.updated = "Failed" if failure else "Succeeded", now()
        execution.updated = now()
        if failure:
            run.error = {"code": failure.code, "message": str(failure)}
        elif namespace := run.declaration.get("namespace"):
            execution.namespaces[namespace] = dict(run.variables)
    notify_action(store, execution, run, "FAILED" if failure else "SUCCEEDED")
