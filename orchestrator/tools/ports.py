"""Ports of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable


def busy(ports: Iterable[int]) -> list[int]:
    """Those at which a program on this machine answers already."""
    return [port for port in ports if _answers(port)]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True
