"""Looks for what a destroy should have taken, one service after the other, by name or tag.

The tagging API would be one call, but it does not know every service and forgets nothing for hours after a delete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.config import Config
from orchestrator.tools.aws import Aws, explained
from orchestrator.tools.bucket import State

Look = Callable[[Aws, Config], Iterator[str]]


def scan(aws: Aws) -> list[str]:
    """What is still there, ``kind: name`` each; an API that cannot be asked is an error, never an empty answer."""

    def look(kind: str) -> list[str]:
        with explained(f"looking for {kind}"):
            return [f"{kind}: {name}" for name in LOOKS[kind](aws, aws.config)]

    with ThreadPoolExecutor(max_workers=6) as pool:
        return [line for lines in pool.map(look, LOOKS) for line in lines]


def unwilling(aws: Aws, states: Iterable[State | None]) -> list[tuple[str, str]]:
    """What would refuse to be deleted because it is not empty, and the setting that must have been applied before."""
    found = []
    for kind, values in _resources(states):
        if kind == "aws_ecr_repository" and not values.get("force_delete"):
            name = values["name"]
            if _any(aws.client("ecr"), "list_images", "imageIds", repositoryName=name):
                found.append((f"repository {name}", "ecr.force_delete"))
        elif kind == "aws_s3_bucket" and not values.get("force_destroy"):
            name = values["bucket"]
            if _any(aws.client("s3"), "list_object_versions", "Versions", Bucket=name):
                found.append((f"bucket {name}", "artifacts.force_destroy"))
    return found


def _resources(states: Iterable[State | None]) -> Iterator[tuple[str, dict[str, Any]]]:
    for state in filter(None, states):
        for resource in state.managed:
            for instance in resource.get("instances", []):
                yield resource["type"], instance.get("attributes", {})


def _any(client: Any, call: str, key: str, **parameters: Any) -> bool:
    pages = client.get_paginator(call).paginate(**parameters)
    return any(page.get(key) for page in pages)


def count() -> int:
    """How many kinds of resources are looked for."""
    return len(LOOKS)


def _pages(client: Any, call: str, key: str, **parameters: Any) -> Iterator[Any]:
    for page in client.get_paginator(call).paginate(**parameters):
        yield from page[key]


def _ours(name: str, config: Config) -> bool:
    return name == config.prefix or name.startswith((f"{config.prefix}-", f"{config.prefix}/"))


def _named(service: str, call: str, key: str, attribute: str) -> Look:
    """A paginated list whose entries carry their name."""

    def look(aws: Aws, config: Config) -> Iterator[str]:
        for entry in _pages(aws.client(service), call, key):
            name = entry if isinstance(entry, str) else entry[attribute]
            if _ours(name.rpartition("/")[2] if name.startswith("arn:") else name, config):
                yield name

    return look


def _tagged(call: str, key: str, attribute: str) -> Look:
    """EC2 resources with the stacks' default tags."""

    def look(aws: Aws, config: Config) -> Iterator[str]:
        filters = [
            {"Name": "tag:Application", "Values": [config.prefix]},
            {"Name": "tag:Environment", "Values": [config.name]},
        ]
        for entry in _pages(aws.client("ec2"), call, key, Filters=filters):
            yield entry[attribute]

    return look


def _log_groups(aws: Aws, config: Config) -> Iterator[str]:
    for group in _pages(aws.client("logs"), "describe_log_groups", "logGroups"):
        if any(_ours(part, config) for part in group["logGroupName"].split("/")):
            yield group["logGroupName"]


def _key_aliases(aws: Aws, config: Config) -> Iterator[str]:
    for alias in _pages(aws.client("kms"), "list_aliases", "Aliases"):
        if _ours(alias["AliasName"].removeprefix("alias/"), config):
            yield alias["AliasName"]


def _scalable_targets(aws: Aws, config: Config) -> Iterator[str]:
    client = aws.client("application-autoscaling")
    for target in _pages(client, "describe_scalable_targets", "ScalableTargets", ServiceNamespace="ecs"):
        if _ours(target["ResourceId"].rpartition("/")[2], config):
            yield target["ResourceId"]


def _services(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    for cluster in _clusters(aws, config):
        yield from _pages(ecs, "list_services", "serviceArns", cluster=cluster)


def _clusters(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    arns = [arn for arn in _pages(ecs, "list_clusters", "clusterArns") if _ours(arn.rpartition("/")[2], config)]
    if arns:
        for cluster in ecs.describe_clusters(clusters=arns)["clusters"]:
            if cluster["status"] != "INACTIVE":
                yield cluster["clusterName"]


def _tasks(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    for cluster in _clusters(aws, config):
        yield from _pages(ecs, "list_tasks", "taskArns", cluster=cluster)


def _task_definitions(aws: Aws, config: Config) -> Iterator[str]:
    for arn in _pages(aws.client("ecs"), "list_task_definitions", "taskDefinitionArns", status="ACTIVE"):
        if arn.rpartition("/")[2].rpartition(":")[0] == config.prefix:
            yield arn.rpartition("/")[2]


def _secrets(aws: Aws, config: Config) -> Iterator[str]:
    for secret in _pages(aws.client("secretsmanager"), "list_secrets", "SecretList"):
        if _ours(secret["Name"], config) and not secret.get("DeletedDate"):
            yield secret["Name"]


def _pipelines(aws: Aws, config: Config) -> Iterator[str]:
    for pipeline in aws.client("codepipeline").list_pipelines()["pipelines"]:
        if _ours(pipeline["name"], config):
            yield pipeline["name"]


def _applications(aws: Aws, config: Config) -> Iterator[str]:
    for name in aws.client("codedeploy").list_applications()["applications"]:
        if _ours(name, config):
            yield name


def _rules(aws: Aws, config: Config) -> Iterator[str]:
    for rule in aws.client("events").list_rules(NamePrefix=config.prefix)["Rules"]:
        if _ours(rule["Name"], config):
            yield rule["Name"]


def _buckets(aws: Aws, config: Config) -> Iterator[str]:
    kept = config.get("environment", "state_bucket")
    for bucket in aws.client("s3").list_buckets()["Buckets"]:
        other = f"{config.prefix}-" in bucket["Name"] and "-state-" in bucket["Name"]
        mine = bucket["Name"].startswith(f"{config.prefix}-{config.name}-state-")
        if _ours(bucket["Name"], config) and bucket["Name"] != kept and (mine or not other):
            yield bucket["Name"]


LOOKS: dict[str, Look] = {
    "alarm": _named("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "CodeBuild project": _named("codebuild", "list_projects", "projects", ""),
    "CodeCommit repository": _named("codecommit", "list_repositories", "repositories", "repositoryName"),
    "CodeDeploy application": _applications,
    "container repository": _named("ecr", "describe_repositories", "repositories", "repositoryName"),
    "ECS cluster": _clusters,
    "ECS service": _services,
    "ECS task": _tasks,
    "event rule": _rules,
    "function": _named("lambda", "list_functions", "Functions", "FunctionName"),
    "internet gateway": _tagged("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "key alias": _key_aliases,
    "load balancer": _named("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    "log group": _log_groups,
    "pipeline": _pipelines,
    "role": _named("iam", "list_roles", "Roles", "RoleName"),
    "route table": _tagged("describe_route_tables", "RouteTables", "RouteTableId"),
    "S3 bucket": _buckets,
    "scalable target": _scalable_targets,
    "secret": _secrets,
    "security group": _tagged("describe_security_groups", "SecurityGroups", "GroupId"),
    "subnet": _tagged("describe_subnets", "Subnets", "SubnetId"),
    "target group": _named("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    "task definition": _task_definitions,
    "VPC": _tagged("describe_vpcs", "Vpcs", "VpcId"),
}
