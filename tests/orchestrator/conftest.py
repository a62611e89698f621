"""A checkout in a folder, an AWS on a free port (moto's own server), and a registry that keeps what it is sent."""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from moto.server import ThreadedMotoServer

from orchestrator import config as configuration
from orchestrator.config import Config
from orchestrator.site import Site
from tests.ports import free_ports

LOCAL = """
[environment]
endpoint_url = "{endpoint}"

[network]
allow_http = true
production_port = {production}
test_port = {test}

[ecr]
force_delete = true
"""


def _local(endpoint: str) -> str:
    production, test = free_ports(2)
    return LOCAL.format(endpoint=endpoint, production=production, test=test)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one environment, whose endpoint answers nothing."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/local.toml").write_text(_local("http://127.0.0.1:9"))
    return tmp_path


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """moto's own server: S3, STS, ECR and Secrets Manager over HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def config(checkout: Path, endpoint: str) -> Config:
    """An environment of this test's own on that AWS."""
    (checkout / "environments/local.toml").write_text(_local(endpoint))
    name = f"t{secrets.token_hex(6)}"  # another one for each try: what the one before made has its own
    return configuration.load("local", checkout, [f"environment.name={name}"], {})


@dataclass
class Said:
    """What a user was told."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def site(config: Config, said: Said) -> Site:
    return Site(config, said)


class FakeRegistry(ThreadingHTTPServer):
    """The distribution API's pushes, in memory; ``uploads`` counts the bodies that it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.cut_after: int | None = None  # uploads after which connections break off
        self.password = "AWS:secret"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        kind, _, name = urlsplit(self.path).path.rpartition("/")[0].rpartition("/")[2], "", self.path.rpartition("/")[2]
        found = self.server.blobs.get(name) if kind == "blobs" else self.server.manifests.get(name)
        if found is None:
            return self._answer(404)
        digest = f"sha256:{hashlib.sha256(found).hexdigest()}"
        return self._answer(200, {"Docker-Content-Digest": digest})

    def do_GET(self) -> None:
        found = self.server.manifests[self.path.rpartition("/")[2]]
        self._answer(200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, found)

    def do_POST(self) -> None:
        self._answer(202, {"Location": f"{urlsplit(self.path).path}one?_state=abc"})

    def do_PUT(self) -> None:
        if self.server.cut_after is not None and len(self.server.uploads) >= self.server.cut_after:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        if "/blobs/uploads/" in parts.path:
            query = parse_qs(parts.query)
            digest = query["digest"][0]
            if query.get("_state") != ["abc"] or digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
                return self._answer(400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}')
            self.server.blobs[digest] = body
            self.server.uploads.append(digest)
        else:
            self.server.manifests[parts.path.rpartition("/")[2]] = body
            self.server.manifests[f"sha256:{hashlib.sha256(body).hexdigest()}"] = body
        return self._answer(201)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    server = FakeRegistry()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
