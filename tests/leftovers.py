"""What a run of the tests left when it was killed: known by the run's mark, and ended before the next one begins.

Emulators with their tasks, engines of Docker's with their containers, and whatever else carries the mark in its
environment; containers that carry it as a label; an engine's mounts, bridge and folder. Only what dead runs left:
another checkout's tests, and a person's own deployment, go on beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.tools import process

# In the environment of a run and of all that it starts: its process id, and when that began.
MARK = "TEST_RUN"
LABEL = "dev.chatbot.test.run"
ENGINE = "engine-"  # how the folders of tests/engines.py begin
_PROC = Path("/proc")


def mark() -> str:
    """This run's mark; from now on it is in the environment."""
    return os.environ.setdefault(MARK, json.dumps(process.identity(), sort_keys=True))


def _is_dead(run: str) -> bool:
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        who = json.loads(run)
        return who["host"] == process.identity()["host"] and not process.lives(who)
    return False


def end() -> list[str]:
    """Ends what dead runs left; says what."""
    ended = _end_processes() + _end_engines() + _end_containers()
    return [f"left by a killed run of the tests, and ended: {', '.join(ended)}"] if ended else []


def _end_processes() -> list[str]:
    ended: dict[int, str] = {}
    deadline = time.monotonic() + 10
    while (left := dict(_processes())) and time.monotonic() < deadline:
        ended |= left
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return [f"{name} ({pid})" for pid, name in ended.items()]


def _processes() -> Iterator[tuple[int, str]]:
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            run = next((each.partition(b"=")[2].decode() for each in variables if each.startswith(b"TEST_RUN=")), "")
            if run and process.started(int(entry.name)) and _is_dead(run):
                yield int(entry.name), (entry / "comm").read_text().strip()


def _end_engines() -> list[str]:
    """After their processes: what the kernel keeps for them."""
    ended = []
    for folder in Path(tempfile.gettempdir()).glob(f"{ENGINE}*"):
        with contextlib.suppress(OSError):
            run, bridge = (folder / "run-of").read_text().split("\n")
            if _is_dead(run):
                forget(folder, bridge)
                ended.append(str(folder))
    return ended


def forget(folder: Path, bridge: str) -> None:
    """Takes an ended engine's mounts, network namespaces (mounts, too), bridge and folder away."""
    mounts = [line.split()[1] for line in (_PROC / "self/mounts").read_text().splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, timeout=60, check=False)
    subprocess.run(["ip", "link", "delete", bridge], capture_output=True, timeout=60, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _end_containers() -> list[str]:
    """Those of the engine that tests share; one that does not answer has none."""
    if not shutil.which("docker"):
        return []
    ended = []
    runs = f'{{{{.ID}}}} {{{{.Label "{LABEL}"}}}}'
    for line in _docker("ps", "--all", "--no-trunc", "--filter", f"label={LABEL}", "--format", runs):
        container, _, run = line.partition(" ")
        if _is_dead(run):
            _docker("rm", "--force", "--volumes", container)
            ended.append(f"container {container[:12]}")
    # An emulator removes its own at its next start in the same folder; a test's folder has no next start.
    folder = '{{.ID}} {{.Label "dev.chatbot.emulator"}}'
    for line in _docker("ps", "--all", "--no-trunc", "--filter", "label=dev.chatbot.emulator", "--format", folder):
        container, _, place = line.partition(" ")
        if _is_a_tests(Path(place)) and not _serves(Path(place)):
            _docker("rm", "--force", "--volumes", container)
            ended.append(f"container {container[:12]}")
    return ended


def _is_a_tests(folder: Path) -> bool:
    return any(part.startswith("pytest-of-") for part in folder.parts)


def _serves(folder: Path) -> bool:
    """Whether an emulator of that folder runs: a program that names it, or the test's own process."""
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                return True
    return any(folder.is_relative_to(lock.parent) and _runs(lock) for lock in _pytests_locks())


def _pytests_locks() -> Iterator[Path]:
    """pytest keeps one in each run's temporary folder, with its process id, and removes it at its end."""
    return Path(tempfile.gettempdir()).glob("pytest-of-*/pytest-*/.lock")


def _runs(lock: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return bool(process.started(int(lock.read_text())))
    return False


def _docker(*arguments: str) -> list[str]:
    done = process.run(["docker", *arguments], timeout=60)
    return done.out.splitlines() if done.code == 0 else []
