"""Moves CodePipeline's executions through their stages."""

from __future__ import annotations

from emulator.control.codepipeline.tables import tables
from emulator.loops.codepipeline import pushes
from emulator.loops.codepipeline.stages import step, supersede
from emulator.loops.runner import Loop, isolated
from emulator.state.store import Store


def reconcile(store: Store) -> None:
    """One step of every execution, the oldest first: who came first enters a stage first."""
    pushes.handle(store)
    with store.lock:
        known = [each for here in tables(store).pipelines.values() for each in here.values()]
    for pipeline in known:
        with isolated(store, f"pipeline {pipeline.name}"):
            supersede(store, pipeline)
        with store.lock:
            unfinished = [each for each in list(pipeline.executions.values()) if not each.over]
        for execution in unfinished:
            with isolated(store, f"execution {execution.id} of pipeline {pipeline.name}"):
                step(store, pipeline, execution)


LOOP = Loop("codepipeline", reconcile, every=0.5)
