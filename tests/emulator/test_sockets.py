"""Who has a port."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from emulator.state import sockets


@contextmanager
def opening_and_closing(below: socket.socket) -> Iterator[None]:
    """Another thread opens and closes files whose numbers are lower than that of `below`."""
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            for handle in [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]:
                assert handle < below.fileno()
                os.close(handle)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_port_is_free_until_somebody_listens_on_it() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        assert not sockets.is_free(port)
    assert sockets.is_free(port)
    assert sockets.owner(port) is None


def test_the_owner_of_a_port_is_named_however_many_files_it_opens_and_closes_meanwhile() -> None:
    low = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        for handle in low:
            os.close(handle)
        with opening_and_closing(below=server):
            found = {sockets.owner(server.getsockname()[1]) for _ in range(10)}
    assert found == {f"pid {os.getpid()} ({sockets.command(os.getpid())})"}
