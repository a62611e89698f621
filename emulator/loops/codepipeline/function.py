"""Invoke actions: a Lambda function is given a job, and the action waits for what it puts as its result.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Lambda.html
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import waits
from emulator.control.codepipeline import jobs
from emulator.control.codepipeline.jobs import Job
from emulator.control.codepipeline.tables import Json
from emulator.loops.codepipeline.action import Action, ActionFailed, Steps

# https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html
_SILENCE, _DAY = 20, 24 * 60  # minutes: without a result, and of the whole action
_PAUSE = 0.5  # minutes before a function that goes on is invoked again; AWS tells no figure


def function(action: Action) -> Steps:
    outputs = {each["name"]: action.output(each["name"]) for each in action.run.declaration["outputArtifacts"]}
    end = time.monotonic() + waits.seconds(_DAY)
    token: str | None = None
    while True:
        job = jobs.opened(action.store, action.execution.scope[0], _data(action, outputs, token))
        try:
            yield from _answered(action, job, end)
        finally:
            jobs.closed(action.store, job, "The action has ended.")
        token = _told(action, job)
        if token is None:
            break
        yield waits.seconds(_PAUSE)
    for name, place in outputs.items():
        action.made(name, place)


def _data(action: Action, outputs: dict[str, tuple[str, str]], token: str | None) -> Json:
    """The API's JobData, as JSON has it."""
    declared = action.execution.declaration
    store = declared.get("artifactStore") or declared["artifactStores"][action.region]
    credentials = action.credentials()
    data: Json = {
        "actionConfiguration": {"configuration": action.configuration},
        "inputArtifacts": [_artifact(name, place) for name, place in action.run.inputs.items()],
        "outputArtifacts": [_artifact(name, place) for name, place in outputs.items()],
        "artifactCredentials": {
            "accessKeyId": credentials.access_key, "secretAccessKey": credentials.secret_key,
            "sessionToken": credentials.token,
        },
    }  # fmt: skip
    if token is not None:
        data["continuationToken"] = token
    if store.get("encryptionKey"):
        data["encryptionKey"] = store["encryptionKey"]
    return data


def _artifact(name: str, place: tuple[str, str]) -> Json:
    location = {"type": "S3", "s3Location": {"bucketName": place[0], "objectKey": place[1]}}
    return {"location": location, "revision": None, "name": name}


def _answered(action: Action, job: Job, end: float) -> Steps:
    """Until the job has a result; a function that crashes ends the wait at once (decisions/0035)."""
    name = action.configuration["FunctionName"]
    invocation = Invocation(action, name, job)
    invocation.start()
    deadline = min(end, time.monotonic() + waits.seconds(_SILENCE))
    while job.result is None:
        if invocation.failure:
            raise invocation.failure
        if time.monotonic() > deadline:
            raise ActionFailed(
                "JobFailed",
                f"The AWS Lambda function {name} failed to return a result. Check the function to verify that it has "
                "permission to call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult.",
            )
        yield 0.2


def _told(action: Action, job: Job) -> str | None:
    """Takes the result over; the token with which the function wants to go on."""
    if job.failure:
        with action.store.change():
            action.run.external_id = job.failure.get("externalExecutionId") or action.run.external_id
        raise ActionFailed(job.failure["type"], job.failure["message"])
    result = job.result or {}
    details = result.get("executionDetails") or {}
    with action.store.change():
        action.run.summary = details.get("summary") or action.run.summary
        action.run.external_id = details.get("externalExecutionId") or action.run.external_id
        action.run.variables.update(result.get("outputVariables") or {})
    token: str | None = result.get("continuationToken")
    return token


class Invocation(threading.Thread):
    """Invokes the function and waits for its end."""

    def __init__(self, action: Action, name: str, job: Job) -> None:
        super().__init__(name=f"job {job.id}", daemon=True)
        self.failure: ActionFailed | None = None
        self._name, self._store = name, action.store
        self._client: Any = action.client("lambda")
        event = {"CodePipeline.job": {"id": job.id, "accountId": job.account, "data": job.data}}
        self._payload = json.dumps(event)

    def run(self) -> None:
        try:
            answer = self._client.invoke(FunctionName=self._name, Payload=self._payload)
            if answer.get("FunctionError"):
                said = answer["Payload"].read().decode(errors="replace")
                self.failure = ActionFailed("JobFailed", f"The AWS Lambda function {self._name} failed: {said}")
        except ClientError as error:
            self.failure = self._refused(error)
        except Exception as error:  # a thread's exception would be lost, and the action would wait
            self.failure = ActionFailed("JobFailed", f"The emulator failed to invoke {self._name}: {error!r}")
        self._store.changed()

    def _refused(self, error: ClientError) -> ActionFailed:
        if error.response["Error"]["Code"].startswith("AccessDenied"):
            return ActionFailed(
                "PermissionError",
                "The service role or action role doesn't have the permissions required to access the AWS Lambda "
                f"function named {self._name}. Update the IAM role permissions, and then try again. Error: {error}",
            )
        return ActionFailed("ConfigurationError", f"The AWS Lambda function {self._name} cannot be invoked: {error}")
