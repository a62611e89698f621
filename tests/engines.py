"""Docker engines that a test may stop, start and configure: nobody else's containers are on them."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import leftovers

_numbers = itertools.count()
_SUBNETS = [f"172.31.{number}" for number in range(256)]


class Engine:
    """`dockerd` with folders, a socket, a bridge and a containerd of its own, and nothing of it in the firewall.

    So its containers reach this machine and no further; a build that needs more says `--network=host`.
    """

    def __init__(self, folder: Path, **features: bool) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        # Without a bridge of its own it would take docker0 away, which may be another engine's.
        self._bridge = f"engine{os.getpid()}{'abcdefgh'[next(_numbers) % 8]}"
        (folder / "run-of").write_text(f"{leftovers.mark()}\n{self._bridge}")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "daemon.json").write_text(json.dumps({"features": features}))

    def prepare(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        taken = _ip("-4", "-brief", "address")
        subnet = next(net for net in random.sample(_SUBNETS, len(_SUBNETS)) if f" {net}." not in taken)
        _ip("address", "add", f"{subnet}.1/24", "dev", self._bridge)

    def remove(self) -> None:
        self.stop()
        leftovers.forget(self.folder, self._bridge)

    def start(self) -> None:
        options = {"data-root": "data", "exec-root": "run", "pidfile": "pid", "config-file": "daemon.json"}
        flags = [f"--{name}={self.folder / place}" for name, place in options.items()]
        flags += [f"--host={self.host}", f"--bridge={self._bridge}", "--iptables=false", "--ip-masq=false"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["dockerd", *flags], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def answers(self) -> bool:
        command = ["docker", "--host", self.host, "version"]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30).stdout


@contextmanager
def own_engine(**features: bool) -> Iterator[Engine]:
    """An engine that runs until the end of the block; skips where none can be had."""
    if shutil.which("dockerd") is None or os.geteuid():
        pytest.skip("no dockerd that this user may start")
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    # A socket's path has room for 107 characters; pytest's own folders are too deep.
    engine = Engine(Path(tempfile.mkdtemp(prefix=leftovers.ENGINE)), **features)
    engine.prepare()
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()
