"""What Terraform leaves to us about the ECS service: waiting until it serves, and its task definitions at the end.

The provider's own wait never ends for a service under CodeDeploy (docs/decisions/0002).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import names
from orchestrator.commands import command
from orchestrator.errors import ServiceUnsteady
from orchestrator.tools.aws import Aws, code, explained
from orchestrator.tools.cancel import Cancel
from orchestrator.tools.terraform_events import Listener, Progress

Answer = Mapping[str, Any]
PATIENCE = 900.0  # seconds; Fargate pulls a large image in two minutes, and a task may need a second try
PAUSE = 1.0
# As many stopped tasks within one wait mean that the image does not start, not that one was unlucky.
HOPELESS = 6


def wait(
    aws: Aws, ecs: Answer, network: Answer, listener: Listener, cancel: Cancel, patience: float = PATIENCE
) -> None:
    """Ends when the primary task set is steady, all its tasks run and production has as many healthy targets."""
    deadline = time.monotonic() + patience
    with explained("waiting for the service"):
        # ECS goes on listing a stopped task for an hour: those of earlier runs say nothing of this one.
        earlier = set(_stopped(aws, ecs))
        while True:
            running, healthy, desired, steady = _look(aws, ecs, network)
            listener(Progress(min(running, healthy), desired, f"waits: {running} of {desired} run, {healthy} healthy"))
            if steady and desired and running >= desired and healthy >= desired:
                return
            stopped = [why for arn, why in _stopped(aws, ecs).items() if arn not in earlier]
            if time.monotonic() > deadline or len(stopped) >= HOPELESS:
                raise ServiceUnsteady(
                    f"the service does not become steady: {running} of {desired} tasks run, {healthy} healthy"
                    + "".join(f"\n  a task stopped: {reason}" for reason in dict.fromkeys(stopped[:3])),
                    f"see what the tasks say: {command('logs')}",
                )
            cancel.wait(
                PAUSE, f"the service goes on starting by itself: {running} of {desired} tasks run, {healthy} healthy"
            )


def live_revision(aws: Aws, ecs: Answer) -> str:
    """The task definition of the primary task set."""
    with explained("ecs:DescribeServices"):
        primary = _primary(aws, ecs)[1]
    return str(primary["taskDefinition"]) if primary else ""


def _primary(aws: Aws, ecs: Answer) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The service, and its primary task set once it has one."""
    answer = aws.client("ecs").describe_services(cluster=ecs["cluster_name"], services=[ecs["service_name"]])
    service: dict[str, Any] = answer["services"][0]
    return service, next((each for each in service.get("taskSets", []) if each["status"] == "PRIMARY"), None)


def _look(aws: Aws, ecs: Answer, network: Answer) -> tuple[int, int, int, bool]:
    found, primary = _primary(aws, ecs)
    if primary is None:
        # A service has its first task set a moment after it is there.
        return 0, 0, int(found["desiredCount"]), False
    groups = [balancer["targetGroupArn"] for balancer in primary.get("loadBalancers", [])]
    groups = groups or [network["target_groups"]["blue"]["arn"]]
    health = aws.client("elbv2").describe_target_health(TargetGroupArn=groups[0])["TargetHealthDescriptions"]
    healthy = sum(target["TargetHealth"]["State"] == "healthy" for target in health)
    steady = primary.get("stabilityStatus") == "STEADY_STATE"
    return int(primary.get("runningCount", 0)), healthy, int(primary.get("computedDesiredCount", 0)), steady


def _stopped(aws: Aws, ecs: Answer) -> dict[str, str]:
    """Why the family's tasks stopped, by their ARNs: those that failed."""
    client, cluster = aws.client("ecs"), ecs["cluster_name"]
    arns = client.list_tasks(cluster=cluster, family=ecs["task_family"], desiredStatus="STOPPED")["taskArns"]
    if not arns:
        return {}
    tasks = client.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"]
    failed = ("EssentialContainerExited", "TaskFailedToStart")
    return {task["taskArn"]: _why(task) for task in tasks if task.get("stopCode") in failed}


def _why(task: Mapping[str, Any]) -> str:
    codes = [str(container["exitCode"]) for container in task.get("containers", []) if "exitCode" in container]
    return f"{task.get('stoppedReason', 'no reason given')}" + (f" (exit code {', '.join(codes)})" if codes else "")


def deregister(aws: Aws, family: str) -> int:
    """Deregisters every revision of the family, the pipeline's included (docs/decisions/0003); how many there were."""
    client = aws.client("ecs")
    with explained("ecs:DeregisterTaskDefinition"):
        revisions = list(_revisions(client, family))
        for revision in revisions:
            client.deregister_task_definition(taskDefinition=revision)
    return len(revisions)


def forget_insights(aws: Aws) -> None:
    """Deletes the log that Container Insights keeps of the cluster: AWS makes it by itself, and it outlives it.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-reference-performance-logs-ECS.html
    """
    from botocore.exceptions import ClientError

    for name in names.by_aws(aws.config):
        with explained("logs:DeleteLogGroup"):
            try:
                aws.client("logs").delete_log_group(logGroupName=name)
            except ClientError as error:
                if code(error) != "ResourceNotFoundException":
                    raise


def _revisions(client: Any, family: str) -> Iterator[str]:
    for page in client.get_paginator("list_task_definitions").paginate(familyPrefix=family, status="ACTIVE"):
        for arn in page["taskDefinitionArns"]:
            # The prefix "chatbot" finds "chatbot-2" as well.
            if arn.rpartition("/")[2].rpartition(":")[0] == family:
                yield arn
