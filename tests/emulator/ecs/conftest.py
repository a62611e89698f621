"""A cluster with everything around it, made by boto3 alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from emulator.control import ecr
from emulator.emulator import Emulator
from emulator.loops.ecs.scheduler import Scheduler
from emulator.state.config import Config
from tests.emulator.ecs.bundle import Bundle
from tests.waiting import eventually

TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})  # fmt: skip


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
    uri: str = ""

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
        reads = ["logs:*", "ecr:*", "ssm:GetParameters", "secretsmanager:GetSecretValue"]
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": reads, "Resource": "*"}]}
        iam.put_role_policy(RoleName="execution", PolicyName="reads", PolicyDocument=json.dumps(allowed))
        self.client("logs").create_log_group(logGroupName="/ecs/tiny")
        made = self.client("ecr").create_repository(repositoryName=self.repository)["repository"]
        self.uri = made["repositoryUri"]
        self.image = self.push(Bundle())
        self.ecs.create_cluster(clusterName="house", capacityProviders=["FARGATE", "FARGATE_SPOT"])
        return self

    def push(self, bundle: Bundle, tag: str = "one") -> str:
        digest = bundle.push(ecr.registry(self.emulator.store), self.repository, tag)
        return f"{self.uri}@{digest}"

    def container(self, **changes: Any) -> dict[str, Any]:
        logs = {"awslogs-group": "/ecs/tiny", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "tiny"}
        return {
            "name": "web", "image": self.image, "portMappings": [{"containerPort": 7860}], "stopTimeout": 2,
            "logConfiguration": {"logDriver": "awslogs", "options": logs},
        } | changes  # fmt: skip

    def define(self, *containers: dict[str, Any], **changes: Any) -> str:
        document = {
            "family": "tiny", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
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

        eventually(settled)
        return self.service(name)

    def events(self, name: str = "tiny") -> list[str]:
        return [event["message"] for event in self.service(name)["events"]]

    def listens(self, arn: str) -> str:
        """Where the first port of a task really listens."""
        return self.emulator.store.once(Scheduler).address(arn, 7860)

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

    def clear(self) -> None:
        """Everything away that a test started."""
        for arn in self.ecs.list_services(cluster="house")["serviceArns"]:
            self.ecs.delete_service(cluster="house", service=arn, force=True)
        for task in self.tasks():
            self.ecs.stop_task(cluster="house", task=task["taskArn"])
        elb = self.client("elbv2")
        for balancer in elb.describe_load_balancers()["LoadBalancers"]:
            elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        for group in elb.describe_target_groups()["TargetGroups"]:
            elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
        eventually(lambda: self.ecs.list_services(cluster="house")["serviceArns"] == [])
        eventually(lambda: not [c for c in self.emulator.store.children.alive() if c.name.startswith("task ")])


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One emulator for a module: moto takes seconds for its first VPC."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), Config(port=0, runtime="process"))
    try:
        yield World(emulator).prepare()
    finally:
        emulator.close()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world
    shared_world.clear()
