"""Who has a port: for error texts that name the culprit, and for the leak scan."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"  # st in /proc/net/tcp


def is_free(port: int) -> bool:
    """Whether a listener could have this port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def owner(port: int) -> str | None:
    """The process that listens on a port, as "pid 123 (its command)"; None where the system does not say."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    if not inodes:
        return None
    for process in _PROC.iterdir():
        if process.name.isdecimal() and inodes & set(_files(process)):
            return f"pid {process.name} ({command(int(process.name))})"
    return None


def command(pid: int) -> str:
    """The command line of a process, cut to a readable length; empty when it has gone."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    text = b" ".join(words).decode(errors="replace").strip()
    return text if len(text) <= 80 else f"{text[:77]}..."


def _listening(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _files(process: Path) -> Iterator[str]:
    with suppress(OSError):  # somebody else's process, or gone
        for handle in (process / "fd").iterdir():
            with suppress(OSError):  # closed since it was listed, as in a process with much to do; the rest is there
                yield os.readlink(handle)  # noqa: PTH115  # not a path: "socket:[123]"
