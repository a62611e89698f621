"""The app as a process of its own, told by its environment and known by its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chatbot.fake_openai import FakeOpenAI

ROOT = Path(__file__).parents[2]
OURS = ("CHATBOT_", "HF_", "MODEL_GGUF", "HOST", "PORT")


class App:
    """`python -m chatbot` on a free port of loopback."""

    def __init__(self, **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment |= {"HOST": "127.0.0.1", "PORT": "0", "PYTHONUNBUFFERED": "1", "CHATBOT_METRICS_PORT": "9464"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatbot"], cwd=ROOT, env=environment | settings, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.log: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._readers = [threading.Thread(target=f, daemon=True) for f in (self._read_log, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read_log(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.errors.append(line)

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in list(self.log) if line["event"] == event]

    def wait(self, condition: Callable[[], Any], seconds: float = 20, what: str = "it") -> Any:
        """Whatever `condition` answers, once that is true."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < until, (
                f"waited in vain for {what}; log {self.log[-3:]}; errors {self.errors[-5:]}"
            )
            time.sleep(0.02)
        return found

    @property
    def port(self) -> int:
        return int(self.wait(lambda: self.lines("listening"), what="the port")[0]["port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> App:
        self.wait(lambda: any(line["ready"] for line in self.lines("backend")), what="a usable backend")
        return self

    def stop(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start() -> Iterator[Callable[..., App]]:
    """Starts apps; what is left of them is killed."""
    started: list[App] = []

    def start_app(**settings: str) -> App:
        started.append(App(**settings))
        return started[-1]

    yield start_app
    for app in started:
        app.kill()


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeOpenAI]:
    """A server that misbehaves on demand."""
    server = FakeOpenAI().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def app(fake: FakeOpenAI) -> Iterator[App]:
    """The app over the fake, with short time-outs and no rate limit."""
    running = App(
        CHATBOT_BACKEND="openai", CHATBOT_BASE_URL=fake.url, CHATBOT_API_KEY="sk-very-secret",
        CHATBOT_FIRST_TOKEN_SECONDS="1", CHATBOT_STALL_SECONDS="1", CHATBOT_RATE_PER_MINUTE="0",
        CHATBOT_BODY_SECONDS="1", CHATBOT_MAX_TOKENS="300", CHATBOT_YIELD_MS="30",
        CHATBOT_VISITOR_SETTINGS="temperature,max_tokens,system_prompt",
    )  # fmt: skip
    try:
        yield running.ready()
    finally:
        running.kill()
