"""Credentials go to the environment's own hosts, whatever a state or an answer says."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.config import Config
from orchestrator.errors import NotOurs
from orchestrator.site import Site
from orchestrator.tools import git, git_credential, registry, source, trust
from orchestrator.tools.aws import Aws
from tests.orchestrator.conftest import Said


def _at(config: Config, endpoint: str, region: str = "eu-central-1") -> Config:
    values = {
        **config.values,
        "environment": {**config.values["environment"], "endpoint_url": endpoint, "region": region},
    }
    return replace(config, values=values)


EVIL = (
    "http://evil.example/v1/repos/chatbot",
    "https://evil.example/v1/repos/chatbot",
    "https://git-codecommit.eu-central-1.amazonaws.com.evil.example/v1/repos/chatbot",
    "https://git-codecommit.eu-central-1.amazonaws.com@evil.example/v1/repos/chatbot",
    "http://git-codecommit.eu-central-1.amazonaws.com/v1/repos/chatbot",  # in the clear
    "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/chatbot",  # of another region
    "http://localhost.evil.example:4566/v1/repos/chatbot",
    "http://localhost:4567/v1/repos/chatbot",  # another program's port
    "http://localhost:4566@evil.example/v1/repos/chatbot",
    "ext::sh -c touch% pwned",
    "--upload-pack=touch pwned",
    "ssh://evil.example/chatbot",
    "",
)


@pytest.mark.parametrize("endpoint", ["", "http://localhost:4566"])
@pytest.mark.parametrize("url", EVIL)
def test_a_repository_elsewhere_gets_no_password(config: Config, endpoint: str, url: str) -> None:
    with pytest.raises(NotOurs, match="no password for it"):
        trust.codecommit(_at(config, endpoint), url)


@pytest.mark.parametrize(
    "endpoint, region, url",
    [
        ("", "eu-central-1", "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/chatbot"),
        ("", "cn-north-1", "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/chatbot"),
        ("http://localhost:4566", "us-east-1", "http://localhost:4566/v1/repos/chatbot"),
        ("http://127.0.0.1:4566", "us-east-1", "http://localhost:4566/v1/repos/chatbot"),
        ("https://aws.test:8443", "us-east-1", "https://aws.test:8443/v1/repos/chatbot"),
    ],
)
def test_the_environments_own_repository_gets_one(config: Config, endpoint: str, region: str, url: str) -> None:
    assert trust.codecommit(_at(config, endpoint, region), url) == url.split("/")[2]


def test_a_release_out_of_a_rewritten_state_sends_nothing(
    config: Config, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = Site(_at(config, "http://localhost:4566"), said)
    for name in ("push", "push_remote"):
        monkeypatch.setattr(git, name, lambda *_: pytest.fail("git was called"))
    pipeline = {"repository_name": "ada/chat", "clone_url_http": "http://evil.example/x", "branch": "main"}
    for connection in (None, "arn:aws:codeconnections:us-east-1:1:connection/1"):
        with pytest.raises(NotOurs, match=r"evil\.example"):
            source.push(site.aws, tmp_path, {**pipeline, "connection_arn": connection})


def test_a_redirection_leads_no_password_to_another_host(tmp_path: Path) -> None:
    """git follows the first one, and asks its helper for the password of where it has led."""
    seen: list[str | None] = []

    class Asks(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="stranger"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Redirects(Asks):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{stranger.server_port}{self.path}")
            self.end_headers()

    with _serving(Asks) as stranger, _serving(Redirects) as ours:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        host = f"127.0.0.1:{ours.server_port}"
        refused = git.push(
            tmp_path, f"http://{host}/v1/repos/chatbot", "main",
            {**os.environ, **keys, git_credential.CREDENTIAL_HOST: host},
        )  # fmt: skip
    assert "no password for it" in refused
    assert seen and not any(seen)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _ecr(endpoint: str, proxy: str) -> Any:
    answer = {"authorizationData": [{"authorizationToken": "dG9rZW4=", "proxyEndpoint": proxy}]}
    meta = SimpleNamespace(endpoint_url=endpoint, region_name="eu-central-1")
    return SimpleNamespace(meta=meta, get_authorization_token=lambda: answer)


@pytest.mark.parametrize(
    "endpoint, proxy, ours",
    [
        ("https://api.ecr.eu-central-1.amazonaws.com", "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com", True),
        ("https://api.ecr.eu-central-1.amazonaws.com", "https://123456789012.dkr.ecr.eu-central-1.evil.example", False),
        ("https://api.ecr.eu-central-1.amazonaws.com", "http://localhost:4566", False),
        ("http://localhost:4566", "http://localhost:4566", True),
        ("http://host.docker.internal:4566", "http://localhost:4566", True),
        ("http://localhost:4566", "https://evil.example", False),
    ],
)
def test_the_registrys_password_goes_to_the_environments_registry(endpoint: str, proxy: str, ours: bool) -> None:
    if ours:
        assert registry.access(_ecr(endpoint, proxy)).url == proxy
        return
    with pytest.raises(NotOurs):
        registry.access(_ecr(endpoint, proxy))


def test_every_service_that_the_orchestrator_calls_has_a_client_on_an_emulator(config: Config) -> None:
    code = "".join(path.read_text() for path in Path("orchestrator").rglob("*.py"))
    services = set(re.findall(r'(?:client|_by_call|_ours)\(\s*"([a-z0-9-]+)"', code))
    assert {"codeconnections", "ecs", "s3"} <= services
    clients = {service: Aws(config).client(service) for service in services}
    assert {client.meta.endpoint_url for client in clients.values()} == {config.endpoint_url}
