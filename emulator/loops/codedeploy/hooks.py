"""Lifecycle hooks: a Lambda function is invoked, and the deployment waits for what it answers.

https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html#appspec-hooks-ecs
"""

from __future__ import annotations

import base64
import json
import threading
import uuid

from botocore.exceptions import ClientError

from emulator.control import waits
from emulator.control.codedeploy.tables import Hook, Json, monotonic
from emulator.loops.codedeploy.run import Failed, Run, Steps

_JUDGED = "The deployment failed because one or more of the lifecycle event validation functions failed."
_LATE = (
    "The deployment timed out while waiting for a status callback. CodeDeploy expects a status callback within one "
    "hour after a deployment hook is invoked."
)


def hook(run: Run, event: str) -> Steps:
    """The lifecycle event `event`; without a function for it in the AppSpec it succeeds at once."""
    run.begin(event)
    if function := run.deployment.spec["hooks"].get(event):
        yield from _judged(run, event, function)
    run.end(event)


def _judged(run: Run, event: str, function: str) -> Steps:
    waiting = Hook(base64.b64encode(f"{uuid.uuid4()}:{event}".encode()).decode(), event)
    with run.change() as deployment:
        deployment.hooks.append(waiting)
    invocation = Invocation(run, function, waiting)
    invocation.start()
    deadline = monotonic() + waits.seconds(60)
    while waiting.status is None:
        if invocation.failure:
            raise invocation.failure
        if monotonic() > deadline:
            raise Failed("TIMEOUT", _LATE, diagnostics=_diagnostics("ScriptTimedOut", function, _LATE))
        yield 0.1
    if waiting.status == "Failed":
        invocation.join(5)  # for the tail of its log
        raise Failed(
            "HOOK_EXECUTION_FAILURE", _JUDGED,
            diagnostics=_diagnostics("ScriptFailed", function, "The function answered Failed.", invocation.log),
        )  # fmt: skip


def _diagnostics(code: str, function: str, message: str, log: str = "") -> Json:
    return {"errorCode": code, "scriptName": function, "message": message, "logTail": log}


class Invocation(threading.Thread):
    """Invokes the function and waits for its end, so that one that crashes fails the hook at once.

    AWS waits out the hour there; nobody at a laptop would (docs/release.md).
    """

    def __init__(self, run: Run, function: str, waiting: Hook) -> None:
        super().__init__(name=f"hook {waiting.event}", daemon=True)
        self.failure: Failed | None = None
        self.log = ""
        self._function = function
        self._payload = {"DeploymentId": run.deployment.id, "LifecycleEventHookExecutionId": waiting.execution_id}
        self._run = run

    def run(self) -> None:
        try:
            answer = self._run.client("lambda").invoke(
                FunctionName=self._function, LogType="Tail", Payload=json.dumps(self._payload)
            )
            self.log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
            if answer.get("FunctionError"):
                said = answer["Payload"].read().decode(errors="replace")
                self.failure = self._failed("HOOK_EXECUTION_FAILURE", _JUDGED, f"The function failed: {said}")
        except ClientError as error:
            self.failure = self._refused(error)
        except Exception as error:  # a thread's exception would be lost, and the hook would wait an hour
            self.failure = self._failed("INTERNAL_ERROR", f"The emulator failed to invoke {self._function}: {error!r}")
        self._run.store.changed()

    def _refused(self, error: ClientError) -> Failed:
        code = error.response["Error"]["Code"]
        if code.startswith("AccessDenied"):
            role = self._run.deployment.group["serviceRoleArn"]
            return self._failed(
                "IAM_ROLE_PERMISSIONS",
                f"The IAM role {role} does not give you permission to perform operations in the following AWS service: "
                "AWSLambda.",
            )
        return self._failed(
            "INVALID_LAMBDA_FUNCTION", f"The Lambda function {self._function} cannot be invoked: {error}"
        )

    def _failed(self, code: str, message: str, said: str = "") -> Failed:
        return Failed(
            code, message, diagnostics=_diagnostics("ScriptFailed", self._function, said or message, self.log)
        )
