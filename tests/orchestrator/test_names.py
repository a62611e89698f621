"""Every derived name is inside the rules of its service, for each name, environment and region that settings admit."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator import config, names
from orchestrator.errors import BadSetting

# A shape of botocore's model, where it states the rule; else the rule as the API's reference words it.
MODELLED = {
    "aws_appautoscaling_policy": ("application-autoscaling", "PolicyName"),
    "aws_cloudwatch_event_rule": ("events", "RuleName"),
    "aws_cloudwatch_log_group": ("logs", "LogGroupName"),
    "aws_cloudwatch_metric_alarm": ("cloudwatch", "AlarmName"),
    "aws_codebuild_project": ("codebuild", "ProjectName"),
    "aws_codecommit_repository": ("codecommit", "RepositoryName"),
    "aws_codedeploy_app": ("codedeploy", "ApplicationName"),
    "aws_codedeploy_deployment_config": ("codedeploy", "DeploymentConfigName"),
    "aws_codedeploy_deployment_group": ("codedeploy", "DeploymentGroupName"),
    "aws_codepipeline": ("codepipeline", "PipelineName"),
    "aws_codestarconnections_connection": ("codestar-connections", "ConnectionName"),
    "aws_ecr_repository": ("ecr", "RepositoryName"),
    "aws_iam_role": ("iam", "roleNameType"),
    "aws_kms_alias": ("kms", "AliasNameType"),
    "aws_lambda_function": ("lambda", "FunctionName"),
    "aws_secretsmanager_secret": ("secretsmanager", "NameType"),
}
WORDED = {
    # ECS CreateCluster, CreateService, RegisterTaskDefinition: "Up to 255 letters (uppercase and lowercase), numbers,
    # underscores, and hyphens are allowed."
    **dict.fromkeys(("aws_ecs_cluster", "aws_ecs_service", "aws_ecs_task_definition"), r"[A-Za-z0-9_-]{1,255}"),
    # CreateLoadBalancer: "a maximum of 32 characters, must contain only alphanumeric characters or hyphens, must not
    # begin or end with a hyphen, and must not begin with \"internal-\"".
    "aws_lb": r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)",
    # CreateTargetGroup: the same but for "internal-".
    "aws_lb_target_group": r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)",
    # S3 user guide, "General purpose buckets naming rules".
    "aws_s3_bucket": r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)",
    # CreateSecurityGroup: "Up to 255 characters in length. Can't start with sg-."
    "aws_security_group": r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}",
}
REGIONS = sorted({
    region
    for partition in ("aws", "aws-cn", "aws-us-gov", "aws-eusc")
    for region in boto3.session.Session().get_available_regions("ecs", partition_name=partition)
})  # fmt: skip


@cache
def rule(resource_type: str) -> tuple[str, int]:
    """The pattern that a name must match whole, and its greatest length."""
    if resource_type in WORDED:
        return WORDED[resource_type], 255
    service, shape = MODELLED[resource_type]
    metadata: dict[str, Any] = botocore.session.get_session().get_service_model(service).shape_for(shape).metadata
    pattern = str(metadata.get("pattern", r"[\s\S]*")).replace(r"\p{Print}", r"[\x20-\x7e]")  # as Java writes it
    return pattern, metadata.get("max", 255)


def environment(folder: Path, name: str, text: str) -> config.Config:
    (folder / "environments").mkdir(exist_ok=True)
    (folder / f"environments/{name}.toml").write_text(f"[network]\nallow_http = true\n[environment]\n{text}\n")
    return config.load(name, folder, env={})


@settings(max_examples=300, deadline=None)
@given(
    name=st.from_regex(r"[a-z][a-z0-9-]{0,29}", fullmatch=True) | st.just(""),
    environment_name=st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True),
    region=st.sampled_from(REGIONS),
)
def test_what_settings_admit_every_service_takes(
    tmp_path_factory: pytest.TempPathFactory, name: str, environment_name: str, region: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "names"
    folder.mkdir(exist_ok=True)
    try:
        chosen = environment(folder, environment_name, f'name = "{name}"\nregion = "{region}"')
    except BadSetting as refused:
        assert "environment.name" in str(refused)
        assume(False)
    assert len(chosen.prefix) <= 26 and chosen.prefix == (name or f"chatbot-{environment_name}")
    for resource_type in names.NAMES:
        pattern, longest = rule(resource_type)
        for derived in names.of(chosen, "123456789012", resource_type):
            assert re.fullmatch(pattern, derived) and len(derived) <= longest, (resource_type, derived)


def test_the_longest_name_fits_everywhere(tmp_path: Path) -> None:
    """A character more would be one too many for a bucket in the region with the longest name."""
    chosen = environment(tmp_path, "prod", f'name = "{"n" * 26}"\nregion = "{max(REGIONS, key=len)}"')
    lengths = {kind: max(map(len, names.of(chosen, "123456789012", kind))) for kind in names.NAMES}
    assert lengths["aws_lb_target_group"] == 32 and lengths["aws_s3_bucket"] <= 63 and lengths["aws_iam_role"] <= 64


@pytest.mark.parametrize(
    ("name", "environment_name"),
    [("n" * 27, "prod"), ("my--bot", "prod"), ("internal-bot", "prod"), ("sg-bot", "prod"), ("sg", "prod"),
     ("bot-", "prod"), ("", "production-in-two-regions"), ("", "prod--eu")],
)  # fmt: skip
def test_what_a_service_would_refuse_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, environment_name: str
) -> None:
    with pytest.raises(BadSetting, match=r"environment\.name"):
        environment(tmp_path, environment_name, f'name = "{name}"')
