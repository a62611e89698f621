"""Invoke actions: a function is given a job with its artifacts, and puts the result by unmodified boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from emulator.emulator import Emulator
from tests.emulator.release.house import Json
from tests.emulator.release.pipes import action
from tests.emulator.release.test_codepipeline_s3 import zipped
from tests.emulator.release.test_lambda_invoke import zipped as code
from tests.waiting import eventually

# What AWS's own sample does: reads its input with the job's credentials, writes its output, puts its result.
SHOUT = """
import io, json, zipfile
import boto3

def handler(event, context):
    job = event["CodePipeline.job"]
    data, pipelines = job["data"], boto3.client("codepipeline")
    given = data["artifactCredentials"]
    s3 = boto3.client(
        "s3", aws_access_key_id=given["accessKeyId"], aws_secret_access_key=given["secretAccessKey"],
        aws_session_token=given["sessionToken"],
    )
    source, target = (data[name][0]["location"]["s3Location"] for name in ("inputArtifacts", "outputArtifacts"))
    body = s3.get_object(Bucket=source["bucketName"], Key=source["objectKey"])["Body"].read()
    page = zipfile.ZipFile(io.BytesIO(body)).read("page").decode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("page", page.upper() + data["actionConfiguration"]["configuration"]["UserParameters"])
    s3.put_object(Bucket=target["bucketName"], Key=target["objectKey"], Body=made.getvalue())
    pipelines.put_job_success_result(
        jobId=job["id"], outputVariables={"Length": str(len(page))},
        executionDetails={"summary": "shouted", "externalExecutionId": context.aws_request_id, "percentComplete": 100},
    )
"""
TWICE = """
import boto3

def handler(event, context):
    job = event["CodePipeline.job"]
    token = job["data"].get("continuationToken")
    more = {} if token else {"continuationToken": job["id"]}
    if token == job["id"]:
        raise ValueError("the second job has the first one's id")
    boto3.client("codepipeline").put_job_success_result(jobId=job["id"], **more)
"""
REFUSE = """
import boto3

def handler(event, context):
    boto3.client("codepipeline").put_job_failure_result(
        jobId=event["CodePipeline.job"]["id"],
        failureDetails={"type": "ConfigurationError", "message": "no such page", "externalExecutionId": "mine"},
    )
"""


class Works:
    """A pipeline "works": files of a bucket, a function, and a bucket that takes what the function made."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.clients = emulator.store.clients
        self.client = self.clients("codepipeline")
        for name in ("source", "target", "artifacts"):
            self.clients("s3").create_bucket(Bucket=name)
        self.clients("s3").put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
        self.clients("s3").put_object(Bucket="source", Key="source.zip", Body=zipped(page="one"))

    def role(self, service: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        made = self.clients("iam").create_role(
            RoleName=service, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )
        return str(made["Role"]["Arn"])

    def run(self, source: str, **settings: Json) -> tuple[str, Json]:
        """Runs a pipeline through the function; its status, and its actions by name."""
        if source:
            self.clients("lambda").create_function(
                FunctionName="f", Role=self.role("lambda"), Runtime="python3.12", Handler="main.handler", Timeout=30,
                Code={"ZipFile": code(main=source)},
            )  # fmt: skip
        stages = [
            action("Source", "S3", outputArtifacts=[{"name": "files"}],
                   configuration={"S3Bucket": "source", "S3ObjectKey": "source.zip"}),
            action("Invoke", "Lambda", inputArtifacts=[{"name": "files"}], outputArtifacts=[{"name": "made"}],
                   configuration={"FunctionName": "f", "UserParameters": "!"}, namespace="F"),
            action("Deploy", "S3", inputArtifacts=[{"name": "made" if source == SHOUT else "files"}],
                   configuration={"BucketName": "target", "Extract": "true", "ObjectKey": "#{F.Length}"
                                  if source == SHOUT else "site"}),
        ]  # fmt: skip
        self.client.create_pipeline(
            pipeline={
                "name": "works", "roleArn": self.role("codepipeline"), "pipelineType": "V2",
                "artifactStore": {"type": "S3", "location": "artifacts", **settings}, "executionMode": "QUEUED",
                "stages": [{"name": each["name"], "actions": [each]} for each in stages],
            }
        )  # fmt: skip

        def over() -> Json | None:
            (found,) = self.client.list_pipeline_executions(pipelineName="works")["pipelineExecutionSummaries"]
            return found if found["status"] in ("Succeeded", "Failed") else None

        status = eventually(over, 60)["status"]
        details = self.client.list_action_executions(pipelineName="works")["actionExecutionDetails"]
        return status, {each["actionName"]: each for each in details}


@pytest.fixture
def works(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "30")  # the 20 minutes of a silent function are 40 seconds
    yield Works(emulator)


def _error(found: Json) -> Json:
    error: Json = found["Invoke"]["output"]["executionResult"]["errorDetails"]
    return error


def test_a_function_reads_its_artifacts_and_hands_on_its_own(works: Works) -> None:
    status, found = works.run(SHOUT)
    assert status == "Succeeded", found["Invoke"]["output"]
    result = found["Invoke"]["output"]["executionResult"]
    assert result["externalExecutionSummary"] == "shouted" and len(result["externalExecutionId"]) == 36
    assert found["Invoke"]["output"]["outputVariables"] == {"Length": "3"}
    assert works.clients("s3").get_object(Bucket="target", Key="3/page")["Body"].read() == b"ONE!"


def test_a_function_that_goes_on_is_invoked_again_with_its_token(works: Works) -> None:
    status, found = works.run(TWICE)
    assert status == "Succeeded", found["Invoke"]["output"]

    def invocations() -> int:  # each is in the log when it has ended, which is after it put its result
        events = works.clients("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
        return sum(each["message"].startswith("START") for each in events)

    eventually(lambda: invocations() == 2)


def test_a_function_may_fail_the_action_in_its_own_words(works: Works) -> None:
    status, found = works.run(REFUSE)
    assert status == "Failed" and _error(found) == {"code": "ConfigurationError", "message": "no such page"}
    assert found["Invoke"]["output"]["executionResult"]["externalExecutionId"] == "mine"


def test_a_function_that_returns_without_a_result_is_waited_for_and_fails_in_aws_s_words(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "300")  # 4 seconds
    status, found = works.run("def handler(event, context): print(event['CodePipeline.job']['id'])\n")
    assert status == "Failed"
    assert _error(found)["message"] == (
        "The AWS Lambda function f failed to return a result. Check the function to verify that it has permission to "
        "call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult."
    )

    def printed() -> list[str]:
        try:
            events = works.clients("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
        except works.clients("logs").exceptions.ResourceNotFoundException:  # it has not run yet
            return []
        return [each["message"].strip() for each in events if len(each["message"].strip()) == 36]

    (job,) = eventually(printed, 60)
    with pytest.raises(works.client.exceptions.InvalidJobStateException):  # too late
        works.client.put_job_success_result(jobId=job)
    details = works.client.get_job_details(jobId=job)["jobDetails"]
    assert details["data"]["actionConfiguration"]["configuration"]["UserParameters"] == "!"
    assert "artifactCredentials" not in details["data"]


def test_a_function_that_crashes_fails_the_action_at_once(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "1")
    status, found = works.run("def handler(event, context): raise ValueError('no')\n")
    assert status == "Failed" and '"errorMessage": "no"' in _error(found)["message"]


def test_a_function_that_is_not_there_is_named(works: Works) -> None:
    status, found = works.run("")
    assert status == "Failed" and "Function not found" in _error(found)["message"]


def test_the_key_of_the_artifacts_is_in_the_event(works: Works) -> None:
    key = {"id": "arn:aws:kms:us-east-1:123456789012:key/1", "type": "KMS"}
    works.run("def handler(event, context): raise ValueError(event['CodePipeline.job']['data']['encryptionKey'])\n",
              encryptionKey=key)  # fmt: skip
    found = works.client.list_action_executions(pipelineName="works")["actionExecutionDetails"]
    assert key["id"] in _error({each["actionName"]: each for each in found})["message"]


def test_a_result_for_no_job_is_refused(emulator: Emulator) -> None:
    client = emulator.store.clients("codepipeline")
    with pytest.raises(client.exceptions.JobNotFoundException):
        client.put_job_success_result(jobId="0" * 36)
