"""What ECS's API answers and refuses, without a task that runs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.ecs.conftest import World


def refusal(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


BAD_DEFINITIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"cpu": "256", "memory": "4096"}, {}, "No Fargate configuration exists for given values"),
    ({"cpu": "300", "memory": "512"}, {}, "No Fargate configuration exists for given values"),
    ({"networkMode": "bridge"}, {}, "Fargate only supports network mode ‘awsvpc’."),
    ({"family": "not a name"}, {}, "Family name invalid."),
    ({"containerDefinitions": []}, {}, "Container definitions should not be empty."),
    ({"executionRoleArn": ""}, {}, "execution role ARN to support log driver awslogs"),
    ({}, {"image": ""}, "Container.image should not be null or empty."),
    ({}, {"name": "no spaces"}, "Invalid container name: no spaces."),
    ({}, {"essential": False}, "At least one essential container must be defined."),
    ({}, {"memory": 1024}, "'memory' cannot be larger than the task's memory"),
    ({}, {"portMappings": [{"containerPort": 80, "hostPort": 81}]}, "the host ports and container ports"),
    ({}, {"dependsOn": [{"containerName": "x", "condition": "START"}]}, "which is not in the task definition"),
    ({}, {"dependsOn": [{"containerName": "web", "condition": "START"}]}, "should not form a cycle"),
    ({}, {"logConfiguration": {"logDriver": "awslogs", "options": {}}}, "requires options: awslogs-group"),
    ({}, {"healthCheck": {"command": ["true"]}}, "must be prefixed with CMD or CMD-SHELL"),
    ({}, {"privileged": True}, "does not support privileged"),
    ({}, {"stopTimeout": 121}, "stopTimeout"),
]


@pytest.mark.parametrize(("task", "container", "said"), BAD_DEFINITIONS, ids=[said for _, _, said in BAD_DEFINITIONS])
def test_a_bad_task_definition_is_refused(
    world: World, task: dict[str, Any], container: dict[str, Any], said: str
) -> None:
    definition = {"containerDefinitions": [world.container(**container)]} | task
    code, message = refusal(world.define, **definition)
    assert said in message
    assert code in ("ClientException", "InvalidParameterException")


def test_a_task_definition_is_answered_with_what_aws_adds(world: World) -> None:
    arn = world.define(cpu="1 vCPU", memory="2 GB", tags=[{"key": "k", "value": "v"}])
    answer = world.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    found = answer["taskDefinition"]
    assert answer["tags"] == [{"key": "k", "value": "v"}]
    assert (found["cpu"], found["memory"], found["status"]) == ("1024", "2048", "ACTIVE")
    assert found["compatibilities"] == ["EC2", "FARGATE"]
    assert found["containerDefinitions"][0]["portMappings"] == [
        {"containerPort": 7860, "hostPort": 7860, "protocol": "tcp"}
    ]
    assert {"name": "ecs.capability.task-eni"} in found["requiresAttributes"]


def test_revisions_count_up_and_are_never_given_twice(world: World) -> None:
    ecs = world.ecs
    first, second = (world.define(family="counted") for _ in range(2))
    assert (first[-2:], second[-2:]) == (":1", ":2")
    assert ecs.describe_task_definition(taskDefinition="counted")["taskDefinition"]["taskDefinitionArn"] == second
    assert ecs.delete_task_definitions(taskDefinitions=[second])["failures"][0]["reason"].startswith(
        "The specified task definition is still in ACTIVE status."
    )
    assert ecs.deregister_task_definition(taskDefinition=second)["taskDefinition"]["status"] == "INACTIVE"
    assert ecs.list_task_definitions(familyPrefix="counted")["taskDefinitionArns"] == [first]
    assert ecs.list_task_definitions(familyPrefix="counted", status="INACTIVE")["taskDefinitionArns"] == [second]
    assert refusal(world.run, definition=second) == ("ClientException", "TaskDefinition is inactive")
    assert ecs.delete_task_definitions(taskDefinitions=[second])["taskDefinitions"][0]["status"] == "DELETE_IN_PROGRESS"
    assert world.define(family="counted")[-2:] == ":3"
    assert "counted" in ecs.list_task_definition_families(status="ACTIVE")["families"]
    assert refusal(ecs.describe_task_definition, taskDefinition="never")[1] == "Unable to describe task definition."
    assert refusal(ecs.deregister_task_definition, taskDefinition="counted")[1] == "Revision is missing."


def test_a_service_needs_a_target_group_that_a_load_balancer_uses(world: World) -> None:
    group = world.group("lonely")
    balancer = {"targetGroupArn": group, "containerName": "web", "containerPort": 7860}
    assert refusal(world.serve, definition=world.define(), loadBalancers=[balancer]) == (
        "InvalidParameterException",
        f"The target group with targetGroupArn {group} does not have an associated load balancer.",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"serviceName": "bad name"}, "Service name invalid."),
        ({"launchType": "FARGATE", "networkConfiguration": {}}, "Network Configuration must be provided"),
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "Specifying both a launch type and"),
        ({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 100}}, "cannot be 100"),
        ({"healthCheckGracePeriodSeconds": 5}, "only valid for services configured to use load balancers"),
        ({"schedulingStrategy": "DAEMON"}, "daemon scheduling strategy is not supported"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "Exactly one load balancer"),
        ({"role": "arn:aws:iam::123456789012:role/x"}, "You cannot specify an IAM role"),
        ({"platformVersion": "9.9.9"}, "The specified platform does not exist."),
        ({"desiredCount": -1}, "desiredCount"),
        ({"taskDefinition": "never"}, "TaskDefinition not found."),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "does not support the deployment strategy"),
    ],
)
def test_a_bad_service_is_refused(world: World, change: dict[str, Any], said: str) -> None:
    definition = change.pop("taskDefinition", None) or world.define()
    assert said in refusal(world.serve, definition=definition, **change)[1]


@pytest.mark.parametrize(
    ("name", "port", "said"),
    [
        ("other", 7860, "The container other does not exist in the task definition."),
        ("web", 80, "The container web did not have a container port 80 defined."),
    ],
)
def test_a_load_balancer_names_a_container_and_a_port_of_the_task_definition(
    world: World, name: str, port: int, said: str
) -> None:
    balancer = {"targetGroupArn": world.group("some"), "containerName": name, "containerPort": port}
    assert refusal(world.serve, definition=world.define(), loadBalancers=[balancer])[1] == said


def test_a_second_service_of_the_same_name_is_refused_unless_the_call_is_the_same(world: World) -> None:
    definition = world.define()
    first = world.serve(definition, desiredCount=0, clientToken="once")
    assert world.serve(definition, desiredCount=0, clientToken="once")["serviceArn"] == first["serviceArn"]
    assert refusal(world.serve, definition=definition, desiredCount=0) == (
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    )


def test_what_terraform_reads_of_a_service_is_there(world: World) -> None:
    service = world.serve(world.define(), desiredCount=0)
    assert service["availabilityZoneRebalancing"] == "DISABLED"
    assert service["deploymentConfiguration"]["maximumPercent"] == 200
    assert service["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    for key in (
        "schedulingStrategy",
        "propagateTags",
        "enableExecuteCommand",
        "enableECSManagedTags",
        "platformVersion",
    ):
        assert key in service
    assert service["roleArn"].endswith("AWSServiceRoleForECS")


def test_clusters_have_settings_providers_and_statistics(world: World) -> None:
    ecs = world.ecs
    made = ecs.create_cluster(
        clusterName="other",
        settings=[{"name": "containerInsights", "value": "enabled"}],
        tags=[{"key": "a", "value": "b"}],
    )["cluster"]
    assert made["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    plain = ecs.describe_clusters(clusters=["other", "none"])
    assert (plain["clusters"][0]["settings"], plain["clusters"][0]["tags"]) == ([], [])
    assert plain["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/none", "reason": "MISSING"}]
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 2}]
    put = ecs.put_cluster_capacity_providers(
        cluster="other", capacityProviders=["FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert put["defaultCapacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 2, "base": 0}]
    assert "not associated" in refusal(
        ecs.put_cluster_capacity_providers, cluster="other", capacityProviders=["FARGATE"],
        defaultCapacityProviderStrategy=strategy,
    )[1]  # fmt: skip
    assert ecs.describe_clusters(clusters=["other"])["clusters"][0]["capacityProviders"] == ["FARGATE_SPOT"]
    names = {
        s["name"]
        for s in ecs.describe_clusters(clusters=["other"], include=["STATISTICS"])["clusters"][0]["statistics"]
    }
    assert "runningFargateTasksCount" in names
    assert ecs.delete_cluster(cluster="other")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["other"])["clusters"][0]["status"] == "INACTIVE"
    assert refusal(ecs.list_services, cluster="other") == ("ClusterNotFoundException", "Cluster not found.")
    providers = ecs.describe_capacity_providers()["capacityProviders"]
    assert [each["name"] for each in providers] == ["FARGATE", "FARGATE_SPOT"]


def test_tags_are_kept_by_arn(world: World) -> None:
    arn = world.define()
    world.ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    world.ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert world.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    missing = arn.rpartition(":")[0] + ":999"
    assert refusal(world.ecs.list_tags_for_resource, resourceArn=missing)[1] == "The specified resource was not found."


def test_account_settings_are_the_defaults_of_new_clusters(world: World) -> None:
    ecs = world.ecs
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    try:
        made = ecs.create_cluster(clusterName="insightful")["cluster"]
        assert made["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    finally:
        ecs.put_account_setting_default(name="containerInsights", value="disabled")
    ecs.put_account_setting(name="taskLongArnFormat", value="enabled")
    found = {each["name"]: each["value"] for each in ecs.list_account_settings(effectiveSettings=True)["settings"]}
    assert found["taskLongArnFormat"] == "enabled"
    assert "should be one of" in refusal(ecs.put_account_setting, name="nonsense", value="x")[1]


def test_lists_come_in_pages(world: World) -> None:
    for _ in range(5):
        world.define(family="paged")
    pages = list(
        world.ecs.get_paginator("list_task_definitions").paginate(
            familyPrefix="paged", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["taskDefinitionArns"]) for page in pages] == [2, 2, 1]


def test_what_is_not_there_has_aws_names(world: World) -> None:
    ecs = world.ecs
    assert refusal(ecs.update_service, cluster="house", service="none")[0] == "ServiceNotFoundException"
    assert refusal(ecs.stop_task, cluster="house", task="none") == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )
    assert ecs.describe_services(cluster="house", services=["none"])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_tasks(cluster="house", tasks=["0" * 32])["failures"][0]["reason"] == "MISSING"
    assert ecs.list_container_instances(cluster="house")["containerInstanceArns"] == []
    code, message = refusal(
        ecs.create_capacity_provider, name="x", autoScalingGroupProvider={"autoScalingGroupArn": "arn:aws:x"}
    )
    assert (code, "ecs:CreateCapacityProvider" in message) == ("UnsupportedFeatureException", True)


def test_an_operation_that_nobody_has_is_named(world: World) -> None:
    code, message = refusal(world.ecs.list_daemons)
    assert "ListDaemons" in message
    assert code


def test_what_would_never_come_true_is_refused_by_name(world: World) -> None:
    given = {"serviceConnectConfiguration": {"enabled": True}}
    code, message = refusal(world.serve, definition=world.define(), **given)
    assert code == "UnsupportedFeatureException"
    assert "serviceConnectConfiguration" in message
    world.serve(world.define(), desiredCount=0, serviceConnectConfiguration={"enabled": False})


def test_a_task_definition_for_fargate_alone_does_not_run_on_instances(world: World) -> None:
    message = refusal(world.run, definition=world.define(), launchType="EC2")[1]
    assert message == "Task definition does not support launch_type EC2."
    bridge = world.define(world.container(memory=128), networkMode="bridge", requiresCompatibilities=["EC2"])
    assert refusal(world.run, definition=bridge)[1] == "Task definition does not support launch_type FARGATE."


def test_exec_needs_a_task_role(world: World) -> None:
    definition = world.define(taskRoleArn="")
    assert "valid taskRoleArn" in refusal(world.serve, definition=definition, enableExecuteCommand=True)[1]
    assert "valid taskRoleArn" in refusal(world.run, definition=definition, enableExecuteCommand=True)[1]


def test_a_definition_that_a_service_uses_can_still_start_tasks_after_its_deletion(world: World) -> None:
    definition = world.define(family="kept")
    world.define(family="kept")
    world.serve(definition, desiredCount=0)
    world.ecs.deregister_task_definition(taskDefinition=definition)
    world.ecs.delete_task_definitions(taskDefinitions=[definition])
    world.ecs.update_service(cluster="house", service="tiny", desiredCount=1)
    world.settles(1)
