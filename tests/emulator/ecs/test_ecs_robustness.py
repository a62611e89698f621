"""What is left of tasks when the emulator is killed or stopped: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[3]
# An emulator in a process of its own, with two tasks of one service; it prints the tasks' process numbers and waits.
SCRIPT = """
import json, sys, time, urllib.request
from pathlib import Path
from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.ecs.conftest import World

world = World(Emulator(Path(sys.argv[1]), Config(port=0, runtime="process"))).prepare()
world.serve(world.define())
world.settles(2)
pids = []
for task in world.tasks(serviceName="tiny"):
    with urllib.request.urlopen(f"http://{world.listens(task['taskArn'])}/env") as answer:
        pids.append(json.load(answer)["pid"])
print(json.dumps(pids), flush=True)
if sys.stdin.readline():
    world.emulator.close()
"""


def start(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_killed_emulator_leaves_no_task(tmp_path: Path) -> None:
    process, pids = start(tmp_path / "emulator")
    assert len(alive(pids)) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not alive(pids))


def test_a_stopped_emulator_leaves_no_task(tmp_path: Path) -> None:
    process, pids = start(tmp_path / "emulator")
    assert process.stdin is not None
    process.stdin.write("close\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert not alive(pids)
    assert not list((tmp_path / "emulator/tasks").glob("*"))
