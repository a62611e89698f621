"""Manual approvals: wait for PutApprovalResult."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from emulator.loops.codepipeline.action import Action, ActionFailed, Steps

WEEK = 7 * 24 * 60  # minutes that an approval waits, unless its action says otherwise


def manual(action: Action) -> Steps:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/approvals.html"""
    run = action.run
    with action.store.change():
        run.token = str(uuid.uuid4())
        run.external_url = action.configuration.get("ExternalEntityLink")
    if topic := action.configuration.get("NotificationArn"):
        _publish(action, topic)
    while "decision" not in run.variables:
        yield 0.5
    if run.variables.pop("decision") != "Approved":
        raise ActionFailed("JobFailed", f"Rejected by {run.updated_by}: {run.summary}")
    with action.store.change():
        run.summary = f"Approved by {run.updated_by}: {run.summary}" if run.summary else f"Approved by {run.updated_by}"


def _publish(action: Action, topic: str) -> None:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/approvals-json-format.html"""
    execution, run = action.execution, action.run
    console = f"https://console.aws.amazon.com/codepipeline/home?region={action.region}#/view/{execution.pipeline}"
    minutes = run.declaration.get("timeoutInMinutes") or WEEK
    message = {
        "region": action.region, "consoleLink": console,
        "approval": {
            "pipelineName": execution.pipeline, "stageName": run.stage, "actionName": run.name, "token": run.token,
            "expires": f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%MZ}",
            "externalEntityLink": run.external_url,
            "approvalReviewLink": f"{console}/{run.stage}/{run.name}/approve/{run.token}",
            "customData": action.configuration.get("CustomData"),
        },
    }  # fmt: skip
    subject = f"APPROVAL NEEDED: AWS CodePipeline {execution.pipeline} for action {run.name}"[:100]
    try:
        action.client("sns").publish(TopicArn=topic, Subject=subject, Message=json.dumps(message))
    except ClientError as error:
        raise ActionFailed("ConfigurationError", f"The approval could not be announced: {error}") from error
