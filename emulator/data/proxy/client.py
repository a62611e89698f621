"""The emulator's side of the proxy: a small synchronous handle on the process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .messages import Configuration, Event, configuration_line, parse_event

_ROOT = Path(__file__).parents[3]  # where the package emulator is


class Proxy:
    """The proxy process: start it, tell it what is wanted, read what happened.

    One thread may iterate events() while others call configure(). When the process dies, events() ends: start() makes
    a new one, which knows nothing until it is configured again.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process; a former one is closed first. Its standard error is ours."""
        self.close()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [self._python, "-m", f"{__package__}", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def configure(self, configuration: Configuration) -> None:
        """Hand over the whole desired configuration; raises BrokenPipeError when there is no process to take it."""
        with self._lock:
            stdin = self._pipes()[0]
            stdin.write(configuration_line(configuration).encode())
            stdin.flush()

    def events(self) -> Iterator[Event]:
        """Every event as it comes; blocks in between, ends with the process."""
        for line in self._pipes()[1]:
            if line.endswith(b"\n"):  # else the process was killed while it said this
                yield parse_event(line)

    def close(self) -> None:
        """Close every port and connection and end the process. It is gone when this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # its signal to end
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError("the proxy is not running")
        return process.stdin, process.stdout
