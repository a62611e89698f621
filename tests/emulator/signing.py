"""Who calls the emulator in tests: boto3, or by hand, with botocore's arithmetic."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from email.message import Message

    from emulator.emulator import Emulator

# One for all tests of a process: it reads each service's model once, which takes longer than a test's calls.
SESSION: Any = boto3.Session("test", "test", region_name="us-east-1")
TEST = Credentials("test", "test")


def client(
    emulator: Emulator, service: str, key: str = "test", secret: str = "test", token: str | None = None,
    *, version: str | None = None, region: str = "us-east-1", style: str = "path", **options: Any,
) -> Any:  # fmt: skip
    """A client of boto3 that tries nothing twice; `version` of the signature, `style` of a bucket's address."""
    config = Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": style}, signature_version=version, **options
    )
    return SESSION.client(
        service, region, endpoint_url=emulator.url, config=config, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token,
    )  # fmt: skip


class Answered(NamedTuple):
    status: int
    text: str
    headers: Message
    body: bytes


def asked(
    emulator: Emulator, method: str = "GET", path: str = "/", body: str | bytes = b"", service: str = "",
    credentials: Credentials = TEST, **headers: str,
) -> Answered:  # fmt: skip
    """Sends just these headers (with `_` for `-`), signed for `service` if there is one, to 127.0.0.1."""
    raw = body.encode() if isinstance(body, str) else body
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    host = sent.setdefault("Host", f"127.0.0.1:{emulator.store.config.port}")
    if service:
        sent = signed(method, f"http://{host or 'nobody'}{path}", raw, service, sent, credentials)
    connection = http.client.HTTPConnection("127.0.0.1", emulator.store.config.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**sent, **({"Content-Length": str(len(raw))} if raw or method != "GET" else {})}.items():
        connection.putheader(name, value)
    connection.endheaders(raw or None)
    with connection.getresponse() as answer:
        content = answer.read()
    connection.close()
    return Answered(answer.status, content.decode("utf-8", "replace"), answer.headers, content)


def signed(
    method: str, url: str, body: bytes, service: str, headers: dict[str, str], credentials: Credentials = TEST
) -> dict[str, str]:
    """`headers` and those that sign them, for a call of `service` in us-east-1."""
    request = AWSRequest(method, url, headers, body)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(credentials, service, "us-east-1").add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}
