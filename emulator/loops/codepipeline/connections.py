"""Source actions over a connection: a repository of GitHub, Bitbucket or GitLab, which here is a stand-in.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodestarConnectionSource.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from emulator.control.codebuild.references import Reference
from emulator.control.connections import use
from emulator.control.connections.stand_ins import stand_ins
from emulator.control.connections.tables import AVAILABLE, Connection, tables
from emulator.data.repositories import CodeCommitError, Person, UnknownRepository, history
from emulator.loops.codepipeline.action import Action, ActionFailed, Steps
from emulator.state.store import Store


@dataclass(frozen=True)
class Facts:
    """Of a commit; `date` is its author's, in ISO 8601."""

    commit: str
    message: str
    author: Person
    date: str


def facts(store: Store, repository: str, commit: str) -> Facts:
    """Raises UnknownRepository, or CodeCommitError for a commit that is not there."""
    found = history.commit(stand_ins(store).git(repository), commit)
    seconds = int(found.author.date.split(" ")[0])
    date = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Facts(commit, found.message.strip(), found.author, date)


def connection(action: Action) -> Steps:
    configuration = action.configuration
    repository, branch = configuration["FullRepositoryId"], configuration["BranchName"]
    found = _usable(action, configuration["ConnectionArn"])
    given = action.execution.source_revisions.get(action.run.name)
    if given:
        branch = action.execution.pushed.get("branch-name", branch)
    commit = _known(action, found, repository, branch, str(given["revisionValue"]) if given else None)
    _revise(action, found, repository, commit)
    action.run.variables = {
        "AuthorDate": commit.date, "BranchName": branch, "CommitId": commit.commit, "CommitMessage": commit.message,
        "ConnectionArn": found.arn, "FullRepositoryName": repository,
    }  # fmt: skip
    yield 0
    reference = Reference(found.arn, repository, commit.commit, branch)
    action.put_source(reference, lambda: stand_ins(action.store).archive(repository, commit.commit))


def _usable(action: Action, arn: str) -> Connection:
    found = tables(action.store).connections.get(arn)
    if found is None:
        raise ActionFailed("ConfigurationError", f"Unable to use Connection: {arn}. The connection does not exist.")
    if use.refusal(action.store, action.credentials(), arn):
        raise ActionFailed(
            "PermissionError",
            f"Unable to use Connection: {arn}. The provided role does not have sufficient permissions.",
        )
    if found.status != AVAILABLE:
        raise ActionFailed(
            "ConfigurationError",
            f"Unable to use Connection: {arn}. The connection is not in available state: it is {found.status}.",
        )
    return found


def _known(action: Action, found: Connection, repository: str, branch: str, given: str | None) -> Facts:
    try:
        commit = given or stand_ins(action.store).git(repository).commit_of(f"refs/heads/{branch}")
        if commit is None:
            raise UnknownRepository
        return facts(action.store, repository, commit)
    except UnknownRepository as error:  # AWS cannot tell one from the other either
        raise ActionFailed(
            "ConfigurationError", f"[{found.provider}] No Branch [{branch}] found for FullRepositoryName [{repository}]"
        ) from error
    except CodeCommitError as error:
        raise ActionFailed(
            "ConfigurationError", f"[{found.provider}] No Commit [{given}] found for FullRepositoryName [{repository}]"
        ) from error


def _revise(action: Action, found: Connection, repository: str, commit: Facts) -> None:
    summary = json.dumps({"ProviderType": found.provider, "CommitMessage": commit.message}, separators=(",", ":"))
    url = (
        f"https://{action.region}.console.aws.amazon.com/codesuite/settings/connections/redirect?connectionArn="
        f"{found.arn}&referenceType=COMMIT&FullRepositoryId={repository}&Commit={commit.commit}"
    )
    with action.store.change():
        run = action.run
        run.summary, run.external_id, run.external_url = summary, commit.commit, url
        run.revision = {
            "revisionId": commit.commit, "revisionSummary": summary, "created": datetime.now(UTC), "revisionUrl": url
        }  # fmt: skip
