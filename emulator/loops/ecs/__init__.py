"""The ECS scheduler: as many tasks as each service wants, and each task from its start to its end."""

from __future__ import annotations

from emulator.loops.ecs.scheduler import Scheduler
from emulator.loops.runner import Loop
from emulator.state.store import Store


def reconcile(store: Store) -> None:
    """One step; the tasks themselves live in threads of their own."""
    store.once(Scheduler).step()


LOOP = Loop("ecs", reconcile)
