"""Ends recorded processes and all they started: imported by the emulator, and run alone to outlive a kill -9 of it.

Standard library only and nothing of ours: it runs as `python -I -S guardian.py <record>`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# In the environment of a child and of all that it starts, so that one that left the group is found as well; its value
# is the path of the child's file in the record.
MARK = "EMULATOR_CHILD"
_PROC = Path("/proc")
_NOBODY = -1  # a group that no process is in


def started(pid: int) -> str | None:
    """When `pid` started, as the system counts it; None when there is no such process (a zombie is none)."""
    if not (_PROC / "self/stat").exists():
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    fields = _stat(pid)
    return fields[19] if fields else None


def members(group: int, mark: str) -> list[int]:
    """The living processes of a child: its group, and whatever carries its mark."""
    if not (_PROC / "self/stat").exists():
        return [group] if _group_exists(group) else []
    return [pid for pid in _pids() if _belongs(pid, group, mark)]


def end(group: int, mark: str, spare: frozenset[int] = frozenset()) -> None:
    """SIGKILL to all members until there is none; at most five seconds."""
    deadline = time.monotonic() + 5
    while (found := set(members(group, mark)) - spare) and time.monotonic() < deadline:
        for pid in found:
            try:
                os.killpg(pid, signal.SIGKILL) if pid == group else os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.01)


def reap(record: Path) -> list[str]:
    """Ends every child in `record` (a file per child: pid, start time, name) and whatever carries a mark of it.

    A number that was given to another process since then has another start time, and is left alone. Answers the names.
    """
    names = []
    spare = frozenset({os.getpid(), os.getppid()})
    for file in record.iterdir():
        pid, since, name, *_ = [*file.read_text().split("\n"), "", "", ""]
        if pid.isdecimal():
            recycled = started(int(pid)) not in (None, since)
            group = _NOBODY if recycled else int(pid)
            if members(group, str(file)):
                end(group, str(file), spare)
                names.append(name)
        file.unlink(missing_ok=True)
    end(_NOBODY, f"{record}/", spare)
    return names


def marked(record: Path) -> list[int]:
    """Every living process that an emulator with this record started, and the emulator itself."""
    return members(_NOBODY, f"{record}/")


def lock(folder: Path) -> int | None:
    """Takes the folder for one emulator, for as long as this process lives; None when another one has it."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command: state, parent, group, …; None for a zombie or nobody."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def _belongs(pid: int, group: int, mark: str) -> bool:
    """`mark` that ends with a slash is any mark of that record."""
    fields = _stat(pid)
    if not fields:
        return False
    if int(fields[2]) == group:
        return True
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # somebody else's, or gone
        return False
    wanted = f"{MARK}={mark}".encode()
    return any(entry == wanted or (mark.endswith("/") and entry.startswith(wanted)) for entry in environment)


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
    record = Path(sys.argv[1])
    if lock(record.parent) is not None:  # else the next emulator is here already, and has reaped
        reap(record)


if __name__ == "__main__":
    main()
