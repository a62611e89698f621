"""Which runtime a task runs in, and where images come from."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable

from emulator.control import ecr
from emulator.data.registry import RegistryError
from emulator.data.tasks.docker import DockerRuntime, engine
from emulator.data.tasks.packages import Packages, folder_of
from emulator.data.tasks.process import ProcessRuntime, image_from
from emulator.data.tasks.runtime import BUNDLE_LABEL, Handle, Image, PullFailed, Runtime, Spec
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

# host[:port]/repository[:tag][@digest]; without a host it is Docker Hub's.
_REFERENCE = re.compile(
    r"(?P<host>[^/]+[.:][^/]*|localhost)/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>.+))?"
)


def choose(store: Store) -> Runtime:
    """As the configuration says; `auto`: bundles as processes, every other image on Docker where an engine answers."""
    images = Images(store)
    packages = Packages(store.children, folder_of(store.folder))
    process = ProcessRuntime(store.children, store.folder / "tasks", images.pull, packages)
    if store.config.runtime == "process":
        return process
    client = engine()
    if client is None:
        if store.config.runtime == "docker":
            log.error("no Docker engine answers: tasks run as processes")
        return process
    docker = DockerRuntime(client, store.folder, lambda: store.config.port, images.login, store.config.relays.add)
    return docker if store.config.runtime == "docker" else Both(process, docker, images.is_bundle)


class Both:
    """Two runtimes as one: the image decides."""

    def __init__(self, process: Runtime, docker: Runtime, is_bundle: Callable[[str], bool]) -> None:
        self._process = process
        self._docker = docker
        self._is_bundle = is_bundle

    def pull(self, reference: str) -> Image:
        return (self._process if self._is_bundle(reference) else self._docker).pull(reference)

    def host(self, image: Image) -> str:
        return self._of(image).host(image)

    def start(self, spec: Spec, on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> Handle:
        return self._of(spec.image).start(spec, on_output, on_exit)

    def _of(self, image: Image) -> Runtime:
        return self._process if image.root else self._docker

    def close(self) -> None:
        self._process.close()
        self._docker.close()


class Images:
    """Images of the emulator's own registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.folder / "unpacked"

    def pull(self, reference: str) -> Image:
        """Unpacked; raises PullFailed, in the words of containerd as ECS shows them."""
        parts = _REFERENCE.fullmatch(reference)
        if not parts:
            raise PullFailed(f"pull image manifest has been retried 1 time(s): failed to resolve ref {reference}: the"
                             " process runtime pulls only from the emulator's own registry (ECR)")  # fmt: skip
        repository, wanted = parts["repository"], parts["digest"] or parts["tag"] or "latest"
        try:
            registry = ecr.registry(self._store)
            manifest = registry.image_manifest(repository, wanted)
            config = registry.image_config(repository, wanted)
            root = registry.unpack(repository, wanted, self._folder)
        except RegistryError as error:
            log.info("pull of %s: %s", reference, error.message)
            raise PullFailed(f"pull image manifest has been retried 1 time(s): failed to resolve ref {reference}:"
                             f" {reference}: not found") from error  # fmt: skip
        return image_from(reference, manifest.digest, config, root)

    def is_bundle(self, reference: str) -> bool:
        parts = _REFERENCE.fullmatch(reference)
        if not parts:
            return False
        try:
            wanted = parts["digest"] or parts["tag"] or "latest"
            config = ecr.registry(self._store).image_config(parts["repository"], wanted)
        except RegistryError:
            return False
        return ((config.get("config") or {}).get("Labels") or {}).get(BUNDLE_LABEL) == "bundle"

    def login(self, reference: str) -> tuple[str, str] | None:
        """User and password, when the image is in the emulator's registry."""
        parts = _REFERENCE.fullmatch(reference)
        if not parts or parts["host"] != self._store.config.url.partition("//")[2]:
            return None
        data = self._store.clients("ecr", self._store.config.region).get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(data[0]["authorizationToken"]).decode().partition(":")
        return user, password
