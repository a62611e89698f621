"""Every name that the stacks make of an environment's, by resource type: what a leak is looked for by; what must fit.

The region is in the names that are global to an account or to all of AWS, roles and buckets; others do without it.
"""

from __future__ import annotations

from orchestrator.config import Config

STATE_BUCKET = "{name}-state-{account}-{region}"
NAMES: dict[str, tuple[str, ...]] = {
    "aws_appautoscaling_policy": ("{name}-cpu",),
    "aws_cloudwatch_event_rule": ("{name}-push",),
    "aws_cloudwatch_log_group": (
        "/ecs/{name}",
        "/codebuild/{name}",
        "/codebuild/{name}-image",
        "/aws/lambda/{name}-hook",
    ),
    "aws_cloudwatch_metric_alarm": tuple(
        f"{{name}}-{colour}-{what}" for colour in ("blue", "green") for what in ("5xx", "unhealthy")
    ),
    "aws_codebuild_project": ("{name}-build", "{name}-image"),
    "aws_codecommit_repository": ("{name}",),
    "aws_codedeploy_app": ("{name}",),
    # The longest of those that a setting names.
    "aws_codedeploy_deployment_config": ("{name}-linear-99-percent-1440-minutes",),
    "aws_codedeploy_deployment_group": ("{name}",),
    "aws_codepipeline": ("{name}",),
    "aws_codestarconnections_connection": ("{name}",),
    "aws_ecr_repository": ("{name}",),
    "aws_ecs_cluster": ("{name}",),
    "aws_ecs_service": ("{name}",),
    "aws_ecs_task_definition": ("{name}",),
    "aws_iam_role": tuple(
        f"{{name}}-{role}-{{region}}"
        for role in ("build", "codedeploy", "events", "execution", "hook", "image", "pipeline", "task")
    ),
    "aws_kms_alias": ("alias/{name}-artifacts",),
    "aws_lambda_function": ("{name}-hook",),
    "aws_lb": ("{name}",),
    "aws_lb_target_group": ("{name}-blue", "{name}-green"),
    "aws_s3_bucket": ("{name}-pipeline-{account}-{region}", STATE_BUCKET),
    "aws_secretsmanager_secret": ("{name}/hf-token",),
    "aws_security_group": ("{name}-tasks", "{name}-load-balancer"),
}
# What AWS makes by itself under a name of ours: Container Insights' log group (amazon-ecs docs, "Container Insights").
BY_AWS = ("/aws/ecs/containerinsights/{name}/performance",)


def of(config: Config, account: str, resource_type: str) -> set[str]:
    """The names that resources of a type have in this environment."""
    forms = NAMES[resource_type] + (BY_AWS if resource_type == "aws_cloudwatch_log_group" else ())
    return {_filled(form, config, account) for form in forms}


def by_aws(config: Config) -> list[str]:
    """The log groups that AWS makes under this environment's name."""
    return [form.format(name=config.prefix) for form in BY_AWS]


def state_bucket(config: Config, account: str) -> str:
    return _filled(STATE_BUCKET, config, account)


def _filled(form: str, config: Config, account: str) -> str:
    return form.format(name=config.prefix, region=config.region, account=account)
