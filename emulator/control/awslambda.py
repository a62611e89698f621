"""Lambda: moto keeps functions, versions, policies and tags; their code is kept, and run, here.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import shutil
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles, waits
from emulator.control.logstreams import LogStream
from emulator.control.operation import Operation
from emulator.data import functions
from emulator.state.call import Answer, AwsError, Call
from emulator.state.clients import Credentials
from emulator.state.store import Store

log = logging.getLogger("emulator.lambda")

PRINCIPAL = "lambda.amazonaws.com"


@dataclass
class Code:
    """The zips by (account, region, function, version), and the log stream of each function."""

    zips: dict[tuple[str, str, str, str], bytes] = field(default_factory=dict)
    streams: dict[tuple[str, str, str, str], str] = field(default_factory=dict)


def _create(store: Store, call: Call) -> Answer:
    if not call.parameters.get("Code"):
        raise AwsError("InvalidParameterValueException", "Please provide a source for function code.")
    code = _zip(store, call, call.parameters["Code"])
    _trusted(store, call)
    answer = call.moto()
    _keep(store, call, answer, code)
    return _whole(answer)


def _update_code(store: Store, call: Call) -> Answer:
    code = _zip(store, call, call.parameters)
    answer = call.moto()
    _keep(store, call, answer, code)
    return _whole(answer)


def _trusted(store: Store, call: Call) -> None:
    try:
        roles.check(store, call.parameters["Role"], PRINCIPAL)
    except roles.RoleRefused as error:
        raise AwsError(
            "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
        ) from error


def _zip(store: Store, call: Call, code: dict[str, Any]) -> bytes | None:
    """None for an image, which is not run here."""
    if code.get("ImageUri"):
        return None
    if code.get("S3Bucket"):
        version = {"VersionId": code["S3ObjectVersion"]} if code.get("S3ObjectVersion") else {}
        s3 = store.clients("s3", call.region)
        try:
            found: bytes = s3.get_object(Bucket=code["S3Bucket"], Key=code["S3Key"], **version)["Body"].read()
        except ClientError as error:
            reason = error.response["Error"]
            why = f"S3 Error Code: {reason['Code']}. S3 Error Message: {reason['Message']}"
            raise AwsError("InvalidParameterValueException", f"Error occurred while GetObject. {why}") from error
    else:
        given = code.get("ZipFile") or b""
        found = base64.b64decode(given) if isinstance(given, str) else given
        found = found if zipfile.is_zipfile(io.BytesIO(found)) else base64.b64decode(found, validate=False)
    if not zipfile.is_zipfile(io.BytesIO(found)):
        raise AwsError(
            "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try again."
        )
    return found


def _keep(store: Store, call: Call, configuration: Answer, code: bytes | None) -> None:
    if code is None:
        return
    name = configuration["FunctionName"]
    with store.change():
        zips = store.table(Code).zips
        zips[call.account, call.region, name, "$LATEST"] = code
        if call.parameters.get("Publish"):
            zips[call.account, call.region, name, configuration["Version"]] = code
    configuration["CodeSize"] = len(code)
    configuration["CodeSha256"] = base64.b64encode(hashlib.sha256(code).digest()).decode()


def _publish(store: Store, call: Call) -> Answer:
    answer = call.moto()
    with store.change():
        zips = store.table(Code).zips
        key = (call.account, call.region, answer["FunctionName"])
        if latest := zips.get((*key, "$LATEST")):
            zips[(*key, answer["Version"])] = latest
    return _whole(answer)


def _delete(store: Store, call: Call) -> Answer:
    name, _ = _named(call)
    answer = call.moto()
    qualifier = call.parameters.get("Qualifier")
    with store.change():
        zips = store.table(Code).zips
        for key in list(zips):
            if key[:3] == (call.account, call.region, name) and qualifier in (None, key[3]):
                del zips[key]
    return answer


def _configuration(store: Store, call: Call) -> Answer:
    return _whole(call.moto())


def _function(store: Store, call: Call) -> Answer:
    answer = call.moto()
    return {**answer, "Configuration": _whole(answer["Configuration"])}


def _whole(configuration: Answer) -> Answer:
    """What moto leaves out and AWS always answers."""
    name = configuration["FunctionName"]
    configuration.setdefault("LoggingConfig", {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"})
    configuration.setdefault("EphemeralStorage", {"Size": 512})
    configuration.setdefault("SnapStart", {"ApplyOn": "None", "OptimizationStatus": "Off"})
    configuration.setdefault("LastUpdateStatus", "Successful")
    configuration["State"] = "Active"
    return configuration


def _named(call: Call) -> tuple[str, str]:
    """The name and the qualifier of FunctionName: a name, an ARN or a part of one, each perhaps with `:qualifier`."""
    given = call.parameters["FunctionName"]
    if ":function:" in given:
        given = given.split(":function:", 1)[1]
    elif given.count(":") > 1:  # 123456789012:name, …
        given = given.split(":", 1)[1]
    name, _, qualifier = given.partition(":")
    return name, call.parameters.get("Qualifier") or qualifier or "$LATEST"


def _invoke(store: Store, call: Call) -> Answer:
    event = _event(call.parameters.get("Payload"))
    function, credentials = _find(store, call)
    kind = call.parameters.get("InvocationType") or "RequestResponse"
    if kind == "DryRun":
        return {"StatusCode": 204}
    stream = LogStream(store, call.region, function.log_group, _log_stream(store, call, function), credentials)
    if kind == "Event":
        threading.Thread(target=_run_later, args=(store, function, event, stream), daemon=True).start()
        return {"StatusCode": 202, "Payload": b""}
    outcome = _run(store, function, event, stream)
    answer: Answer = {"StatusCode": 200, "ExecutedVersion": function.version, "Payload": outcome.payload}
    if outcome.error:
        answer["FunctionError"] = outcome.error
    if call.parameters.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode("\n".join(outcome.log).encode()[-4096:]).decode()
    return answer


def _event(payload: Any) -> Any:
    raw = payload.read() if hasattr(payload, "read") else payload
    try:
        return json.loads(raw) if raw else {}
    except ValueError as error:
        raise AwsError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from error


def _find(store: Store, call: Call) -> tuple[functions.Function, Credentials]:
    name, qualifier = _named(call)
    wanted = {"Qualifier": qualifier} if qualifier != "$LATEST" else {}
    try:
        known = store.clients("lambda", call.region).get_function_configuration(FunctionName=name, **wanted)
    except ClientError as error:
        arn = call.arn(f"function:{name}" + (f":{qualifier}" if wanted else ""))
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}") from error
    zips = store.table(Code).zips
    code = zips.get((call.account, call.region, name, known["Version"]))
    if code is None or not str(known.get("Runtime", "")).startswith("python"):
        raise AwsError(
            "InvalidRuntimeException",
            f"the emulator runs Python functions from a zip; {name} has the runtime {known.get('Runtime', 'image')}",
        )
    try:
        credentials = roles.assume(store, known["Role"], PRINCIPAL)
    except roles.RoleRefused as error:
        message = f"The role defined for the function cannot be assumed by Lambda: {error}"
        raise AwsError("InvalidParameterValueException", message) from error
    return _described(store, call, known, code, credentials), credentials


def _described(store: Store, call: Call, known: Answer, code: bytes, credentials: Credentials) -> functions.Function:
    group = known["LoggingConfig"]["LogGroup"]
    environment = {
        "AWS_REGION": call.region, "AWS_DEFAULT_REGION": call.region, "AWS_ENDPOINT_URL": store.config.url,
        **(known.get("Environment") or {}).get("Variables", {}),
        "AWS_LAMBDA_FUNCTION_NAME": known["FunctionName"], "AWS_LAMBDA_FUNCTION_VERSION": known["Version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(known["MemorySize"]), "AWS_LAMBDA_LOG_GROUP_NAME": group,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{known['Runtime']}", "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key, "AWS_SESSION_TOKEN": credentials.token or "",
    }  # fmt: skip
    return functions.Function(
        known["FunctionName"], known["FunctionArn"], known["Handler"], code, environment, known["Timeout"],
        known["MemorySize"], known["Version"], group,
    )  # fmt: skip


def _log_stream(store: Store, call: Call, function: functions.Function) -> str:
    """2026/11/23/[$LATEST]0123…; one for each function and version, as one warm sandbox would have."""
    with store.lock:
        streams = store.table(Code).streams
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        key = (call.account, call.region, function.name, function.version)
        return streams.setdefault(key, f"{day}/[{function.version}]{uuid.uuid4().hex}")


def _run(store: Store, function: functions.Function, event: Any, stream: LogStream) -> functions.Outcome:
    outcome = functions.invoke(store.children, store.once(_folder), function, event, stream.stream)
    stream.write(outcome.log)
    stream.flush()
    return outcome


def _folder(store: Store) -> Path:
    """Of unpacked code and of what runs; an emulator that was killed may have left some."""
    folder = store.folder / "functions"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run_later(store: Store, function: functions.Function, event: Any, stream: LogStream) -> None:
    """An asynchronous invocation: tried again twice, after one minute and after two more."""
    for minutes in (1, 2, 0):
        try:
            if _run(store, function, event, stream).error is None:
                return
        except Exception:
            log.exception("function %s", function.name)
        time.sleep(waits.seconds(minutes))


OPERATIONS: dict[str, Operation] = {
    "CreateFunction": _create,
    "DeleteFunction": _delete,
    "GetFunction": _function,
    "GetFunctionConfiguration": _configuration,
    "Invoke": _invoke,
    "PublishVersion": _publish,
    "UpdateFunctionCode": _update_code,
    "UpdateFunctionConfiguration": _configuration,
}
