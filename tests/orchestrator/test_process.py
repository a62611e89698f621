"""Processes: one SIGINT, and none that outlives its parent without being told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.config import CHECKOUT
from orchestrator.tools import process
from tests.waiting import eventually

# Counts its SIGINTs and writes the count down before it goes, as Terraform saves its state.
SAVER = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", flush=True)
while not seen:
    time.sleep(0.02)
time.sleep(0.3)
for line in range(200):
    print("saving", line, flush=True)
open(sys.argv[1], "w").write(str(len(seen)))
"""


def _wait_for(path: Path) -> str:
    eventually(lambda: path.is_file() and path.read_text(), what=f"{path.name} to be written")
    return path.read_text()


def _saver(tmp_path: Path) -> list[str]:
    (tmp_path / "saver.py").write_text(SAVER)
    return [sys.executable, str(tmp_path / "saver.py"), str(tmp_path / "saved")]


def test_a_guarded_command_hands_on_its_lines_and_its_exit_code(tmp_path: Path) -> None:
    guarded = process.Guarded(
        ["sh", "-c", "echo one; echo two >&2; exit 7"], cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log"
    )
    lines: list[str] = []
    assert guarded.lines(lines.append) == 7
    assert sorted(lines) == ["one", "two"]
    assert sorted((tmp_path / "log").read_text().split()) == ["one", "two"]


def test_an_interrupt_reaches_the_command_once(tmp_path: Path) -> None:
    guarded = process.Guarded(_saver(tmp_path), cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log")
    lines: list[str] = []

    def interrupt_when_ready(line: str) -> None:
        lines.append(line)
        if line == "ready":
            for _ in range(3):
                guarded.interrupt()

    assert guarded.lines(interrupt_when_ready) == 0
    assert (tmp_path / "saved").read_text() == "1"
    assert lines[-1] == "saving 199"


def test_a_killed_parent_leaves_a_command_that_saves_and_ends(tmp_path: Path) -> None:
    parent = (
        "import sys, os; from pathlib import Path; from orchestrator.tools.process import Guarded\n"
        "g = Guarded(sys.argv[2:], cwd=Path(sys.argv[1]), env=dict(os.environ), log=Path(sys.argv[1]) / 'log')\n"
        "g.lines(lambda line: print(line, flush=True))\n"
    )
    command = [sys.executable, "-c", parent, str(tmp_path), *_saver(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.kill()
    assert _wait_for(tmp_path / "saved") == "1"
    # The guard reads what the command wrote before it ended, and writes it down a moment later.
    eventually(lambda: "saving 199" in (tmp_path / "log").read_text(), what="the log to be whole")


def test_a_killed_guard_interrupts_its_command_too(tmp_path: Path) -> None:
    guarded = process.Guarded(_saver(tmp_path), cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log")

    def kill_when_ready(line: str) -> None:
        if line == "ready":
            os.kill(guarded.pid, signal.SIGKILL)

    guarded.lines(kill_when_ready)
    # Its output has nowhere to go any more; the command that Terraform is survives that long enough to be told.
    eventually(lambda: not process.at_work_in(tmp_path, "saver.py"), what="its end")


def test_a_process_is_known_by_more_than_its_number() -> None:
    me = process.identity()
    assert process.lives(me)
    assert not process.lives(me | {"started": "another boot:1"})
    with subprocess.Popen(["sleep", "0"]) as child:
        gone = {"pid": child.pid, "started": process.started(child.pid)}
    assert not process.lives(gone)
    assert not process.lives({})


def test_what_works_in_a_folder_is_found(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "5"], cwd=tmp_path) as child:
        assert child.pid in process.at_work_in(tmp_path, "sleep")
        assert process.at_work_in(tmp_path, "terraform") == []
        child.kill()


def test_a_program_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    before = threading.active_count()  # other tests of this process have some
    assert process.run(["no-such-program"]).code == 127
    assert process.run(["sleep", "5"], timeout=0.1).code == 124
    assert threading.active_count() <= before


def test_a_folder_on_path_that_may_not_be_read_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """execvp(3) tells of it by EACCES, not ENOENT, once no other folder has the program; root may read everything."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "no-such-program")

    monkeypatch.setattr(subprocess, "run", refused)
    assert process.run(["no-such-program"]).code == 127


# Terraform with its provider plugin: killed, it leaves one that ends of itself by no means.
PLUGGED = """
import os, signal, subprocess, sys
stays = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pause()"
plugin = subprocess.Popen([sys.executable, "-c", stays])
print(plugin.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_command_leaves_is_ended_by_its_guard(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PLUGGED]
    guarded = process.Guarded(command, cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log")
    lines: list[str] = []
    assert guarded.lines(lines.append) == 128 + signal.SIGKILL
    eventually(lambda: not process.started(int(lines[0])), what="the plugin's end")
