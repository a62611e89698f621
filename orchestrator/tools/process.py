"""The one file that starts processes.

A long command runs under a guard (``guard.py``), in a session of its own: Ctrl-C in the terminal reaches only us, we
pass on exactly one SIGINT, and when we die (kill -9 too) the guard sees its input close and interrupts the command, so
Terraform saves its state and releases its lock whatever happens to us.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str = ""


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = 120,
) -> Result:
    """Runs a short command to its end; a program that cannot be had answers 127, one that takes too long 124."""
    try:
        done = subprocess.run(
            list(command), cwd=cwd, env=env, input=stdin, text=True, capture_output=True, timeout=timeout, check=False
        )
    except OSError as error:  # PermissionError, too: a folder on PATH that this user may not read
        return Result(127, "", str(error))
    except subprocess.TimeoutExpired:
        return Result(124, "", f"{command[0]} did not end within {timeout:.0f} s")
    return Result(done.returncode, done.stdout, done.stderr)


class Guarded:
    """A long command under the guard; ``interrupt`` may be called from any thread, once."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self._interrupted = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(log), *command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self, each: Callable[[str], None]) -> int:
        """Hands every output line to ``each`` as it comes; the exit code at the end."""
        assert self._process.stdout is not None and self._process.stdin is not None
        for line in self._process.stdout:
            each(line.rstrip("\n"))
        code = self._process.wait()
        self._process.stdin.close()
        return code

    def interrupt(self) -> None:
        if not self._interrupted and self._process.poll() is None:
            self._interrupted = True
            self._process.send_signal(signal.SIGINT)


def make_private(folder: Path) -> Path:
    """Makes a scratch folder that only its owner may look into: variables, plans and logs lie there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def identity() -> dict[str, Any]:
    """Who we are, so that another run can tell whether we still live."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": started(pid)}


def lives(who: Mapping[str, Any]) -> bool:
    """Whether the process of an ``identity`` on this host is still the same one, and running."""
    pid = int(who.get("pid", 0))
    beginning = started(pid) if pid > 0 else ""
    return bool(beginning) and beginning == who.get("started")


def started(pid: int) -> str:
    """When process ``pid`` was started, in a form that a reused pid does not repeat; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        # proc(5): the third field is the state, the 22nd the start time in clock ticks since boot.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return "" if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    answer = run(["ps", "-o", "lstart=", "-p", str(pid)], timeout=10)
    return answer.out.strip()


def program(pid: int) -> str:
    """The name of the program that process ``pid`` runs (Linux; else empty)."""
    try:
        first = (Path("/proc") / str(pid) / "cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return ""
    return Path(os.fsdecode(first)).name


def at_work_in(folder: Path, word: str) -> list[int]:
    """The processes whose working folder is ``folder`` and whose command line names ``word`` (Linux; else none)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder.resolve() and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
