"""Jobs: what a function that an action invokes is given, and how it answers.

https://docs.aws.amazon.com/codepipeline/latest/userguide/actions-invoke-lambda-function.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from emulator.control.codepipeline.tables import Json, new_id, now
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_VARIABLES_LIMIT = 122_880  # characters of all output variables of an action
_VARIABLE = re.compile(r"[A-Za-z0-9@\-_]+")


@dataclass
class Job:
    """One invocation. `data` is JobData; `result` is what was put, with `failureDetails` when it failed."""

    account: str
    data: Json
    id: str = field(default_factory=new_id)
    result: Json | None = None

    @property
    def failure(self) -> Json | None:
        found: Json | None = (self.result or {}).get("failureDetails")
        return found


@dataclass
class Jobs:
    """A table of the store."""

    by_id: dict[str, Job] = field(default_factory=dict)


def _job(store: Store, call: Call) -> Job:
    found = store.table(Jobs).by_id.get(call.parameters["jobId"])
    if found is None or found.account != call.account:
        raise AwsError("JobNotFoundException", f"The job {call.parameters['jobId']} does not exist")
    return found


def _succeed(store: Store, call: Call) -> Answer:
    variables = call.parameters.get("outputVariables") or {}
    if wrong := next((name for name in variables if not _VARIABLE.fullmatch(name)), None):
        raise AwsError("ValidationException", f"The output variable {wrong} has characters that no name can have")
    if len(json.dumps(variables)) > _VARIABLES_LIMIT:
        raise AwsError(
            "OutputVariablesSizeExceededException",
            f"The output variables are longer than {_VARIABLES_LIMIT} characters",
        )
    return _put(store, call)


def _put(store: Store, call: Call) -> Answer:
    with store.change():
        found = _job(store, call)
        if found.result is not None:
            raise AwsError("InvalidJobStateException", f"The job {found.id} has its result already")
        found.result = dict(call.parameters)
    return {}


def _details(store: Store, call: Call) -> Answer:
    """A secret is shown to the function alone."""
    found = _job(store, call)
    data = {key: value for key, value in found.data.items() if key != "artifactCredentials"}
    return {"jobDetails": {"id": found.id, "accountId": found.account, "data": data}}


def opened(store: Store, account: str, data: Json) -> Job:
    """A job that waits for its result."""
    job = Job(account, data)
    with store.change():
        store.table(Jobs).by_id[job.id] = job
    return job


def closed(store: Store, job: Job, message: str) -> None:
    """A job that nobody may answer any more."""
    with store.change():
        job.result = job.result or {"failureDetails": {"type": "JobFailed", "message": message}, "at": now()}


OPERATIONS: dict[str, Operation] = {
    "GetJobDetails": _details,
    "PutJobFailureResult": _put,
    "PutJobSuccessResult": _succeed,
}
