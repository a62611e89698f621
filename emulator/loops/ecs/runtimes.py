"""Which runtime tasks run in, and where the process runtime gets its images from."""

from __future__ import annotations

import logging
import re

from emulator.control import ecr
from emulator.data.registry import RegistryError
from emulator.data.tasks.process import ProcessRuntime, image_from
from emulator.data.tasks.runtime import Image, PullFailed, Runtime
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

# host[:port]/repository[:tag][@digest]; without a host it is Docker Hub's, which is not here.
_REFERENCE = re.compile(
    r"(?P<host>[^/]+[.:][^/]*|localhost)/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>.+))?"
)


def choose(store: Store) -> Runtime:
    """As the configuration says; `auto` is Docker where an engine answers."""
    images = Images(store)
    return ProcessRuntime(store.children, store.folder / "tasks", images.pull)


class Images:
    """Images of the emulator's own registry, unpacked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.folder / "unpacked"

    def pull(self, reference: str) -> Image:
        """Raises PullFailed, in the words of containerd as ECS shows them."""
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
