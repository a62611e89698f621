"""Starts the builds that are queued."""

from __future__ import annotations

import threading

from emulator.control.codebuild.tables import tables
from emulator.loops.codebuild.work import Work
from emulator.loops.runner import Loop
from emulator.state.store import Store


def reconcile(store: Store) -> None:
    with store.lock:
        queued = [each for each in list(tables(store).builds.values()) if not each.running and not each.over]
        for build in queued:
            build.running = True
    for build in queued:
        threading.Thread(target=Work(store, build).run, name=f"build {build.id}", daemon=True).start()


LOOP = Loop("codebuild", reconcile)
