"""Build and test actions: CodeBuild.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodeBuild.html
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.codebuild import tables as codebuild
from emulator.control.codebuild.tables import Handoff
from emulator.loops.codepipeline.action import Action, ActionFailed, Steps


def build(action: Action) -> Steps:
    client = action.client("codebuild")
    outputs = {each["name"]: action.output(each["name"]) for each in action.run.declaration["outputArtifacts"]}
    started = _start(action, client, outputs)
    _follow(action, started)
    while True:
        yield 0.5
        (found,) = client.batch_get_builds(ids=[started["id"]])["builds"]
        if found["buildComplete"]:
            break
    if found["buildStatus"] != "SUCCEEDED":
        raise ActionFailed("JobFailed", _why(found))
    action.run.variables = {each["name"]: each["value"] for each in found["exportedEnvironmentVariables"]}
    for name, place in outputs.items():
        action.made(name, place)


def _start(action: Action, client: Any, outputs: dict[str, tuple[str, str]]) -> dict[str, Any]:
    if action.configuration.get("BatchEnabled") == "true":
        raise ActionFailed("ConfigurationError", "the emulator runs no batch builds (BatchEnabled)")
    names = [each["name"] for each in action.run.declaration["inputArtifacts"]]
    primary = action.configuration.get("PrimarySource") or names[0]
    if primary not in names:
        raise ActionFailed("ConfigurationError", f"The PrimarySource {primary} is not an input artifact of the action")
    token = str(uuid.uuid4())
    revision = next((run.revision["revisionId"] for run in action.execution.runs if run.revision), None)
    handoff = Handoff(
        primary, dict(action.run.inputs), outputs, f"codepipeline/{action.execution.pipeline}", revision
    )  # fmt: skip
    with action.store.lock:
        codebuild.tables(action.store).handoffs[token] = handoff
    try:
        started: dict[str, Any] = client.start_build(
            projectName=action.configuration["ProjectName"], idempotencyToken=token,
            environmentVariablesOverride=_variables(action),
        )["build"]  # fmt: skip
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise ActionFailed("JobFailed", f"Error calling startBuild: {message}") from error
    return started


def _variables(action: Action) -> list[dict[str, str]]:
    try:
        given = json.loads(action.configuration.get("EnvironmentVariables") or "[]")
        return [{"name": each["name"], "value": each["value"], "type": each.get("type", "PLAINTEXT")} for each in given]
    except (ValueError, KeyError, TypeError) as error:
        raise ActionFailed(
            "ConfigurationError", "The EnvironmentVariables of the action are not a JSON list of names and values"
        ) from error


def _follow(action: Action, started: dict[str, Any]) -> None:
    account, region = action.execution.scope
    project = action.configuration["ProjectName"]
    with action.store.change():
        action.run.external_id = started["id"]
        action.run.external_url = (
            f"https://console.aws.amazon.com/codebuild/home?region={region}#/builds/{started['id']}/view/new"
        )
        action.run.log_stream = started["logs"].get("cloudWatchLogsArn")
        action.run.summary = f"Build {started['id']} of project {project} in account {account}"


def _why(found: dict[str, Any]) -> str:
    """AWS's sentence: the phase that failed, and what CodeBuild says of it."""
    status = found["buildStatus"]
    for phase in found["phases"]:
        if phase.get("phaseStatus") not in (None, "SUCCEEDED"):
            context = (phase.get("contexts") or [{}])[0]
            return (
                f"Build terminated with state: {status}. Phase: {phase['phaseType']}, Code: "
                f"{context.get('statusCode', '')}, Message: {context.get('message', '')}"
            )
    return f"Build terminated with state: {status}"
