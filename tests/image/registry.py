"""The emulator's registry on a free port, and how many bytes of bodies it was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from emulator.data.registry import Endpoints, Registry
from emulator.listener import Listener
from tests.docker_base import docker


class _Counted:
    """A request body that counts what is read of it."""

    def __init__(self, body: Any, count: Callable[[int], None]) -> None:
        self._body, self._count = body, count

    def read(self, *size: int) -> bytes:
        data: bytes = self._body.read(*size)
        self._count(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class CountingRegistry:
    """`received`: bytes of request bodies since the start."""

    def __init__(self, folder: Path) -> None:
        self.received = 0
        self._lock = threading.Lock()
        self.registry = Registry(folder, lambda *_: None, None, lambda _: True)
        self._endpoints = Endpoints(self.registry)
        self._listener = Listener(self._answer, 0)

    @property
    def host(self) -> str:
        return f"localhost:{self._listener.port}"

    def stop(self) -> None:
        self._listener.close()

    def push(self, reference: str) -> int:
        """Pushes with Docker; how many bytes it sent."""
        before = self.received
        docker("push", "--quiet", reference)
        return self.received - before

    def layers(self, reference: str) -> list[dict[str, Any]]:
        """The layers' digests and compressed sizes, the base's first."""
        repository, _, tag = reference.partition("/")[2].rpartition(":")
        return list(self.registry.image_manifest(repository, tag).document["layers"])

    def _count(self, size: int) -> None:
        with self._lock:
            self.received += size

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"] = _Counted(environ["wsgi.input"], self._count)
        return self._endpoints(environ, start)
