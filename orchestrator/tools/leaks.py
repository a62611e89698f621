"""Looks for what a destroy should have taken, one service after the other, by name or tag.

The tagging API would be one call, but it does not know every service and forgets nothing for hours after a delete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from orchestrator import names
from orchestrator.config import Config
from orchestrator.tools.aws import Aws, entries, explained

Look = Callable[[Aws, Config], Iterator[str]]


def scan(aws: Aws) -> list[str]:
    """What is still there, ``kind: name`` each; an API that cannot be asked is an error, never an empty answer."""

    def look(kind: str) -> list[str]:
        with explained(f"looking for {kind}"):
            return [f"{kind}: {name}" for name in LOOKS[kind](aws, aws.config)]

    with ThreadPoolExecutor(max_workers=6) as pool:
        return [line for lines in pool.map(look, LOOKS) for line in lines]


# What AWS makes in an account at the first use of a service, for all who use it there; IAM user guide, "Create a
# service-linked role". They cost nothing, and others may stand on them.
OF_THE_ACCOUNT = (
    "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "AWSServiceRoleForECS",
    "AWSServiceRoleForElasticLoadBalancing",
)


def of_the_account(aws: Aws) -> list[str]:
    """Which of the service-linked roles that a deployment has AWS make are there: nothing here deletes them."""
    with explained("iam:ListRoles"):
        roles = entries(aws.client("iam"), "list_roles", "Roles", PathPrefix="/aws-service-role/")
        return sorted(role["RoleName"] for role in roles if role["RoleName"] in OF_THE_ACCOUNT)


def count() -> int:
    """How many kinds of resources are looked for."""
    return len(LOOKS)


def _named(service: str, call: str, key: str, attribute: str, resource_type: str) -> Look:
    """A list whose entries are names or carry them, in pages where the API has pages of it."""

    def look(aws: Aws, config: Config) -> Iterator[str]:
        client, ours = aws.client(service), names.of(config, aws.account(), resource_type)
        found = entries(client, call, key) if client.can_paginate(call) else getattr(client, call)()[key]
        for entry in found:
            name = entry[attribute] if attribute else entry
            if name in ours:
                yield name

    return look


def _tagged(call: str, key: str, attribute: str) -> Look:
    """EC2 resources with the stacks' default tags."""

    def look(aws: Aws, config: Config) -> Iterator[str]:
        filters = [
            {"Name": "tag:Application", "Values": [config.prefix]},
            {"Name": "tag:Environment", "Values": [config.name]},
        ]
        for entry in entries(aws.client("ec2"), call, key, Filters=filters):
            yield entry[attribute]

    return look


def _scalable_targets(aws: Aws, config: Config) -> Iterator[str]:
    client = aws.client("application-autoscaling")
    for target in entries(client, "describe_scalable_targets", "ScalableTargets", ServiceNamespace="ecs"):
        if target["ResourceId"] == f"service/{config.prefix}/{config.prefix}":
            yield target["ResourceId"]


def _services(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    for cluster in _clusters(aws, config):
        yield from entries(ecs, "list_services", "serviceArns", cluster=cluster)


def _clusters(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    arns = [arn for arn in entries(ecs, "list_clusters", "clusterArns") if arn.rpartition("/")[2] == config.prefix]
    if arns:
        for cluster in ecs.describe_clusters(clusters=arns)["clusters"]:
            if cluster["status"] != "INACTIVE":
                yield cluster["clusterName"]


def _tasks(aws: Aws, config: Config) -> Iterator[str]:
    ecs = aws.client("ecs")
    for cluster in _clusters(aws, config):
        yield from entries(ecs, "list_tasks", "taskArns", cluster=cluster)


def _task_definitions(aws: Aws, config: Config) -> Iterator[str]:
    for arn in entries(aws.client("ecs"), "list_task_definitions", "taskDefinitionArns", status="ACTIVE"):
        if arn.rpartition("/")[2].rpartition(":")[0] == config.prefix:
            yield arn.rpartition("/")[2]


def _secrets(aws: Aws, config: Config) -> Iterator[str]:
    ours = names.of(config, aws.account(), "aws_secretsmanager_secret")
    for secret in entries(aws.client("secretsmanager"), "list_secrets", "SecretList"):
        if secret["Name"] in ours and not secret.get("DeletedDate"):
            yield secret["Name"]


def _deployment_configs(aws: Aws, config: Config) -> Iterator[str]:
    own = (f"{config.prefix}-canary-", f"{config.prefix}-linear-")  # with the numbers of a setting that may be gone
    found = entries(aws.client("codedeploy"), "list_deployment_configs", "deploymentConfigsList")
    yield from (name for name in found if name.startswith(own))


def _buckets(aws: Aws, config: Config) -> Iterator[str]:
    ours = names.of(config, aws.account(), "aws_s3_bucket") - {config.get("environment", "state_bucket")}
    yield from (each["Name"] for each in aws.client("s3").list_buckets()["Buckets"] if each["Name"] in ours)


LOOKS: dict[str, Look] = {
    "alarm": _named("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", "aws_cloudwatch_metric_alarm"),
    "CodeBuild project": _named("codebuild", "list_projects", "projects", "", "aws_codebuild_project"),
    "CodeCommit repository": _named(
        "codecommit", "list_repositories", "repositories", "repositoryName", "aws_codecommit_repository"
    ),
    "CodeDeploy application": _named("codedeploy", "list_applications", "applications", "", "aws_codedeploy_app"),
    "CodeDeploy configuration": _deployment_configs,
    "container repository": _named(
        "ecr", "describe_repositories", "repositories", "repositoryName", "aws_ecr_repository"
    ),
    "ECS cluster": _clusters,
    "ECS service": _services,
    "ECS task": _tasks,
    "event rule": _named("events", "list_rules", "Rules", "Name", "aws_cloudwatch_event_rule"),
    "function": _named("lambda", "list_functions", "Functions", "FunctionName", "aws_lambda_function"),
    "internet gateway": _tagged("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "key alias": _named("kms", "list_aliases", "Aliases", "AliasName", "aws_kms_alias"),
    "load balancer": _named("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName", "aws_lb"),
    "log group": _named("logs", "describe_log_groups", "logGroups", "logGroupName", "aws_cloudwatch_log_group"),
    "pipeline": _named("codepipeline", "list_pipelines", "pipelines", "name", "aws_codepipeline"),
    "role": _named("iam", "list_roles", "Roles", "RoleName", "aws_iam_role"),
    "route table": _tagged("describe_route_tables", "RouteTables", "RouteTableId"),
    "S3 bucket": _buckets,
    "scalable target": _scalable_targets,
    "secret": _secrets,
    "security group": _tagged("describe_security_groups", "SecurityGroups", "GroupId"),
    "subnet": _tagged("describe_subnets", "Subnets", "SubnetId"),
    "target group": _named("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName", "aws_lb_target_group"),
    "task definition": _task_definitions,
    "VPC": _tagged("describe_vpcs", "Vpcs", "VpcId"),
}
