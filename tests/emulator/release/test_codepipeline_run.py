"""Executions of a whole pipeline, and every way in which they can end."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.release.house import House, Json
from tests.emulator.release.pipes import Pipes, action
from tests.waiting import eventually


def test_a_push_starts_the_pipeline_and_green_serves(pipes: Pipes, house: House) -> None:
    first = pipes.create()
    assert pipes.finished(first)["status"] == "Failed"  # as on AWS: a new pipeline runs, and there is no branch yet
    rule = pipes.rule()
    commit = pipes.commit("the first page")
    execution = eventually(lambda: len(pipes.summaries()) == 2 and pipes.summaries()[0])["pipelineExecutionId"]
    info = pipes.finished(execution)
    assert info["status"] == "Succeeded", pipes.actions(execution)
    assert info["trigger"] == {"triggerType": "CloudWatchEvent", "triggerDetail": rule}
    (revision,) = info["artifactRevisions"]
    assert (revision["revisionId"], revision["revisionSummary"]) == (commit, "the first page")
    assert house.colour() == "green" and house.weights(house.production).keys() == {"green"}
    (task_definition,) = house.ecs.task_definitions
    assert task_definition["containerDefinitions"][0]["image"] == f"repository@sha256:{1:064d}"
    assert house.primary()["taskDefinition"].endswith("chatbot:2")


def test_every_action_says_what_it_took_and_gave(pipes: Pipes) -> None:
    commit = pipes.commit()
    actions = pipes.actions(pipes.create_and_finish())
    assert {name: each["status"] for name, each in actions.items()} == dict.fromkeys(
        ("Source", "Build", "Deploy"), "Succeeded"
    )
    assert actions["Source"]["output"]["outputVariables"]["CommitId"] == commit
    assert actions["Build"]["output"]["outputVariables"] == {"WORD": "built"}
    assert actions["Build"]["output"]["executionResult"]["externalExecutionId"].startswith("chatbot:")
    assert actions["Deploy"]["output"]["executionResult"]["externalExecutionId"].startswith("d-")
    (place,) = actions["Build"]["output"]["outputArtifacts"]
    assert place["s3location"]["key"].startswith("chatbot/built/")
    body = pipes.store.clients("s3").get_object(Bucket="artifacts", Key=place["s3location"]["key"])["Body"].read()
    assert sorted(zipfile.ZipFile(io.BytesIO(body)).namelist()) == ["appspec.yaml", "imageDetail.json", "taskdef.json"]


def test_a_build_that_fails_fails_the_stage_in_aws_s_words_and_a_retry_after_the_repair_goes_on(pipes: Pipes) -> None:
    pipes.commit(broken="yes")
    execution = pipes.create()
    assert pipes.finished(execution)["status"] == "Failed"
    error = pipes.latest("Build")["errorDetails"]
    assert error["code"] == "JobFailed"
    assert error["message"] == (
        "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: Error while "
        "executing command: test ! -e broken. Reason: exit status 1"
    )
    assert pipes.state()["Build"]["latestExecution"]["status"] == "Failed"
    project = pipes.store.clients("codebuild")
    project.update_project(name="chatbot", source={"type": "CODEPIPELINE", "buildspec": "other.yml"})
    retry = {"pipelineName": "chatbot", "stageName": "Build", "pipelineExecutionId": execution}
    pipes.client.retry_stage_execution(**retry, retryMode="FAILED_ACTIONS")
    assert pipes.finished(execution)["status"] == "Failed"
    assert "YAML file does not exist: other.yml" in pipes.latest("Build")["errorDetails"]["message"]
    assert pipes.state()["Build"]["retryStageMetadata"]["manualStageRetryAttempt"] == 1
    pipes.commit("repaired", delete=("broken",))
    project.update_project(name="chatbot", source={"type": "CODEPIPELINE", "buildspec": "buildspec.yml"})
    with pytest.raises(pipes.client.exceptions.StageNotRetryableException):
        pipes.client.retry_stage_execution(**{**retry, "stageName": "Source"}, retryMode="FAILED_ACTIONS")
    second = pipes.start()
    assert pipes.finished(second)["status"] == "Succeeded"
    with pytest.raises(pipes.client.exceptions.NotLatestPipelineExecutionException):
        pipes.client.retry_stage_execution(**retry, retryMode="ALL_ACTIONS")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"imageDetail__json": "[]"}, "The image definition file imageDetail.json contains invalid JSON format"),
        ({"taskdef__json": "{"}, "Exception while trying to parse the task definition artifact file from: built"),
        ({"taskdef__json": '{"family": "chatbot", "containers": []}'}, 'Unknown parameter in input: "containers"'),
        ({"appspec__yaml": "version: 3"}, "The AppSpec file's version is missing or not valid"),
        ({"appspec__yaml": "a: b: c"}, "The input AppSpec file is a not well-formed yaml. The template cannot"),
    ],
)
def test_malformed_documents_fail_the_deploy_action_by_name(pipes: Pipes, files: dict[str, str], message: str) -> None:
    pipes.commit("malformed", (), **files)
    execution = pipes.create()
    assert pipes.finished(execution)["status"] == "Failed"
    assert message in pipes.latest("Deploy")["errorDetails"]["message"]
    assert pipes.house.colour() == "blue"


@pytest.mark.parametrize("missing", ["imageDetail.json", "taskdef.json", "appspec.yaml"])
def test_a_missing_document_fails_the_deploy_action_in_aws_s_words(pipes: Pipes, missing: str) -> None:
    what = {"imageDetail.json": "image", "taskdef.json": "task definition", "appspec.yaml": "AppSpec"}[missing]
    spec = f"version: 0.2\nphases: {{build: {{commands: [rm {missing}]}}}}\nartifacts: {{files: ['*.json', '*.yaml']}}"
    pipes.commit(buildspec__yml=spec, imageDetail__json='{"ImageURI": "repository@sha256:1"}')
    pipes.finished(pipes.create())
    error = pipes.latest("Deploy")["errorDetails"]
    assert error["code"] == "ConfigurationError"
    expected = f"Exception while trying to read the {what} artifact file from the artifact: built."
    assert error["message"].startswith(expected)


def test_a_failed_deployment_fails_the_action_with_its_code(pipes: Pipes, house: House) -> None:
    pipes.commit()
    house.ecs.refuse = "CreateTaskSet"
    execution = pipes.create()
    assert pipes.finished(execution)["status"] == "Failed"
    deploy = pipes.latest("Deploy")
    assert deploy["errorDetails"]["message"].startswith(
        f"Deployment {deploy['externalExecutionId']} failed. Error code: ECS_UPDATE_ERROR; Error message: The ECS "
    )
    house.ecs.refuse = ""
    assert pipes.finished(pipes.start())["status"] == "Succeeded"


def test_a_build_clones_a_codecommit_source_with_its_history_if_its_role_may_pull(pipes: Pipes) -> None:
    pipes.commit("one")
    spec = "version: 0.2\nphases: {build: {commands: ['git log --format=%s > log']}}\nartifacts: {files: [log]}"
    pipes.commit("two", buildspec__yml=spec)
    stages = pipes.stages()
    stages[0]["actions"][0]["configuration"]["OutputArtifactFormat"] = "CODEBUILD_CLONE_REF"
    pipes.finished(pipes.create(stages=stages))
    (place,) = pipes.actions(pipes.summaries()[0]["pipelineExecutionId"])["Build"]["output"]["outputArtifacts"]
    body = pipes.store.clients("s3").get_object(Bucket="artifacts", Key=place["s3location"]["key"])["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).read("log") == b"two\none\n"
    for name in ("codepipeline", "codebuild"):
        allowed = {"Effect": "Allow", "NotAction": "codecommit:GitPull", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        pipes.store.clients("iam").put_role_policy(RoleName=f"chatbot-{name}", PolicyName="most", PolicyDocument=policy)
    pipes.store.config.iam = "enforce"
    pipes.finished(pipes.start())
    assert "authorization failed for primary source" in pipes.latest("Build")["errorDetails"]["message"]


def _with_approval(pipes: Pipes) -> list[Json]:
    stages = pipes.stages()
    approval = action("Approval", "Manual", configuration={"CustomData": "look at #{Source.CommitId}"})
    return [*stages[:2], {"name": "Approve", "actions": [approval]}, stages[2]]


def test_an_approval_is_announced_with_what_its_reviewer_needs(pipes: Pipes) -> None:
    sns, sqs = pipes.store.clients("sns"), pipes.store.clients("sqs")
    queue = sqs.create_queue(QueueName="reviewers")["QueueUrl"]
    topic = sns.create_topic(Name="reviewers")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:reviewers")
    commit = pipes.commit()
    stages = _with_approval(pipes)
    stages[2]["actions"][0]["configuration"] |= {"NotificationArn": topic, "ExternalEntityLink": "https://chat.test/"}
    pipes.create(stages=stages)
    token = eventually(lambda: pipes.latest("Approve").get("token"), 20)
    (received,) = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), 20)
    notice = json.loads(received["Body"])
    assert notice["Subject"] == "APPROVAL NEEDED: AWS CodePipeline chatbot for action Approval"
    told = json.loads(notice["Message"])["approval"]
    assert (told["token"], told["customData"]) == (token, f"look at {commit}")
    assert told["externalEntityLink"] == "https://chat.test/" and told["expires"].endswith("Z")
    assert told["approvalReviewLink"].endswith(f"/Approve/Approval/approve/{token}")


def test_an_approval_waits_and_lets_pass(pipes: Pipes, house: House) -> None:
    commit = pipes.commit()
    execution = pipes.create(stages=_with_approval(pipes))
    token = eventually(lambda: pipes.latest("Approve").get("token"), 20)
    assert house.colour() == "blue"
    assert pipes.actions(execution)["Approval"]["input"]["resolvedConfiguration"]["CustomData"] == f"look at {commit}"
    given = {"pipelineName": "chatbot", "stageName": "Approve", "actionName": "Approval"}
    result = {"summary": "fine", "status": "Approved"}
    with pytest.raises(pipes.client.exceptions.InvalidApprovalTokenException):
        pipes.client.put_approval_result(**given, result=result, token="0" * 8 + "-0000-0000-0000-" + "0" * 12)
    pipes.client.put_approval_result(**given, result=result, token=token)
    assert pipes.finished(execution)["status"] == "Succeeded" and "fine" in pipes.latest("Approve")["summary"]
    with pytest.raises(pipes.client.exceptions.ApprovalAlreadyCompletedException):
        pipes.client.put_approval_result(**given, result=result, token=token)


def test_a_rejection_fails_the_execution_with_its_reason(pipes: Pipes, house: House) -> None:
    pipes.commit()
    execution = pipes.create(stages=_with_approval(pipes))
    token = eventually(lambda: pipes.latest("Approve").get("token"), 20)
    pipes.client.put_approval_result(
        pipelineName="chatbot", stageName="Approve", actionName="Approval", token=token,
        result={"summary": "not today", "status": "Rejected"},
    )  # fmt: skip
    assert pipes.finished(execution)["status"] == "Failed"
    assert "not today" in pipes.latest("Approve")["errorDetails"]["message"] and house.colour() == "blue"


def _held(pipes: Pipes, mode: str) -> list[str]:
    """Three executions of a pipeline whose second stage is held by an approval."""
    stages = _with_approval(pipes)
    pipes.commit()
    first = pipes.create(stages=[stages[0], stages[2], stages[1], stages[3]], executionMode=mode)
    eventually(lambda: pipes.latest("Approve").get("token"), 20)
    executions = [first]
    for _ in range(2):
        executions.append(pipes.start())
        eventually(lambda: pipes.actions(executions[-1]).get("Source", {}).get("status") == "Succeeded")
    return executions


def _approve(pipes: Pipes) -> str:
    token = eventually(lambda: pipes.latest("Approve").get("token"), 20)
    pipes.client.put_approval_result(
        pipelineName="chatbot", stageName="Approve", actionName="Approval", token=token,
        result={"summary": "", "status": "Approved"},
    )  # fmt: skip
    return str(token)


def _holds(pipes: Pipes, execution: str) -> bool:
    """Whether it is the one in the stage of the approval."""
    return bool(pipes.state()["Approve"]["latestExecution"]["pipelineExecutionId"] == execution)


def test_queued_executions_wait_for_each_other_in_order(pipes: Pipes) -> None:
    executions = _held(pipes, "QUEUED")

    def waiting() -> list[str]:
        inbound = pipes.state()["Approve"].get("inboundExecutions", [])
        return [each["pipelineExecutionId"] for each in inbound]

    eventually(lambda: waiting() == executions[1:])
    for number, execution in enumerate(executions):
        eventually(partial(_holds, pipes, execution))
        assert [pipes.info(each)["status"] for each in executions[number:]] == ["InProgress"] * (3 - number)
        _approve(pipes)
        assert pipes.finished(execution)["status"] == "Succeeded"


def test_a_newer_execution_supersedes_one_that_waits(pipes: Pipes) -> None:
    executions = _held(pipes, "SUPERSEDED")
    eventually(lambda: pipes.info(executions[1])["status"] == "Superseded")
    assert [pipes.info(each)["status"] for each in (executions[0], executions[2])] == ["InProgress", "InProgress"]


def test_parallel_executions_wait_for_no_one(pipes: Pipes) -> None:
    executions = _held(pipes, "PARALLEL")
    eventually(lambda: all("Approval" in pipes.actions(each) for each in executions))


def test_a_stop_waits_for_what_runs_or_abandons_it(pipes: Pipes) -> None:
    pipes.commit()
    first = pipes.create(stages=_with_approval(pipes))
    eventually(lambda: pipes.latest("Approve").get("token"), 20)
    stop = {"pipelineName": "chatbot", "pipelineExecutionId": first, "reason": "a test"}
    pipes.client.stop_pipeline_execution(**stop, abandon=False)
    assert pipes.info(first)["status"] == "Stopping"
    with pytest.raises(pipes.client.exceptions.DuplicatedStopRequestException):
        pipes.client.stop_pipeline_execution(**stop)
    pipes.client.stop_pipeline_execution(**stop, abandon=True)
    assert pipes.finished(first)["status"] == "Stopped"
    assert pipes.actions(first)["Approval"]["status"] == "Abandoned"
    assert pipes.summaries()[0]["stopTrigger"] == {"reason": "a test"}
    with pytest.raises(pipes.client.exceptions.PipelineExecutionNotStoppableException):
        pipes.client.stop_pipeline_execution(**stop)


def test_a_disabled_transition_holds_executions_back(pipes: Pipes) -> None:
    pipes.commit()
    transition = {"pipelineName": "chatbot", "stageName": "Build", "transitionType": "Inbound"}
    pipes.client.create_pipeline(pipeline=pipes.declaration())
    pipes.client.disable_stage_transition(**transition, reason="not yet")
    execution = pipes.summaries()[0]["pipelineExecutionId"]
    eventually(lambda: pipes.state()["Build"].get("inboundExecution"))
    state = pipes.state()["Build"]["inboundTransitionState"]
    assert (state["enabled"], state["disabledReason"]) == (False, "not yet")
    pipes.client.enable_stage_transition(**transition)
    assert pipes.finished(execution)["status"] == "Succeeded"


def _rolling_back(pipes: Pipes) -> list[Json]:
    stages = pipes.stages()
    stages[2]["onFailure"] = {"result": "ROLLBACK"}
    return stages


def test_a_stage_that_fails_rolls_itself_back_where_it_says_so(pipes: Pipes, house: House) -> None:
    pipes.commit()
    good = pipes.create(stages=_rolling_back(pipes))
    assert pipes.finished(good)["status"] == "Succeeded"
    pipes.commit(taskdef__json="{")
    bad = pipes.start()
    assert pipes.finished(bad)["status"] == "Failed"
    undoing = eventually(lambda: len(pipes.summaries()) == 3 and pipes.summaries()[0])
    assert undoing["trigger"] == {"triggerType": "AutomatedRollback", "triggerDetail": bad}
    assert undoing["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": good}
    assert pipes.finished(undoing["pipelineExecutionId"])["status"] == "Succeeded"
    assert list(pipes.actions(undoing["pipelineExecutionId"])) == ["Deploy"]


def test_a_stage_that_fails_tries_again_once_where_it_says_so(pipes: Pipes) -> None:
    stages = pipes.stages()
    stages[1]["onFailure"] = {"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}}
    pipes.commit(broken="yes")
    execution = pipes.create(stages=stages)
    assert pipes.finished(execution)["status"] == "Failed"
    found = pipes.client.list_action_executions(pipelineName="chatbot")["actionExecutionDetails"]
    assert [each["actionName"] for each in found] == ["Build", "Build", "Source"]


def test_a_stage_is_rolled_back_by_hand(pipes: Pipes) -> None:
    pipes.commit()
    good = pipes.create_and_finish()
    pipes.commit("another", note="2")
    pipes.finished(pipes.start())
    rolled = pipes.client.rollback_stage(pipelineName="chatbot", stageName="Deploy", targetPipelineExecutionId=good)
    assert pipes.finished(rolled["pipelineExecutionId"])["executionType"] == "ROLLBACK"
    with pytest.raises(pipes.client.exceptions.UnableToRollbackStageException):
        pipes.client.rollback_stage(pipelineName="chatbot", stageName="Source", targetPipelineExecutionId=good)


def test_variables_and_a_commit_are_what_the_caller_says(pipes: Pipes) -> None:
    old = pipes.commit("old")
    pipes.commit("new", note="2")
    stages = pipes.stages()
    variables = '[{"name": "WORD", "value": "#{variables.word} #{Source.CommitMessage} #{Source.AuthorDate}"}]'
    stages[1]["actions"][0]["configuration"]["EnvironmentVariables"] = variables
    pipes.finished(pipes.create(stages=stages, variables=[{"name": "word", "defaultValue": "none"}]))
    revision = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": old}
    given = [{"name": "word", "value": "said"}]
    execution = pipes.start(variables=given, sourceRevisions=[revision], clientRequestToken="once")
    assert pipes.start(clientRequestToken="once") == execution
    assert pipes.finished(execution)["variables"] == [{"name": "word", "resolvedValue": "said"}]
    build = pipes.actions(execution)["Build"]["output"]["executionResult"]["externalExecutionId"]
    (found,) = pipes.store.clients("codebuild").batch_get_builds(ids=[build])["builds"]
    wanted = {each["name"]: each["value"] for each in found["environment"]["environmentVariables"]}
    author = pipes.commits.get_commit(repositoryName="chatbot", commitId=old)["commit"]["author"]
    date = f"{datetime.fromtimestamp(int(author['date'].split()[0]), UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert wanted["WORD"] == f"said old {date}" and found["resolvedSourceVersion"] == old


def _changed(pipes: Pipes, change: str) -> Json:
    stages = pipes.stages()
    declaration = pipes.declaration(stages=stages)
    source, build, deploy = (stage["actions"][0] for stage in stages)
    changes: dict[str, Any] = {
        "role": lambda: declaration.update(roleArn="arn:aws:iam::123456789012:role/none"),
        "one stage": lambda: declaration.update(stages=stages[:1]),
        "no source": lambda: declaration.update(stages=stages[1:]),
        "artifact": lambda: build.update(inputArtifacts=[{"name": "other"}]),
        "provider": lambda: deploy["actionTypeId"].update(provider="Nobody"),
        "missing": lambda: deploy["configuration"].pop("ApplicationName"),
        "unknown": lambda: deploy["configuration"].update(Nothing="x"),
        "image": lambda: deploy["configuration"].pop("Image1ContainerName"),
        "twice": lambda: stages[1].update(name="Source"),
        "name": lambda: source.update(name="a b"),
    }
    changes[change]()
    return declaration


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("role", "InvalidStructureException", "not authorized to perform AssumeRole on role"),
        ("one stage", "InvalidStructureException", "Pipeline has only 1 stage"),
        ("no source", "InvalidStructureException", "source actions"),
        (
            "artifact",
            "InvalidActionDeclarationException",
            "Input Artifact Bundle other in action Build is not declared",
        ),
        ("provider", "InvalidActionDeclarationException", "Provider: 'Nobody'"),
        ("missing", "InvalidActionDeclarationException", "missing required configuration 'ApplicationName'"),
        ("unknown", "InvalidActionDeclarationException", "contains unknown configuration 'Nothing'"),
        ("image", "InvalidActionDeclarationException", "missing 'Image1ContainerName' configuration"),
        ("twice", "InvalidStageDeclarationException", "not unique"),
        ("name", "InvalidActionDeclarationException", "not valid"),
    ],
)
def test_a_pipeline_that_could_not_run_is_refused(pipes: Pipes, change: str, code: str, message: str) -> None:
    with pytest.raises(ClientError, match=message) as refused:
        pipes.client.create_pipeline(pipeline=_changed(pipes, change))
    assert refused.value.response["Error"]["Code"] == code


def test_a_pipeline_is_read_back_updated_tagged_and_deleted(pipes: Pipes) -> None:
    pipes.client.create_pipeline(pipeline=pipes.declaration(), tags=[{"key": "a", "value": "1"}])
    found = pipes.client.get_pipeline(name="chatbot")
    arn = found["metadata"]["pipelineArn"]
    assert found["pipeline"]["version"] == 1 and found["pipeline"]["executionMode"] == "QUEUED"
    assert pipes.client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "1"}]
    updated = pipes.client.update_pipeline(pipeline=pipes.declaration(executionMode="PARALLEL"))["pipeline"]
    assert (updated["version"], updated["executionMode"]) == (2, "PARALLEL")
    assert [each["name"] for each in pipes.client.list_pipelines()["pipelines"]] == ["chatbot"]
    pipes.client.delete_pipeline(name="chatbot")
    with pytest.raises(pipes.client.exceptions.PipelineNotFoundException, match="does not have a pipeline with name"):
        pipes.client.get_pipeline(name="chatbot")


def test_its_events_reach_a_queue(pipes: Pipes) -> None:
    events, sqs = pipes.store.clients("events"), pipes.store.clients("sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    pattern = {"source": ["aws.codepipeline", "aws.codedeploy"], "detail": {"state": [{"prefix": "SUCC"}]}}
    events.put_rule(Name="all", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:events"}])
    pipes.commit()
    pipes.create_and_finish()

    def kinds() -> set[str]:
        seen.update(
            json.loads(each["Body"])["detail-type"]
            for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        )
        return seen if len(seen) == 4 else set()

    seen: set[str] = set()
    eventually(kinds)
    assert seen == {
        "CodeDeploy Deployment State-change Notification", "CodePipeline Action Execution State Change",
        "CodePipeline Pipeline Execution State Change", "CodePipeline Stage Execution State Change",
    }  # fmt: skip
