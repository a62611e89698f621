"""AWS's own GitHub actions, as a runner starts them: Node.js, the inputs in the environment, the outputs in a file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.emulator import Emulator
from tests.emulator.signing import client

pytestmark = pytest.mark.slow(group="foreign")

VERSIONS = {
    "amazon-ecr-login": "v2.1.7",
    "aws-codebuild-run-build": "v1.0.18",
    "amazon-ecs-deploy-task-definition": "v2.6.3",
}


@dataclass
class Runner:
    """`docker` is a stand-in that writes down how it was called."""

    emulator: Emulator
    folder: Path

    def client(self, service: str) -> Any:
        return client(self.emulator, service)

    def run(self, action: str, **inputs: str) -> str:
        """Its outputs; inputs with `_` for `-`."""
        if not shutil.which("node"):
            pytest.skip("node is not installed")
        source = f"https://github.com/aws-actions/{action}"
        clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", VERSIONS[action], source, action]
        fetched = subprocess.run(clone, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False)
        if fetched.returncode:
            pytest.skip(f"network: {source} cannot be cloned: {fetched.stderr.strip()}")
        docker = self.folder / "bin/docker"
        docker.parent.mkdir(exist_ok=True)
        docker.write_text('#!/bin/sh\necho "$*" >>"$HOME/docker.log"\n')
        docker.chmod(0o755)
        output = self.folder / "output"
        output.write_text("")
        environ = {
            "PATH": f"{docker.parent}:{os.environ['PATH']}", "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.emulator.url,
            "GITHUB_WORKSPACE": str(self.folder), "GITHUB_SHA": "a" * 40, "GITHUB_REPOSITORY": "ada/chatbot",
            "GITHUB_OUTPUT": str(output), "GITHUB_STATE": str(self.folder / "output"),
            **{f"INPUT_{name.upper().replace('_', '-')}": value for name, value in inputs.items()},
        }  # fmt: skip
        done = subprocess.run(
            ["node", f"{action}/dist/index.js"], cwd=self.folder, env=environ, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return output.read_text()


@pytest.fixture
def runner(emulator: Emulator, tmp_path: Path) -> Runner:
    return Runner(emulator, tmp_path)


def role(runner: Runner, service: str) -> str:
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
    ]}  # fmt: skip
    made = runner.client("iam").create_role(RoleName="works", AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def test_amazon_ecr_login(runner: Runner) -> None:
    outputs = runner.run("amazon-ecr-login", mask_password="true")
    registry = runner.client("ecr").get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
    assert registry.partition("//")[2] in outputs
    logged_in = (runner.folder / "docker.log").read_text()
    assert logged_in.startswith("login -u AWS") and registry in logged_in


def test_aws_codebuild_run_build(runner: Runner) -> None:
    runner.client("codebuild").create_project(
        name="words", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=role(runner, "codebuild.amazonaws.com"),
    )  # fmt: skip
    spec = "version: 0.2\nphases:\n  build:\n    commands:\n      - echo built\n"
    outputs = runner.run(
        "aws-codebuild-run-build", project_name="words", buildspec_override=spec, source_type_override="NO_SOURCE"
    )
    build = runner.client("codebuild").list_builds_for_project(projectName="words")["ids"][0]
    assert build in outputs
    assert runner.client("codebuild").batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "SUCCEEDED"


def test_amazon_ecs_deploy_task_definition(runner: Runner) -> None:
    ecs, ec2 = runner.client("ecs"), runner.client("ec2")
    ecs.create_cluster(clusterName="house")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    definition = {
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": role(runner, "ecs-tasks.amazonaws.com"),
        "containerDefinitions": [{"name": "web", "image": "nobody/none:1"}],
    }  # fmt: skip
    first = ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(
        cluster="house", serviceName="web", taskDefinition=first, desiredCount=0, launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}},
    )  # fmt: skip
    (runner.folder / "web.json").write_text(json.dumps({**definition, "cpu": "512", "memory": "1024"}))
    outputs = runner.run(
        "amazon-ecs-deploy-task-definition", task_definition="web.json", service="web", cluster="house",
        wait_for_service_stability="true",
    )  # fmt: skip
    now = ecs.describe_services(cluster="house", services=["web"])["services"][0]["taskDefinition"]
    assert now != first and now in outputs
    assert ecs.describe_task_definition(taskDefinition=now)["taskDefinition"]["cpu"] == "512"
