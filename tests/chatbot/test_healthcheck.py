"""The container's health check: the exit code is the answer."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatbot import healthcheck

TASKDEF = Path(__file__).parents[2] / "taskdef.json"


@contextmanager
def _answering(reply: bytes) -> Iterator[int]:
    """A server of one answer; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked = connection.recv(4096)
                assert asked.startswith(b"GET /healthz HTTP/1.1\r\n")
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def _checked(port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "chatbot.healthcheck"]
    return subprocess.run(
        command, env=os.environ | {"PORT": str(port)}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"200 is not a status line", 1),
        (b"", 1),
    ],
)
def test_only_a_200_is_healthy(reply: bytes, code: int) -> None:
    with _answering(reply) as port:
        assert _checked(port).returncode == code


def test_nobody_there_is_unhealthy_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = _checked(port)
    assert done.returncode == 1
    assert f"no answer on port {port}" in done.stdout


def test_it_gives_a_busy_task_as_long_as_the_health_check_does_and_still_says_why_not() -> None:
    timeout = json.loads(re.sub(r"<\w+>", "0", TASKDEF.read_text()))["containerDefinitions"][0]["healthCheck"][
        "timeout"
    ]
    assert timeout - 2 <= healthcheck.SECONDS < timeout
