"""Ends recorded processes and all they started: imported by the emulator, and run alone to outlive a kill -9 of it.

Standard library only and nothing of ours: it runs as `python -I -S guardian.py <record>`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# In the environment of a child and of all that it starts, so that one that left the group is found as well.
MARK = "EMULATOR_CHILD"
_PROC = Path("/proc")


def started(pid: int) -> str | None:
    """When `pid` started, as the system counts it; None when there is no such process (a zombie is none)."""
    if not (_PROC / "self/stat").exists():
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    fields = _stat(pid)
    return fields[19] if fields else None


def members(group: int, token: str) -> list[int]:
    """The living processes of a child: its group, and whatever carries its mark."""
    if not (_PROC / "self/stat").exists():
        return [group] if _group_exists(group) else []
    mark = f"{MARK}={token}".encode()
    return [pid for pid in _pids() if _belongs(pid, group, mark)]


def end(group: int, token: str) -> None:
    """SIGKILL to all members until there is none; at most five seconds."""
    deadline = time.monotonic() + 5
    while (found := members(group, token)) and time.monotonic() < deadline:
        for pid in found:
            try:
                os.killpg(pid, signal.SIGKILL) if pid == group else os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.01)


def reap(record: Path) -> list[str]:
    """Ends every child in `record` (a file per child, named by its token: pid, start time, name); answers their names.

    A number that was given to another process since then has another start time, and is left alone.
    """
    names = []
    for file in record.iterdir():
        pid, since, name, *_ = [*file.read_text().split("\n"), "", "", ""]
        if pid.isdecimal():
            recycled = started(int(pid)) not in (None, since)
            group = -1 if recycled else int(pid)
            if members(group, file.name):
                end(group, file.name)
                names.append(name)
        file.unlink(missing_ok=True)
    return names


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command: state, parent, group, …; None for a zombie or nobody."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def _belongs(pid: int, group: int, mark: bytes) -> bool:
    fields = _stat(pid)
    if not fields:
        return False
    if int(fields[2]) == group:
        return True
    try:
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # somebody else's, or gone
        return False


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()  # ends when the emulator does, however it ends
    reap(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
