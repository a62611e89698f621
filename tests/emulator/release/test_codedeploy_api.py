"""What CodeDeploy's API remembers and what it refuses."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.release.house import APPSPEC, House


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def read(house: House) -> dict[str, Any]:
    answer = house.codedeploy.get_deployment_group(applicationName="chatbot", deploymentGroupName="chatbot")
    found: dict[str, Any] = answer["deploymentGroupInfo"]
    return found


def test_a_group_is_read_back_whole(house: House) -> None:
    wanted = house.group(
        alarmConfiguration={"enabled": True, "ignorePollAlarmFailure": False, "alarms": [{"name": "errors"}]},
        autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
    )
    house.codedeploy.create_deployment_group(**wanted)
    found = read(house)
    for key, value in wanted.items():
        assert found[key] == value, key
    assert found["deploymentConfigName"] == "CodeDeployDefault.ECSAllAtOnce" and found["computePlatform"] == "ECS"


def test_a_group_is_updated_renamed_and_deleted(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.codedeploy.update_deployment_group(
        applicationName="chatbot", currentDeploymentGroupName="chatbot", newDeploymentGroupName="other",
        autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_STOP_ON_REQUEST"]},
    )  # fmt: skip
    names = house.codedeploy.list_deployment_groups(applicationName="chatbot")["deploymentGroups"]
    assert names == ["other"]
    (info,) = house.codedeploy.batch_get_deployment_groups(applicationName="chatbot", deploymentGroupNames=names)[
        "deploymentGroupsInfo"
    ]
    assert info["autoRollbackConfiguration"]["events"] == ["DEPLOYMENT_STOP_ON_REQUEST"]
    house.codedeploy.delete_deployment_group(applicationName="chatbot", deploymentGroupName="other")
    with pytest.raises(house.codedeploy.exceptions.DeploymentGroupDoesNotExistException):
        house.codedeploy.get_deployment_group(applicationName="chatbot", deploymentGroupName="other")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"serviceRoleArn": "arn:aws:iam::123456789012:role/nobody"}, "InvalidRoleException"),
        ({"deploymentConfigName": "CodeDeployDefault.OneAtATime"}, "InvalidDeploymentConfigNameException"),
        ({"deploymentConfigName": "Nothing"}, "DeploymentConfigDoesNotExistException"),
        ({"deploymentStyle": {"deploymentType": "IN_PLACE"}}, "InvalidDeploymentStyleException"),
        ({"ecsServices": [{"clusterName": "chatbot", "serviceName": "none"}]}, "InvalidECSServiceException"),
        ({"loadBalancerInfo": {"targetGroupInfoList": [{"name": "x"}]}}, "InvalidLoadBalancerInfoException"),
        ({"alarmConfiguration": {"enabled": True, "alarms": []}}, "InvalidAlarmConfigException"),
        ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException"),
        ({"applicationName": "none"}, "ApplicationDoesNotExistException"),
    ],
)
def test_a_group_that_could_not_deploy_is_refused(house: House, change: dict[str, Any], error: str) -> None:
    with pytest.raises(ClientError) as refused:
        house.codedeploy.create_deployment_group(**house.group(**change))
    assert code(refused) == error


def test_a_service_belongs_to_one_group(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    with pytest.raises(house.codedeploy.exceptions.ECSServiceMappingLimitExceededException):
        house.codedeploy.create_deployment_group(**house.group(deploymentGroupName="second"))


def test_a_role_that_does_not_trust_codedeploy_is_refused(house: House) -> None:
    role = house.store.clients("iam").create_role(
        RoleName="lambda", AssumeRolePolicyDocument='{"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
        '"Principal": {"Service": "lambda.amazonaws.com"}}]}',
    )["Role"]["Arn"]  # fmt: skip
    with pytest.raises(house.codedeploy.exceptions.InvalidRoleException, match="does not let codedeploy"):
        house.codedeploy.create_deployment_group(**house.group(serviceRoleArn=role))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 0.0", "version: 2.0", "version"),
        ("AWS::ECS::Service", "AWS::Lambda::Function", "AWS::ECS::Service"),
        ('          ContainerName: "chatbot"\n', "", "ContainerName"),
        ("ContainerPort: 7860", "ContainerPort: web", "not a number"),
        ("Resources:", "Nothing:", "exactly one resource"),
        ("version: 0.0", "version: 0.0\nHooks: [{BeforeLunch: f}]", "BeforeLunch is not a lifecycle event"),
        ("version: 0.0", "version: 0.0\n  : - [", "The template cannot be parsed"),
    ],
)
def test_a_malformed_appspec_is_refused(house: House, old: str, new: str, message: str) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    with pytest.raises(house.codedeploy.exceptions.InvalidRevisionException, match=message):
        house.deploy(APPSPEC.replace(old, new))


def test_an_appspec_in_json_and_lower_case_is_read(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    properties = {
        "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/chatbot:7",
        "loadBalancerInfo": {"containerName": "chatbot", "containerPort": 7860},
    }
    resource = {"TargetService": {"type": "AWS::ECS::Service", "properties": properties}}
    appspec = json.dumps({"version": 0.0, "resources": [resource]})
    assert house.finished(house.deploy(appspec))["status"] == "Succeeded"
    assert house.primary()["taskDefinition"].endswith("chatbot:7")


def test_an_appspec_comes_from_s3_too(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    s3 = house.store.clients("s3")
    s3.create_bucket(Bucket="artifacts")
    s3.put_object(Bucket="artifacts", Key="appspec.yaml", Body=APPSPEC.encode())
    location = {"bucket": "artifacts", "key": "appspec.yaml", "bundleType": "YAML"}

    def deploy() -> str:
        answer = house.codedeploy.create_deployment(
            applicationName="chatbot", deploymentGroupName="chatbot",
            revision={"revisionType": "S3", "s3Location": location},
        )  # fmt: skip
        return str(answer["deploymentId"])

    assert house.finished(deploy())["status"] == "Succeeded"
    location["bundleType"] = "zip"
    with pytest.raises(house.codedeploy.exceptions.InvalidRevisionException, match="BundleType must be either"):
        deploy()
    location.update(bundleType="YAML", key="none")
    with pytest.raises(house.codedeploy.exceptions.RevisionDoesNotExistException):
        deploy()


def test_a_revision_is_registered_and_found_by_its_hash(house: House) -> None:
    digest = hashlib.sha256(APPSPEC.encode()).hexdigest()
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": APPSPEC, "sha256": digest}}
    house.codedeploy.register_application_revision(applicationName="chatbot", revision=revision)
    found = house.codedeploy.get_application_revision(applicationName="chatbot", revision=revision)
    assert found["revision"] == revision and found["revisionInfo"]["registerTime"]
    revision["appSpecContent"] = {"content": APPSPEC, "sha256": "0" * 64}
    with pytest.raises(house.codedeploy.exceptions.InvalidRevisionException, match="SHA-256"):
        house.codedeploy.register_application_revision(applicationName="chatbot", revision=revision)


@pytest.mark.parametrize(
    "routing",
    [
        {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 100, "canaryInterval": 5}},
        {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": 0}},
        {"type": "TimeBasedLinear"},
    ],
)
def test_a_configuration_that_shifts_nothing_is_refused(house: House, routing: dict[str, Any]) -> None:
    with pytest.raises(house.codedeploy.exceptions.InvalidTrafficRoutingConfigurationException):
        house.codedeploy.create_deployment_config(
            deploymentConfigName="mine", computePlatform="ECS", trafficRoutingConfig=routing
        )


def test_a_configuration_of_one_s_own_is_listed_used_and_then_deleted(house: House) -> None:
    canary = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 25, "canaryInterval": 2}}
    mine = {"deploymentConfigName": "mine", "computePlatform": "ECS", "trafficRoutingConfig": canary}
    house.codedeploy.create_deployment_config(**mine)
    assert {"mine", "CodeDeployDefault.ECSAllAtOnce"} <= set(
        house.codedeploy.list_deployment_configs()["deploymentConfigsList"]
    )
    info = house.codedeploy.get_deployment_config(deploymentConfigName="mine")["deploymentConfigInfo"]
    assert info["trafficRoutingConfig"] == canary
    with pytest.raises(house.codedeploy.exceptions.DeploymentConfigAlreadyExistsException):
        house.codedeploy.create_deployment_config(**mine)
    house.codedeploy.create_deployment_group(**house.group(deploymentConfigName="mine"))
    with pytest.raises(house.codedeploy.exceptions.DeploymentConfigInUseException):
        house.codedeploy.delete_deployment_config(deploymentConfigName="mine")
    house.codedeploy.delete_deployment_group(applicationName="chatbot", deploymentGroupName="chatbot")
    house.codedeploy.delete_deployment_config(deploymentConfigName="mine")
    with pytest.raises(house.codedeploy.exceptions.DeploymentConfigDoesNotExistException):
        house.codedeploy.get_deployment_config(deploymentConfigName="mine")


def test_applications_are_renamed_listed_and_deleted(house: House) -> None:
    with pytest.raises(house.codedeploy.exceptions.ApplicationAlreadyExistsException):
        house.codedeploy.create_application(applicationName="chatbot")
    house.codedeploy.update_application(applicationName="chatbot", newApplicationName="renamed")
    assert house.codedeploy.list_applications()["applications"] == ["renamed"]
    found = house.codedeploy.get_application(applicationName="renamed")["application"]
    assert found["computePlatform"] == "ECS" and found["createTime"]
    house.codedeploy.delete_application(applicationName="renamed")
    with pytest.raises(house.codedeploy.exceptions.ApplicationDoesNotExistException):
        house.codedeploy.get_application(applicationName="renamed")


def test_tags_are_kept_by_arn(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group(tags=[{"Key": "a", "Value": "1"}]))
    arn = "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:chatbot/chatbot"
    house.codedeploy.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    house.codedeploy.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert house.codedeploy.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_deployments_are_listed_newest_first_and_by_status(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    first, second = house.deploy(), None
    house.finished(first)
    second = house.deploy()
    house.finished(second)
    named = {"applicationName": "chatbot", "deploymentGroupName": "chatbot"}
    assert house.codedeploy.list_deployments(**named)["deployments"] == [second, first]
    assert house.codedeploy.list_deployments(**named, includeOnlyStatuses=["Failed"])["deployments"] == []
    (info,) = house.codedeploy.batch_get_deployments(deploymentIds=[second])["deploymentsInfo"]
    assert info["previousRevision"]["appSpecContent"]["content"] == APPSPEC
    with pytest.raises(house.codedeploy.exceptions.DeploymentDoesNotExistException):
        house.codedeploy.get_deployment(deploymentId="d-000000000")
