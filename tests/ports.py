"""Ports for what a test starts, so that tests of several workers, checkouts and users run beside each other."""

from __future__ import annotations

import random
import socket

# Below what the emulator gives to its tasks (from 20000) and what systems give to outgoing connections (from 32768).
_RANGE = range(10_000, 20_000)
_reserved: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has, and that no other test gets until this process ends.

    Each is reserved by a UDP socket of its number: all processes know of it, and the system forgets it with this one.
    """
    ports: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, 1000):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            reservation.close()
            continue
        _reserved.append(reservation)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError("no free ports between 10000 and 20000")


def free_port() -> int:
    """One of them."""
    [port] = free_ports(1)
    return port
