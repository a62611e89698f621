"""The image without and with the model, built once by the orchestrator; the emulator's registry to push it to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import CHECKOUT
from orchestrator.tools import engine
from orchestrator.tools.image_source import Source
from tests import docker_base
from tests.image.containers import Containers
from tests.image.registry import CountingRegistry

REPOSITORY = "chatbot-test"


@pytest.fixture(scope="session")
def base() -> str:
    if not engine.answers():
        pytest.skip("no Docker engine answers")
    return docker_base.ensure()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingRegistry]:
    registry = CountingRegistry(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.stop()


def build(registry: CountingRegistry, base: str, tag: str, context: Path = CHECKOUT, **arguments: str) -> str:
    """Builds as the orchestrator does; a name that can be pushed."""
    reference = f"{registry.host}/{REPOSITORY}:{tag}"
    source = Source(context, arguments={"BASE_IMAGE": base, **arguments})
    # With a name, the stage that holds the packages outlives whatever tidies up, and is every build's cache.
    stage = f"{REPOSITORY}:packages{arguments.get('WITH_MODEL', 0)}"
    flags = [f"--build-arg={name}={value}" for name, value in source.arguments.items()]
    docker_base.docker("build", "--quiet", "--target=packages", f"--tag={stage}", *flags, str(context), timeout=1800)
    engine.build(source, reference, lambda _: None)
    return reference


@pytest.fixture(scope="session")
def lean(base: str, registry: CountingRegistry) -> Iterator[str]:
    reference = build(registry, base, "lean")
    yield reference
    docker_base.docker("image", "rm", "--force", reference)


@pytest.fixture(scope="session")
def model(base: str, registry: CountingRegistry) -> Iterator[str]:
    reference = build(registry, base, "model", WITH_MODEL="1")
    yield reference
    docker_base.docker("image", "rm", "--force", reference)


@pytest.fixture
def containers() -> Iterator[Containers]:
    """Starts containers; whatever a test leaves is removed."""
    with Containers() as containers:
        yield containers
