"""Ends the release that runs, wherever it is: before its deployment, in it, or between the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import NotNow
from orchestrator.history import RUNNING, deployments
from orchestrator.releases import Target
from orchestrator.site import Site
from orchestrator.tools.aws import code, explained

# How long a deploy action may take from its start to its deployment: a task definition and an AppSpec.
PATIENCE = 30.0
PAUSE = 0.5
# It ended, or was stopped by somebody else, between our look and our stop.
OVER = (
    "DeploymentAlreadyCompletedException",
    "DuplicatedStopRequestException",
    "PipelineExecutionNotStoppableException",
)


def stop(site: Site, target: Target) -> str:
    """Ends the release that runs, traffic back to where it was; what was stopped.

    The pipeline first: a stage that has not begun never will. Then what CodeDeploy has of it.
    """
    with explained("stopping the release"):
        executions = _stop_executions(site, target)
        stopped = _stop_deployments(site, target, executions)
    stopped += [f"pipeline execution {each}" for each in executions]
    if not stopped:
        raise NotNow("no release is running", f"see: {site.config.command('history')}")
    return ", ".join(stopped)


def _stop_executions(site: Site, target: Target) -> list[str]:
    client, name = site.aws.client("codepipeline"), target.pipeline["pipeline_name"]
    stopped = []
    for execution in client.list_pipeline_executions(pipelineName=name, maxResults=10)["pipelineExecutionSummaries"]:
        identifier = execution["pipelineExecutionId"]
        if execution["status"] == "InProgress" and _stops(
            client.stop_pipeline_execution,
            pipelineName=name,
            pipelineExecutionId=identifier,
            # Work under way comes to its end; an approval would wait for a week.
            abandon=any(_provider(action) == "Manual" for action in _under_way(client, name, identifier)),
            reason="stopped by the orchestrator",
        ):
            stopped.append(identifier)
    return stopped


def _stop_deployments(site: Site, target: Target, executions: list[str]) -> list[str]:
    """Those that run and, of the pipeline executions just stopped, those about to begin; a rollback is left alone."""
    pipeline, name = site.aws.client("codepipeline"), target.pipeline["pipeline_name"]
    deadline = time.monotonic() + PATIENCE
    while any(_about_to_deploy(pipeline, name, each) for each in executions) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    client, running = site.aws.client("codedeploy"), deployments(site.aws, target.ecs, RUNNING)
    found = client.batch_get_deployments(deploymentIds=running)["deploymentsInfo"] if running else []
    return [
        f"deployment {each['deploymentId']}"
        for each in found
        if each.get("creator") != "codeDeployRollback"
        and _stops(client.stop_deployment, deploymentId=each["deploymentId"], autoRollbackEnabled=True)
    ]


def _about_to_deploy(client: Any, name: str, execution: str) -> bool:
    """Whether an action of the execution will begin a deployment any moment, stopped or not."""
    return any(
        _provider(action) == "CodeDeployToECS"
        and not action.get("output", {}).get("executionResult", {}).get("externalExecutionId")
        for action in _under_way(client, name, execution)
    )


def _under_way(client: Any, name: str, execution: str) -> list[Mapping[str, Any]]:
    listed = client.list_action_executions(pipelineName=name, filter={"pipelineExecutionId": execution})
    return [action for action in listed["actionExecutionDetails"] if action["status"] == "InProgress"]


def _provider(action: Mapping[str, Any]) -> str:
    return str(action.get("input", {}).get("actionTypeId", {}).get("provider", ""))


def _stops(ask: Callable[..., Any], **asked: Any) -> bool:
    """Whether there was still something to stop."""
    from botocore.exceptions import ClientError

    try:
        ask(**asked)
    except ClientError as error:
        if code(error) in OVER:
            return False
        raise
    return True
