"""What boto3 sees of the services that are mostly moto's, where it matters to the stacks and the orchestrator."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.control.log_patterns import pattern
from emulator.emulator import Emulator
from emulator.state import moto
from emulator.state.call import AwsError
from emulator.state.clients import Credentials
from tests.waiting import eventually

Client = Callable[[str], Any]
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def client(emulator: Emulator) -> Client:
    return emulator.store.clients


def test_log_events_of_all_streams_come_in_the_order_of_time(client: Client) -> None:
    logs, now = client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName="chatbot")
    for stream, moments in (("a", (1, 3)), ("b", (2, 4))):
        logs.create_log_stream(logGroupName="chatbot", logStreamName=stream)
        events = [{"timestamp": now + moment, "message": f"{stream}{moment}"} for moment in moments]
        logs.put_log_events(logGroupName="chatbot", logStreamName=stream, logEvents=events)

    def messages(**asked: Any) -> list[str]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName="chatbot", **asked)
        return [event["message"] for page in pages for event in page["events"]]

    assert messages() == ["a1", "b2", "a3", "b4"]
    assert messages(PaginationConfig={"PageSize": 3}) == ["a1", "b2", "a3", "b4"]
    assert messages(startTime=now + 3) == ["a3", "b4"]
    assert messages(logStreamNamePrefix="b", filterPattern="4") == ["b4"]
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="nothing")


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR timeout", "timeout: ERROR", True),
        ("ERROR timeout", "ERROR", False),
        ('"two words"', "has two words", True),
        ("ERROR -expected", "ERROR expected", False),
        ("?WARN ?ERROR", "a WARN", True),
        ("?WARN ?ERROR", "INFO", False),
        ('{ $.level = "error" }', '{"level": "error"}', True),
        ('{ $.level = "err*" }', '{"level": "error"}', True),
        ('{ $.level != "error" }', '{"level": "info"}', True),
        ("{ $.a.b[1] = 7 }", '{"a": {"b": [1, 7]}}', True),
        ("{ $.ms > 100 && $.ms <= 200 }", '{"ms": 150}', True),
        ("{ ($.ms > 100 || $.slow IS TRUE) && $.level NOT EXISTS }", '{"ms": 1, "slow": true}', True),
        ("{ $.ms > 100 }", "not json", False),
        ("{ $.ms > 100 }", '{"ms": "150"}', False),
    ],
)
def test_filter_patterns(text: str, message: str, expected: bool) -> None:
    assert pattern(text)(message) is expected


@pytest.mark.parametrize("text", ["{ level = 1 }", "{ $.a }", "{ ($.a = 1 }", "{ $.a = 1 $.b }", "{ }"])
def test_a_broken_filter_pattern_is_refused(text: str) -> None:
    with pytest.raises(AwsError, match="Invalid filter pattern"):
        pattern(text)


def test_a_secrets_own_label_stays_where_it_was_put(client: Client) -> None:
    secrets = client("secretsmanager")
    secrets.create_secret(Name="token")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException, match="staging label: AWSCURRENT"):
        secrets.get_secret_value(SecretId="token")
    labels = ["AWSCURRENT", "TERRAFORM"]
    first = secrets.put_secret_value(SecretId="token", SecretString="unset", VersionStages=labels)["VersionId"]
    second = secrets.put_secret_value(SecretId="token", SecretString="two")["VersionId"]
    assert _labels(secrets) == {first: {"AWSPREVIOUS", "TERRAFORM"}, second: {"AWSCURRENT"}}
    third = secrets.put_secret_value(SecretId="token", SecretString="three")["VersionId"]
    assert _labels(secrets) == {first: {"TERRAFORM"}, second: {"AWSPREVIOUS"}, third: {"AWSCURRENT"}}
    assert secrets.get_secret_value(SecretId="token", VersionStage="TERRAFORM")["SecretString"] == "unset"
    fourth = secrets.put_secret_value(SecretId="token", SecretString="four")["VersionId"]
    assert set(_labels(secrets)) == {first, third, fourth}  # a version without a label is not shown


def _labels(secrets: Any) -> dict[str, set[str]]:
    found = secrets.describe_secret(SecretId="token")["VersionIdsToStages"]
    return {version: set(labels) for version, labels in found.items()}


def test_a_lock_in_s3_is_taken_once(client: Client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="state")
    s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="state", Key="lock", Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="state", Key="lock", Body=b"yours", IfNoneMatch="*")
    s3.delete_object(Bucket="state", Key="lock")
    s3.put_object(Bucket="state", Key="lock", Body=b"yours", IfNoneMatch="*")
    assert s3.get_object(Bucket="state", Key="lock")["Body"].read() == b"yours"


def test_a_role_is_assumed_when_it_exists(emulator: Emulator, client: Client) -> None:
    role = client("iam").create_role(RoleName="task", AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    session = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    caller = emulator.store.clients("sts", credentials=session).get_caller_identity()
    assert caller["Arn"] == "arn:aws:sts::123456789012:assumed-role/task/me"
    with pytest.raises(ClientError, match=r"AccessDenied.*not authorized to perform: sts:AssumeRole on resource"):
        client("sts").assume_role(RoleArn=f"{role}-of-nobody", RoleSessionName="me")


def test_managed_policies_are_there(client: Client) -> None:
    arn = "arn:aws:iam::aws:policy/AWSCodeDeployRoleForECS"
    assert client("iam").get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AWSCodeDeployRoleForECS"


def test_what_one_emulator_does_to_a_managed_policy_the_next_does_not_see(client: Client) -> None:
    iam, arn = client("iam"), "arn:aws:iam::aws:policy/AWSCodeDeployRoleForECS"
    iam.create_role(RoleName="deploys", AssumeRolePolicyDocument=json.dumps(_TRUST))
    iam.attach_role_policy(RoleName="deploys", PolicyArn=arn)
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "team", "Value": "shop"}])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    moto.reset()
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["Tags"]) == (0, [])
    document = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]["Document"]
    assert "ecs:CreateTaskSet" in document["Statement"][0]["Action"]


def test_a_scaling_policy_scales_the_service_when_its_alarm_is_raised(emulator: Emulator, client: Client) -> None:
    ecs, scaling, cloudwatch = client("ecs"), client("application-autoscaling"), client("cloudwatch")
    _failing_service(client)
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/shop/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3, Tags={"team": "shop"})
    tracked = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    policy = scaling.put_scaling_policy(
        **target,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 50.0, "PredefinedMetricSpecification": tracked},
    )
    alarms = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    assert {alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]} == set(alarms)
    dimensions = [{"Name": "ClusterName", "Value": "shop"}, {"Name": "ServiceName", "Value": "web"}]
    minutes = [time.time() - 60 * number for number in range(5)]
    cloudwatch.put_metric_data(
        Namespace="AWS/ECS",
        MetricData=[
            {"MetricName": "CPUUtilization", "Dimensions": dimensions, "Timestamp": moment, "Value": 90.0}
            for moment in minutes
        ],
    )
    eventually(
        lambda: ecs.describe_services(cluster="shop", services=["web"])["services"][0]["desiredCount"] == 2, pause=0.2
    )
    activity = scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"][0]
    assert activity["Description"] == "Setting desired count to 2."
    arn = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "shop"}
    scaling.deregister_scalable_target(**target)
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_only_a_service_that_exists_can_be_scaled(client: Client) -> None:
    with pytest.raises(ClientError, match="ECS service doesn't exist: service/shop/web"):
        client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId="service/shop/web",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=1,
            MaxCapacity=3,
        )


def _failing_service(client: Client) -> None:
    """A service whose image does not exist: its desired count is all that is needed."""
    ecs, subnet = client("ecs"), client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    ecs.create_cluster(clusterName="shop")
    ecs.register_task_definition(
        family="web",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "web", "image": "localhost:1/none"}],
    )
    ecs.create_service(
        cluster="shop",
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )


def test_tagged_resources_of_all_services_are_found(client: Client) -> None:
    tag = {"Key": "Application", "Value": "chatbot"}
    client("logs").create_log_group(logGroupName="chatbot", tags={"Application": "chatbot"})
    client("ecr").create_repository(repositoryName="chatbot", tags=[tag])
    client("ecs").create_cluster(clusterName="chatbot", tags=[{"key": "Application", "value": "chatbot"}])
    client("ecs").create_cluster(clusterName="other", tags=[{"key": "Application", "value": "other"}])
    client("codecommit").create_repository(repositoryName="chatbot", tags={"Application": "chatbot"})
    tagging = client("resourcegroupstaggingapi")

    def found(**asked: Any) -> list[str]:
        pages = tagging.get_paginator("get_resources").paginate(**asked)
        return [each["ResourceARN"].split(":")[2] for page in pages for each in page["ResourceTagMappingList"]]

    assert found(TagFilters=[{"Key": "Application", "Values": ["chatbot"]}]) == ["codecommit", "ecr", "ecs", "logs"]
    assert found(ResourceTypeFilters=["ecs:cluster"]) == ["ecs", "ecs"]
    assert found(TagFilters=[{"Key": "Nothing"}]) == []
