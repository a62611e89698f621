"""Task sets as CodeDeploy, or somebody's own controller, uses them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.ecs.conftest import World
from tests.waiting import eventually

CODE_DEPLOY = {"type": "CODE_DEPLOY"}
HALF = {"value": 50, "unit": "PERCENT"}


def balancers(group: str) -> list[dict[str, Any]]:
    return [{"targetGroupArn": group, "containerName": "web", "containerPort": 7860}]


def sets(world: World) -> dict[str, dict[str, Any]]:
    """By status."""
    found = world.ecs.describe_task_sets(cluster="house", service="tiny")["taskSets"]
    return {each["status"]: each for each in found}


def steady(world: World, task_set: str) -> dict[str, Any]:
    def one() -> dict[str, Any]:
        answer = world.ecs.describe_task_sets(cluster="house", service="tiny", taskSets=[task_set])
        found: dict[str, Any] = answer["taskSets"][0]
        return found

    eventually(lambda: one()["stabilityStatus"] == "STEADY_STATE", 30)
    return one()


def add(world: World, definition: str, **given: Any) -> dict[str, Any]:
    full = {"scale": {"value": 100, "unit": "PERCENT"}, "networkConfiguration": world.network, "launchType": "FARGATE"}
    made: dict[str, Any] = world.ecs.create_task_set(
        cluster="house", service="tiny", taskDefinition=definition, **(full | given)
    )["taskSet"]
    return made


def test_green_runs_beside_blue_becomes_primary_and_blue_is_drained(world: World, free_port: int) -> None:
    blue, _ = world.balancer(free_port)
    green = world.group("green")
    first = world.define()
    world.serve(first, deploymentController=CODE_DEPLOY, loadBalancers=balancers(blue))
    world.settles(2)
    second = world.define(world.container(environment=[{"name": "WHO", "value": "green"}]))
    made = add(world, second, loadBalancers=balancers(green), externalId="d-ABC")
    assert (made["status"], made["startedBy"], made["externalId"]) == ("ACTIVE", "CODE_DEPLOY", "d-ABC")
    assert (made["computedDesiredCount"], made["scale"]) == (2, {"value": 100.0, "unit": "PERCENT"})
    steady(world, made["taskSetArn"])
    assert world.health(green) == ["unused", "unused"]  # no listener forwards to it yet
    assert world.service()["runningCount"] == 4
    assert world.service()["taskDefinition"] == first

    answer = world.ecs.update_service_primary_task_set(
        cluster="house", service="tiny", primaryTaskSet=made["taskSetArn"]
    )
    assert answer["taskSet"]["status"] == "PRIMARY"
    service = world.service()
    assert (service["taskDefinition"], service["loadBalancers"]) == (second, balancers(green))
    former = sets(world)["ACTIVE"]

    world.ecs.delete_task_set(cluster="house", service="tiny", taskSet=former["id"], force=True)
    eventually(lambda: set(sets(world)) == {"PRIMARY"}, 30)
    assert world.health(blue) == []
    assert {task["startedBy"] for task in world.tasks(serviceName="tiny")} == {made["id"]}
    world.settles(2)


def test_a_scale_is_rounded_up_and_follows_the_desired_count(world: World) -> None:
    world.ecs.create_service(
        cluster="house", serviceName="tiny", desiredCount=3, deploymentController={"type": "EXTERNAL"}
    )
    made = add(world, world.define(), scale=HALF)
    assert made["computedDesiredCount"] == 2
    assert "startedBy" not in made
    assert steady(world, made["id"])["runningCount"] == 2
    world.ecs.update_task_set(
        cluster="house", service="tiny", taskSet=made["id"], scale={"value": 1, "unit": "PERCENT"}
    )
    eventually(lambda: len(world.tasks(serviceName="tiny")) == 1)
    world.ecs.update_service(cluster="house", service="tiny", desiredCount=0)
    eventually(lambda: not world.tasks(serviceName="tiny"))


def test_only_a_task_set_that_serves_nobody_is_deleted_without_force(world: World, free_port: int) -> None:
    blue, _ = world.balancer(free_port)
    world.serve(world.define(), deploymentController=CODE_DEPLOY, loadBalancers=balancers(blue), desiredCount=1)
    world.settles(1)
    primary = sets(world)["PRIMARY"]["id"]
    with pytest.raises(ClientError, match="primary task set cannot be deleted"):
        world.ecs.delete_task_set(cluster="house", service="tiny", taskSet=primary)
    made = add(world, world.define(), loadBalancers=balancers(world.group("green")))["id"]
    with pytest.raises(ClientError, match="while it is scaled above 0"):
        world.ecs.delete_task_set(cluster="house", service="tiny", taskSet=made)
    world.ecs.update_task_set(cluster="house", service="tiny", taskSet=made, scale={"value": 0, "unit": "PERCENT"})
    world.ecs.delete_task_set(cluster="house", service="tiny", taskSet=made)
    eventually(lambda: set(sets(world)) == {"PRIMARY"})
    with pytest.raises(ClientError, match="TaskSetNotFoundException"):
        world.ecs.update_task_set(cluster="house", service="tiny", taskSet=made, scale=HALF)


def test_codedeploy_keeps_what_only_it_may_change(world: World, free_port: int) -> None:
    blue, _ = world.balancer(free_port)
    world.serve(world.define(), deploymentController=CODE_DEPLOY, loadBalancers=balancers(blue), desiredCount=1)
    with pytest.raises(ClientError) as refused:
        world.ecs.update_service(cluster="house", service="tiny", taskDefinition=world.define())
    assert refused.value.response["Error"]["Message"] == (
        "Unable to update task definition on services with a CODE_DEPLOY deployment controller."
        " Use AWS CodeDeploy to trigger a new deployment."
    )
    with pytest.raises(ClientError, match="Cannot force a new deployment on services with a CODE_DEPLOY"):
        world.ecs.update_service(cluster="house", service="tiny", forceNewDeployment=True)
    world.ecs.update_service(cluster="house", service="tiny", desiredCount=2, healthCheckGracePeriodSeconds=7)
    assert world.settles(2)["healthCheckGracePeriodSeconds"] == 7


def test_rolling_services_have_no_task_sets(world: World) -> None:
    world.serve(world.define(), desiredCount=0)
    with pytest.raises(ClientError, match="only supports task set management"):
        add(world, world.define())
