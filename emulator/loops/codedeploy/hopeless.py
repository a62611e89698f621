"""A task set that will never be healthy, told by its tasks; AWS waits out the hour (docs/decisions/0036)."""

from __future__ import annotations

import math

from botocore.exceptions import ClientError

from emulator.control.codedeploy.tables import Json
from emulator.loops.codedeploy.run import Failed, Run


def check(run: Run, green: Json) -> None:
    """Raises Failed when as many of its tasks have stopped as ECS's deployment circuit breaker takes for a failure.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html#failure-threshold
    """
    stopped = _stopped(run, green)
    threshold = max(3, math.ceil(green["computedDesiredCount"] / 2))
    if len(stopped) >= threshold:
        raise Failed(
            "HEALTH_CONSTRAINTS",
            f"The replacement task set cannot become healthy: {len(stopped)} of its tasks have stopped, the last one "
            f"with: {_why(stopped[-1])}",
        )


def _stopped(run: Run, green: Json) -> list[Json]:
    """Its stopped tasks, oldest first. The emulator's own look: CodeDeploy's role is not asked to allow it."""
    ecs, cluster = run.store.clients("ecs", run.deployment.scope[1]), run.deployment.service["clusterName"]
    try:
        arns = ecs.list_tasks(cluster=cluster, startedBy=green["id"], desiredStatus="STOPPED")["taskArns"]
        found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    except ClientError:
        return []
    return sorted((each for each in found if each.get("stoppedAt")), key=lambda each: str(each["stoppedAt"]))


def _why(task: Json) -> str:
    containers = [each for each in task["containers"] if each.get("reason") or each.get("exitCode")]
    details = [
        f"{each['name']}: {each.get('reason') or 'exit code ' + str(each['exitCode'])}" for each in containers
    ]  # fmt: skip
    return "; ".join([task.get("stoppedReason") or "no reason", *details])
