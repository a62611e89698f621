"""A running chatbot as its tests see it, wherever it runs: an address, and a log that tells what it did."""

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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
OURS = ("CHATBOT_", "HF_", "MODEL_GGUF", "HOST", "PORT")

# What the tests have on both stages: no rate limit, and time-outs that are short, but not as short as the hiccup of a
# machine that runs other tests beside these.
PATIENCE = {
    "CHATBOT_BACKEND": "openai", "CHATBOT_API_KEY": "sk-very-secret", "CHATBOT_FIRST_TOKEN_SECONDS": "8",
    "CHATBOT_STALL_SECONDS": "5", "CHATBOT_BODY_SECONDS": "1", "CHATBOT_RATE_PER_MINUTE": "0",
    "CHATBOT_MAX_TOKENS": "300", "CHATBOT_YIELD_MS": "30",
    "CHATBOT_VISITOR_SETTINGS": "temperature,max_tokens,system_prompt",
}  # fmt: skip


def now() -> str:
    """The time as the log writes it: what was logged from here on is not less."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def sorted_out(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What is an event of the log, and what is not."""
    events, others = [], []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            others.append(line)
    return events, others


class Served(ABC):
    """`url` is where visitors come in; `pause` is how often it is worth looking at its log again."""

    pause = 0.02
    patience = 180.0  # seconds; beside four deployments that begin, a minute was not enough
    # What a load balancer in front adds to the X-Forwarded-For of a visitor; the app alone is told it by the test.
    forwarded = ", 203.0.113.3"

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def written(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Its log so far: the events, and whatever else was printed."""

    @abstractmethod
    def replace(self) -> None:
        """End what serves here by kill -9; another one takes its place, at the same address."""

    @abstractmethod
    def kill(self) -> None:
        """End it for good."""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def lines(self, event: str, since: str = "") -> list[dict[str, Any]]:
        """Its log's lines of one event, those before `since` left out."""
        return [line for line in self.written()[0] if line["event"] == event and line["time"] >= since]

    def answered(self, since: str, count: int = 1) -> list[dict[str, Any]]:
        """The log lines of as many answers that ended since then, waited for."""

        def found() -> list[dict[str, Any]]:
            lines = self.lines("answer", since)
            return lines if len(lines) >= count else []

        lines: list[dict[str, Any]] = self.wait(found, what=f"{count} answers in the log")
        assert len(lines) == count, lines
        return lines

    def wait(self, condition: Callable[[], Any], seconds: float = 0, what: str = "it") -> Any:
        """Whatever `condition` answers, once that is true."""
        until = time.monotonic() + (seconds or self.patience)
        while not (found := condition()):
            if time.monotonic() > until:
                events, others = self.written()
                raise AssertionError(f"waited in vain for {what}; log {events[-3:]}; others {others[-5:]}")
            time.sleep(self.pause)
        return found

    def ready(self) -> Served:
        """Itself, once its model can be used."""
        self.wait(lambda: any(line["ready"] for line in self.lines("backend")), what="a usable backend")
        return self

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


class App(Served):
    """`python -m chatbot` on a free port of loopback."""

    def __init__(self, **settings: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        ours = {"HOST": "127.0.0.1", "PORT": "0", "PYTHONUNBUFFERED": "1", "CHATBOT_METRICS_PORT": str(free_port())}
        self._environment = inherited | ours | settings
        self._printed: list[str] = []
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatbot"], cwd=ROOT, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout and self.process.stderr
        streams = (self.process.stdout, self.process.stderr)
        self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True) for stream in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._printed.append(line)

    def written(self) -> tuple[list[dict[str, Any]], list[str]]:
        return sorted_out(list(self._printed))

    @property
    def url(self) -> str:
        listening = self.wait(lambda: self.lines("listening"), what="the port")
        return f"http://127.0.0.1:{listening[-1]['port']}"

    def replace(self) -> None:
        self._environment["PORT"] = str(self.port)
        since = now()
        self.kill()
        self._start()
        self.wait(lambda: self.lines("listening", since), what="another one")

    def stop(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)
