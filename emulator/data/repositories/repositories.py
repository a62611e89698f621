"""CodeCommit's repositories: bare ones in a folder, served to git clients and to the API's operations."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emulator.data.repositories import history
from emulator.data.repositories.commits import Author, Changes, Created, create
from emulator.data.repositories.errors import CodeCommitError
from emulator.data.repositories.git import ZERO, Git, GitFailed
from emulator.data.repositories.signature import Access
from emulator.data.repositories.smart_http import Change, SmartHttp, StartResponse

_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
_RECORD = "codecommit.json"

OnPush = Callable[[str, str, str, str], None]


@dataclass(frozen=True)
class Repository:
    """What CodeCommit knows of a repository beside git; times are seconds since the epoch."""

    name: str
    identifier: str
    description: str | None
    created: float
    modified: float


class Repositories:
    """The WSGI application under `/v1/repos/`, and the operations of CodeCommit's API on the same repositories.

    `authorize(access)` raises Unauthenticated or Forbidden (`SignatureCheck` is one). `on_push(repository, reference,
    old, new)` runs for each reference that a push or an operation changed, once the change is on the disk; `old` or
    `new` is forty zeros when the reference is new or gone. Errors are CodeCommitError, by CodeCommit's names.
    """

    def __init__(self, folder: Path, authorize: Callable[[Access], None], on_push: OnPush | None = None) -> None:
        self._folder = folder / "repositories"
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in (folder / "requests", *self._folder.glob(".????????-*-*")):  # by a process that was killed
            if left.suffix != ".git":
                shutil.rmtree(left, ignore_errors=True)
        self._lock = threading.RLock()
        self._on_push = on_push
        self._http = SmartHttp(folder, authorize, self.git, self._changed)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return self._http(environ, start_response)

    # Repositories

    def git(self, name: str) -> Git:
        """The bare repository; RepositoryDoesNotExist when there is none."""
        path = self._path(name)
        if not path.is_dir():
            raise CodeCommitError("RepositoryDoesNotExist", name)
        return Git(path)

    def create(self, name: str, description: str | None = None) -> Repository:
        now = time.time()
        repository = Repository(name, str(uuid.uuid4()), description, now, now)
        with self._lock:
            path = self._path(name)
            if path.exists():
                raise CodeCommitError("RepositoryNameExists", name)
            # Made aside and renamed, so that a repository is whole or not there.
            partial = self._folder / f".{repository.identifier}"
            Git(partial)("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(partial))
            self._write(partial, repository)
            partial.rename(path)
        return repository

    def get(self, name: str) -> Repository:
        return Repository(**json.loads((self.git(name).path / _RECORD).read_text()))

    def all(self) -> list[Repository]:
        names = [path.name.removesuffix(".git") for path in sorted(self._folder.glob("*.git"))]
        found: list[Repository] = []
        for name in names:
            with contextlib.suppress(CodeCommitError, FileNotFoundError):  # deleted meanwhile
                found.append(self.get(name))
        return found

    def delete(self, name: str) -> str | None:
        """Removes a repository and answers its identifier; None when there was none, which is no error."""
        with self._lock:
            try:
                repository = self.get(name)
            except CodeCommitError as error:
                if error.code == "RepositoryDoesNotExistException":
                    return None
                raise
            trash = self._folder / f".{uuid.uuid4()}"
            self._path(name).rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
        return repository.identifier

    def rename(self, old: str, new: str) -> None:
        with self._lock:
            repository = self.get(old)
            if self._path(new).exists():
                raise CodeCommitError("RepositoryNameExists", new)
            self._path(old).rename(self._path(new))
            self._write(self._path(new), replace(repository, name=new, modified=time.time()))

    def describe(self, name: str, description: str | None) -> None:
        with self._lock:
            self._write(self._path(name), replace(self.get(name), description=description, modified=time.time()))

    # Branches

    def default_branch(self, name: str) -> str | None:
        """The branch that a clone checks out; None while the repository is empty."""
        git = self.git(name)
        reference = git.line("symbolic-ref", "HEAD")
        return reference.removeprefix("refs/heads/") if git.commit_of(reference) else None

    def set_default_branch(self, name: str, branch: str) -> None:
        git = self.git(name)
        self.branch(name, branch)
        git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def branches(self, name: str) -> dict[str, str]:
        """The commit of each branch, by name."""
        lines = self.git(name).line("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads")
        return {branch: commit for commit, branch in (line.split(" ", 1) for line in lines.splitlines())}

    def branch(self, name: str, branch: str) -> str:
        """The commit of a branch."""
        git = self.git(name)
        _check_branch_name(git, branch)
        commit = git.commit_of(f"refs/heads/{branch}")
        if commit is None:
            raise CodeCommitError("BranchDoesNotExist", branch)
        return commit

    def create_branch(self, name: str, branch: str, commit: str) -> None:
        git = self.git(name)
        _check_branch_name(git, branch)
        history.check_commit_id(commit)
        if git.type_of(commit) != "commit":
            raise CodeCommitError("CommitDoesNotExist")
        try:
            git("update-ref", f"refs/heads/{branch}", commit, ZERO)
        except GitFailed:
            raise CodeCommitError("BranchNameExists", branch) from None
        self._changed(name, [(f"refs/heads/{branch}", ZERO, commit)])

    def delete_branch(self, name: str, branch: str) -> str | None:
        """Removes a branch and answers its last commit; None when there was none, which is no error."""
        git = self.git(name)
        _check_branch_name(git, branch)
        reference = f"refs/heads/{branch}"
        commit = git.commit_of(reference)
        if commit is None:
            return None
        if branch == self.default_branch(name):
            raise CodeCommitError("DefaultBranchCannotBeDeleted")
        git("update-ref", "-d", reference, commit)
        self._changed(name, [(reference, commit, ZERO)])
        return commit

    # Contents

    def resolve(self, name: str, specifier: str | None = None) -> str:
        """The commit of a commit id, branch, tag or full reference; of the default branch when not given."""
        return history.resolve(self.git(name), specifier)

    def commit(self, name: str, commit: str) -> history.Commit:
        return history.commit(self.git(name), commit)

    def commits(self, name: str, identifiers: Iterable[str]) -> dict[str, history.Commit | CodeCommitError]:
        """Several commits, or for each why not."""
        git = self.git(name)
        found: dict[str, history.Commit | CodeCommitError] = {}
        for identifier in identifiers:
            try:
                found[identifier] = history.commit(git, identifier)
            except CodeCommitError as error:
                found[identifier] = error
        return found

    def file(self, name: str, path: str, specifier: str | None = None) -> history.File:
        return history.file(self.git(name), path, specifier)

    def folder(self, name: str, path: str, specifier: str | None = None) -> history.Folder:
        return history.folder(self.git(name), path, specifier)

    def blob(self, name: str, blob: str) -> bytes:
        return history.blob(self.git(name), blob)

    def differences(
        self, name: str, before: str | None, after: str, before_path: str = "", after_path: str = ""
    ) -> list[history.Difference]:
        return history.differences(self.git(name), before, after, before_path, after_path)

    def archive(self, name: str, specifier: str | None = None) -> bytes:
        """The files of a commit as a zip, as CodePipeline's source action puts it in its artifact bucket."""
        git = self.git(name)
        return git("archive", "--format=zip", history.resolve(git, specifier))

    def create_commit(self, name: str, branch: str, parent: str | None, author: Author, changes: Changes) -> Created:
        """Commits changes on top of a branch's tip, which the caller must name; the first commit makes the branch."""
        git = self.git(name)
        _check_branch_name(git, branch)
        created = create(git, branch, parent, author, changes)
        self._changed(name, [(f"refs/heads/{branch}", created.parent or ZERO, created.commit)])
        return created

    # What follows a change

    def _changed(self, name: str, changes: Iterable[Change]) -> None:
        changes = list(changes)
        with self._lock, contextlib.suppress(CodeCommitError, FileNotFoundError):  # deleted meanwhile
            self._follow_first_branch(name, [reference for reference, _, new in changes if new != ZERO])
            self._write(self._path(name), replace(self.get(name), modified=time.time()))
        for reference, old, new in changes:
            if self._on_push:
                self._on_push(name, reference, old, new)

    def _follow_first_branch(self, name: str, references: Iterable[str]) -> None:
        """The first branch of an empty repository becomes its default, `main` or `master` before another."""
        branches = [reference for reference in references if reference.startswith("refs/heads/")]
        if branches and self.default_branch(name) is None:
            usual = [branch for branch in ("refs/heads/main", "refs/heads/master") if branch in branches]
            self.git(name)("symbolic-ref", "HEAD", (usual or branches)[0])

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith(".git"):
            raise CodeCommitError("InvalidRepositoryName")
        return self._folder / f"{name}.git"

    @staticmethod
    def _write(path: Path, repository: Repository) -> None:
        temporary = path / f"{_RECORD}.new"
        temporary.write_text(json.dumps(asdict(repository)))
        temporary.replace(path / _RECORD)


def _check_branch_name(git: Git, branch: str) -> None:
    try:
        git("check-ref-format", f"refs/heads/{branch}")
    except (GitFailed, ValueError):
        raise CodeCommitError("InvalidBranchName") from None
    if len(branch) > 256 or branch.startswith("-"):
        raise CodeCommitError("InvalidBranchName")
