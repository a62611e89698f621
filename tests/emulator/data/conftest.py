"""The registry that the tests of its protocol speak to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.data.registry import Endpoints, Registry
from emulator.listener import Listener
from tests.emulator.data.registry_client import Client, authorize


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], Client]]:
    listeners: list[Listener] = []

    def start() -> Client:
        client = Client(None, 0)  # type: ignore[arg-type]
        client.registry = Registry(
            tmp_path / "registry",
            authorize,
            lambda *push: client.pushes.append(push),
            lambda repository: repository in ("app", "other", "deep/er/app", "forbidden"),
            immutable=lambda repository: repository in client.immutable,
        )
        listeners.append(Listener(Endpoints(client.registry), 0))
        client.port = listeners[-1].port
        return client

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def client(serve: Callable[[], Client]) -> Client:
    return serve()
