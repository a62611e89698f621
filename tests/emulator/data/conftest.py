"""The registry that the tests of its protocol speak to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cheroot import wsgi

from emulator.data.registry import Endpoints, Registry
from tests.emulator.data.registry_client import Client, authorize


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Client]]:
    servers: list[wsgi.Server] = []

    def start() -> Client:
        client = Client(None, 0)  # type: ignore[arg-type]
        client.registry = Registry(
            tmp_path / "registry",
            authorize,
            lambda *push: client.pushes.append(push),
            lambda repository: repository in ("app", "other", "deep/er/app", "forbidden"),
            immutable=lambda repository: repository in client.immutable,
        )
        server = wsgi.Server(("127.0.0.1", 0), Endpoints(client.registry), numthreads=8)
        server.expiration_interval = 0.05  # seconds that a stop may take
        server.prepare()
        servers.append(server)
        threading.Thread(target=server.serve, daemon=True).start()
        client.port = server.bind_addr[1]
        return client

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def client(serve: Callable[[], Client]) -> Client:
    return serve()
