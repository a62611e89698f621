"""The release hook: holds a conversation with green through the test listener before production traffic moves.

CodeDeploy invokes ``handler`` at AfterAllowTestTraffic and waits for PutLifecycleEventHookExecutionStatus.
https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html
"""

import json
import os
import socket
import ssl
import time
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.cookiejar import CookieJar
from typing import Any
from urllib.request import (
    BaseHandler,
    HTTPCookieProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

import boto3

QUESTION = "Hello! Please answer in one short sentence: what is the capital of France?"
# Three conversations and the pauses between them fit in the function's time-out (180 s).
ATTEMPTS = 3
CONVERSATION_SECONDS = 50.0
PAUSE_SECONDS = 5.0


class GreenIsBroken(Exception):
    """What green did that a visitor must not see."""


def handler(event: dict[str, str], context: object) -> dict[str, str]:
    """``event``: {"DeploymentId", "LifecycleEventHookExecutionId"}; answers the status that CodeDeploy was told."""
    try:
        answer = converse_patiently(os.environ["TEST_URL"], os.environ.get("TEST_ADDRESS", ""))
        status, report = "Succeeded", f"green answered: {answer[:200]}"
    except Exception as error:  # a hook that dies silently would hold the release for an hour
        status, report = "Failed", f"green is broken: {type(error).__name__}: {error}"
    print(f"{event['DeploymentId']}: {report}")
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
    return {"status": status, "report": report}


def converse_patiently(url: str, address: str = "", attempts: int = ATTEMPTS, pause: float = PAUSE_SECONDS) -> str:
    """A listener that has just been moved may still answer 503: only the last attempt decides."""
    for attempt in range(1, attempts + 1):
        try:
            return converse(url, address)
        except (GreenIsBroken, HTTPException, OSError) as error:  # urllib's errors are OSErrors
            print(f"attempt {attempt} of {attempts}: {type(error).__name__}: {error}")
            if attempt == attempts:
                raise
            time.sleep(pause)
    raise ValueError("attempts must be 1 or more")


def converse(url: str, address: str = "", seconds: float = CONVERSATION_SECONDS) -> str:
    """Opens the page, asks one question as a browser would, and answers the whole answer.

    ``address``: where the page is, whatever its name leads to: a first release must not wait for a record of DNS.
    """
    deadline = time.monotonic() + seconds
    # Cookies keep the conversation on one task, as they do for a visitor.
    visitor = build_opener(HTTPCookieProcessor(CookieJar()), *_at(address))
    for path in ("/", "/readyz"):
        _open(visitor, Request(url + path), deadline).close()
    asked = Request(
        f"{url}/gradio_api/call/chat",
        data=json.dumps({"data": [QUESTION, []]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with _open(visitor, asked, deadline) as response:
        event_id = json.load(response)["event_id"]
    with _open(visitor, Request(f"{url}/gradio_api/call/chat/{event_id}"), deadline) as stream:
        answer = last_answer(stream, deadline)
    if not answer.strip():
        raise GreenIsBroken("the answer is empty")
    return answer.strip()


def _at(address: str) -> list[BaseHandler]:
    """What has an opener connect to ``address``; Host, and the name that a certificate must have, stay the URL's."""
    if not address:
        return []

    class Plain(HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((address, self.port), self.timeout)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            plain = socket.create_connection((address, self.port), self.timeout)
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)

    class OverPlain(HTTPHandler):
        def http_open(self, request: Request) -> Any:
            return self.do_open(Plain, request)

    class OverTls(HTTPSHandler):
        def https_open(self, request: Request) -> Any:
            return self.do_open(Tls, request)

    return [OverPlain(), OverTls()]


def last_answer(lines: Iterable[bytes], deadline: float) -> str:
    """Gradio's events up to ``complete``: each data line holds the outputs so far, the last one the whole answer.

    ``complete`` itself may carry no answer (a generator has said everything before), so the newest one counts.
    """
    event, answer = "", ""
    for line in lines:
        if time.monotonic() > deadline:
            raise GreenIsBroken("no complete answer in time")
        field, _, value = line.decode().strip().partition(": ")
        if field == "event":
            event = value
        elif field == "data" and event == "error":
            raise GreenIsBroken(f"the chatbot answered with an error: {value[:200]}")
        elif field == "data" and event in ("generating", "complete"):
            answer = _text(json.loads(value)) or answer
            if event == "complete":
                return answer
    raise GreenIsBroken("the answer was cut off")


def _text(outputs: Any) -> str:
    return outputs[0] if isinstance(outputs, list) and outputs and isinstance(outputs[0], str) else ""


def _open(visitor: OpenerDirector, request: Request, deadline: float) -> Any:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise GreenIsBroken(f"no time left for {request.selector}")
    return visitor.open(request, timeout=remaining)
