"""Services of every controller, with real tasks behind them."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.control.events import bus
from tests.emulator.ecs.bundle import APP, Bundle
from tests.emulator.ecs.conftest import World
from tests.waiting import eventually

FAST = {"Delay": 1, "MaxAttempts": 40}
CODE_DEPLOY = {"type": "CODE_DEPLOY"}


def balancers(group: str) -> list[dict[str, object]]:
    return [{"targetGroupArn": group, "containerName": "web", "containerPort": 7860}]


def get(address: str, path: str = "env") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{address}/{path}", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def running(world: World) -> list[str]:
    return [task["taskArn"] for task in world.tasks(serviceName="tiny") if task["lastStatus"] == "RUNNING"]


def test_a_code_deploy_service_runs_two_real_tasks_that_are_healthy_targets(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), deploymentController=CODE_DEPLOY, loadBalancers=balancers(group))
    world.ecs.get_waiter("services_stable").wait(cluster="house", services=["tiny"], WaiterConfig=FAST)
    service = world.settles(2)
    assert world.health(group) == ["healthy", "healthy"]
    (original,) = service["taskSets"]
    assert (original["status"], original["stabilityStatus"], original["computedDesiredCount"]) == (
        "PRIMARY",
        "STEADY_STATE",
        2,
    )
    assert original["loadBalancers"] == balancers(group)
    tasks = world.tasks(serviceName="tiny")
    assert {task["startedBy"] for task in tasks} == {original["id"]}
    assert {task["group"] for task in tasks} == {"service:tiny"}
    assert len({task["availabilityZone"] for task in tasks}) == 2
    assert get(f"127.0.0.1:{free_port}")["WHO"] == "image"
    told = " ".join(world.events())
    assert f"(service tiny, taskSet {original['id']}) has started 2 tasks: (task " in told
    assert f"(service tiny, taskSet {original['id']}) registered 1 targets in (target-group {group})" in told


def test_a_killed_task_is_replaced(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), deploymentController=CODE_DEPLOY, loadBalancers=balancers(group))
    world.settles(2)
    before = set(running(world))
    victim = sorted(before)[0]
    os.kill(get(world.listens(victim))["pid"], signal.SIGKILL)
    eventually(lambda: world.task(victim)["lastStatus"] == "STOPPED")
    world.settles(2)
    assert victim not in running(world)
    assert len(set(running(world)) & before) == 1
    assert world.health(group) == ["healthy", "healthy"]


def test_a_task_that_the_load_balancer_finds_sick_is_stopped_and_replaced(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), desiredCount=1, loadBalancers=balancers(group))
    world.settles(1)
    (victim,) = running(world)
    get(world.listens(victim), "sick")
    eventually(lambda: world.task(victim)["lastStatus"] == "STOPPED", 40)
    task = world.task(victim)
    assert task["stoppedReason"] == f"Task failed ELB health checks in (target-group {group})"
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    assert any(
        f"(port 7860) is unhealthy in (target-group {group}) due to (reason Health checks failed" in event
        for event in world.events()
    )
    world.settles(1)


def test_the_grace_period_protects_a_task_that_starts_slowly(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), desiredCount=1, loadBalancers=balancers(group), healthCheckGracePeriodSeconds=3600)
    world.settles(1)
    (arn,) = running(world)
    get(world.listens(arn), "sick")
    eventually(lambda: world.health(group) == ["unhealthy"], 40)
    with pytest.raises(AssertionError):
        eventually(lambda: world.task(arn)["desiredStatus"] == "STOPPED", 3)


def test_scaling_in_drains_before_it_stops(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), desiredCount=1, loadBalancers=balancers(group))
    world.settles(1)
    (arn,) = running(world)
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "60"}
    world.client("elbv2").modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
    # An answer that has begun, and goes on for as long as this test wants.
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/held", timeout=60) as answer:
        world.ecs.update_service(cluster="house", service="tiny", desiredCount=0)
        eventually(lambda: world.task(arn)["lastStatus"] == "DEACTIVATING")
        eventually(lambda: world.health(group) == ["draining"])
        get(world.listens(arn), "go")
        assert json.load(answer)["WHO"] == "image"
    task = world.reaches(arn, "STOPPED")
    assert task["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/")
    assert world.health(group) == []


def test_a_deleted_service_drains_and_is_inactive(world: World) -> None:
    world.serve(world.define())
    world.settles(2)
    with pytest.raises(ClientError, match="cannot be stopped while it is scaled above 0"):
        world.ecs.delete_service(cluster="house", service="tiny")
    with pytest.raises(ClientError, match="ClusterContainsServicesException"):
        world.ecs.delete_cluster(cluster="house")
    gone = world.ecs.delete_service(cluster="house", service="tiny", force=True)["service"]
    assert gone["status"] == "DRAINING"
    with pytest.raises(ClientError, match="Unable to Start a service that is still Draining"):
        world.serve(world.define())
    world.ecs.get_waiter("services_inactive").wait(cluster="house", services=["tiny"], WaiterConfig=FAST)
    assert world.ecs.list_services(cluster="house")["serviceArns"] == []
    assert world.ecs.describe_clusters(clusters=["house"])["clusters"][0]["runningTasksCount"] == 0
    world.serve(world.define(), desiredCount=0)
    assert world.service()["status"] == "ACTIVE"


def test_a_rolling_update_replaces_every_task_and_keeps_the_healthy_minimum(world: World, free_port: int) -> None:
    group, _ = world.balancer(free_port)
    world.serve(world.define(), loadBalancers=balancers(group))
    world.settles(2)
    before = set(running(world))
    second = world.define(world.container(environment=[{"name": "WHO", "value": "second"}]))
    world.ecs.update_service(cluster="house", service="tiny", taskDefinition=second)
    assert [d["status"] for d in world.service()["deployments"]] == ["PRIMARY", "ACTIVE"]
    fewest = 9

    def rolled() -> bool:
        nonlocal fewest
        fewest = min(fewest, world.health(group).count("healthy"))
        return len(world.service()["deployments"]) == 1

    eventually(rolled, pause=0.05)
    assert fewest >= 2
    world.ecs.get_waiter("services_stable").wait(cluster="house", services=["tiny"], WaiterConfig=FAST)
    service = world.service()
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert service["taskDefinition"] == second
    assert not before & set(running(world))
    assert get(f"127.0.0.1:{free_port}")["WHO"] == "second"


def test_a_rolling_update_without_room_stops_first(world: World) -> None:
    limits = {"maximumPercent": 100, "minimumHealthyPercent": 0}
    world.serve(world.define(), desiredCount=1, deploymentConfiguration=limits)
    world.settles(1)
    world.ecs.update_service(cluster="house", service="tiny", forceNewDeployment=True)
    most = 0

    def rolled() -> bool:
        nonlocal most
        most = max(most, len([t for t in world.tasks(serviceName="tiny") if t["desiredStatus"] == "RUNNING"]))
        return len(world.service()["deployments"]) == 1

    eventually(rolled, pause=0.05)
    assert most == 1
    world.settles(1)


@pytest.mark.parametrize("room", [True, False], ids=["beside it", "in its place"])
def test_the_circuit_breaker_rolls_back_to_what_worked(world: World, room: bool) -> None:
    breaker: dict[str, Any] = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    if not room:
        breaker |= {"maximumPercent": 100, "minimumHealthyPercent": 0}
    good = world.define()
    world.serve(good, desiredCount=1, deploymentConfiguration=breaker)
    world.settles(1)
    (survivor,) = running(world)
    broken = world.push(Bundle(files={"app/server.py": "raise SystemExit(1)"}), "broken")
    world.ecs.update_service(
        cluster="house", service="tiny", taskDefinition=world.define(world.container(image=broken))
    )
    eventually(lambda: world.service()["taskDefinition"] == good, 40)
    world.settles(1)
    assert (running(world) == [survivor]) == room
    told = " ".join(world.events())
    assert "deployment failed: tasks failed to start." in told
    assert "rolling back to deployment ecs-svc/" in told
    (deployment,) = world.service()["deployments"]
    assert deployment["rolloutState"] == "COMPLETED"


def test_tasks_that_cannot_start_are_tried_ever_more_slowly(world: World) -> None:
    broken = world.push(Bundle(files={"app/server.py": "raise SystemExit(1)"}), "broken")
    started_by = world.serve(world.define(world.container(image=broken)), desiredCount=1)["deployments"][0]["id"]

    def ended() -> list[dict[str, Any]]:
        found = world.tasks(desiredStatus="STOPPED", startedBy=started_by)
        return sorted((task for task in found if "stoppedAt" in task), key=lambda task: str(task["createdAt"]))

    eventually(lambda: len(ended()) >= 4, 60)
    first, second, third, fourth = ended()[:4]
    # The pause begins with the failure, which a busy machine may record as a stop a while later.
    assert (fourth["createdAt"] - third["createdAt"]).total_seconds() >= 2
    assert (third["createdAt"] - second["createdAt"]).total_seconds() >= 1
    assert first["stopCode"] == "EssentialContainerExited"
    assert any("unable to consistently start tasks" in event for event in world.events())
    assert world.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"


def test_tags_go_to_tasks_as_the_service_says(world: World) -> None:
    tags = [{"key": "team", "value": "blue"}]
    world.serve(world.define(), desiredCount=1, tags=tags, propagateTags="SERVICE", enableECSManagedTags=True)
    world.settles(1)
    found = {tag["key"]: tag["value"] for tag in world.task(running(world)[0])["tags"]}
    assert found == {"team": "blue", "aws:ecs:clusterName": "house", "aws:ecs:serviceName": "tiny"}


def test_utilization_of_a_service_reaches_cloudwatch(world: World) -> None:
    from emulator.loops.ecs.scheduler import Scheduler

    busy = world.push(
        Bundle(files={"app/server.py": APP.replace("server.serve_forever()", "while True: pass")}), "busy"
    )
    world.serve(world.define(world.container(image=busy)), desiredCount=1)
    world.settles(1)
    meter = world.emulator.store.once(Scheduler).meter
    meter.period = 1.0
    meter.due = 0.0

    def metric(name: str) -> float:
        from datetime import UTC, datetime, timedelta

        points = world.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ECS", MetricName=name, Period=60, Statistics=["Maximum"],
            StartTime=datetime.now(UTC) - timedelta(minutes=5), EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Dimensions=[{"Name": "ClusterName", "Value": "house"}, {"Name": "ServiceName", "Value": "tiny"}],
        )["Datapoints"]  # fmt: skip
        return max((point["Maximum"] for point in points), default=0.0)

    eventually(lambda: metric("CPUUtilization") > 20, 30)
    assert 0 < metric("MemoryUtilization") < 100


def test_a_scalable_target_needs_a_service_that_is_there(world: World) -> None:
    scaling = world.client("application-autoscaling")
    target = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 1,
        "MaxCapacity": 3,
    }
    with pytest.raises(ClientError, match="ECS service doesn't exist"):
        scaling.register_scalable_target(ResourceId="service/house/none", **target)
    world.serve(world.define(), desiredCount=0)
    assert scaling.register_scalable_target(ResourceId="service/house/tiny", **target)["ScalableTargetARN"]


def test_subnets_can_be_deleted_once_the_service_is_gone(world: World) -> None:
    ec2 = world.client("ec2")
    subnet = ec2.create_subnet(VpcId=world.vpc, CidrBlock="10.7.9.0/24")["Subnet"]["SubnetId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [world.security_group]}}
    world.serve(world.define(), desiredCount=1, networkConfiguration=network)
    world.settles(1)
    world.clear()
    assert not ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["NetworkInterfaces"]
    ec2.delete_subnet(SubnetId=subnet)


def test_a_service_on_instances_says_that_there_are_none(world: World) -> None:
    definition = world.define(requiresCompatibilities=["EC2"])
    world.serve(definition, desiredCount=1, launchType="EC2")
    eventually(lambda: "No Container Instances were found in your cluster." in " ".join(world.events()))
    assert world.tasks(serviceName="tiny") == []


def test_what_happens_is_on_the_event_bus(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def record(
        _: Any, scope: tuple[str, str], source: str, kind: str, detail: dict[str, Any], about: list[str]
    ) -> None:
        assert (scope, source) == (("123456789012", "us-east-1"), "aws.ecs")
        assert about[0].startswith("arn:aws:ecs:")
        seen.append((kind, json.loads(json.dumps(detail))))

    monkeypatch.setattr(bus, "emit", record)
    world.serve(world.define(), desiredCount=1)
    world.settles(1)
    changes = [detail["lastStatus"] for kind, detail in seen if kind == "ECS Task State Change"]
    assert changes == ["PENDING", "ACTIVATING", "RUNNING"]
    others = [detail["eventName"] for kind, detail in seen if kind != "ECS Task State Change"]
    assert others == ["SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_STEADY_STATE"]
