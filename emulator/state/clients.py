"""boto3 clients for the emulator's own parts: unmodified AWS calls, answered in this process without a socket."""

from __future__ import annotations

import functools
import io
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
import botocore.awsrequest
from botocore.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Credentials:
    """What signs a call; the defaults are the developer's, who may do everything."""

    access_key: str = "test"
    secret_key: str = "test"
    token: str | None = None


DEVELOPER = Credentials()


# A session makes one client at a time, and keeps the models that it has read.
_MAKING = threading.Lock()


@functools.cache
def _session() -> boto3.Session:
    return boto3.Session()


class Clients:
    """Makes and keeps clients by service, region and credentials; `application` is the emulator's front door."""

    def __init__(self, application: Callable[[], WSGIApplication]) -> None:
        self._application = application
        self._made: dict[tuple[str, str, Credentials], Any] = {}

    def __call__(self, service: str, region: str = "us-east-1", credentials: Credentials = DEVELOPER) -> Any:
        key = (service, region, credentials)
        with _MAKING:
            if key not in self._made:
                self._made[key] = self._make(*key)
            return self._made[key]

    def _make(self, service: str, region: str, credentials: Credentials) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        client = _session().client(
            service,
            region,
            endpoint_url="http://localhost",
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=config,
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: botocore.awsrequest.AWSPreparedRequest, **_: Any) -> botocore.awsrequest.AWSResponse:
        head: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            head.update(status=int(status.split()[0]), headers=dict(headers))

        body = b"".join(self._application()(_environ(request), start_response))
        return botocore.awsrequest.AWSResponse(request.url, head["status"], head["headers"], _Raw(body))


class _Raw(io.BytesIO):
    """The body, with the one method that botocore asks of urllib3's response."""

    def stream(self, amt: int = 65536, decode_content: bool | None = None) -> Any:
        while chunk := self.read(amt):
            yield chunk


def _environ(request: botocore.awsrequest.AWSPreparedRequest) -> WSGIEnvironment:
    parts = urlsplit(request.url)
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    raw = body.encode() if isinstance(body, str) else bytes(body)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(parts.path or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": request.url,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(raw)),
        "HTTP_HOST": parts.netloc,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(raw),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for key, value in request.headers.items():
        name = key.upper().replace("-", "_")
        text = value.decode() if isinstance(value, bytes) else str(value)
        environ[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = text
    environ.pop("HTTP_CONTENT_LENGTH", None)
    return environ
