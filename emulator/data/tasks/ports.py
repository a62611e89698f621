"""Free ports of this machine, each given to one container at a time."""

from __future__ import annotations

import random
import socket
import threading

# Below what Linux and macOS give to outgoing connections, so that none of those takes a port that was promised.
_RANGE = range(20000, 32000)


class Ports:
    """Promises ports: a container listens a second later, and no other emulator may give its port away meanwhile.

    A promise is a UDP socket of the same number: the system knows of it in every process, and forgets it with this one.
    """

    def __init__(self) -> None:
        self._promises: dict[int, socket.socket] = {}
        self._lock = threading.Lock()

    def take(self) -> int:
        """A port of 127.0.0.1 on which nobody listens; OSError when there is none."""
        with self._lock:
            for port in random.sample(_RANGE, 500):
                if promise := _promise(port):
                    self._promises[port] = promise
                    return port
        raise OSError("no free port was found between 20000 and 32000")

    def give_back(self, port: int) -> None:
        with self._lock:
            if promise := self._promises.pop(port, None):
                promise.close()


def _promise(port: int) -> socket.socket | None:
    promise = socket.socket(type=socket.SOCK_DGRAM)
    try:
        promise.bind(("127.0.0.1", port))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        promise.close()
        return None
    return promise
