"""AWS's two public tutorials of blue/green on ECS, step by step on real tasks: the same documents, other names.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/create-blue-green.html
https://docs.aws.amazon.com/codepipeline/latest/userguide/tutorials-ecs-ecr-codedeploy.html
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.control import ecr
from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.ecs.bundle import Bundle
from tests.emulator.release import tutorial
from tests.emulator.release.house import Json
from tests.emulator.release.test_codepipeline_s3 import aws
from tests.ports import free_ports
from tests.waiting import eventually

pytestmark = pytest.mark.slow(group="foreign")  # AWS's default health check asks every 30 seconds


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An empty account with its default VPC; a minute is a second."""
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "60")
    emulator = Emulator(tmp_path / "emulator", Config(port=0, runtime="process"))
    try:
        yield emulator
    finally:
        emulator.close()


@pytest.fixture
def ports() -> list[int]:
    """Two free ports, for the tutorials' 80 and 8080."""
    return free_ports(2)


class Account:
    """What both tutorials take for granted: a VPC with two subnets and a security group, roles, an image in ECR."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        ec2 = self.client("ec2")
        self.vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
        here = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=here)["Subnets"]][:2]
        self.security_group = ec2.create_security_group(
            GroupName="tutorial", Description="The listeners' ports are open", VpcId=self.vpc
        )["GroupId"]
        anywhere = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.authorize_security_group_ingress(GroupId=self.security_group, IpPermissions=[anywhere])
        self.execution_role = self.role(
            "ecsTaskExecutionRole", "ecs-tasks", "service-role/AmazonECSTaskExecutionRolePolicy"
        )
        self.codedeploy_role = self.role("ecsCodeDeployRole", "codedeploy", "AWSCodeDeployRoleForECS")

    def client(self, service: str) -> Any:
        return self.emulator.store.clients(service)

    def role(self, name: str, service: str, policy: str = "") -> str:
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        iam = self.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if policy:
            iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
        return str(made)

    def push(self, repository: str, says: str) -> str:
        """Pushes `latest`, whose every page tells `says`; the image's digest."""
        image = Bundle(environment={"HOST": "0.0.0.0", "PORT": "80", "WHO": says})
        return image.push(ecr.registry(self.emulator.store), repository, "latest")

    @property
    def network(self) -> Json:
        return {
            "awsvpcConfiguration": {
                "assignPublicIp": "ENABLED", "securityGroups": [self.security_group], "subnets": self.subnets
            }
        }  # fmt: skip


def says(port: int) -> str:
    """Who answers on a listener; empty while nobody does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return str(json.load(answer)["WHO"])
    except OSError:
        return ""


@pytest.mark.skipif(not shutil.which("aws"), reason="needs AWS's command line")
def test_the_tutorial_of_ecs_runs_by_aws_s_command_line(account: Emulator, ports: list[int], tmp_path: Path) -> None:
    here = Account(account)

    def run(*command: str, document: Json | None = None) -> Any:
        """`aws <command>`, with a file of JSON where the tutorial has one."""
        given: tuple[str, ...] = ()
        if document:
            (tmp_path / f"{command[1]}.json").write_text(json.dumps(document, indent=4))
            given = ("--cli-input-json", f"file://{tmp_path}/{command[1]}.json")
        return aws(account, *command, *given, "--region", "us-east-1")

    image = run("ecr", "create-repository", "--repository-name", "shop")["repository"]["repositoryUri"]
    here.push("shop", "nobody")

    # Step 1: an Application Load Balancer
    balancer = run(
        "elbv2", "create-load-balancer", "--name", "shop-alb", "--subnets", *here.subnets,
        "--security-groups", here.security_group,
    )["LoadBalancers"][0]["LoadBalancerArn"]  # fmt: skip
    group = ("--protocol", "HTTP", "--port", "80", "--target-type", "ip", "--vpc-id", here.vpc)
    first = run("elbv2", "create-target-group", "--name", "shopfront1", *group)["TargetGroups"][0]["TargetGroupArn"]
    listener = run(
        "elbv2", "create-listener", "--load-balancer-arn", balancer, "--protocol", "HTTP", "--port", str(ports[0]),
        "--default-actions", f"Type=forward,TargetGroupArn={first}",
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    # Steps 2 to 4: cluster, task definition, service
    run("ecs", "create-cluster", "--cluster-name", "shop-cluster")
    definition: Json = {
        "family": "shop-task-def",
        "networkMode": "awsvpc",
        "containerDefinitions": [{
            "name": "corner-shop", "image": f"{image}:latest",
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
            "essential": True, "entryPoint": ["sh", "-c"], "command": ["WHO=blue exec python server.py"],
        }],
        "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512", "executionRoleArn": here.execution_role,
    }  # fmt: skip
    run("ecs", "register-task-definition", document=definition)
    service = {
        "cluster": "shop-cluster", "serviceName": "service-shop", "taskDefinition": "shop-task-def",
        "loadBalancers": [{"targetGroupArn": first, "containerName": "corner-shop", "containerPort": 80}],
        "launchType": "FARGATE", "schedulingStrategy": "REPLICA", "deploymentController": {"type": "CODE_DEPLOY"},
        "platformVersion": "LATEST", "networkConfiguration": here.network, "desiredCount": 1,
    }  # fmt: skip
    made = run("ecs", "create-service", document=service)["service"]
    assert made["serviceArn"].endswith("service/shop-cluster/service-shop")
    eventually(lambda: says(ports[0]) == "blue", 60)
    # Step 5: CodeDeploy's application and deployment group, with a second target group
    run("deploy", "create-application", "--application-name", "shop-app", "--compute-platform", "ECS")
    run("elbv2", "create-target-group", "--name", "shopfront2", *group)
    route = {"listenerArns": [listener]}
    pair = {"targetGroups": [{"name": "shopfront1"}, {"name": "shopfront2"}], "prodTrafficRoute": route}
    run("deploy", "create-deployment-group", document={
        "applicationName": "shop-app",
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
        },
        "deploymentGroupName": "shop-dg",
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL", "deploymentType": "BLUE_GREEN"},
        "loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
        "serviceRoleArn": here.codedeploy_role,
        "ecsServices": [{"serviceName": "service-shop", "clusterName": "shop-cluster"}],
    })  # fmt: skip
    # Step 6: an AppSpec in S3, and the deployment
    definition["containerDefinitions"][0]["command"] = ["WHO=green exec python server.py"]
    run("ecs", "register-task-definition", document=definition)
    second = "arn:aws:ecs:us-east-1:123456789012:task-definition/shop-task-def:2"
    (tmp_path / "appspec.yaml").write_text(
        tutorial.appspec("corner-shop", f'"{second}"') + '        PlatformVersion: "LATEST"\n'
    )
    here.client("s3").create_bucket(Bucket="shop-bucket")
    run("s3api", "put-object", "--bucket", "shop-bucket", "--key", "appspec.yaml", "--body", f"{tmp_path}/appspec.yaml")
    deployment = run("deploy", "create-deployment", document={
        "applicationName": "shop-app", "deploymentGroupName": "shop-dg",
        "revision": {
            "revisionType": "S3",
            "s3Location": {"bucket": "shop-bucket", "key": "appspec.yaml", "bundleType": "YAML"},
        },
    })["deploymentId"]  # fmt: skip
    run("deploy", "wait", "deployment-successful", "--deployment-id", deployment)
    target = ("--deployment-id", deployment, "--target-id", "shop-cluster:service-shop")
    found = run("deploy", "get-deployment-target", *target)["deploymentTarget"]
    assert (found["deploymentTargetType"], found["ecsTarget"]["status"]) == ("ECSTarget", "Succeeded")
    assert {each["status"] for each in found["ecsTarget"]["lifecycleEvents"]} == {"Succeeded"}
    assert says(ports[0]) == "green"


def test_the_tutorial_of_codepipeline_runs_up_to_a_pushed_image(account: Emulator, ports: list[int]) -> None:
    here = Account(account)
    here.client("ecr").create_repository(repositoryName="kiosk")
    digests = [here.push("kiosk", "one")]
    elbv2, service, group = here.client("elbv2"), _service, _deployment_group
    # Steps 2 and 3: documents in CodeCommit, a load balancer with two listeners and two target groups
    _commit(here)
    balancer = elbv2.create_load_balancer(
        Name="kiosk", Scheme="internet-facing", Subnets=here.subnets, SecurityGroups=[here.security_group]
    )["LoadBalancers"][0]["LoadBalancerArn"]  # fmt: skip
    groups = [
        elbv2.create_target_group(Name=f"target-group-{n}", Protocol="HTTP", Port=80, TargetType="ip", VpcId=here.vpc)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for n in (1, 2)
    ]
    listeners = [
        elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )["Listeners"][0]["ListenerArn"]
        for port, arn in zip(ports, groups, strict=True)
    ]  # fmt: skip
    # Steps 4 and 5
    service(here, groups[0])
    eventually(lambda: says(ports[0]) == "one", 60)
    group(here, listeners[0])
    # Step 6: the pipeline, whose first run deploys the image that is there already
    pipelines = here.client("codepipeline")
    here.client("s3").create_bucket(Bucket="codepipeline-us-east-1-kiosk")
    pipelines.create_pipeline(pipeline=_pipeline(here.role("AWSCodePipelineServiceRole", "codepipeline")))
    _succeeds(here)
    # Step 7: a change of the image, then "Release change"
    digests.append(here.push("kiosk", "two"))
    pipelines.start_pipeline_execution(name="MyKioskPipeline")
    _succeeds(here)
    assert says(ports[0]) == "two"
    assert [_image(here, revision).partition("@")[2] for revision in (2, 3)] == digests


TASKDEF = tutorial.taskdef("corner-shop", "kiosk-demo")


def _commit(here: Account) -> None:
    codecommit = here.client("codecommit")
    codecommit.create_repository(repositoryName="my-kiosk-repo")
    files = {"taskdef.json": json.dumps(TASKDEF), "appspec.yaml": tutorial.appspec("corner-shop")}
    codecommit.create_commit(
        repositoryName="my-kiosk-repo", branchName="main", commitMessage="Added task definition files",
        putFiles=[{"filePath": name, "fileContent": text.encode()} for name, text in files.items()],
    )  # fmt: skip


def _service(here: Account, target_group: str) -> None:
    """Registered once with the image's own name, as the tutorial does before the placeholder takes its place."""
    ecs = here.client("ecs")
    ecs.create_cluster(clusterName="kiosks")
    uri = here.client("ecr").describe_repositories(repositoryNames=["kiosk"])["repositories"][0]["repositoryUri"]
    ecs.register_task_definition(**json.loads(json.dumps(TASKDEF).replace("<IMAGE1_NAME>", f"{uri}:latest")))
    document: Json = {
        "taskDefinition": "kiosk-demo:1", "cluster": "kiosks",
        "loadBalancers": [{"targetGroupArn": target_group, "containerName": "corner-shop", "containerPort": 80}],
        "desiredCount": 1, "launchType": "FARGATE", "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "CODE_DEPLOY"}, "networkConfiguration": here.network,
    }  # fmt: skip
    ecs.create_service(serviceName="my-kiosk", **document)


def _deployment_group(here: Account, listener: str) -> None:
    codedeploy = here.client("codedeploy")
    codedeploy.create_application(applicationName="kioskapp", computePlatform="ECS")
    pair = {
        "targetGroups": [{"name": "target-group-1"}, {"name": "target-group-2"}],
        "prodTrafficRoute": {"listenerArns": [listener]},
    }
    codedeploy.create_deployment_group(
        applicationName="kioskapp", deploymentGroupName="kioskgroup", serviceRoleArn=here.codedeploy_role,
        deploymentStyle={"deploymentOption": "WITH_TRAFFIC_CONTROL", "deploymentType": "BLUE_GREEN"},
        ecsServices=[{"clusterName": "kiosks", "serviceName": "my-kiosk"}],
        loadBalancerInfo={"targetGroupPairInfoList": [pair]},
        blueGreenDeploymentConfiguration={  # what the console chooses: reroute at once, end blue after an hour
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
        },
    )  # fmt: skip


def _pipeline(role: str) -> Json:
    def action(name: str, category: str, provider: str, **members: Any) -> Json:
        kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
        return {"name": name, "actionTypeId": kind, "runOrder": 1, "region": "us-east-1", **members}

    documents = action(
        "Source", "Source", "CodeCommit", outputArtifacts=[{"name": "SourceArtifact"}], inputArtifacts=[],
        configuration={"RepositoryName": "my-kiosk-repo", "BranchName": "main", "PollForSourceChanges": "false"},
    )  # fmt: skip
    image = action(
        "Image", "Source", "ECR", outputArtifacts=[{"name": "MyKiosk"}], inputArtifacts=[],
        configuration={"RepositoryName": "kiosk", "ImageTag": "latest"},
    )  # fmt: skip
    deploy = action(
        "Deploy", "Deploy", "CodeDeployToECS", outputArtifacts=[],
        inputArtifacts=[{"name": "SourceArtifact"}, {"name": "MyKiosk"}],
        configuration={
            "AppSpecTemplateArtifact": "SourceArtifact", "AppSpecTemplatePath": "appspec.yaml",
            "TaskDefinitionTemplateArtifact": "SourceArtifact", "TaskDefinitionTemplatePath": "taskdef.json",
            "ApplicationName": "kioskapp", "DeploymentGroupName": "kioskgroup",
            "Image1ArtifactName": "MyKiosk", "Image1ContainerName": "IMAGE1_NAME",
        },
    )  # fmt: skip
    return {
        "name": "MyKioskPipeline", "roleArn": role, "version": 1,
        "artifactStore": {"type": "S3", "location": "codepipeline-us-east-1-kiosk"},
        "stages": [{"name": "Source", "actions": [documents, image]}, {"name": "Deploy", "actions": [deploy]}],
    }  # fmt: skip


def _succeeds(here: Account) -> None:
    """The newest execution comes to a good end."""
    client, name = here.client("codepipeline"), {"pipelineName": "MyKioskPipeline"}
    execution = client.list_pipeline_executions(**name)["pipelineExecutionSummaries"][0]["pipelineExecutionId"]

    def status() -> str:
        return str(client.get_pipeline_execution(**name, pipelineExecutionId=execution)["pipelineExecution"]["status"])

    eventually(lambda: status() != "InProgress", 120)
    assert status() == "Succeeded", client.list_action_executions(**name)["actionExecutionDetails"][0]["output"]


def _image(here: Account, revision: int) -> str:
    found = here.client("ecs").describe_task_definition(taskDefinition=f"kiosk-demo:{revision}")["taskDefinition"]
    return str(found["containerDefinitions"][0]["image"])
