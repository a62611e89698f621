"""The release hook against a page that behaves, and against pages that a visitor must not see."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emulator.data.repositories.tls import make_certificate, server_context

FILE = Path(__file__).resolve().parents[2] / "terraform/modules/deployment/hook/hook.py"
EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}
GOOD = 'event: generating\ndata: ["Par"]\n\nevent: heartbeat\ndata: null\n\nevent: complete\ndata: ["Paris."]\n\n'


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hook", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = _load()


@dataclass
class Page:
    """What the chatbot answers: the stream of events, the status of each path, and how often it is not there yet."""

    stream: str = GOOD
    statuses: dict[str, int] = field(default_factory=dict)
    unavailable: int = 0
    asked: list[Any] = field(default_factory=list)
    cookies: list[str | None] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    url: str = ""

    def status(self, path: str) -> int:
        if self.unavailable:
            self.unavailable -= 1
            return 503
        return self.statuses.get(path, 200)


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Page]:
    """A page on a free port of loopback, over TLS with a certificate."""
    page = Page()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: bytes) -> None:
            page.cookies.append(self.headers["Cookie"])
            page.hosts.add(self.headers["Host"])
            self.send_response(page.status(self.path))
            self.send_header("Set-Cookie", "AWSALB=task-1; Path=/")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer(page.stream.encode() if self.path == "/gradio_api/call/chat/abc" else b"ok")

        def do_POST(self) -> None:
            page.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b'{"event_id": "abc"}')

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        server.socket = server_context(certificate).wrap_socket(server.socket, server_side=True)
    page.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield page
    server.shutdown()
    server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    with serving() as page:
        yield page


class CodeDeploy:
    """What CodeDeploy was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []

    def put_lifecycle_event_hook_execution_status(self, **parameters: str) -> None:
        self.told.append(parameters)


@pytest.fixture
def release(page: Page, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    """Runs the hook as CodeDeploy does; answers what CodeDeploy was told."""
    codedeploy = CodeDeploy()
    monkeypatch.setenv("TEST_URL", page.url)
    monkeypatch.setattr(hook.boto3, "client", lambda service: codedeploy)
    monkeypatch.setattr(hook.time, "sleep", lambda seconds: None)

    def run() -> dict[str, str]:
        hook.handler(EVENT, None)
        assert len(codedeploy.told) == 1, "CodeDeploy waits for exactly one status"
        return codedeploy.told[0]

    return run


def test_a_chatbot_that_answers_is_released(page: Page, release: Callable[[], dict[str, str]]) -> None:
    assert release() == {
        "deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": "Succeeded",
    }  # fmt: skip
    assert page.asked == [{"data": [hook.QUESTION, []]}]


def test_the_conversation_stays_on_one_task(page: Page, release: Callable[[], dict[str, str]]) -> None:
    release()
    assert page.cookies[0] is None
    assert set(page.cookies[1:]) == {"AWSALB=task-1"}


def test_a_listener_that_settles_late_is_waited_for(page: Page, release: Callable[[], dict[str, str]]) -> None:
    page.unavailable = 2
    assert release()["status"] == "Succeeded"


def test_the_whole_answer_counts_when_the_last_event_has_none() -> None:
    lines = b'event: generating\ndata: ["Paris."]\n\nevent: complete\ndata: [null]\n\n'.splitlines()
    assert hook.last_answer(lines, float("inf")) == "Paris."


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param('event: error\ndata: "The model is not reachable"\n\n', id="an error"),
        pytest.param('event: complete\ndata: ["  "]\n\n', id="an empty answer"),
        pytest.param('event: generating\ndata: ["Par"]\n\n', id="an answer cut off"),
        pytest.param("event: complete\ndata: [\n\n", id="garbage"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_chatbot_that_does_not_answer_is_not_released(
    page: Page, release: Callable[[], dict[str, str]], stream: str
) -> None:
    page.stream = stream
    assert release()["status"] == "Failed"


@pytest.mark.parametrize("path", ["/", "/readyz", "/gradio_api/call/chat"])
def test_a_page_that_fails_anywhere_is_not_released(
    page: Page, release: Callable[[], dict[str, str]], path: str
) -> None:
    page.statuses[path] = 500
    assert release()["status"] == "Failed"


def test_a_listener_that_nobody_answers_is_not_released(
    page: Page, release: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_URL", "http://127.0.0.1:9")
    assert release()["status"] == "Failed"


def test_an_answer_that_never_ends_is_cut_at_the_deadline(page: Page) -> None:
    with pytest.raises(hook.GreenIsBroken, match="in time"):
        hook.last_answer(iter([b"event: heartbeat"]), deadline=0.0)


def test_three_conversations_fit_in_the_functions_time_out() -> None:
    longest = hook.ATTEMPTS * hook.CONVERSATION_SECONDS + (hook.ATTEMPTS - 1) * hook.PAUSE_SECONDS
    assert longest < 180
    assert "timeout          = 180" in (FILE.parents[1] / "hook.tf").read_text()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_nowhere_yet_is_met_at_the_load_balancers_address(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "chat.pem", "chat.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(certificate if scheme == "https" else None) as page:
        port = page.url.rpartition(":")[2]
        assert hook.converse(f"{scheme}://chat.example.com:{port}", "127.0.0.1") == "Paris."
        assert page.hosts == {f"chat.example.com:{port}"}
        if scheme == "https":
            with pytest.raises(OSError, match=r"certificate is not valid for 'another\.example\.com'"):
                hook.converse(f"{scheme}://another.example.com:{port}", "127.0.0.1")
