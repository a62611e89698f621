"""A blue/green service on an emulator without tasks: ECS is a fake here, all else is as it is in the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store
from tests.waiting import eventually

Json = dict[str, Any]


def appspec(definition: str, container: str = "chatbot", port: int = 7860) -> str:
    """An AppSpec for `definition`, in YAML as AWS's tutorials write it."""
    return f"""
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: {definition}
        LoadBalancerInfo:
          ContainerName: "{container}"
          ContainerPort: {port}
"""


APPSPEC = appspec('"arn:aws:ecs:us-east-1:123456789012:task-definition/chatbot:2"')


@dataclass
class FakeEcs:
    """One service with task sets; a target of a task set is registered with its group while the task set exists."""

    elbv2: Any = None
    task_sets: dict[str, Json] = field(default_factory=dict)
    steady: bool = True
    refuse: str = ""  # an operation to refuse
    callers: set[str] = field(default_factory=set)  # access keys of all but the developer
    made: int = 0
    task_definitions: list[Json] = field(default_factory=list)

    def operations(self) -> dict[str, Callable[[Store, Call], Answer]]:
        named = {
            "DescribeServices": self.describe_services,
            "CreateTaskSet": self.create_task_set,
            "DescribeTaskSets": self.describe_task_sets,
            "UpdateServicePrimaryTaskSet": self.update_primary,
            "DeleteTaskSet": self.delete_task_set,
            "RegisterTaskDefinition": self.register_task_definition,
        }
        return {name: self._watched(name, operation) for name, operation in named.items()}

    def _watched(self, name: str, operation: Callable[[Json], Answer]) -> Callable[[Store, Call], Answer]:
        def answer(store: Store, call: Call) -> Answer:
            self.callers.add(call.access_key)
            if self.refuse == name:
                raise AwsError("InvalidParameterException", "The container does not exist in the task definition.")
            return operation(call.parameters)

        return answer

    def describe_services(self, parameters: Json) -> Answer:
        service = {
            "serviceName": "chatbot", "status": "ACTIVE", "deploymentController": {"type": "CODE_DEPLOY"},
            "taskSets": list(self.task_sets.values()),
        }  # fmt: skip
        return {"services": [service] if parameters["services"] == ["chatbot"] else [], "failures": []}

    def register_task_definition(self, parameters: Json) -> Answer:
        self.task_definitions.append(parameters)
        arn = f"arn:aws:ecs:us-east-1:123456789012:task-definition/chatbot:{len(self.task_definitions) + 1}"
        return {"taskDefinition": {**parameters, "taskDefinitionArn": arn}}

    def create_task_set(self, parameters: Json) -> Answer:
        self.made += 1
        arn = f"arn:aws:ecs:us-east-1:123456789012:task-set/chatbot/chatbot/ecs-svc/{self.made}"
        made: Json = {
            "id": f"ecs-svc/{self.made}", "taskSetArn": arn, "status": "ACTIVE", "computedDesiredCount": 2,
            "pendingCount": 0, "runningCount": 2, "stabilityStatus": "STEADY_STATE", "launchType": "FARGATE",
            **{key: parameters[key] for key in ("taskDefinition", "loadBalancers", "externalId") if key in parameters},
        }  # fmt: skip
        if not self.steady:
            made.update(stabilityStatus="STABILIZING", runningCount=0)
        self.task_sets[arn] = made
        self._targets("register_targets", made)
        return {"taskSet": made}

    def _targets(self, operation: str, task_set: Json) -> None:
        group = task_set["loadBalancers"][0]["targetGroupArn"]
        number = int(task_set["id"].split("/")[1])
        targets = [{"Id": f"10.0.{number}.{task}", "Port": 7860} for task in (1, 2)]
        getattr(self.elbv2, operation)(TargetGroupArn=group, Targets=targets)

    def describe_task_sets(self, parameters: Json) -> Answer:
        wanted = parameters.get("taskSets") or list(self.task_sets)
        return {"taskSets": [self.task_sets[arn] for arn in wanted if arn in self.task_sets], "failures": []}

    def update_primary(self, parameters: Json) -> Answer:
        for arn, task_set in self.task_sets.items():
            task_set["status"] = "PRIMARY" if arn == parameters["primaryTaskSet"] else "ACTIVE"
        return {"taskSet": self.task_sets[parameters["primaryTaskSet"]]}

    def delete_task_set(self, parameters: Json) -> Answer:
        found = self.task_sets.pop(parameters["taskSet"], None)
        if found is None:
            raise AwsError("TaskSetNotFoundException", "The specified task set could not be found.")
        if found["status"] == "PRIMARY":
            raise AwsError("InvalidParameterException", "The TaskSet is primary and cannot be deleted.")
        self._targets("deregister_targets", found)
        return {"taskSet": found}


class House:
    """A load balancer with two listeners and two colours, the service on blue, and a deployment group."""

    def __init__(self, store: Store, ecs: FakeEcs) -> None:
        self.store, self.ecs = store, ecs
        self.codedeploy = store.clients("codedeploy")
        self.elbv2 = ecs.elbv2 = store.clients("elbv2")
        self.role = self.trusted("codedeploy")
        self.groups = {colour: self._target_group(colour) for colour in ("blue", "green")}
        balancer = self._balancer()
        self.production = self._listener(balancer, 8000)
        self.test = self._listener(balancer, 8001)
        blue = {"targetGroupArn": self.groups["blue"], "containerName": "chatbot", "containerPort": 7860}
        first = ecs.create_task_set({"taskDefinition": "chatbot:1", "loadBalancers": [blue]})["taskSet"]
        first["status"] = "PRIMARY"
        self.codedeploy.create_application(applicationName="chatbot", computePlatform="ECS")

    def trusted(self, service: str) -> str:
        statement = {
            "Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"
        }  # fmt: skip
        made = self.store.clients("iam").create_role(
            RoleName=f"chatbot-{service}", AssumeRolePolicyDocument=json.dumps({"Statement": [statement]})
        )
        return str(made["Role"]["Arn"])

    def _vpc(self) -> str:
        return str(self.store.clients("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])

    def _balancer(self) -> str:
        subnets = self.store.clients("ec2").describe_subnets()["Subnets"][:2]
        made = self.elbv2.create_load_balancer(Name="chatbot", Subnets=[each["SubnetId"] for each in subnets])
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def _target_group(self, colour: str) -> str:
        made = self.elbv2.create_target_group(
            Name=f"chatbot-{colour}", Protocol="HTTP", Port=7860, TargetType="ip", VpcId=self._vpc()
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def _listener(self, balancer: str, port: int) -> str:
        forward = {
            "TargetGroups": [{"TargetGroupArn": self.groups["blue"], "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 1},
        }
        made = self.elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port,
            DefaultActions=[{"Type": "forward", "ForwardConfig": forward}],
        )  # fmt: skip
        return str(made["Listeners"][0]["ListenerArn"])

    def group(self, **settings: Any) -> Json:
        """The arguments of CreateDeploymentGroup, with `settings` over the usual ones."""
        pair = {
            "targetGroups": [{"name": "chatbot-blue"}, {"name": "chatbot-green"}],
            "prodTrafficRoute": {"listenerArns": [self.production]},
            "testTrafficRoute": {"listenerArns": [self.test]},
        }
        return {
            "applicationName": "chatbot", "deploymentGroupName": "chatbot", "serviceRoleArn": self.role,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 0
                },
            },
            "ecsServices": [{"clusterName": "chatbot", "serviceName": "chatbot"}],
            "loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
            **settings,
        }  # fmt: skip

    def deploy(self, appspec: str = APPSPEC, **settings: Any) -> str:
        answer = self.codedeploy.create_deployment(
            applicationName="chatbot", deploymentGroupName="chatbot",
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec}}, **settings,
        )  # fmt: skip
        return str(answer["deploymentId"])

    def info(self, deployment: str) -> Json:
        found: Json = self.codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
        return found

    def finished(self, deployment: str, seconds: float = 60) -> Json:
        found: Json = eventually(lambda: "completeTime" in self.info(deployment) and self.info(deployment), seconds)
        return found

    def target(self, deployment: str) -> Json:
        (target,) = self.codedeploy.list_deployment_targets(deploymentId=deployment)["targetIds"]
        found = self.codedeploy.get_deployment_target(deploymentId=deployment, targetId=target)
        ecs_target: Json = found["deploymentTarget"]["ecsTarget"]
        return ecs_target

    def events(self, deployment: str) -> dict[str, str]:
        return {each["lifecycleEventName"]: each["status"] for each in self.target(deployment)["lifecycleEvents"]}

    def weights(self, listener: str) -> dict[str, int]:
        """Of the listener's traffic, by colour."""
        (found,) = self.elbv2.describe_listeners(ListenerArns=[listener])["Listeners"]
        colours = {arn: colour for colour, arn in self.groups.items()}
        (action,) = found["DefaultActions"]
        listed = action["ForwardConfig"]["TargetGroups"]
        return {colours[each["TargetGroupArn"]]: each["Weight"] for each in listed if each["Weight"]}

    def primary(self) -> Json:
        return next(each for each in self.ecs.task_sets.values() if each["status"] == "PRIMARY")

    def colour(self) -> str:
        """Where the service's primary task set is."""
        arn = self.primary()["loadBalancers"][0]["targetGroupArn"]
        return next(colour for colour, known in self.groups.items() if known == arn)
