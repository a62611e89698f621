"""Chatbots as tasks of ECS behind a load balancer: what Terraform deployed, and further services beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import urllib.request
from pathlib import Path
from typing import Any

from tests.chatbot.served import PATIENCE, Served, sorted_out
from tests.e2e.machine import Machine
from tests.ports import free_port

CLUSTER = SERVICE = CONTAINER = "chatbot"
LOG_GROUP = "/ecs/chatbot"


class Hosted(Served):
    """A service of ECS. What it logs is read from CloudWatch."""

    pause = 0.25
    forwarded = ""  # the load balancer says who the visitor is

    def __init__(self, machine: Machine, name: str, url: str, stream_prefix: str) -> None:
        self.machine, self.name, self._url, self._prefix = machine, name, url, stream_prefix

    @property
    def url(self) -> str:
        return self._url

    def written(self) -> tuple[list[dict[str, Any]], list[str]]:
        pages = self.machine.client("logs").get_paginator("filter_log_events").paginate(
            logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._prefix}/"
        )  # fmt: skip
        return sorted_out(event["message"] for page in pages for event in page["events"])

    def tasks(self) -> dict[str, int]:
        """The process that each running task is, by the task's ARN."""
        arns = self.machine.client("ecs").list_tasks(cluster=CLUSTER, serviceName=self.name)["taskArns"]
        found = {_task_of(process): process for process in self.machine.chatbots()}
        return {arn: found[arn] for arn in arns if arn in found}

    def who_answered(self) -> list[str]:
        """The ids of the tasks that logged an answer, one for each, the latest last."""
        pages = self.machine.client("logs").get_paginator("filter_log_events").paginate(
            logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._prefix}/", filterPattern='"answer"'
        )  # fmt: skip
        events = sorted((event for page in pages for event in page["events"]), key=lambda event: event["timestamp"])
        return [event["logStreamName"].rsplit("/", 1)[1] for event in events]

    def replace(self) -> None:
        before = self.tasks()
        for process in before.values():
            os.kill(process, signal.SIGKILL)
        self.wait(lambda: len(self.tasks().keys() - before.keys()) == len(before), what="other tasks")

    def kill(self) -> None:
        ecs, elb = self.machine.client("ecs"), self.machine.client("elbv2")
        service = ecs.describe_services(cluster=CLUSTER, services=[self.name])["services"][0]
        ecs.delete_service(cluster=CLUSTER, service=self.name, force=True)
        self.wait(lambda: not self.tasks(), what="the end of its tasks")
        group = service["loadBalancers"][0]["targetGroupArn"]
        balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        for listener in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
            if listener["Port"] == self.port:
                elb.delete_listener(ListenerArn=listener["ListenerArn"])
        elb.delete_target_group(TargetGroupArn=group)


def deploy(machine: Machine, base_url: str) -> Hosted:
    """What `make deploy` makes, with an OpenAI-compatible server as the model and the settings of PATIENCE."""
    by_setting = {
        "chatbot_backend": PATIENCE["CHATBOT_BACKEND"],
        "chatbot_base_url": base_url,
        "chatbot_max_tokens": int(PATIENCE["CHATBOT_MAX_TOKENS"]),
        "chatbot_rate_per_minute": int(PATIENCE["CHATBOT_RATE_PER_MINUTE"]),
        "chatbot_visitor_settings": PATIENCE["CHATBOT_VISITOR_SETTINGS"].split(","),
    }
    # A release ends the tasks that it replaced at once, and what they are saying is cut off.
    machine.settings = {
        "ecs": by_setting | {"termination_wait_minutes": 0, "stop_timeout": 6},
        "network": {"deregistration_delay": 1, "listener_stickiness_duration": 0},
    }
    by_hand = {name: value for name, value in PATIENCE.items() if name.lower() not in by_setting}
    pairs = "".join(json.dumps({"name": name, "value": value}) + ", " for name, value in by_hand.items())
    machine.edit("taskdef.json", '"environment": [', f'"environment": [{pairs}')
    machine.write_settings()
    machine.commit("A model's server that misbehaves on demand")
    machine.orchestrate("deploy")
    return Hosted(machine, SERVICE, machine.url, "task")


def start(machine: Machine, **settings: str) -> Hosted:
    """A service of one task of what is deployed, with these settings of the chatbot alone, on a listener of its own."""
    ecs, name = machine.client("ecs"), f"chatbot-{secrets.token_hex(4)}"
    model = ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]["taskSets"][0]
    group, port = _listener(machine, name)
    ecs.create_service(
        cluster=CLUSTER, serviceName=name, desiredCount=1, launchType="FARGATE",
        taskDefinition=_task_definition(ecs, model["taskDefinition"], name, settings),
        networkConfiguration=model["networkConfiguration"], healthCheckGracePeriodSeconds=60,
        loadBalancers=[{"targetGroupArn": group, "containerName": CONTAINER, "containerPort": 7860}],
    )  # fmt: skip
    service = Hosted(machine, name, f"http://localhost:{port}", name)
    service.wait(lambda: _answers(service), what="a task behind the listener")
    return service


def _answers(service: Hosted) -> bool:
    with contextlib.suppress(OSError):  # the listener is not there yet
        return service.get("/healthz")[0] == 200
    return False


def _task_definition(ecs: Any, model: str, name: str, settings: dict[str, str]) -> str:
    """Like the model, with another environment and another name for its log streams; its ARN."""
    definition = ecs.describe_task_definition(taskDefinition=model)["taskDefinition"]
    container = definition["containerDefinitions"][0]
    container["environment"] = [{"name": key, "value": value} for key, value in settings.items()]
    container["logConfiguration"]["options"]["awslogs-stream-prefix"] = name
    kept = ("containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities", "executionRoleArn",
            "taskRoleArn")  # fmt: skip
    made = ecs.register_task_definition(family=name, **{key: definition[key] for key in kept})
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _listener(machine: Machine, name: str) -> tuple[str, int]:
    """A target group's ARN, and the port of the listener that forwards to it."""
    elb, port = machine.client("elbv2"), free_port()
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]
    group = elb.create_target_group(
        Name=name, Protocol="HTTP", Port=7860, VpcId=balancer["VpcId"], TargetType="ip", HealthCheckPath="/healthz",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip
    return group, port


def _task_of(process: int) -> str:
    """The ARN of the task that a process is, by what ECS tells it of itself."""
    with contextlib.suppress(OSError):
        environment = Path(f"/proc/{process}/environ").read_bytes().decode()
        if found := re.search(r"ECS_CONTAINER_METADATA_URI_V4=(\S+?)\0", environment):
            with urllib.request.urlopen(f"{found[1]}/task", timeout=60) as answer:
                return str(json.load(answer)["TaskARN"])
    return ""
