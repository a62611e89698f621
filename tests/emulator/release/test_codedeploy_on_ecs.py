"""Deployments with real tasks behind a real load balancer, under traffic."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ports
from tests.emulator.ecs.bundle import Bundle
from tests.emulator.ecs.conftest import World, shared_world, world
from tests.emulator.release.house import Json, appspec
from tests.emulator.release.test_codepipeline_s3 import aws
from tests.waiting import eventually

__all__ = ["shared_world", "world"]  # fixtures


def who(port: int) -> str:
    """Who answers on a listener."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/env", timeout=60) as answer:
        return str(json.load(answer)["WHO"])


class Traffic:
    """Requests one after the other from several threads, until it ends: who answered, and what failed."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._port, self._ended = port, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(3)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(20)

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                self.answers[who(self._port)] += 1
            except (OSError, ValueError) as error:
                self.failures.append(f"{time.monotonic():.1f} {error}")


class Site:
    """A service "tiny" behind two listeners, with a deployment group."""

    def __init__(self, world: World, port: int, test_port: int) -> None:
        self.world, self.port, self.test_port = world, port, test_port
        self.codedeploy = world.client("codedeploy")
        blue, self.production = world.balancer(port)
        self.groups = {"blue": blue, "green": world.group("green")}
        elb = world.client("elbv2")
        (balancer,) = elb.describe_load_balancers(Names=["house"])["LoadBalancers"]
        self.test = elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Port=test_port, Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": blue}],
        )["Listeners"][0]["ListenerArn"]  # fmt: skip
        target = {"targetGroupArn": blue, "containerName": "web", "containerPort": 7860}
        world.serve(
            self.define("one"), deploymentController={"type": "CODE_DEPLOY"}, loadBalancers=[target]
        )  # fmt: skip
        eventually(lambda: world.health(blue) == ["healthy", "healthy"], 40)
        self._group()

    def define(self, name: str, **container: Any) -> str:
        environment = [{"name": "WHO", "value": name}]
        return self.world.define(self.world.container(environment=environment, **container))

    def _group(self) -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam = self.world.client("iam")
        try:
            role = iam.get_role(RoleName="codedeploy")["Role"]["Arn"]
        except iam.exceptions.NoSuchEntityException:
            policy = json.dumps({"Statement": [trust]})
            role = iam.create_role(RoleName="codedeploy", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        self.codedeploy.create_application(applicationName="tiny", computePlatform="ECS")
        pair = {
            "targetGroups": [{"name": "blue"}, {"name": "green"}],
            "prodTrafficRoute": {"listenerArns": [self.production]},
            "testTrafficRoute": {"listenerArns": [self.test]},
        }
        self.codedeploy.create_deployment_group(
            applicationName="tiny", deploymentGroupName="tiny", serviceRoleArn=role,
            deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
            blueGreenDeploymentConfiguration={
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": 1
                },
            },
            ecsServices=[{"clusterName": "house", "serviceName": "tiny"}],
            loadBalancerInfo={"targetGroupPairInfoList": [pair]},
        )  # fmt: skip

    def deploy(self, definition: str, **settings: Any) -> str:
        content = {"content": appspec(definition, "web")}
        return str(
            self.codedeploy.create_deployment(
                applicationName="tiny", deploymentGroupName="tiny",
                revision={"revisionType": "AppSpecContent", "appSpecContent": content}, **settings,
            )["deploymentId"]
        )  # fmt: skip

    def finished(self, deployment: str, seconds: float = 120) -> Json:
        def info() -> Json:
            found: Json = self.codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
            return found if "completeTime" in found else {}

        found: Json = eventually(info, seconds)
        return found

    def weights(self) -> dict[str, int]:
        (found,) = self.world.client("elbv2").describe_listeners(ListenerArns=[self.production])["Listeners"]
        action = found["DefaultActions"][0]
        if "ForwardConfig" not in action:
            return {action["TargetGroupArn"]: 100}
        return {each["TargetGroupArn"]: each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]}

    def clear(self) -> None:
        for deployment in self.codedeploy.list_deployments()["deployments"]:
            info = self.codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
            if "completeTime" not in info and info["creator"] == "user":
                self.codedeploy.stop_deployment(deploymentId=deployment)
            self.finished(deployment)
        self.codedeploy.delete_application(applicationName="tiny")


@pytest.fixture
def site(world: World, free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A minute is a second."""
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "60")
    found = Site(world, free_port, ports.free_port())
    yield found
    found.clear()


def test_two_releases_under_traffic_lose_no_request(site: Site) -> None:
    with Traffic(site.port) as traffic:
        for name, colour in (("two", "green"), ("three", "blue")):
            info = site.finished(site.deploy(site.define(name)))
            assert info["status"] == "Succeeded", info
            service = site.world.service()
            (task_set,) = [each for each in service["taskSets"] if each["status"] == "PRIMARY"]
            assert task_set["loadBalancers"][0]["targetGroupArn"] == site.groups[colour]
            assert service["loadBalancers"][0]["targetGroupArn"] == site.groups[colour]
            assert service["taskDefinition"] == task_set["taskDefinition"]
            assert who(site.port) == who(site.test_port) == name
    assert traffic.failures == []
    assert set(traffic.answers) == {"one", "two", "three"} and traffic.answers.total() > 100


@pytest.mark.parametrize(("how", "why"), [("exits", "exit code 3"), ("is sick", "ELB health checks")])
def test_a_broken_release_never_gets_a_request(site: Site, how: str, why: str) -> None:
    broken: dict[str, Any] = {"entryPoint": ["python", "-c", "raise SystemExit(3)"]}
    if how == "is sick":
        app = Bundle().files["app/server.py"].replace('"status": 200', '"status": 503')
        broken = {"image": site.world.push(Bundle(files={"app/server.py": app}), "sick")}
    with Traffic(site.port) as traffic:
        deployment = site.deploy(site.define("broken", **broken))
        info = site.finished(deployment, 90)
        assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HEALTH_CONSTRAINTS"), info
        assert why in info["errorInformation"]["message"]
        assert site.finished(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    assert traffic.failures == [] and set(traffic.answers) == {"one"}
    assert site.weights()[site.groups["blue"]] and not site.weights().get(site.groups["green"])
    eventually(lambda: len(site.world.service()["taskSets"]) == 1)
    assert site.finished(site.deploy(site.define("repaired")))["status"] == "Succeeded"


def test_a_canary_gets_its_tenth_and_a_stop_takes_it_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "10")
    deployment = site.deploy(site.define("two"), deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
    eventually(lambda: site.weights().get(site.groups["green"]) == 10)
    eventually(lambda: who(site.port) == "two", what="the load balancer hears of it")
    answers = Counter(who(site.port) for _ in range(200))
    assert answers["two"] / answers.total() == pytest.approx(0.1, abs=0.03)
    with Traffic(site.port) as traffic:
        site.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
        info = site.finished(deployment)
        assert info["status"] == "Stopped"
        site.finished(info["rollbackInfo"]["rollbackDeploymentId"])
        eventually(lambda: len(site.world.service()["taskSets"]) == 1)
    assert traffic.failures == [] and who(site.port) == "one"


@pytest.mark.skipif(not shutil.which("aws"), reason="needs AWS's command line")
def test_aws_s_command_line_waits_for_a_deployment(site: Site) -> None:
    deployment = site.deploy(site.define("two"))
    assert aws(site.world.emulator, "deploy", "wait", "deployment-successful", "--deployment-id", deployment) is None
    named = ("--deployment-id", deployment)
    (target,) = aws(site.world.emulator, "deploy", "list-deployment-targets", *named)["targetIds"]
    found = aws(site.world.emulator, "deploy", "get-deployment-target", *named, "--target-id", target)
    events = found["deploymentTarget"]["ecsTarget"]["lifecycleEvents"]
    assert {each["status"] for each in events} == {"Succeeded"} and len(events) == 8
