"""Follows a release live: the pipeline's stages, CodeDeploy's lifecycle events, the traffic between the colours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator.errors import Interrupted, ReleaseFailed
from orchestrator.releases import Target
from orchestrator.site import Site
from orchestrator.tools import codebuild
from orchestrator.tools.aws import code, explained
from orchestrator.tools.traffic import colours

PAUSE = 1.0
ENDED = ("Succeeded", "Failed", "Stopped")
PIPELINE_ENDED = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")


class Follower:
    """Says each change once. It only reads: killed, the release goes on, and another follower can take over."""

    def __init__(self, site: Site, target: Target) -> None:
        self._site = site
        self._target = target
        self._said: dict[str, str] = {}
        self._deployments: set[str] = set()
        self._remedy = ""

    def execution(self, execution: str) -> None:
        """Follows a pipeline execution to its end; ``ReleaseFailed`` says why when it is not the good one."""
        client, name = self._site.aws.client("codepipeline"), self._target.pipeline["pipeline_name"]
        with self._left_alone(), explained("following the pipeline"):
            while True:
                status = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution)
                why = self._actions(client, name, execution)
                for deployment in sorted(self._deployments):
                    self._deployment(deployment)
                found = status["pipelineExecution"]
                if found["status"] in PIPELINE_ENDED:
                    break
                time.sleep(PAUSE)
        if found["status"] != "Succeeded":
            self._failed(
                f"the pipeline {found['status'].lower()}: {why or found.get('statusSummary', 'no reason given')}"
            )

    def deployment(self, deployment: str) -> None:
        """Follows one CodeDeploy deployment to its end."""
        self._deployments.add(deployment)
        with self._left_alone(), explained("following the deployment"):
            while (info := self._deployment(deployment))["status"] not in ENDED:
                time.sleep(PAUSE)
        if info["status"] != "Succeeded":
            why = info.get("errorInformation", {}).get("message") or info.get("rollbackInfo", {}).get("rollbackMessage")
            self._failed(f"deployment {deployment} {info['status'].lower()}: {why or 'no reason given'}")

    @contextmanager
    def _left_alone(self) -> Iterator[None]:
        """Ctrl-C ends the following, not the release."""
        try:
            yield
        except KeyboardInterrupt:
            command = self._site.config.command
            remedy = f"go on following: {command('release --follow')}; end it: {command('stop')}"
            raise Interrupted("no longer followed; the release goes on", remedy) from None

    def _failed(self, what: str) -> None:
        command = self._site.config.command
        # `history` would say the same sentence again.
        more = f"what its tasks said: {command('logs')}" if self._deployments else ""
        remedy = self._remedy or more or f"mend it, commit, then: {command('release')}"
        raise ReleaseFailed(f"{what}\nwhat served before goes on serving", remedy)

    def _actions(self, client: Any, name: str, execution: str) -> str:
        """Says what the stages do; why one failed, if one did."""
        listed = client.list_action_executions(pipelineName=name, filter={"pipelineExecutionId": execution})
        failed = ""
        for action in reversed(listed["actionExecutionDetails"]):
            result = action.get("output", {}).get("executionResult", {})
            external = result.get("externalExecutionId", "")
            if action.get("input", {}).get("actionTypeId", {}).get("provider") == "CodeDeployToECS" and external:
                self._deployments.add(external)
            place = f"{action['stageName']}/{action['actionName']}"
            self._say(action["actionExecutionId"], f"{place:<24} {action['status']}")
            if action["status"] == "Failed":
                details = result.get("errorDetails", {}).get("message") or result.get("externalExecutionSummary", "")
                failed = f"{place}: {details or 'failed'}"
                if action["input"]["actionTypeId"]["provider"] == "CodeBuild" and external:
                    failed += self._last_words(external)
        return failed

    def _last_words(self, build: str) -> str:
        """What a build that failed said last, and how to have the rest of it."""
        aws = self._site.aws
        found = aws.client("codebuild").batch_get_builds(ids=[build])["builds"]
        last = codebuild.log_of(aws, found[0])[-12:] if found else []
        self._remedy = f"all that the build said: {self._site.config.command('logs --build')}"
        return "".join(f"\n  {line}" for line in last)

    def _deployment(self, deployment: str) -> dict[str, Any]:
        client = self._site.aws.client("codedeploy")
        info: dict[str, Any] = client.get_deployment(deploymentId=deployment)["deploymentInfo"]
        for event in _lifecycle_events(client, deployment):
            if event["status"] != "Pending":
                name = event["lifecycleEventName"]
                self._say(f"{deployment}/{name}", f"  {name:<22} {event['status']}{_reason(event)}")
        self._traffic()
        self._say(deployment, f"  deployment {deployment} {info['status']}")
        if self._said.get(f"{deployment}/AfterAllowTraffic", "").endswith("Succeeded") and info["status"] not in ENDED:
            self._say(f"{deployment}/way back", f"  the new version serves everyone{_way_back(info)}")
        return info

    def _traffic(self) -> None:
        found = colours(self._site.aws, self._target.network)
        shares = "  ".join(f"{colour} {state['production']}%" for colour, state in sorted(found.items()))
        tests = next((colour for colour, state in found.items() if state["test"]), "-")
        self._say("traffic", f"  traffic {shares}, test listener on {tests}")

    def _say(self, key: str, line: str) -> None:
        if self._said.get(key) != line:
            self._said[key] = line
            self._site.say(line)


def _lifecycle_events(client: Any, deployment: str) -> list[dict[str, Any]]:
    """The lifecycle events of a deployment's targets; none while CodeDeploy has created it and not begun it."""
    from botocore.exceptions import ClientError

    try:
        identifiers = client.list_deployment_targets(deploymentId=deployment).get("targetIds", [])
        targets = [
            client.get_deployment_target(deploymentId=deployment, targetId=identifier)["deploymentTarget"]
            for identifier in identifiers
        ]
    except ClientError as error:
        if code(error) == "DeploymentNotStartedException":
            return []
        raise
    return [event for target in targets for event in target.get("ecsTarget", {}).get("lifecycleEvents", [])]


def _reason(event: Mapping[str, Any]) -> str:
    message = event.get("diagnostics", {}).get("message", "")
    return f": {message}" if event["status"] == "Failed" and message else ""


def _way_back(info: Mapping[str, Any]) -> str:
    """How long what served before stays after the shift, for alarms and for `stop` to go back to."""
    blue = info.get("blueGreenDeploymentConfiguration", {}).get("terminateBlueInstancesOnDeploymentSuccess", {})
    minutes = blue.get("terminationWaitTimeInMinutes", 0) if blue.get("action") == "TERMINATE" else 0
    return f"; the old one stays {minutes} min, for a way back" if minutes else ""
