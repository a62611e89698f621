"""A release as people see it: on the test listener first, then everywhere, and nobody chatting notices."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib

import pytest

from orchestrator.tools import bundle
from orchestrator.tools.image_source import Source
from tests.e2e.machine import Machine
from tests.e2e.releasing import (
    GROUP,
    Watch,
    deployments,
    execution_of,
    history,
    release_of,
    retitle,
    serving,
    title,
    title_at,
)
from tests.e2e.traffic import Traffic
from tests.waiting import eventually

pytestmark = pytest.mark.e2e
EVENTS = ["BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", "BeforeAllowTraffic",
          "AllowTraffic", "AfterAllowTraffic"]  # fmt: skip


def digest_of_checkout(machine: Machine) -> str:
    """What the bundle builder makes of the commit that is checked out, without any pipeline."""
    settings = tomllib.loads((machine.folder / f"environments/{machine.environment}.toml").read_text())
    source = Source(machine.folder, arguments=settings["image"]["build_args"])
    built = bundle.build(source.stage(), machine.folder, source.platform, source.labels("bundle"), source.file)
    return built.digest


def test_a_new_title_is_on_the_test_listener_first_and_then_everywhere(releasing: Machine) -> None:
    before, colour = title(releasing.url), serving(releasing)
    new, commit = retitle(releasing, "Released")
    with Watch(releasing) as watch, Traffic(releasing.url) as traffic:
        done = releasing.orchestrate("release")
    assert "AfterAllowTestTraffic" in done.stderr + done.stdout
    assert (new, before) not in watch.seen
    assert (before, new) in watch.seen, watch.seen
    assert title(releasing.url) == new
    assert serving(releasing) != colour
    assert traffic.count > 20
    assert not traffic.failures
    # Code, labels and all: who has the commit can make the very image that runs.
    ecs = releasing.client("ecs")
    tasks = ecs.describe_tasks(cluster="chatbot", tasks=ecs.list_tasks(cluster="chatbot")["taskArns"])["tasks"]
    assert digest_of_checkout(releasing) in {task["containers"][0]["imageDigest"] for task in tasks}
    told = release_of(releasing, commit)
    assert (told["result"], told["who"]) == ("Succeeded", "Tester")
    # What the pipeline did before anybody pushed is nobody's release.
    assert all(each["commit"] or each["deployment"] for each in history(releasing))


def test_terraform_finds_nothing_to_change_after_a_release(deployed: Machine) -> None:
    assert deployed.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


def test_a_plain_git_push_releases_and_the_aws_cli_follows_it(releasing: Machine) -> None:
    pytest.importorskip("awscli", reason="the aws CLI is not installed")
    colour = serving(releasing)
    new, commit = retitle(releasing, "Pushed")
    pipeline = json.loads(releasing.orchestrate("outputs", "--json").stdout)["pipeline"]
    aws = releasing.environ() | {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": releasing.endpoint,
    }  # fmt: skip
    helper = f"!{sys.executable} -m awscli codecommit credential-helper --ignore-host-check $@"
    push = ("-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true", "push")
    releasing.git(*push, pipeline["clone_url_http"], f"HEAD:{pipeline['branch']}", env=aws)

    eventually(lambda: execution_of(releasing, commit).get("status"), 60, "an execution of the pushed commit")
    eventually(lambda: execution_of(releasing, commit)["status"] != "InProgress", 400, "the end of the execution")
    assert execution_of(releasing, commit)["status"] == "Succeeded"
    for argv in (
        ["deploy", "wait", "deployment-successful", "--deployment-id", deployments(releasing)[0]],
        ["codepipeline", "get-pipeline-state", "--name", pipeline["pipeline_name"]],
    ):
        done = subprocess.run([sys.executable, "-m", "awscli", *argv], env=aws, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert title(releasing.url) == new
    assert serving(releasing) != colour
    assert releasing.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


def test_boto3_reads_every_state_of_the_last_release(deployed: Machine) -> None:
    """Unmodified calls, from the commit to the traffic; each answer leads to the next."""
    pipelines, name = deployed.client("codepipeline"), {"pipelineName": "chatbot"}
    newest = next(each for each in history(deployed) if each["execution"] and each["result"] == "Succeeded")
    execution = newest["execution"]
    found = pipelines.get_pipeline_execution(**name, pipelineExecutionId=execution)["pipelineExecution"]
    assert (found["status"], found["executionMode"]) == ("Succeeded", "QUEUED")
    assert [each["revisionId"] for each in found["artifactRevisions"]] == [newest["commit"]]
    stages = pipelines.get_pipeline_state(name="chatbot")["stageStates"]
    assert [stage["stageName"] for stage in stages] == ["Source", "Build", "Deploy"]
    assert {stage["latestExecution"]["status"] for stage in stages} == {"Succeeded"}
    listed = pipelines.list_action_executions(**name, filter={"pipelineExecutionId": execution})
    external = {
        each["stageName"]: each["output"]["executionResult"].get("externalExecutionId")
        for each in listed["actionExecutionDetails"]
    }
    assert external["Source"] == newest["commit"]

    (build,) = deployed.client("codebuild").batch_get_builds(ids=[external["Build"]])["builds"]
    assert (build["buildStatus"], build["resolvedSourceVersion"]) == ("SUCCEEDED", newest["commit"])
    assert {phase["phaseType"]: phase.get("phaseStatus") for phase in build["phases"]}["BUILD"] == "SUCCEEDED"
    where = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
    assert deployed.client("logs").get_log_events(**where)["events"]

    codedeploy = deployed.client("codedeploy")
    info = codedeploy.get_deployment(deploymentId=external["Deploy"])["deploymentInfo"]
    assert (info["status"], info["computePlatform"], info["creator"]) == ("Succeeded", "ECS", "user")
    (target,) = codedeploy.list_deployment_targets(deploymentId=external["Deploy"])["targetIds"]
    described = codedeploy.batch_get_deployment_targets(deploymentId=external["Deploy"], targetIds=[target])
    (of,) = [each["ecsTarget"] for each in described["deploymentTargets"]]
    assert [event["lifecycleEventName"] for event in of["lifecycleEvents"]] == EVENTS
    assert {event["status"] for event in of["lifecycleEvents"]} == {"Succeeded"}
    colours = {each["taskSetLabel"]: each for each in of["taskSetsInfo"]}
    assert (colours["Blue"]["trafficWeight"], colours["Green"]["trafficWeight"]) == (0.0, 100.0)
    group = codedeploy.get_deployment_group(**GROUP)["deploymentGroupInfo"]
    assert group["lastSuccessfulDeployment"]["deploymentId"] == deployments(deployed, ["Succeeded"])[0]


def test_history_tells_the_releases_and_a_rollback_brings_the_one_before_back(releasing: Machine) -> None:
    retitle(releasing, "Regretted")
    releasing.orchestrate("release")
    good = [each for each in history(releasing) if each["result"] == "Succeeded"]
    before = next(each for each in good if each["task_definition"] != good[0]["task_definition"])
    serves = title(releasing.url)
    assert serves == title_at(releasing, good[0]["commit"])
    with Traffic(releasing.url) as traffic:
        releasing.orchestrate("rollback")
    assert not traffic.failures
    assert title(releasing.url) != serves
    if before["commit"]:
        assert title(releasing.url) == title_at(releasing, before["commit"])
    newest = history(releasing)[0]
    assert (newest["digest"], newest["result"]) == (before["digest"], "Succeeded")
    assert newest["why"].startswith("rollback to ")


@pytest.mark.slow(group="releases")
def test_a_killed_follower_leaves_the_release_alone_and_another_takes_over(releasing: Machine) -> None:
    new, commit = retitle(releasing, "Followed")
    first = releasing.spawn("orchestrator", "release", "--env", releasing.environment)
    eventually(lambda: execution_of(releasing, commit).get("status") == "InProgress", 120, "the pipeline runs")
    time.sleep(2)
    first.kill()
    first.wait(60)
    assert execution_of(releasing, commit)["status"] == "InProgress"
    followed = releasing.orchestrate("release", "--follow")
    assert "AllowTraffic" in followed.stdout + followed.stderr
    assert title(releasing.url) == new
