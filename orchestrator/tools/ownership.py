"""Whose a resource is that already has a name of ours: what its tags say, asked of the service that has it.

Terraform gives every resource of a stack the tags ``Application`` and ``Environment`` with its create call, so what a
cut run of ours left has them, or, of a service that tags by a second call, none yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import NotNow
from orchestrator.tools.aws import Aws, code

OWNER = ("Application", "Environment")


def check(aws: Aws, resource_type: str, identifier: str, planned: Mapping[str, Any]) -> None:
    """Raises NotNow where the tags of an existing resource name another owner than those that were planned for it."""
    ours = planned.get("tags_all") or {}
    found = tags(aws, resource_type, identifier) if ours else {}
    others = {key: found[key] for key in OWNER if key in found and found[key] != ours.get(key)}
    if others:
        what = ", ".join(f"{key} {value}" for key, value in others.items())
        raise NotNow(
            f"{resource_type} {identifier} is there already, and its tags say that it is another's: {what}",
            "give this environment an environment.name of its own, or remove that one",
        )


def tags(aws: Aws, resource_type: str, identifier: str) -> dict[str, str]:
    """Of an existing resource, by its import id; none for a kind that has none."""
    read = TAGS.get(resource_type)
    return _as_mapping(read(aws, identifier)) if read else {}


def _as_mapping(tags: Any) -> dict[str, str]:
    """Services write a list of pairs, in upper or lower case, or a mapping."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in tags or ()}


def _bucket(aws: Aws, name: str) -> Any:
    from botocore.exceptions import ClientError

    try:
        return aws.client("s3").get_bucket_tagging(Bucket=name)["TagSet"]
    except ClientError as error:
        if code(error) == "NoSuchTagSet":
            return []
        raise


def _of_arn(service: str, parameter: str, key: str, arn: Callable[[Aws, str], str]) -> Callable[[Aws, str], Any]:
    """ListTagsForResource of a service, which wants the ARN that belongs to an import id."""
    return lambda aws, name: aws.client(service).list_tags_for_resource(**{parameter: arn(aws, name)})[key]


def _log_group(aws: Aws, name: str) -> str:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return str(next(group["arn"] for group in groups if group["logGroupName"] == name)).removesuffix(":*")


def _codedeploy(aws: Aws, name: str) -> str:
    """Of ``application``, or ``application:group``; no answer has it."""
    from botocore.session import get_session

    partition, region = get_session().get_partition_for_region(aws.config.region), aws.config.region
    application, _, group = name.partition(":")
    what = f"deploymentgroup:{application}/{group}" if group else f"application:{application}"
    return f"arn:{partition}:codedeploy:{region}:{aws.account()}:{what}"


def _service(aws: Aws, name: str) -> Any:
    cluster, _, service = name.partition("/")
    found = aws.client("ecs").describe_services(cluster=cluster, services=[service], include=["TAGS"])["services"]
    return found[0].get("tags", [])


def _balancing(aws: Aws, arn: str) -> Any:
    return aws.client("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]


# By import id, as adoption.FINDERS answers it. What is not here has no tags (a deployment configuration, an alias, a
# rule of another resource), or was found by them.
TAGS: dict[str, Callable[[Aws, str], Any]] = {
    "aws_cloudwatch_log_group": _of_arn("logs", "resourceArn", "tags", _log_group),
    "aws_codebuild_project": lambda aws, name: (
        aws.client("codebuild").batch_get_projects(names=[name])["projects"][0].get("tags", [])
    ),
    "aws_codecommit_repository": _of_arn(
        "codecommit", "resourceArn", "tags",
        lambda aws, name: aws.client("codecommit").get_repository(repositoryName=name)["repositoryMetadata"]["Arn"],
    ),
    "aws_codedeploy_app": _of_arn("codedeploy", "ResourceArn", "Tags", _codedeploy),
    "aws_codedeploy_deployment_group": _of_arn("codedeploy", "ResourceArn", "Tags", _codedeploy),
    "aws_codepipeline": _of_arn(
        "codepipeline", "resourceArn", "tags",
        lambda aws, name: aws.client("codepipeline").get_pipeline(name=name)["metadata"]["pipelineArn"],
    ),
    "aws_codestarconnections_connection": _of_arn("codeconnections", "ResourceArn", "Tags", lambda _, arn: arn),
    "aws_ecr_repository": _of_arn(
        "ecr", "resourceArn", "tags",
        lambda aws, name: (
            aws.client("ecr").describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryArn"]
        ),
    ),
    "aws_ecs_service": _service,
    "aws_iam_role": lambda aws, name: aws.client("iam").get_role(RoleName=name)["Role"].get("Tags", []),
    "aws_lambda_function": lambda aws, name: aws.client("lambda").get_function(FunctionName=name).get("Tags", {}),
    "aws_lb": _balancing,
    "aws_lb_target_group": _balancing,
    "aws_s3_bucket": _bucket,
    "aws_secretsmanager_secret": lambda aws, arn: (
        aws.client("secretsmanager").describe_secret(SecretId=arn).get("Tags", [])
    ),
    "aws_security_group": lambda aws, group: (
        aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0].get("Tags", [])
    ),
}  # fmt: skip
