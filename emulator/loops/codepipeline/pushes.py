"""Pushes to what is connected, and the pipelines that they start."""

from __future__ import annotations

import logging

from emulator.control.codepipeline import executions, triggers
from emulator.control.codepipeline.tables import Json, Pipeline, Scope, tables
from emulator.control.codepipeline.triggers import Pushed
from emulator.control.connections.stand_ins import stand_ins
from emulator.control.connections.tables import AVAILABLE, Connection, Push
from emulator.control.connections.tables import tables as connections
from emulator.data.repositories import ZERO, CodeCommitError, UnknownRepository
from emulator.data.repositories.git import GitFailed
from emulator.loops.codepipeline.connections import facts
from emulator.state.call import AwsError
from emulator.state.store import Store

log = logging.getLogger("emulator.codepipeline")

_KINDS = {"heads": "branch", "tags": "tag"}


def handle(store: Store) -> None:
    """Every push that nobody has looked at yet."""
    waiting = connections(store).pushes
    while waiting:
        push = waiting.popleft()
        if push.new == ZERO:  # what is gone has no commit to run
            continue
        with store.lock:
            known = [(scope, each) for scope, here in tables(store).pipelines.items() for each in here.values()]
        for scope, pipeline in known:
            for action in triggers.connected(pipeline.declaration):
                try:
                    _consider(store, scope, pipeline, action, push)
                except (AwsError, CodeCommitError, GitFailed, UnknownRepository) as error:
                    log.warning("the push to %s did not start %s: %s", push.repository, pipeline.name, error)


def _consider(store: Store, scope: Scope, pipeline: Pipeline, action: Json, push: Push) -> None:
    configuration = action["configuration"]
    connection = connections(store).connections.get(configuration["ConnectionArn"])
    if connection is None or connection.status != AVAILABLE:  # no webhook was ever set up
        return
    if pipeline.created > push.at:  # nor was there one when the push came
        return
    if configuration["FullRepositoryId"].lower() != push.repository.lower():
        return
    _, family, name = push.reference.split("/", 2)
    repositories = stand_ins(store)
    pushed = Pushed(
        _KINDS.get(family, ""), name, push.new,
        lambda: repositories.changed_files(push.repository, push.old, push.new),
    )  # fmt: skip
    if pushed.kind and triggers.starts(pipeline.declaration, action, pushed):
        _start(store, scope, pipeline, action, connection, pushed)


def _start(
    store: Store, scope: Scope, pipeline: Pipeline, action: Json, connection: Connection, pushed: Pushed
) -> None:
    repository = action["configuration"]["FullRepositoryId"]
    commit = stand_ins(store).git(repository).commit_of(pushed.commit)
    if commit is None:  # a tag of something else
        return
    found = facts(store, repository, commit)
    with store.change():
        executions.check_limit(pipeline)
        trigger = {"triggerType": "WebhookV2", "triggerDetail": connection.arn}
        made = executions.start(pipeline, scope, trigger)
        made.source_revisions[action["name"]] = {
            "actionName": action["name"], "revisionType": "COMMIT_ID", "revisionValue": commit
        }  # fmt: skip
        made.pushed = {
            "full-repository-name": repository, "provider-type": connection.provider, "connection-arn": connection.arn,
            f"{pushed.kind}-name": pushed.name, "commit-id": commit, "commit-message": found.message,
            "author-display-name": found.author.name, "author-email": found.author.email,
            "author-id": found.author.name, "author-date": found.date,
        }  # fmt: skip
