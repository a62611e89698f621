"""CodeCommit's repositories in this emulator: where they are, whose they are, who may push, what a push sets off."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.control import permissions, sessions
from emulator.control.events.bus import emit
from emulator.control.operation import Operation
from emulator.data.repositories import ZERO, CodeCommitError, Repositories, Repository, SignatureCheck
from emulator.state import moto
from emulator.state.call import Answer, AwsError, Call
from emulator.state.clients import Credentials
from emulator.state.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PREFIX = "/v1/repos/"

Item = TypeVar("Item")


@dataclass
class Deed:
    """What CodeCommit keeps of a repository beside git and its description."""

    account: str
    region: str
    tags: dict[str, str] = field(default_factory=dict)
    key: str | None = None
    triggers: list[dict[str, Any]] = field(default_factory=list)
    triggers_version: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class CodeCommitTables:
    """Deeds by repository name. A name is unique in the emulator: its URL tells neither account nor region."""

    deeds: dict[str, Deed] = field(default_factory=dict)


def application(store: Store) -> WSGIApplication:
    """What is mounted at `PREFIX`."""
    return store.once(_repositories)


def repositories(store: Store) -> Repositories:
    return store.once(_repositories)


def pull_refusal(store: Store, credentials: Credentials, name: str) -> AwsError | None:
    """AWS's refusal of git's pull by a service that acts for a role."""
    deed = store.table(CodeCommitTables).deeds.get(name)
    scope = (deed.account, deed.region) if deed else (moto.ACCOUNT, store.config.region)
    return permissions.deed(store, credentials, scope, [("codecommit", "GitPull")], {"repositoryName": name})


def _repositories(store: Store) -> Repositories:
    folder = store.folder / "codecommit"
    shutil.rmtree(folder, ignore_errors=True)  # of an emulator before this one, whose API is gone

    def region_of(name: str) -> str:
        deed = store.table(CodeCommitTables).deeds.get(name)
        return deed.region if deed else store.config.region

    def pushed(name: str, reference: str, old: str, new: str) -> None:
        _emit(store, name, reference, old, new)

    def secret_for(access_key: str) -> str | None:
        found = sessions.secret_of(store, access_key)
        return found.key if found else None

    return Repositories(folder, SignatureCheck(secret_for, region_of), pushed)


def _emit(store: Store, name: str, reference: str, old: str, new: str) -> None:
    """https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html"""
    deed = store.table(CodeCommitTables).deeds.get(name)
    kind = {"heads": "branch", "tags": "tag"}.get(reference.split("/")[1])
    if deed is None or kind is None:
        return
    event = "referenceCreated" if old == ZERO else "referenceDeleted" if new == ZERO else "referenceUpdated"
    arn = f"arn:aws:codecommit:{deed.region}:{deed.account}:{name}"
    detail = {
        "callerUserArn": f"arn:aws:iam::{deed.account}:root",
        "event": event,
        "referenceFullName": reference,
        "referenceName": reference.split("/", 2)[2],
        "referenceType": kind,
        "repositoryId": repositories(store).get(name).identifier,
        "repositoryName": name,
        **({"commitId": new} if new != ZERO else {}),
        **({"oldCommitId": old} if old != ZERO else {}),
    }
    scope = (deed.account, deed.region)
    emit(store, scope, "aws.codecommit", "CodeCommit Repository State Change", detail, [arn])


def operations(functions: dict[str, Operation]) -> dict[str, Operation]:
    """The same operations, with the errors of the repositories as AWS's."""
    return {name: _translated(function) for name, function in functions.items()}


def _translated(function: Operation) -> Operation:
    def operation(store: Store, call: Call) -> Answer:
        try:
            return function(store, call)
        except CodeCommitError as error:
            raise AwsError(error.code, error.message) from error

    return operation


def required(call: Call, parameter: str, code: str, message: str) -> Any:
    """A parameter that CodeCommit misses by name when it is absent or empty."""
    value = call.parameters.get(parameter)
    if not value:
        raise AwsError(f"{code}Exception", message)
    return value


def repository_name(store: Store, call: Call, parameter: str = "repositoryName") -> str:
    """The name of a repository that the caller's account has in the region of the call."""
    name = required(call, parameter, "RepositoryNameRequired", "A repository name is required, but was not specified.")
    repository_deed(store, call, name)
    return str(name)


def repository_deed(store: Store, call: Call, name: str) -> Deed:
    repositories(store).git(name)
    deed = store.table(CodeCommitTables).deeds.get(name)
    if deed is None or (deed.account, deed.region) != (call.account, call.region):
        raise CodeCommitError("RepositoryDoesNotExist", name)
    return deed


def own(store: Store, call: Call) -> list[Repository]:
    """The repositories of the caller's account in the region of the call."""
    deeds = store.table(CodeCommitTables).deeds
    mine = {name for name, deed in deeds.items() if (deed.account, deed.region) == (call.account, call.region)}
    return [repository for repository in repositories(store).all() if repository.name in mine]


def page(items: list[Item], token: str | None, size: int) -> tuple[list[Item], str | None]:
    """One page of a listing and the token of the next."""
    if token is not None and not token.isdecimal():
        raise AwsError("InvalidContinuationTokenException", "The specified continuation token is not valid.")
    start = int(token or 0)
    end = start + size
    return items[start:end], (str(end) if end < len(items) else None)
