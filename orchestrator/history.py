"""What was released: CodeDeploy's deployments, joined with the pipeline executions that began them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orchestrator.tools import source
from orchestrator.tools.aws import Aws, code, explained

RUNNING = ("Created", "Queued", "InProgress", "Baking", "Ready")  # a deployment that has not ended


class Where(Protocol):
    """The answers of the phases ``ecs`` and ``pipeline``."""

    @property
    def ecs(self) -> Mapping[str, Any]: ...

    @property
    def pipeline(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Release:
    """One release; ``deployment`` is empty when the pipeline ended before CodeDeploy began."""

    deployment: str
    execution: str
    result: str
    began: str
    seconds: float
    who: str
    commit: str
    digest: str
    task_definition: str
    why: str


def deployments(aws: Aws, ecs: Mapping[str, Any], statuses: Sequence[str] = ()) -> list[str]:
    """The group's deployments, the newest first."""
    options = {"includeOnlyStatuses": list(statuses)} if statuses else {}
    pages = (
        aws.client("codedeploy")
        .get_paginator("list_deployments")
        .paginate(applicationName=ecs["application_name"], deploymentGroupName=ecs["deployment_group_name"], **options)
    )
    return [deployment for page in pages for deployment in page["deployments"]]


def last_good(aws: Aws, ecs: Mapping[str, Any]) -> str:
    """The task definition of the newest release that ended well; empty when there was none."""
    good = deployments(aws, ecs, ["Succeeded"])[:1]
    return _task_definition(_described(aws, good)[0]) if good else ""


def commit_of(aws: Aws, pipeline: Mapping[str, Any], deployment: str) -> str:
    """The commit that the pipeline released by ``deployment``; empty when it was not the pipeline's, or long ago."""
    client, name = aws.client("codepipeline"), pipeline["pipeline_name"]
    with explained("codepipeline:ListActionExecutions"):
        for action in client.list_action_executions(pipelineName=name, maxResults=100)["actionExecutionDetails"]:
            if action.get("output", {}).get("executionResult", {}).get("externalExecutionId") == deployment:
                identifier = action["pipelineExecutionId"]
                found = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=identifier)
                revisions = found["pipelineExecution"].get("artifactRevisions", [])
                return next((str(each["revisionId"]) for each in revisions), "")
    return ""


def recent(aws: Aws, where: Where, most: int) -> list[Release]:
    """The newest releases first, failed pipelines that never came to a deployment included."""
    with explained("reading the history"):
        ids = deployments(aws, where.ecs)[:most]
        found = _described(aws, ids)
        by_deployment = _executions(aws, where.pipeline, most)
        _name_authors(aws, where.pipeline, by_deployment.values())
        releases = [_release(aws, each, by_deployment.pop(each["deploymentId"], None)) for each in found]
    releases += [_without_deployment(execution) for execution in by_deployment.values() if not _is_birth(execution)]
    return sorted(releases, key=lambda release: release.began, reverse=True)[:most]


def _described(aws: Aws, ids: list[str]) -> list[dict[str, Any]]:
    client = aws.client("codedeploy")
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), 25):  # BatchGetDeployments takes 25
        found += client.batch_get_deployments(deploymentIds=ids[start : start + 25])["deploymentsInfo"]
    return found


def _executions(aws: Aws, pipeline: Mapping[str, Any], most: int) -> dict[str, dict[str, Any]]:
    """Pipeline executions by the deployment that they began, or by their own id when they began none."""
    client, name = aws.client("codepipeline"), pipeline["pipeline_name"]
    summaries = client.list_pipeline_executions(pipelineName=name, maxResults=min(most, 100))
    found = {}
    for execution in summaries["pipelineExecutionSummaries"]:
        actions = client.list_action_executions(
            pipelineName=name, filter={"pipelineExecutionId": execution["pipelineExecutionId"]}
        )["actionExecutionDetails"]
        key, failed = execution["pipelineExecutionId"], ""
        for action in actions:
            result = action.get("output", {}).get("executionResult", {})
            if action.get("input", {}).get("actionTypeId", {}).get("provider") == "CodeDeployToECS":
                key = result.get("externalExecutionId") or key
            if action["status"] == "Failed":
                summary = result.get("errorDetails", {}).get("message") or result.get("externalExecutionSummary", "")
                failed = f"{action['stageName']}: {summary or 'failed'}"
        found[key] = execution | {"why": failed}
    return found


def _name_authors(aws: Aws, pipeline: Mapping[str, Any], executions: Iterable[dict[str, Any]]) -> None:
    """Puts the commits' authors to their executions, as far as they are known."""
    known: dict[str, str] = {}
    for execution in executions:
        commit = _commit(execution)
        if commit and commit not in known:
            known[commit] = source.author(aws, aws.config.root, pipeline, commit)
        execution["author"] = known.get(commit, "")


def _release(aws: Aws, deployment: dict[str, Any], execution: dict[str, Any] | None) -> Release:
    task_definition = _task_definition(deployment)
    rolled_back = deployment.get("rollbackInfo", {}).get("rollbackMessage", "")
    why = deployment.get("errorInformation", {}).get("message", "") or rolled_back or deployment.get("description", "")
    return Release(
        deployment["deploymentId"],
        execution["pipelineExecutionId"] if execution else "",
        deployment["status"],
        _moment(deployment.get("createTime")),
        _span(deployment.get("createTime"), deployment.get("completeTime")),
        _who(execution) or deployment.get("creator", ""),
        _commit(execution),
        _digest(aws, task_definition),
        task_definition,
        why,
    )


def _is_birth(execution: Mapping[str, Any]) -> bool:
    """Whether it is the run that AWS gives every new pipeline, before its branch exists: nobody released anything."""
    created = execution.get("trigger", {}).get("triggerType") == "CreatePipeline"
    return created and not execution.get("sourceRevisions") and execution["status"] == "Failed"


def _without_deployment(execution: dict[str, Any]) -> Release:
    return Release(
        "",
        execution["pipelineExecutionId"],
        execution["status"],
        _moment(execution.get("startTime")),
        _span(execution.get("startTime"), execution.get("lastUpdateTime")),
        _who(execution),
        _commit(execution),
        "",
        "",
        execution.get("statusSummary") or execution["why"] or execution.get("stopTrigger", {}).get("reason", ""),
    )


def _task_definition(deployment: dict[str, Any]) -> str:
    """The revision that an AppSpec names; the document is YAML or JSON, the ARN in it is the same."""
    revision = deployment.get("revision", {})
    content = revision.get("appSpecContent", {}).get("content") or revision.get("string", {}).get("content") or ""
    match = re.search(r"arn:[a-z-]+:ecs:[a-z0-9-]+:\d{12}:task-definition/[\w-]+:\d+", content)
    return match[0] if match else ""


def _digest(aws: Aws, task_definition: str) -> str:
    from botocore.exceptions import ClientError

    if not task_definition:
        return ""
    try:
        found = aws.client("ecs").describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    except ClientError as error:
        if code(error) == "ClientException":
            return ""
        raise
    return digest_of(found["containerDefinitions"][0]["image"])


def digest_of(uri: str) -> str:
    """The first 12 digits of an image's digest."""
    return uri.partition("@sha256:")[2][:12]


def _who(execution: dict[str, Any] | None) -> str:
    if execution and execution.get("author"):
        return str(execution["author"])
    trigger = (execution or {}).get("trigger", {})
    if trigger.get("triggerType") == "WebhookV2":  # its detail is the connection
        return "git push"
    detail = str(trigger.get("triggerDetail", ""))
    return detail.rpartition("/")[2] or str(trigger.get("triggerType", ""))


def _commit(execution: dict[str, Any] | None) -> str:
    for revision in (execution or {}).get("sourceRevisions", []):
        return str(revision.get("revisionId", ""))
    return ""


def _moment(value: Any) -> str:
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else ""


def _span(began: Any, ended: Any) -> float:
    both = isinstance(began, datetime) and isinstance(ended, datetime)
    return round((ended - began).total_seconds(), 1) if both else 0.0
