"""What a process group uses, read from /proc; nothing where there is none (macOS)."""

from __future__ import annotations

import os
from pathlib import Path

from emulator.data.tasks.runtime import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat after the name in brackets (proc(5) counts from 1 and the state is 3).
_GROUP, _UTIME, _STIME, _RSS = 2, 11, 12, 21


def usage_of_group(group: int) -> Usage | None:
    """The sum over the processes of a group; None when there are none."""
    found = [fields for fields in _stats() if int(fields[_GROUP]) == group]
    if not found:
        return None
    seconds = sum(int(fields[_UTIME]) + int(fields[_STIME]) for fields in found) / _TICKS
    return Usage(seconds, sum(int(fields[_RSS]) for fields in found) * _PAGE)


def _stats() -> list[list[str]]:
    stats = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(entry.read_text().rpartition(")")[2].split())
        except OSError:  # it ended meanwhile
            continue
    return stats
