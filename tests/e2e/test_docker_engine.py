"""The Docker engine goes away and comes back: the service says why its tasks stopped, and has them again.

The engine is one of this test's own, so that no other test loses its containers.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.data.tasks.docker import engine
from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.data.test_tasks_runtimes import BUSYBOX, make_image
from tests.emulator.ecs.conftest import World
from tests.engines import Engine, own_engine
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="docker")]


@pytest.fixture(params=[False, True], ids=["docker's image store", "containerd's image store"])
def engine_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    if BUSYBOX is None:
        pytest.skip("no static busybox to make an image of")
    with own_engine(**{"containerd-snapshotter": request.param}) as found:
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found


@pytest.fixture
def world(engine_here: Engine, tmp_path: Path) -> Iterator[World]:
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
    client.images.push(world.uri, "real", auth_config={"username": user, "password": password})
    image = {"imageTag": "real"}
    found = world.client("ecr").describe_images(repositoryName=world.uri.rpartition("/")[2], imageIds=[image])
    digest = found["imageDetails"][0]["imageDigest"]
    return f"{world.uri}@{digest}"


def test_a_service_outlives_its_engine(world: World, engine_here: Engine) -> None:
    command = ["exec httpd -f -p 7860 -h /app"]
    container = world.container(image=_push(world), entryPoint=["/bin/sh", "-c"], command=command)
    world.serve(world.define(container))
    world.settles(2)
    before = {task["taskArn"] for task in world.tasks()}

    engine_here.stop()
    eventually(lambda: not before.intersection(task["taskArn"] for task in world.tasks()), 60, "the old tasks stopped")
    reasons = [task["containers"][0].get("reason", "") + task["stoppedReason"] for task in map(world.task, before)]
    assert all(reasons)
    # Without an engine no task can start; the service goes on trying, more and more slowly, and nothing dies of it.
    eventually(lambda: len(world.tasks(desiredStatus="STOPPED")) > 2, 60, "another try")
    time.sleep(1)

    engine_here.start()
    eventually(lambda: world.service()["runningCount"] == 2, 120, "both tasks run again")
    assert not before.intersection(task["taskArn"] for task in world.tasks())
