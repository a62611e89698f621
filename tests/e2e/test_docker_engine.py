"""The Docker engine goes away and comes back: the service says why its tasks stopped, and has them again.

The engine is one of this test's own, so that no other test loses its containers.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.data.tasks.docker import engine
from emulator.emulator import Emulator
from emulator.state.store import Config
from tests.e2e.traffic import until
from tests.emulator.data.test_tasks_runtimes import BUSYBOX, make_image
from tests.emulator.ecs.conftest import World

pytestmark = [pytest.mark.docker, pytest.mark.slow]


class Engine:
    """`dockerd` with folders, a socket, a bridge and a containerd of its own, and nothing of it in the firewall."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        # Without a bridge of its own it would take docker0 away, which may be another engine's.
        self._bridge = f"engine{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", "172.31.213.1/24", "dev", self._bridge)

    def remove(self) -> None:
        self.stop()
        _ip("link", "delete", self._bridge)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        options = {"data-root": "data", "exec-root": "run", "pidfile": "pid"}
        flags = [f"--{name}={self.folder / place}" for name, place in options.items()]
        flags += [f"--host={self.host}", f"--bridge={self._bridge}", "--iptables=false", "--ip-masq=false"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(["dockerd", *flags], stdout=log, stderr=log, start_new_session=True)
        until(self.answers, 60, "the engine answers")

    def answers(self) -> bool:
        command = ["docker", "--host", self.host, "version"]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def own_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    if shutil.which("dockerd") is None or os.geteuid():
        pytest.skip("no dockerd that this user may start")
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    if BUSYBOX is None:
        pytest.skip("no static busybox to make an image of")
    # A socket's path has room for 107 characters; pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    found = Engine(folder)
    found.prepare()
    try:
        found.start()
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found
    finally:
        found.remove()


@pytest.fixture
def world(own_engine: Engine, tmp_path: Path) -> Iterator[World]:
    emulator = Emulator(tmp_path / "emulator", Config(port=0, runtime="docker"))
    try:
        yield World(emulator).prepare()
    finally:
        emulator.close()


def _push(world: World) -> str:
    """The tiny image in the emulator's registry, by digest."""
    client = engine()
    assert client is not None
    data = world.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    client.images.get(make_image(client)).tag(world.uri, "real")
    log = client.images.push(world.uri, "real", auth_config={"username": user, "password": password})
    digest = next(each["aux"]["Digest"] for each in map(json.loads, log.split("\n")[:-1]) if "aux" in each)
    return f"{world.uri}@{digest}"


def test_a_service_outlives_its_engine(world: World, own_engine: Engine) -> None:
    command = ["exec httpd -f -p 7860 -h /app"]
    container = world.container(image=_push(world), entryPoint=["/bin/sh", "-c"], command=command)
    world.serve(world.define(container))
    world.settles(2)
    before = {task["taskArn"] for task in world.tasks()}

    own_engine.stop()
    until(lambda: not before.intersection(task["taskArn"] for task in world.tasks()), 60, "the old tasks stopped")
    reasons = [task["containers"][0].get("reason", "") + task["stoppedReason"] for task in map(world.task, before)]
    assert all(reasons)
    # Without an engine no task can start; the service goes on trying, more and more slowly, and nothing dies of it.
    until(lambda: len(world.tasks(desiredStatus="STOPPED")) > 2, 60, "another try")
    time.sleep(1)

    own_engine.start()
    until(lambda: world.service()["runningCount"] == 2, 120, "both tasks run again")
    assert not before.intersection(task["taskArn"] for task in world.tasks())
