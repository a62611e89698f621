"""Releases against AWS's APIs in memory: what is refused before, what is chosen, what is said while it goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator import following, history, releases
from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import Interrupted, NotNow, ReleaseFailed
from orchestrator.following import Follower
from orchestrator.releases import Target
from orchestrator.site import Site
from tests.orchestrator.conftest import Said

BLUE, GREEN = "arn:x:targetgroup/chatbot-blue/1", "arn:x:targetgroup/chatbot-green/2"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TARGET = Target(
    {
        "production_listener_arn": "production",
        "test_listener_arn": "test",
        "target_groups": {"blue": {"arn": BLUE}, "green": {"arn": GREEN}},
        "url": "http://chat",
    },
    {
        "application_name": "chatbot", "deployment_group_name": "chatbot", "cluster_name": "chatbot",
        "service_name": "chatbot", "task_family": "chatbot",
        "placeholders": {"CONTAINER_NAME": "chatbot", "CONTAINER_PORT": "7860", "FARGATE_WEIGHT": "1",
                         "FARGATE_SPOT_WEIGHT": "0", "HOOKS": "# none"},
    },
    {"pipeline_name": "chatbot", "repository_name": "chatbot", "branch": "main"},
)  # fmt: skip


def _revision(number: int) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task-definition/chatbot:{number}"


class Pages:
    """A paginator of one page."""

    def __init__(self, page: dict[str, Any]) -> None:
        self._page = page

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self._page]


class FakeApis:
    """The five services in one object: what a test sets is what they answer, what is asked of them is kept."""

    def __init__(self) -> None:
        self.config: Config | None = None
        self.running: list[str] = []
        self.live = BLUE
        self.connection = "AVAILABLE"
        self.deployments: list[dict[str, Any]] = []
        self.executions: list[dict[str, Any]] = []
        self.actions: dict[str, list[dict[str, Any]]] = {}
        self.stages: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.not_started = 0  # so many answers that a deployment has not started yet
        self.alarms: list[str] = []
        self.made: list[dict[str, Any]] = []

    def client(self, _: str) -> FakeApis:
        return self

    def get_paginator(self, name: str) -> Pages:
        if name == "list_pipeline_executions":
            return Pages(self.list_pipeline_executions())
        return Pages({"deployments": self.running or [each["deploymentId"] for each in self.deployments]})

    def describe_services(self, **_: Any) -> dict[str, Any]:
        return {"services": [{"taskSets": [{"status": "PRIMARY", "loadBalancers": [{"targetGroupArn": BLUE}]}]}]}

    def describe_listeners(self, **_: Any) -> dict[str, Any]:
        return {"Listeners": [{"DefaultActions": [{"Type": "forward", "TargetGroupArn": self.live}]}]}

    def describe_target_health(self, **_: Any) -> dict[str, Any]:
        return {"TargetHealthDescriptions": []}

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:
        number = taskDefinition.rpartition(":")[2]
        return {"taskDefinition": {"containerDefinitions": [{"image": f"repo@sha256:{number * 64}"}]}}

    def get_commit(self, repositoryName: str, commitId: str) -> dict[str, Any]:
        return {"commit": {"author": {"name": f"author of {commitId[0]}"}}}

    def get_connection(self, **_: Any) -> dict[str, Any]:
        return {"Connection": {"ConnectionStatus": self.connection}}

    def batch_get_deployments(self, deploymentIds: list[str]) -> dict[str, Any]:
        return {"deploymentsInfo": [each for each in self.deployments if each["deploymentId"] in deploymentIds]}

    def list_pipeline_executions(self, **_: Any) -> dict[str, Any]:
        return {"pipelineExecutionSummaries": self.executions}

    def list_action_executions(self, pipelineName: str, filter: dict[str, str]) -> dict[str, Any]:
        return {"actionExecutionDetails": self.actions.get(filter["pipelineExecutionId"], [])}

    def get_pipeline_execution(self, pipelineExecutionId: str, **_: Any) -> dict[str, Any]:
        found = next(each for each in self.executions if each["pipelineExecutionId"] == pipelineExecutionId)
        return {"pipelineExecution": found}

    def get_pipeline_state(self, **_: Any) -> dict[str, Any]:
        return {"stageStates": self.stages}

    def put_approval_result(self, **asked: Any) -> None:
        self.made.append(asked)

    def create_deployment(self, **asked: Any) -> dict[str, Any]:
        self.made.append(asked)
        return {"deploymentId": "d-new"}

    def get_deployment_group(self, **_: Any) -> dict[str, Any]:
        watched = {"enabled": True, "alarms": [{"name": "blue-5xx"}, {"name": "green-5xx"}]}
        return {"deploymentGroupInfo": {"alarmConfiguration": watched}}

    def describe_alarms(self, AlarmNames: list[str], StateValue: str) -> dict[str, Any]:
        assert StateValue == "ALARM"
        return {"MetricAlarms": [{"AlarmName": name} for name in AlarmNames if name in self.alarms]}

    def get_deployment(self, deploymentId: str) -> dict[str, Any]:
        return {"deploymentInfo": next(each for each in self.deployments if each["deploymentId"] == deploymentId)}

    def list_deployment_targets(self, **_: Any) -> dict[str, Any]:
        if self.not_started:
            self.not_started -= 1
            error = {"Code": "DeploymentNotStartedException", "Message": "The deployment d-2 has not started yet."}
            raise ClientError({"Error": error}, "ListDeploymentTargets")
        return {"targetIds": ["chatbot:chatbot"]}

    def get_deployment_target(self, **_: Any) -> dict[str, Any]:
        return {"deploymentTarget": {"ecsTarget": {"lifecycleEvents": self.events}}}

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        return {"builds": [{"id": name, "logs": {"groupName": "/codebuild", "streamName": name}} for name in ids]}

    def get_log_events(self, **_: Any) -> dict[str, Any]:
        lines = [{"message": f"line {number}\n"} for number in range(20)]
        return {"events": lines, "nextForwardToken": ""}

    def deployed(self, number: int, status: str = "Succeeded", **more: Any) -> None:
        appspec = f"TaskDefinition: {_revision(number)}"
        began = BEGAN + timedelta(minutes=number)
        self.deployments.insert(0, {
            "deploymentId": f"d-{number}", "status": status, "createTime": began, "creator": "user",
            "completeTime": began + timedelta(seconds=90), "revision": {"appSpecContent": {"content": appspec}}, **more,
        })  # fmt: skip

    def executed(self, name: str, status: str, commit: str, *actions: dict[str, Any]) -> None:
        self.actions[name] = list(actions)
        self.executions.insert(0, {
            "pipelineExecutionId": name, "status": status, "startTime": BEGAN, "lastUpdateTime": BEGAN,
            "sourceRevisions": [{"revisionId": commit}], "trigger": {"triggerDetail": "arn:x:user/ada"},
        })  # fmt: skip


def _action(stage: str, status: str, provider: str = "", **result: Any) -> dict[str, Any]:
    return {
        "actionExecutionId": f"{stage}-id", "stageName": stage, "actionName": stage, "status": status,
        "input": {"actionTypeId": {"provider": provider}}, "output": {"executionResult": result},
    }  # fmt: skip


@pytest.fixture
def apis() -> FakeApis:
    return FakeApis()


@pytest.fixture
def here(config: Config, said: Said, apis: FakeApis) -> Site:
    """The project's documents, AWS in memory."""
    site = Site(Config(config.name, CHECKOUT, config.values, config.source), said)
    apis.config = site.config
    site.aws = apis  # type: ignore[assignment]
    return site


def test_a_release_on_top_of_another_is_refused_with_both_ways_out(here: Site, apis: FakeApis) -> None:
    apis.running = ["d-1"]
    with pytest.raises(NotNow, match="d-1 is still running") as refused:
        releases.preflight(here, TARGET)
    assert "release --follow" in refused.value.remedy and "stop" in refused.value.remedy


def test_a_listener_that_was_moved_by_hand_is_found_before_the_release(here: Site, apis: FakeApis) -> None:
    releases.preflight(here, TARGET)
    apis.live = GREEN
    with pytest.raises(NotNow, match="forwards to chatbot-green"):
        releases.preflight(here, TARGET)


def test_a_connection_that_nobody_accepted_is_found_before_the_release(here: Site, apis: FakeApis) -> None:
    pipeline = {**TARGET.pipeline, "connection_arn": "arn:c", "repository_name": "ada/chat"}
    target = Target(TARGET.network, TARGET.ecs, pipeline)
    releases.preflight(here, target)
    apis.connection = "PENDING"
    with pytest.raises(NotNow, match="PENDING"):
        releases.preflight(here, target)


def test_an_alarm_that_is_on_is_found_before_the_release_and_does_not_stop_a_rollback(
    here: Site, apis: FakeApis
) -> None:
    apis.alarms = ["green-5xx"]
    with pytest.raises(NotNow, match="alarm green-5xx is on") as refused:
        releases.preflight(here, TARGET)
    assert "rollback" in refused.value.remedy
    releases.preflight(here, TARGET, despite_alarms=True)
    for number in (2, 3):
        apis.deployed(number)
    releases.rollback(here, TARGET)
    assert apis.made[0]["overrideAlarmConfiguration"]["enabled"] is False
    apis.alarms = []
    releases.rollback(here, TARGET)
    assert "overrideAlarmConfiguration" not in apis.made[1]


def test_history_joins_deployments_with_their_commits_and_keeps_builds_that_failed(here: Site, apis: FakeApis) -> None:
    apis.deployed(2)
    apis.executed(
        "e-1", "Succeeded", "c" * 40, _action("Deploy", "Succeeded", "CodeDeployToECS", externalExecutionId="d-2")
    )
    apis.executed("e-2", "Failed", "f" * 40, _action("Build", "Failed", errorDetails={"message": "exit code 1"}))
    found = {release.execution: release for release in history.recent(here.aws, TARGET, 10)}
    good, bad = found["e-1"], found["e-2"]
    assert (good.commit, good.who, good.digest, good.seconds) == ("c" * 40, "author of c", "2" * 12, 90.0)
    assert (bad.deployment, bad.result, bad.why) == ("", "Failed", "Build: exit code 1")


def test_history_leaves_out_the_run_that_a_new_pipeline_gets_before_there_is_a_branch(
    here: Site, apis: FakeApis
) -> None:
    failed = _action("Source", "Failed", errorDetails={"message": "no branch main"})
    for name, trigger in (("e-1", "CreatePipeline"), ("e-2", "CloudWatchEvent")):
        apis.executed(name, "Failed", "", failed)
        apis.executions[0] |= {"sourceRevisions": [], "trigger": {"triggerType": trigger}}
    assert [release.execution for release in history.recent(here.aws, TARGET, 10)] == ["e-2"]


def test_history_says_who_stopped_a_release_before_its_deployment(here: Site, apis: FakeApis) -> None:
    apis.executed("e-1", "Stopped", "c" * 40, _action("Build", "Succeeded"))
    apis.executions[0]["stopTrigger"] = {"reason": "stopped by the orchestrator"}
    (stopped,) = history.recent(here.aws, TARGET, 10)
    assert (stopped.result, stopped.why) == ("Stopped", "stopped by the orchestrator")


def test_a_rollback_goes_to_the_release_before_the_last_good_one(here: Site, apis: FakeApis) -> None:
    for number, status in ((2, "Succeeded"), (3, "Succeeded"), (4, "Failed")):
        apis.deployed(number, status)
    deployment, name = releases.rollback(here, TARGET)
    assert (deployment, name) == ("d-new", "2" * 12)
    assert _revision(2) in apis.made[0]["revision"]["appSpecContent"]["content"]


def test_a_rollback_of_the_only_release_goes_to_what_terraform_deployed(here: Site, apis: FakeApis) -> None:
    apis.deployed(2)
    with pytest.raises(NotNow, match="no earlier good release"):
        releases.rollback(here, TARGET)
    here.records["ecs"] = {"first": _revision(1)}
    assert releases.rollback(here, TARGET)[1] == "the first deployment"
    assert _revision(1) in apis.made[0]["revision"]["appSpecContent"]["content"]


def test_a_rollback_names_its_release_by_deployment_or_digest(here: Site, apis: FakeApis) -> None:
    for number in (2, 3, 4):
        apis.deployed(number)
    assert releases.rollback(here, TARGET, "d-2")[1] == "2" * 12
    assert releases.rollback(here, TARGET, "sha256:3333")[1] == "3" * 12
    with pytest.raises(NotNow, match="no good release is '9999'"):
        releases.rollback(here, TARGET, "9999")


def test_an_approval_is_answered_with_its_token(here: Site, apis: FakeApis) -> None:
    with pytest.raises(NotNow, match="waits for no approval"):
        releases.approve(here, TARGET, reject=False, summary="")
    waiting = {"actionName": "Approve", "latestExecution": {"status": "InProgress", "token": "t"}}
    apis.stages = [{"stageName": "Approval", "actionStates": [waiting]}]
    assert releases.approve(here, TARGET, reject=True, summary="no") == "Approval / Approve"
    assert (apis.made[0]["token"], apis.made[0]["result"]["status"]) == ("t", "Rejected")


def test_following_says_each_change_once_and_why_it_failed(
    here: Site, apis: FakeApis, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAUSE", 0)
    apis.deployed(2, "Failed", errorInformation={"message": "hook failed"})
    hook = {"lifecycleEventName": "AfterAllowTestTraffic", "status": "Failed", "diagnostics": {"message": "no answer"}}
    apis.events = [hook, {"lifecycleEventName": "BeforeAllowTraffic", "status": "Pending"}]
    deploy = _action(
        "Deploy", "Failed", "CodeDeployToECS", externalExecutionId="d-2", externalExecutionSummary="rolled back"
    )
    apis.executed("e-1", "Failed", "c" * 40, deploy)
    follower = Follower(here, TARGET)
    for _ in range(2):
        with pytest.raises(ReleaseFailed, match="Deploy/Deploy: rolled back") as failed:
            follower.execution("e-1")
    assert "what served before goes on serving" in failed.value.what
    assert len(said.lines) == len(set(said.lines))
    assert any("AfterAllowTestTraffic" in line and "no answer" in line for line in said.lines)
    assert not any("BeforeAllowTraffic" in line for line in said.lines)
    assert any("traffic blue 100%" in line for line in said.lines)


def test_while_blue_is_kept_the_follower_says_for_how_long(
    here: Site, apis: FakeApis, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([None, None])

    def later(_: float) -> None:
        if next(moments, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", later)
    kept = {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5}
    apis.deployed(2, "InProgress", blueGreenDeploymentConfiguration={"terminateBlueInstancesOnDeploymentSuccess": kept})
    apis.events = [{"lifecycleEventName": "AfterAllowTraffic", "status": "InProgress"}]
    with pytest.raises(Interrupted):
        Follower(here, TARGET).deployment("d-2")
    assert not any("the new version serves everyone" in line for line in said.lines)
    apis.events = [{"lifecycleEventName": "AfterAllowTraffic", "status": "Succeeded"}]
    with pytest.raises(Interrupted):
        Follower(here, TARGET).deployment("d-2")
    assert said.lines.count("  the new version serves everyone; the old one stays 5 min, for a way back") == 1


def test_a_deployment_that_has_not_started_yet_is_waited_for(
    here: Site, apis: FakeApis, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In botocore's model ListDeploymentTargets and GetDeploymentTarget have DeploymentNotStartedException for it."""
    apis.not_started = 2
    apis.deployed(2, "Created")
    apis.events = [{"lifecycleEventName": "BeforeInstall", "status": "Succeeded"}]

    def later(_: float) -> None:
        apis.deployments[0]["status"] = "InProgress" if apis.not_started else "Succeeded"

    monkeypatch.setattr("time.sleep", later)
    Follower(here, TARGET).deployment("d-2")
    states = [line.split()[-1] for line in said.lines if "deployment d-2" in line]
    assert states == ["Created", "InProgress", "Succeeded"]
    assert any("BeforeInstall" in line for line in said.lines)


def test_a_build_that_failed_says_its_last_lines_and_how_to_have_the_rest(
    here: Site, apis: FakeApis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAUSE", 0)
    apis.executed(
        "e-1", "Failed", "c" * 40,
        _action("Build", "Failed", "CodeBuild", externalExecutionId="b:1", errorDetails={"message": "exit code 1"}),
    )  # fmt: skip
    with pytest.raises(ReleaseFailed) as failed:
        Follower(here, TARGET).execution("e-1")
    assert "Build/Build: exit code 1" in failed.value.what
    assert "line 8" in failed.value.what and "line 19" in failed.value.what and "line 7\n" not in failed.value.what
    assert "logs --build" in failed.value.remedy


def test_ctrl_c_ends_the_following_and_not_the_release(
    here: Site, apis: FakeApis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pressed)
    apis.deployed(2, "InProgress")
    with pytest.raises(Interrupted) as left:
        Follower(here, TARGET).deployment("d-2")
    assert "release --follow" in left.value.remedy
    assert apis.made == []
