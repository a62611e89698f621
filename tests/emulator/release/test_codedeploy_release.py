"""A deployment from its first event to its last, and every way in which it can fail."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from emulator.control.codedeploy.tables import tables
from emulator.control.table import SERVICES
from tests.emulator.release.house import APPSPEC, House
from tests.waiting import eventually


def test_a_deployment_replaces_blue_by_green_and_says_so_everywhere(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    deployment = house.deploy()
    info = house.finished(deployment)
    assert info["status"] == "Succeeded" and info["deploymentOverview"]["Succeeded"] == 1
    assert list(house.events(deployment)) == [
        "BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", "BeforeAllowTraffic",
        "AllowTraffic", "AfterAllowTraffic",
    ]  # fmt: skip
    assert set(house.events(deployment).values()) == {"Succeeded"}
    assert house.weights(house.production).keys() == {"green"} == house.weights(house.test).keys()
    assert house.colour() == "green" and len(house.ecs.task_sets) == 1
    assert house.primary()["externalId"] == deployment
    assert house.primary()["taskDefinition"].endswith("chatbot:2")


def test_releases_alternate_the_two_target_groups(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    colours = []
    for _ in range(3):
        assert house.finished(house.deploy())["status"] == "Succeeded"
        colours.append(house.colour())
        assert house.weights(house.production).keys() == {colours[-1]}
    assert colours == ["green", "blue", "green"]


def test_it_acts_as_the_service_role_and_never_as_the_developer(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.ecs.callers.clear()
    house.finished(house.deploy())
    assert len(house.ecs.callers) == 1 and "test" not in house.ecs.callers


def test_a_shift_keeps_the_listener_s_own_stickiness(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.finished(house.deploy())
    (listener,) = house.elbv2.describe_listeners(ListenerArns=[house.production])["Listeners"]
    forward = listener["DefaultActions"][0]["ForwardConfig"]
    assert forward["TargetGroupStickinessConfig"] == {"Enabled": True, "DurationSeconds": 1}


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ("CodeDeployDefault.ECSAllAtOnce", [100]),
        ("CodeDeployDefault.ECSCanary10Percent5Minutes", [10, 100]),
        ("CodeDeployDefault.ECSLinear10PercentEvery1Minutes", [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
        ("Half", [50, 100]),
    ],
)
def test_traffic_shifts_as_the_configuration_says(house: House, config: str, steps: list[int]) -> None:
    linear = {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 50, "linearInterval": 1}}
    house.codedeploy.create_deployment_config(
        deploymentConfigName="Half", computePlatform="ECS", trafficRoutingConfig=linear
    )
    house.codedeploy.create_deployment_group(**house.group(deploymentConfigName=config))
    deployment = house.deploy()
    seen: list[int] = []

    def watch() -> bool:
        green = house.weights(house.production).get("green", 0)
        if green and green not in seen[-1:]:
            seen.append(green)
        return "completeTime" in house.info(deployment)

    eventually(watch, pause=0.02)
    assert seen == steps


def test_blue_stays_until_the_termination_wait_is_skipped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    settings = house.group()
    ending = settings["blueGreenDeploymentConfiguration"]["terminateBlueInstancesOnDeploymentSuccess"]
    ending["terminationWaitTimeInMinutes"] = 5
    house.codedeploy.create_deployment_group(**settings)
    deployment = house.deploy()
    eventually(lambda: house.info(deployment)["instanceTerminationWaitTimeStarted"])
    assert (
        house.info(deployment)["status"] == "InProgress"
        and house.events(deployment)["AfterAllowTraffic"] == "Succeeded"
    )
    sets = {each["taskSetLabel"]: each for each in house.target(deployment)["taskSetsInfo"]}
    assert (sets["Blue"]["trafficWeight"], sets["Green"]["trafficWeight"]) == (0.0, 100.0)
    assert (sets["Blue"]["status"], sets["Green"]["status"]) == ("ACTIVE", "PRIMARY")
    assert sets["Green"]["targetGroup"] == {"name": "chatbot-green"} and sets["Blue"]["runningCount"] == 2
    house.codedeploy.continue_deployment(deploymentId=deployment, deploymentWaitType="TERMINATION_WAIT")
    assert house.finished(deployment)["status"] == "Succeeded"
    assert len(house.ecs.task_sets) == 1


def test_a_group_that_waits_for_a_word_moves_no_traffic_before_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    settings = house.group()
    settings["blueGreenDeploymentConfiguration"]["deploymentReadyOption"] = {
        "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5
    }  # fmt: skip
    house.codedeploy.create_deployment_group(**settings)
    deployment = house.deploy()
    eventually(lambda: house.info(deployment)["status"] == "Ready")
    assert house.weights(house.production).keys() == {"blue"} and house.weights(house.test).keys() == {"green"}
    house.codedeploy.continue_deployment(deploymentId=deployment, deploymentWaitType="READY_WAIT")
    assert house.finished(deployment)["status"] == "Succeeded"


def test_a_wait_for_a_word_that_never_comes_stops_the_deployment(house: House) -> None:
    settings = house.group()
    settings["blueGreenDeploymentConfiguration"]["deploymentReadyOption"] = {
        "actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5
    }  # fmt: skip
    house.codedeploy.create_deployment_group(**settings)
    info = house.finished(house.deploy())
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "TIMEOUT")
    assert "This time out period is 5 minutes." in info["errorInformation"]["message"]
    blue_alone(house)


def test_green_that_never_gets_healthy_times_out_and_blue_serves_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATOR_REPLACEMENT_MINUTES", "20")
    house.codedeploy.create_deployment_group(**house.group())
    house.ecs.steady = False
    deployment = house.deploy()
    info = house.finished(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    assert "waiting for the replacement task set to become healthy" in info["errorInformation"]["message"]
    events = house.events(deployment)
    assert (events["BeforeInstall"], events["Install"], events["AllowTraffic"]) == ("Succeeded", "Failed", "Skipped")
    blue_alone(house)


def blue_alone(house: House) -> None:
    """The state before every deployment: blue has all traffic on both listeners and there is no green."""
    eventually(lambda: len(house.ecs.task_sets) == 1)
    assert house.colour() == "blue"
    assert house.weights(house.production).keys() == {"blue"} == house.weights(house.test).keys()


def test_what_ecs_refuses_fails_the_deployment_in_its_words(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.ecs.refuse = "CreateTaskSet"
    info = house.finished(house.deploy())
    assert info["errorInformation"]["code"] == "ECS_UPDATE_ERROR"
    assert info["errorInformation"]["message"].startswith(
        "The ECS service cannot be updated due to an unexpected error: The container does not exist in the task "
        "definition."
    )
    blue_alone(house)


def test_a_production_listener_that_knows_neither_colour_fails_it(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.elbv2.modify_listener(
        ListenerArn=house.production,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
    )
    info = house.finished(house.deploy())
    assert info["errorInformation"]["code"] == "ELASTIC_LOAD_BALANCING_INVALID"
    assert "Primary taskset target group must be behind listener" in info["errorInformation"]["message"]


@pytest.mark.parametrize("rollback", [True, False])
def test_stopped_in_the_midst_of_a_canary_it_goes_back_to_blue(
    house: House, monkeypatch: pytest.MonkeyPatch, rollback: bool
) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    house.codedeploy.create_deployment_group(
        **house.group(deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
    )
    deployment = house.deploy()
    eventually(lambda: house.weights(house.production) == {"blue": 90, "green": 10})
    answer = house.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=rollback)
    assert answer["status"] == "Pending"
    info = house.finished(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    blue_alone(house)
    assert ("rollbackInfo" in info) == rollback
    if rollback:
        undoing = house.finished(info["rollbackInfo"]["rollbackDeploymentId"])
        assert (undoing["status"], undoing["creator"]) == ("Succeeded", "codeDeployRollback")
        assert undoing["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment


def test_stopped_in_the_termination_wait_it_goes_back_to_blue(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    settings = house.group()
    ending = settings["blueGreenDeploymentConfiguration"]["terminateBlueInstancesOnDeploymentSuccess"]
    ending["terminationWaitTimeInMinutes"] = 5
    house.codedeploy.create_deployment_group(**settings)
    deployment = house.deploy()
    eventually(lambda: house.info(deployment)["instanceTerminationWaitTimeStarted"])
    assert house.colour() == "green"
    house.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    house.finished(deployment)
    blue_alone(house)


def test_a_rollback_keeps_green_for_those_who_stick_to_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    house.codedeploy.create_deployment_group(
        **house.group(deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
    )
    deployment = house.deploy()
    eventually(lambda: house.weights(house.production) == {"blue": 90, "green": 10})
    house.codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    eventually(lambda: house.weights(house.production).keys() == {"blue"})
    began = time.monotonic()
    eventually(lambda: len(house.ecs.task_sets) == 1)
    assert time.monotonic() - began > 0.6  # a second, as the listener says, less what it took us to see it
    blue_alone(house)


def _alarm(house: House, state: str) -> None:
    cloudwatch = house.store.clients("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors", Namespace="test", MetricName="errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="a test")


def test_an_alarm_during_the_shift_stops_it_and_rolls_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    _alarm(house, "OK")
    rollback = {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_ALARM"]}
    house.codedeploy.create_deployment_group(
        **house.group(
            deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes", autoRollbackConfiguration=rollback,
            alarmConfiguration={"enabled": True, "alarms": [{"name": "errors"}]},
        )
    )  # fmt: skip
    deployment = house.deploy()
    eventually(lambda: house.weights(house.production) == {"blue": 90, "green": 10})
    _alarm(house, "ALARM")
    info = house.finished(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert info["errorInformation"]["message"].endswith("Activated alarms: <errors>")
    assert house.finished(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    blue_alone(house)


def test_the_topics_of_its_triggers_hear_of_a_failure_and_its_rollback(house: House) -> None:
    sns, sqs = house.store.clients("sns"), house.store.clients("sqs")
    url = sqs.create_queue(QueueName="notices")["QueueUrl"]
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:notices")
    wanted = ["DeploymentFailure", "DeploymentRollback"]
    trigger = {"triggerName": "bad", "triggerTargetArn": topic, "triggerEvents": wanted}
    rollback = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
    house.codedeploy.create_deployment_group(
        **house.group(triggerConfigurations=[trigger], autoRollbackConfiguration=rollback)
    )
    house.ecs.refuse = "CreateTaskSet"
    info = house.finished(house.deploy())
    house.finished(info["rollbackInfo"]["rollbackDeploymentId"])
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    notices = [json.loads(json.loads(each["Body"])["Message"]) for each in received]
    assert {each["deploymentId"] for each in notices} == {
        info["deploymentId"], info["rollbackInfo"]["rollbackDeploymentId"],
    }  # fmt: skip
    failed = next(each for each in notices if each["deploymentId"] == info["deploymentId"])
    assert "ECS_UPDATE_ERROR" in failed["errorInformation"] and failed["status"] == "FAILED"


def test_after_a_failure_the_next_deployment_works(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    house.ecs.refuse = "CreateTaskSet"
    assert house.finished(house.deploy())["status"] == "Failed"
    house.ecs.refuse = ""
    assert house.finished(house.deploy())["status"] == "Succeeded"
    info = house.codedeploy.get_deployment_group(applicationName="chatbot", deploymentGroupName="chatbot")
    assert info["deploymentGroupInfo"]["lastSuccessfulDeployment"]["status"] == "Succeeded"


def test_what_an_earlier_deployment_left_behind_is_cleared_away(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    left = {"targetGroupArn": house.groups["green"], "containerName": "chatbot", "containerPort": 7860}
    house.ecs.create_task_set({"taskDefinition": "chatbot:0", "loadBalancers": [left]})
    house.finished(house.deploy())
    assert [each["taskDefinition"][-1] for each in house.ecs.task_sets.values()] == ["2"]


def test_a_second_deployment_waits_for_no_one_and_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    house.codedeploy.create_deployment_group(**house.group())
    house.ecs.steady = False
    first = house.deploy()
    with pytest.raises(
        house.codedeploy.exceptions.DeploymentLimitExceededException, match=f"already deploying.*{first}"
    ):
        house.deploy()
    house.codedeploy.stop_deployment(deploymentId=first)
    house.finished(first)
    with pytest.raises(house.codedeploy.exceptions.DeploymentAlreadyCompletedException):
        house.codedeploy.stop_deployment(deploymentId=first)


def test_boto3_waits_for_a_deployment_with_its_own_waiter(house: House) -> None:
    house.codedeploy.create_deployment_group(**house.group())
    deployment = house.deploy()
    house.finished(deployment)
    house.codedeploy.get_waiter("deployment_successful").wait(deploymentId=deployment)


HOOKED = APPSPEC + "\nHooks:\n  - AfterAllowTestTraffic: judge\n"


class Judge:
    """A Lambda function of a hook, played by the test: it answers `status`, or fails."""

    def __init__(self, house: House, status: str = "Succeeded", error: str = "", silent: bool = False) -> None:
        self.house, self.status, self.error, self.silent = house, status, error, silent
        self.listeners: list[dict[str, int]] = []

    def __call__(self, store: Any, call: Any) -> dict[str, Any]:
        given = json.loads(call.parameters["Payload"])
        self.listeners = [self.house.weights(self.house.production), self.house.weights(self.house.test)]
        if self.error:
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": self.error.encode()}
        if not self.silent:
            self.house.codedeploy.put_lifecycle_event_hook_execution_status(
                deploymentId=given["DeploymentId"], status=self.status,
                lifecycleEventHookExecutionId=given["LifecycleEventHookExecutionId"],
            )  # fmt: skip
        return {"StatusCode": 200, "Payload": b"null"}


def _hooked(house: House, monkeypatch: pytest.MonkeyPatch, judge: Judge, **settings: Any) -> str:
    monkeypatch.setitem(SERVICES, "lambda", {"Invoke": judge})
    house.codedeploy.create_deployment_group(**house.group(**settings))
    return house.deploy(HOOKED)


def test_a_hook_sees_green_on_the_test_listener_alone_and_lets_it_pass(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(house)
    assert house.finished(_hooked(house, monkeypatch, judge))["status"] == "Succeeded"
    assert [each.keys() for each in judge.listeners] == [{"blue"}, {"green"}]


def test_a_hook_that_answers_failed_ends_the_deployment_and_rolls_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
    deployment = _hooked(house, monkeypatch, Judge(house, "Failed"), autoRollbackConfiguration=rollback)
    info = house.finished(deployment)
    assert info["errorInformation"] == {
        "code": "HOOK_EXECUTION_FAILURE",
        "message": "The deployment failed because one or more of the lifecycle event validation functions failed.",
    }
    assert house.finished(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    events = {each["lifecycleEventName"]: each for each in house.target(deployment)["lifecycleEvents"]}
    assert events["AfterAllowTestTraffic"]["diagnostics"]["scriptName"] == "judge"
    blue_alone(house)


def test_a_hook_that_crashes_fails_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    deployment = _hooked(house, monkeypatch, Judge(house, error='{"errorMessage": "no such page"}'))
    assert house.finished(deployment)["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    events = {each["lifecycleEventName"]: each for each in house.target(deployment)["lifecycleEvents"]}
    assert "no such page" in events["AfterAllowTestTraffic"]["diagnostics"]["message"]
    blue_alone(house)


def test_a_hook_that_never_answers_times_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    info = house.finished(_hooked(house, monkeypatch, Judge(house, silent=True)))
    assert info["errorInformation"]["code"] == "TIMEOUT"
    assert "expects a status callback within one hour" in info["errorInformation"]["message"]
    blue_alone(house)


def test_a_hook_answers_once_and_only_what_it_was_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = _hooked(house, monkeypatch, Judge(house))
    house.finished(deployment)
    (hook,) = tables(house.store).deployments[deployment].hooks
    put = house.codedeploy.put_lifecycle_event_hook_execution_status
    with pytest.raises(house.codedeploy.exceptions.LifecycleEventAlreadyCompletedException):
        put(deploymentId=deployment, lifecycleEventHookExecutionId=hook.execution_id, status="Failed")
    with pytest.raises(house.codedeploy.exceptions.InvalidLifecycleEventHookExecutionIdException):
        put(deploymentId=deployment, lifecycleEventHookExecutionId="another", status="Failed")
