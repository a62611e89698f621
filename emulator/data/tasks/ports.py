"""Free ports of this machine, each given to one container at a time."""

from __future__ import annotations

import random
import socket
import threading

# Below what Linux and macOS give to outgoing connections, so that none of those takes a port that was promised.
_RANGE = range(20000, 32000)


class Ports:
    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self) -> int:
        """A port of 127.0.0.1 on which nobody listens; OSError when there is none."""
        with self._lock:
            for port in random.sample(_RANGE, 500):
                if port not in self._taken and _is_free(port):
                    self._taken.add(port)
                    return port
        raise OSError("no free port was found between 20000 and 32000")

    def give_back(self, port: int) -> None:
        with self._lock:
            self._taken.discard(port)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
