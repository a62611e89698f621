"""Lambda functions really run: in a process of their own, with their role, their environment and their time-out."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.state.store import Store
from tests.waiting import eventually

TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


def zipped(**files: str) -> bytes:
    """A zip of `name=text` as name.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return buffer.getvalue()


def create(store: Store, source: str, **settings: Any) -> Any:
    """A client, with the function "f" whose module is `source`."""
    role = store.clients("iam").create_role(RoleName="f", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    client = store.clients("lambda")
    client.create_function(
        FunctionName="f", Role=role, Runtime="python3.12", Handler="main.handler",
        Code={"ZipFile": zipped(main=source)}, **settings,
    )  # fmt: skip
    return client


def payload(answer: dict[str, Any]) -> Any:
    return json.load(answer["Payload"])


def test_a_handler_answers_what_it_returns(store: Store) -> None:
    source = "def handler(event, context):\n    return {'said': event['word'], 'name': context.function_name}\n"
    client = create(store, source)
    answer = client.invoke(FunctionName="f", Payload=json.dumps({"word": "hi"}))
    assert payload(answer) == {"said": "hi", "name": "f"} and "FunctionError" not in answer
    assert answer["ExecutedVersion"] == "$LATEST"


def test_it_has_its_environment_and_the_credentials_of_its_role(store: Store) -> None:
    source = "import os\n\ndef handler(event, context):\n    return dict(os.environ)\n"
    client = create(store, source, Environment={"Variables": {"TARGET": "http://localhost:8001"}})
    seen = payload(client.invoke(FunctionName="f"))
    assert seen["TARGET"] == "http://localhost:8001" and seen["AWS_ENDPOINT_URL"] == store.config.url
    assert seen["AWS_ACCESS_KEY_ID"] != "test" and seen["AWS_SESSION_TOKEN"]
    assert "VIRTUAL_ENV" not in seen and seen["AWS_LAMBDA_FUNCTION_NAME"] == "f"


def test_what_it_prints_is_in_its_log_group(store: Store) -> None:
    client = create(store, "def handler(event, context):\n    print('hello from the handler')\n")
    answer = client.invoke(FunctionName="f", LogType="Tail")
    assert "hello from the handler" in base64.b64decode(answer["LogResult"]).decode()
    events = store.clients("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
    messages = [each["message"] for each in events]
    assert messages[0].startswith("START RequestId:") and "hello from the handler" in messages
    assert messages[-1].startswith("REPORT RequestId:")


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("def handler(event, context):\n    raise ValueError('no')\n", "ValueError", "no"),
        ("import nothing_of_that_name\n", "Runtime.ImportModuleError", "Unable to import module 'main'"),
        ("def other(event, context): ...\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'main'"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'main'"),
        ("import os\ndef handler(event, context):\n    os._exit(3)\n", "Runtime.ExitError", "exit status 3"),
    ],
)
def test_a_failure_is_described_as_lambda_does(store: Store, source: str, kind: str, message: str) -> None:
    answer = create(store, source).invoke(FunctionName="f")
    assert answer["FunctionError"] == "Unhandled" and answer["StatusCode"] == 200
    described = payload(answer)
    assert described["errorType"] == kind and message in described["errorMessage"]
    if kind == "ValueError":
        assert "line 2, in handler\n    raise ValueError" in described["stackTrace"][0]


def test_a_function_that_takes_too_long_is_ended(store: Store) -> None:
    client = create(store, "import time\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=1)
    described = payload(client.invoke(FunctionName="f"))
    assert (
        described["errorType"] == "Sandbox.Timedout"
        and "Task timed out after 1.00 seconds" in described["errorMessage"]
    )
    assert store.children.alive() == []


def test_an_event_is_answered_at_once_and_run_later(store: Store, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    source = f"import pathlib\ndef handler(event, context):\n    pathlib.Path({str(mark)!r}).write_text('yes')\n"
    assert create(store, source).invoke(FunctionName="f", InvocationType="Event")["StatusCode"] == 202
    eventually(mark.exists)


def test_new_code_is_what_runs_next_and_a_published_version_stays(store: Store) -> None:
    client = create(store, "def handler(event, context):\n    return 1\n", Publish=True)
    client.update_function_code(FunctionName="f", ZipFile=zipped(main="def handler(event, context):\n    return 2\n"))
    assert payload(client.invoke(FunctionName="f")) == 2
    assert payload(client.invoke(FunctionName="f", Qualifier="1")) == 1


def test_code_comes_from_s3_too(store: Store) -> None:
    client = create(store, "def handler(event, context):\n    return 1\n")
    s3 = store.clients("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=zipped(main="def handler(event, context):\n    return 3\n"))
    client.update_function_code(FunctionName="f", S3Bucket="code", S3Key="f.zip")
    assert payload(client.invoke(FunctionName="f")) == 3


def test_what_cannot_run_is_refused(store: Store) -> None:
    client = create(store, "def handler(event, context): ...\n")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Function not found: arn:aws:lambda"):
        client.invoke(FunctionName="none")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="f", Payload=b"{")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        client.create_function(
            FunctionName="g", Role="arn:aws:iam::123456789012:role/none", Runtime="python3.12", Handler="main.handler",
            Code={"ZipFile": zipped(main="")},
        )  # fmt: skip
