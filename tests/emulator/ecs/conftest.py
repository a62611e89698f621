"""A cluster with everything around it, made by boto3 alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from emulator.emulator import Emulator
from emulator.loops.ecs.runtimes import registry
from tests.emulator.ecs.bundle import Bundle

TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})  # fmt: skip


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true answer of `check`; fails with its last one."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.05)
    return found


@dataclass
class World:
    """A VPC, two roles, a repository with one image, a cluster; what tests ask of it in one word each."""

    emulator: Emulator
    repository: str = "tiny"
    subnets: list[str] = field(default_factory=list)
    security_group: str = ""
    vpc: str = ""
    execution_role: str = ""
    task_role: str = ""
    image: str = ""

    def client(self, service: str) -> Any:
        return self.emulator.store.clients(service)

    @property
    def ecs(self) -> Any:
        return self.client("ecs")

    def prepare(self) -> World:
        ec2, iam = self.client("ec2"), self.client("iam")
        self.vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.7.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        self.security_group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=self.vpc)[
            "GroupId"
        ]
        self.execution_role = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        self.task_role = iam.create_role(RoleName="task", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        self.client("logs").create_log_group(logGroupName="/ecs/tiny")
        self.image = self.push(Bundle())
        self.ecs.create_cluster(clusterName="house", capacityProviders=["FARGATE", "FARGATE_SPOT"])
        return self

    def push(self, bundle: Bundle, tag: str = "one") -> str:
        digest = bundle.push(self.emulator.store.once(registry), self.repository, tag)
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{self.repository}@{digest}"

    def container(self, **changes: Any) -> dict[str, Any]:
        logs = {"awslogs-group": "/ecs/tiny", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "tiny"}
        return {
            "name": "web", "image": self.image, "portMappings": [{"containerPort": 7860}], "stopTimeout": 2,
            "logConfiguration": {"logDriver": "awslogs", "options": logs},
        } | changes  # fmt: skip

    def define(self, *containers: dict[str, Any], **changes: Any) -> str:
        document = {
            "family": "tiny", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": self.execution_role, "taskRoleArn": self.task_role,
            "containerDefinitions": list(containers) or [self.container()],
        } | changes  # fmt: skip
        return str(self.ecs.register_task_definition(**document)["taskDefinition"]["taskDefinitionArn"])

    @property
    def network(self) -> dict[str, Any]:
        return {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.security_group]}}

    def run(self, definition: str, **changes: Any) -> str:
        """RunTask; answers the task's ARN."""
        given = {"launchType": "FARGATE", "networkConfiguration": self.network, "cluster": "house"} | changes
        return str(self.ecs.run_task(taskDefinition=definition, **given)["tasks"][0]["taskArn"])

    def serve(self, definition: str, **changes: Any) -> dict[str, Any]:
        given = {
            "serviceName": "tiny",
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
        }
        service: dict[str, Any] = self.ecs.create_service(
            cluster="house", taskDefinition=definition, **(given | changes)
        )["service"]
        return service

    def task(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_tasks(cluster="house", tasks=[arn], include=["TAGS"])["tasks"][0]
        return found

    def service(self, name: str = "tiny") -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_services(cluster="house", services=[name], include=["TAGS"])[
            "services"
        ][0]
        return found

    def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster="house", **filters)["taskArns"]
        return list(self.ecs.describe_tasks(cluster="house", tasks=arns)["tasks"]) if arns else []

    def reaches(self, arn: str, status: str) -> dict[str, Any]:
        """The task, once it has the status."""
        eventually(lambda: self.task(arn)["lastStatus"] == status)
        return self.task(arn)

    def settles(self, running: int, name: str = "tiny") -> dict[str, Any]:
        """The service, once it is steady with so many tasks."""

        def settled() -> bool:
            service = self.service(name)
            return bool(service["runningCount"] == running and "steady state" in service["events"][0]["message"])

        eventually(settled, 30)
        return self.service(name)

    def events(self, name: str = "tiny") -> list[str]:
        return [event["message"] for event in self.service(name)["events"]]

    def address(self, arn: str) -> str:
        """Where a task really listens."""
        from emulator.state.targets import Targets

        details = {each["name"]: each["value"] for each in self.task(arn)["attachments"][0]["details"]}
        return self.emulator.store.table(Targets).addresses[details["privateIPv4Address"], 7860]

    def balancer(self, port: int, **settings: Any) -> tuple[str, str]:
        """A load balancer with a listener on `port`; answers the ARNs of target group and listener."""
        elb = self.client("elbv2")
        group = self.group("blue", **settings)
        arn = elb.create_load_balancer(Name="house", Subnets=self.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        listener = elb.create_listener(
            LoadBalancerArn=arn,
            Port=port,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )["Listeners"][0]["ListenerArn"]
        return group, listener

    def group(self, name: str, **settings: Any) -> str:
        elb = self.client("elbv2")
        checks = {
            "HealthCheckPath": "/healthz", "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
        }  # fmt: skip
        made = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=7860, VpcId=self.vpc, TargetType="ip", **(checks | settings)
        )["TargetGroups"][0]["TargetGroupArn"]
        attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": "3"}]
        elb.modify_target_group_attributes(TargetGroupArn=made, Attributes=attributes)
        return str(made)

    def health(self, group: str) -> list[str]:
        answer = self.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in answer]


@pytest.fixture
def world(emulator: Emulator) -> World:
    return World(emulator).prepare()
