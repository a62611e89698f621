"""ECS tasks on a Docker engine: pulled by digest from the emulator's registry, balanced, and able to call AWS."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.data.tasks.docker import engine
from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.data.test_tasks_runtimes import BUSYBOX, make_image
from tests.emulator.ecs.bundle import Bundle
from tests.emulator.ecs.conftest import World
from tests.waiting import eventually

pytestmark = pytest.mark.docker
SERVER = 'echo "hello from $WHO"; exec httpd -f -p 7860 -h /app'


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if engine() is None:
        pytest.skip("no Docker engine answers")
    if BUSYBOX is None:
        pytest.skip("no static busybox to make an image of")
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), Config(port=0, runtime="auto"))
    world = World(emulator).prepare()
    try:
        yield world
    finally:
        emulator.close()
        forget(world.uri)


def forget(repository: str) -> None:
    """The engine's names for a repository that is gone, by tag and by digest."""
    from docker.errors import ImageNotFound

    client = engine()
    assert client is not None
    for image in client.images.list(repository):
        for name in [*image.tags, *image.attrs["RepoDigests"]]:
            if name.startswith(repository):
                # With its last tag an image's digest goes, too.
                with contextlib.suppress(ImageNotFound):
                    client.images.remove(name, force=True)


@pytest.fixture
def image(world: World) -> str:
    """Pushed as `docker push` does; answers the reference by digest."""
    client = engine()
    assert client is not None
    data = world.client("ecr").get_authorization_token()["authorizationData"][0]
    import base64

    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    client.images.get(make_image(client)).tag(world.uri, "real")
    log = client.images.push(world.uri, "real", auth_config={"username": user, "password": password})
    digest = next(each["aux"]["Digest"] for each in map(json.loads, log.split("\n")[:-1]) if "aux" in each)
    return f"{world.uri}@{digest}"


def web(world: World, image: str, **changes: Any) -> dict[str, Any]:
    return world.container(**({"image": image, "entryPoint": ["/bin/sh", "-c"], "command": [SERVER]} | changes))


def lines(world: World, arn: str) -> list[str]:
    stream = f"tiny/web/{arn.rpartition('/')[2]}"
    found = world.client("logs").get_log_events(logGroupName="/ecs/tiny", logStreamName=stream, startFromHead=True)
    return [event["message"] for event in found["events"]]


def test_a_service_of_real_containers_is_healthy_behind_the_load_balancer(
    world: World, image: str, free_port: int
) -> None:
    group, _ = world.balancer(free_port, HealthCheckPath="/note")
    balancer = {"targetGroupArn": group, "containerName": "web", "containerPort": 7860}
    world.serve(world.define(web(world, image)), loadBalancers=[balancer])
    world.settles(2)
    assert world.health(group) == ["healthy", "healthy"]
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/note", timeout=60) as answer:
        assert answer.read() == b"from the image\n"
    task = world.tasks(serviceName="tiny")[0]
    assert task["containers"][0]["imageDigest"] == image.partition("@")[2]
    eventually(lambda: lines(world, task["taskArn"]) == ["hello from image"])


def test_code_in_a_container_reaches_the_emulator(world: World, image: str) -> None:
    command = 'wget -q -O - "$ECS_CONTAINER_METADATA_URI_V4/task"; echo; echo "$AWS_ACCESS_KEY_ID"'
    arn = world.run(world.define(web(world, image, command=[command])))
    world.reaches(arn, "STOPPED")
    about, key = lines(world, arn)
    assert json.loads(about)["TaskARN"] == arn
    assert key


def test_a_container_over_its_memory_stops_its_task_with_aws_reason(world: World, image: str) -> None:
    arn = world.run(world.define(web(world, image, command=["x=a; while :; do x=$x$x; done"], memory=16)))
    task = world.reaches(arn, "STOPPED")
    assert task["stoppedReason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert task["containers"][0]["exitCode"] == 137


def test_a_stopped_task_leaves_no_container(world: World, image: str) -> None:
    arn = world.run(world.define(web(world, image)))
    world.reaches(arn, "RUNNING")
    world.ecs.stop_task(cluster="house", task=arn)
    assert world.reaches(arn, "STOPPED")["containers"][0]["exitCode"] in (0, 137, 143)
    client = engine()
    assert client is not None
    assert not client.containers.list(all=True, filters={"label": f"com.amazonaws.ecs.task-arn={arn}"})


def test_an_image_that_is_not_in_the_registry_cannot_be_pulled(world: World, image: str) -> None:
    missing = image.partition("@")[0] + ":none"
    task = world.reaches(world.run(world.define(web(world, missing))), "STOPPED")
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")


def test_a_bundle_runs_as_a_process_beside_containers(world: World) -> None:
    bundle = world.push(Bundle(), "bundle")
    arn = world.run(world.define(world.container(image=bundle)))
    world.reaches(arn, "RUNNING")
    assert [c for c in world.emulator.store.children.alive() if c.name.startswith(f"task {arn.rpartition('/')[2][:8]}")]
