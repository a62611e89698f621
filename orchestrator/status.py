"""What runs: phases, colours and their traffic, tasks, targets, alarms. It only reads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from orchestrator import phases
from orchestrator.site import Site
from orchestrator.tools import secret
from orchestrator.tools.aws import Aws, code, explained

Answer = Mapping[str, Any]


def read(site: Site) -> dict[str, Any]:
    """Everything at once; what was never applied is absent."""
    answers = {phase.name: phase.work.answer(site) for phase in phases.PHASES}
    network, ecs = answers.get("network"), answers.get("ecs")
    found: dict[str, Any] = {"environment": site.config.name, "phases": _phases(site, answers)}
    with ThreadPoolExecutor(max_workers=6) as pool, explained("reading the status"):
        jobs: dict[str, Any] = {}
        if network:
            found["url"], found["test_url"] = network["url"], network["test_url"]
            jobs["colours"] = pool.submit(colours, site.aws, network)
        if name := phases.secret_name(site):
            jobs["token"] = pool.submit(_token, site.aws, name)
        if ecs:
            described = pool.submit(_described, site.aws, ecs)
            jobs["service"] = pool.submit(lambda: _service(site.aws, ecs, described.result()))
            jobs["image"] = pool.submit(lambda: _image(site.aws, described.result()))
            jobs["alarms"] = pool.submit(_alarms, site.aws, site.config.prefix)
        found |= {name: job.result() for name, job in jobs.items()}
    return found


def _phases(site: Site, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "phase": name,
            "status": site.record(name).get("status", "applied" if answer else "not applied"),
            "since": site.record(name).get("since", ""),
        }
        for name, answer in answers.items()
    ]


def colours(aws: Aws, network: Answer) -> dict[str, Any]:
    """Per colour: its share of production and of test traffic in percent, and its targets' health."""
    elb = aws.client("elbv2")
    shares = {kind: _shares(elb, network[f"{kind}_listener_arn"]) for kind in ("production", "test")}
    found = {}
    for colour, group in network["target_groups"].items():
        health = elb.describe_target_health(TargetGroupArn=group["arn"])["TargetHealthDescriptions"]
        states: dict[str, int] = {}
        for target in health:
            state = target["TargetHealth"]["State"]
            states[state] = states.get(state, 0) + 1
        found[colour] = {kind: share.get(group["arn"], 0) for kind, share in shares.items()} | {"targets": states}
    return found


def _shares(elb: Any, listener_arn: str) -> dict[str, int]:
    listener = elb.describe_listeners(ListenerArns=[listener_arn])["Listeners"][0]
    weights: dict[str, int] = {}
    for action in listener["DefaultActions"]:
        groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if not groups and action.get("TargetGroupArn"):
            groups = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
        for group in groups:
            weights[group["TargetGroupArn"]] = group.get("Weight", 1)
    total = sum(weights.values()) or 1
    return {arn: round(100 * weight / total) for arn, weight in weights.items()}


def _described(aws: Aws, ecs: Answer) -> dict[str, Any]:
    found = aws.client("ecs").describe_services(cluster=ecs["cluster_name"], services=[ecs["service_name"]])
    return dict(found["services"][0])


def _service(aws: Aws, ecs: Answer, service: Answer) -> dict[str, Any]:
    client = aws.client("ecs")
    sets = [
        {
            "id": task_set["id"],
            "status": task_set["status"],
            "running": task_set.get("runningCount", 0),
            "desired": task_set.get("computedDesiredCount", 0),
            "task_definition": task_set["taskDefinition"].rpartition("/")[2],
        }
        for task_set in service.get("taskSets", [])
    ]
    arns = client.list_tasks(cluster=ecs["cluster_name"], serviceName=ecs["service_name"])["taskArns"]
    tasks = client.describe_tasks(cluster=ecs["cluster_name"], tasks=arns)["tasks"] if arns else []
    return {
        "status": service["status"],
        "desired": service["desiredCount"],
        "running": service["runningCount"],
        "pending": service["pendingCount"],
        "task_sets": sets,
        "tasks": [
            {
                "id": task["taskArn"].rpartition("/")[2],
                "status": task["lastStatus"],
                "task_definition": task["taskDefinitionArn"].rpartition("/")[2],
            }
            for task in tasks
        ],
    }


def _image(aws: Aws, service: Answer) -> dict[str, Any]:
    """The image that serves, and when it was pushed: a base that has moved since is not in it."""
    from botocore.exceptions import ClientError

    client = aws.client("ecs")
    serving = next((each for each in service.get("taskSets", []) if each["status"] == "PRIMARY"), service)
    definition = client.describe_task_definition(taskDefinition=serving["taskDefinition"])["taskDefinition"]
    uri, _, digest = str(definition["containerDefinitions"][0]["image"]).partition("@")
    found = {"uri": uri, "digest": digest, "pushed": "", "days": 0}
    try:
        images = aws.client("ecr").describe_images(
            repositoryName=uri.partition("/")[2], imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if code(error) in ("ImageNotFoundException", "RepositoryNotFoundException", "InvalidParameterException"):
            return found  # it serves, and nobody can start it again
        raise
    pushed = images["imageDetails"][0]["imagePushedAt"]
    age = (datetime.now(UTC) - pushed).days
    return {**found, "pushed": pushed.astimezone(UTC).isoformat(timespec="seconds"), "days": age}


def _alarms(aws: Aws, prefix: str) -> dict[str, str]:
    pages = aws.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    return {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page["MetricAlarms"]}


def _token(aws: Aws, name: str) -> str:
    found = secret.status(aws, name)
    return f"set since {found.since}" if found.is_set else "not set"
