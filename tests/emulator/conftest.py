"""Emulators for tests: one in this process, for speed, and the real thing as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.emulator import Emulator
from emulator.state.config import Config
from tests import ports
from tests.emulator.signing import SESSION

ROOT = Path(__file__).parents[2]
# No test asks for a machine image; moto would make a thousand for every one of them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """Everything but the daemon, listening on a port of its own; `emulator.store.clients("ecs")` needs no socket."""
    running = Emulator(tmp_path / "emulator", Config(port=0, runtime="process"))
    try:
        yield running
    finally:
        running.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The door's table: attack, what came back (tests/emulator/test_door_table.py)."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    rows = sorted({row for report in reports for name, row in report.user_properties if name == "attack"})
    if rows:
        terminalreporter.section("the door: attack, and what came back")
    for attack, answer in rows:
        terminalreporter.write_line(f"{attack}\n    {answer}")


@dataclass(frozen=True)
class EmulatorProcess:
    """`python -m emulator …` in a folder, on a port of its own."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "EMULATOR_FOLDER": str(self.folder), "EMULATOR_PORT": str(self.port)}
        command = [sys.executable, "-m", "emulator", *argv]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json", check=False).stdout)
        return found

    def client(self, service: str) -> Any:
        return SESSION.client(service, endpoint_url=self.url)


@pytest.fixture
def emulator_process(tmp_path: Path, free_port: int) -> Iterator[EmulatorProcess]:
    """A daemon, started as a user does."""
    process = EmulatorProcess(tmp_path / "emulator", free_port)
    process.run("start")
    try:
        yield process
    finally:
        process.run("stop", check=False)


@pytest.fixture
def free_port() -> int:
    """A port that nobody has."""
    return ports.free_port()
