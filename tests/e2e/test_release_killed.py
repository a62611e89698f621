"""The emulator is killed in the middle of a release: nothing of it is left, and a deploy makes everything anew."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machine import Machine
from tests.e2e.releasing import deployments, retitle, title
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="releases")]


@pytest.fixture
def standing(deployed: Machine) -> Iterator[Machine]:
    """The shared deployment, which stands again afterwards whatever the test did."""
    yield deployed
    deployed.start()
    deployed.orchestrate("deploy")


def test_an_emulator_killed_in_a_release_comes_back_clean(standing: Machine) -> None:
    known = len(deployments(standing))
    new, _ = retitle(standing, "Lost")
    standing.orchestrate("release", "--no-wait")
    eventually(lambda: len(deployments(standing)) > known, 200, "a deployment")
    eventually(lambda: len(_tasks(standing)) > 2, 60, "tasks of both colours")
    pid = json.loads(standing.run("emulator", "status", "--json").stdout)["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not _running_in(standing.folder), 30, "every process of the killed emulator gone")
    standing.start()
    standing.orchestrate("deploy")
    assert title(standing.url) == new  # what is committed is what a new deploy builds
    assert len(_tasks(standing)) == 2
    assert standing.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0
    again = standing.orchestrate("deploy")
    assert "no changes: skipped" in again.stdout


def _tasks(machine: Machine) -> list[Any]:
    found: list[Any] = machine.client("ecs").list_tasks(cluster="chatbot", desiredStatus="RUNNING")["taskArns"]
    return found


def _running_in(folder: Path) -> list[str]:
    """Command lines of processes that work below `folder`."""
    if not shutil.which("ps"):
        pytest.skip("ps is not installed")
    lines = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if str(folder) in line]
