"""Pulls bundles before a task asks for them: their packages are installed while Terraform is still at work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from emulator.control import ecr
from emulator.data.tasks.runtime import PullFailed, Runtime
from emulator.loops.ecs.runtimes import Images
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")


class Ahead:
    """`look` is called by one thread; what it finds is pulled in another, one image after the other."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._registry = ecr.registry(store)
        self._images = Images(store)
        self._runtime = runtime
        self._pushes = store.table(ecr.Pushes)
        self._looked = -1  # after so many pushes
        self._seen: set[str] = set()

    def look(self) -> None:
        """Begins with the newest image of each repository, unless it has seen it before."""
        if self._looked == self._pushes.count:
            return
        self._looked = self._pushes.count
        newest = (
            f"localhost/{repository}@{max(images, key=lambda image: image.pushed).digest}"
            for repository in self._registry.repositories()
            if (images := self._registry.images(repository))
        )
        if new := [reference for reference in newest if reference not in self._seen]:
            self._seen.update(new)
            threading.Thread(target=self._pull, args=(new,), name="pulls ahead", daemon=True).start()

    def _pull(self, references: Sequence[str]) -> None:
        for reference in references:
            try:
                if self._images.is_bundle(reference):
                    self._runtime.pull(reference)
            except PullFailed as error:
                log.info("%s, ahead of its tasks: %s", reference, error)  # they will say so themselves
