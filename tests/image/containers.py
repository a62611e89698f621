"""Containers of one test, as Fargate runs them: read-only, with a small /tmp in memory."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any

from tests import leftovers
from tests.docker_base import docker

LIKE_FARGATE = ("--read-only", "--tmpfs", "/tmp:rw,noexec,nosuid,size=64m", "--cap-drop", "ALL")


class Container:
    def __init__(self, identifier: str) -> None:
        self.id = identifier

    @property
    def url(self) -> str:
        return f"http://{docker('port', self.id).stdout.split(' -> ')[1].splitlines()[0]}"

    def exec(self, *command: str) -> str:
        return docker("exec", self.id, *command).stdout

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(docker("inspect", "--format", "{{json .State}}", self.id).stdout))

    @property
    def logs(self) -> str:
        done = docker("logs", self.id)
        return done.stdout + done.stderr

    def until_ready(self, path: str = "/healthz", seconds: float = 60) -> float:
        """Waits for a 200; how many seconds after the call."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            try:
                with urllib.request.urlopen(self.url + path, timeout=60):
                    return time.monotonic() - began
            except (OSError, urllib.error.URLError, IndexError):
                assert self.state["Running"], f"it ended: {self.logs}"
                time.sleep(0.1)
        raise AssertionError(f"{path} is not answered within {seconds:g} s: {self.logs}")


class Containers:
    def __init__(self) -> None:
        self._started: list[Container] = []

    def run(self, image: str, *flags: str, command: tuple[str, ...] = ()) -> Container:
        label = f"--label={leftovers.LABEL}={leftovers.mark()}"
        arguments = ("run", "--detach", label, "--publish", "127.0.0.1::7860", *LIKE_FARGATE, *flags)
        container = Container(docker(*arguments, image, *command).stdout.strip())
        self._started.append(container)
        return container

    def __enter__(self) -> Containers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for container in self._started:
            docker("rm", "--force", "--volumes", container.id, check=False)
