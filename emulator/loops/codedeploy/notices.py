"""Who hears of a deployment: EventBridge always, and the SNS topics of the group's triggers."""

from __future__ import annotations

import json
import logging
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.codedeploy.tables import Deployment
from emulator.control.events.bus import emit
from emulator.loops.codedeploy.run import Run

log = logging.getLogger("emulator.codedeploy")

# An event's state and the trigger event of the same moment; a rollback is told of when it is made.
_TRIGGERS = {
    "START": "DeploymentStart", "SUCCESS": "DeploymentSuccess", "FAILURE": "DeploymentFailure",
    "STOP": "DeploymentStop", "READY": "DeploymentReady", "ROLLBACK": "DeploymentRollback",
}  # fmt: skip


def notify(run: Run, state: str) -> None:
    """https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-cloudwatch-events.html"""
    deployment = run.deployment
    account, region = deployment.scope
    base = f"arn:aws:codedeploy:{region}:{account}"
    if state != "ROLLBACK":
        emit(
            run.store, deployment.scope, "aws.codedeploy", "CodeDeploy Deployment State-change Notification",
            {
                "region": region, "deploymentId": deployment.id, "instanceGroupId": "", "state": state,
                "application": deployment.application, "deploymentGroup": deployment.group_name,
            },
            [f"{base}:application:{deployment.application}",
             f"{base}:deploymentgroup:{deployment.application}/{deployment.group_name}"],
        )  # fmt: skip
    for trigger in deployment.group.get("triggerConfigurations") or []:
        if _TRIGGERS[state] in trigger.get("triggerEvents", []):
            _publish(run, trigger)


def _publish(run: Run, trigger: dict[str, Any]) -> None:
    """A notice that cannot be sent never fails the deployment."""
    deployment = run.deployment
    region, group = deployment.scope[1], deployment.group_name
    subject = f"{deployment.status.upper()}: AWS CodeDeploy {deployment.id} in {region} to {group}"
    try:
        run.client("sns").publish(
            TopicArn=trigger["triggerTargetArn"],
            Subject=subject[:100],
            Message=json.dumps(_message(deployment, trigger)),
        )
    except (ClientError, roles.RoleRefused) as error:
        log.warning("trigger %s of deployment %s: %s", trigger.get("triggerName"), deployment.id, error)


def _message(deployment: Deployment, trigger: dict[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-sns-event-notifications-json-format.html"""
    found = {
        "region": deployment.scope[1], "accountId": deployment.scope[0], "eventTriggerName": trigger.get("triggerName"),
        "applicationName": deployment.application, "deploymentId": deployment.id,
        "deploymentGroupName": deployment.group_name, "createTime": f"{deployment.created:%c UTC}",
        "completeTime": f"{deployment.completed:%c UTC}" if deployment.completed else None,
        "status": deployment.status.upper(), "rollbackInformation": deployment.rollback or None,
        "errorInformation": json.dumps(deployment.error) if deployment.error else None,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}
