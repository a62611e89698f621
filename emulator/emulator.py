"""The whole of it: store, front door, mounts, listener and loops, from start to close."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import __version__
from emulator.control.table import MOUNTS, SERVICES
from emulator.data.repositories.tls import make_certificate
from emulator.door import HEALTH, Door
from emulator.listener import Listener
from emulator.loops.runner import Runner
from emulator.loops.table import LOOPS
from emulator.server import FrontDoor
from emulator.state import moto
from emulator.state.config import Config
from emulator.state.store import Store
from emulator.state.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Emulator:
    """Runs from construction to `close`. `store.config.port` is the port that it has."""

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        self.started = time.time()
        moto.reset()
        self.store = Store(folder, config)
        self._ready = False
        mounts = {prefix: make(self.store) for prefix, make in MOUNTS.items()}
        mounts["/_emulator/"] = self._own
        door = Door(FrontDoor(self.store, mounts), self.store, mounts)
        try:
            certificate = make_certificate(self.store.folder / "tls.pem")
            self._listener = Listener(door, self.store.config.port, certificate)
        except OSError:
            self.store.close()
            raise
        self.store.config.port = self._listener.port
        self._runner = Runner(self.store, LOOPS)
        self._runner.start()
        self._ready = True

    @property
    def url(self) -> str:
        return self.store.config.url

    def close(self) -> None:
        """Ends the loops, then what they ran, then the API: a task may still call it while it stops."""
        self._ready = False
        self._runner.close()
        self.store.close()
        self._listener.close()

    def status(self) -> dict[str, Any]:
        """What `status --json` prints and the health check answers."""
        return {
            "status": "ok" if self._ready else "starting",
            "version": __version__,
            "pid": os.getpid(),
            "url": self.url,
            "folder": str(self.store.folder),
            "runtime": self.store.config.runtime,
            "started": self.started,
            "services": sorted(SERVICES),
            "tasks": self._tasks(),
            "listeners": sorted(self.store.table(Targets).listeners.values()),
            "children": sorted(f"{child.name} ({child.pid})" for child in self.store.children.alive()),
        }

    def _tasks(self) -> int:
        ecs = self.store.clients("ecs", self.store.config.region)
        clusters = ecs.list_clusters()["clusterArns"]
        return sum(len(ecs.list_tasks(cluster=cluster)["taskArns"]) for cluster in clusters)

    def _own(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = environ["PATH_INFO"] == HEALTH
        body = json.dumps(self.status() if found else {"message": f"only {HEALTH} is here"}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK" if found else "404 Not Found", headers)
        return [body]
