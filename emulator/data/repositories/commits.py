"""Making a commit without a working copy, with the checks of CodeCommit's CreateCommit."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from emulator.data.repositories.errors import CodeCommitError
from emulator.data.repositories.git import EMPTY_TREE, ZERO, Git, GitFailed
from emulator.data.repositories.history import FOLDER_MODE, SUBMODULE_MODE, Entry, clean, find, listing

_GIT_MODES = {"NORMAL": "100644", "EXECUTABLE": "100755", "SYMLINK": "120000"}
_FILE_LIMIT, _TOTAL_LIMIT, _ENTRIES_LIMIT = 6 << 20, 7 << 20, 100
_KEEP = ".gitkeep"


@dataclass(frozen=True)
class Author:
    """Who commits and why; CodeCommit takes each as it comes, or nothing."""

    name: str | None = None
    email: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Put:
    """A file to write: its `content`, or that of `source`, a file of the parent commit, which `move` takes away."""

    path: str
    content: bytes | None = None
    mode: str | None = None
    source: str | None = None
    move: bool = False


@dataclass(frozen=True)
class Changes:
    """What a commit does; `modes` are (path, mode), and `keep_empty_folders` leaves `.gitkeep` in emptied ones."""

    puts: tuple[Put, ...] = ()
    deletes: tuple[str, ...] = ()
    modes: tuple[tuple[str, str], ...] = ()
    keep_empty_folders: bool = False


@dataclass(frozen=True)
class Created:
    commit: str
    tree: str
    parent: str | None
    added: tuple[Entry, ...]
    updated: tuple[Entry, ...]
    deleted: tuple[Entry, ...]


@dataclass
class _Edit:
    """The entries that a commit writes and takes away, by path, over the tree of its parent."""

    git: Git
    base: str
    written: dict[str, Entry] = field(default_factory=dict)
    removed: dict[str, Entry] = field(default_factory=dict)

    def existing(self, path: str) -> Entry:
        entry = find(self.git, self.base, path)
        if entry is None or entry.mode == FOLDER_MODE:
            raise CodeCommitError("FileDoesNotExist")
        if entry.mode == SUBMODULE_MODE:
            raise CodeCommitError("FilePathConflictsWithSubmodulePath")
        return entry

    def put(self, put: Put) -> None:
        path = clean(put.path)
        before = self._check_room(path)
        if put.content is not None and put.source is not None:
            raise CodeCommitError("FileContentAndSourceFileSpecified")
        if put.source is not None:
            source = self.existing(clean(put.source))
            if source.path.rpartition("/")[2] == _KEEP:
                raise CodeCommitError("RestrictedSourceFile")
            blob, mode = source.identifier, source.mode
            if put.move:
                self.removed[source.path] = source
        elif put.content is not None:
            blob = self.git.line("hash-object", "-w", "--stdin", input=put.content)
            mode = before.mode if before else _GIT_MODES["NORMAL"]
        else:
            raise CodeCommitError("SourceFileOrContentRequired")
        self.written[path] = Entry(_git_mode(put.mode) if put.mode else mode, blob, path)

    def set_mode(self, path: str, mode: str) -> None:
        name = clean(path)
        before = self.written.get(name) or self.existing(name)
        self.written[name] = Entry(_git_mode(mode), before.identifier, name)

    def delete(self, path: str) -> None:
        self.removed[clean(path)] = self.existing(clean(path))

    def _check_room(self, path: str) -> Entry | None:
        """The file that a put replaces, if any; refused where a folder is, or where a file would have to be one."""
        before = find(self.git, self.base, path)
        if before and before.mode == FOLDER_MODE:
            raise CodeCommitError("FileNameConflictsWithDirectoryName", path)
        if before and before.mode == SUBMODULE_MODE:
            raise CodeCommitError("FilePathConflictsWithSubmodulePath")
        for parent in map(str, list(Path(path).parents)[:-1]):
            above = find(self.git, self.base, parent)
            if above and above.mode == SUBMODULE_MODE:
                raise CodeCommitError("FilePathConflictsWithSubmodulePath")
            if parent in self.written or (above and above.mode != FOLDER_MODE):
                raise CodeCommitError("DirectoryNameConflictsWithFileName", parent)
        return before


def create(git: Git, branch: str, parent: str | None, author: Author, changes: Changes) -> Created:
    """Commits on a branch whose tip is `parent`; None begins an empty repository."""
    _check_parent(git, branch, parent)
    _check_request(changes)
    base = git.line("rev-parse", f"{parent}^{{tree}}") if parent else EMPTY_TREE
    edit = _Edit(git, base)
    for path in changes.deletes:
        edit.delete(path)
    for put in changes.puts:
        edit.put(put)
    for path, mode in changes.modes:
        edit.set_mode(path, mode)
    if changes.keep_empty_folders:
        _keep_folders(git, edit)
    tree = _write_tree(git, edit)
    if tree == base:
        raise CodeCommitError("NoChange")
    commit = _commit(git, tree, parent, author)
    try:
        git("update-ref", f"refs/heads/{branch}", commit, parent or ZERO)
    except GitFailed:  # someone else was faster
        raise CodeCommitError("ParentCommitIdOutdated") from None
    before = {path: find(git, base, path) for path in edit.written}
    return Created(
        commit=commit,
        tree=tree,
        parent=parent,
        added=tuple(entry for path, entry in edit.written.items() if before[path] is None),
        updated=tuple(entry for path, entry in edit.written.items() if before[path] is not None),
        deleted=tuple(entry for path, entry in edit.removed.items() if path not in edit.written),
    )


def _check_parent(git: Git, branch: str, parent: str | None) -> None:
    tip = git.commit_of(f"refs/heads/{branch}")
    if tip is None:
        if git.commit_of(f"refs/tags/{branch}"):
            raise CodeCommitError("BranchNameIsTagName")
        if git.line("for-each-ref", "--count=1", "refs/heads"):
            raise CodeCommitError("BranchDoesNotExist", branch)
        if parent:
            raise CodeCommitError("ParentCommitDoesNotExist")
        return
    if parent is None:
        raise CodeCommitError("ParentCommitIdRequired")
    if not re.fullmatch(r"[0-9a-f]{40}", parent):
        raise CodeCommitError("InvalidParentCommitId")
    if git.type_of(parent) != "commit":
        raise CodeCommitError("ParentCommitDoesNotExist")
    if parent != tip:
        raise CodeCommitError("ParentCommitIdOutdated")


def _check_request(changes: Changes) -> None:
    moved = [put.source for put in changes.puts if put.move and put.source]
    paths = [*(put.path for put in changes.puts), *changes.deletes, *moved]
    names = [clean(path) for path in [*paths, *(path for path, _ in changes.modes)]]
    if not names:
        raise CodeCommitError("FileEntryRequired")
    if len(names) > _ENTRIES_LIMIT:
        raise CodeCommitError("MaximumFileEntriesExceeded")
    for group in (paths, [path for path, _ in changes.modes]):
        if len({clean(path) for path in group}) < len(group):
            raise CodeCommitError("SamePathRequest")
    sizes = [len(put.content) for put in changes.puts if put.content is not None]
    if any(size > _FILE_LIMIT for size in sizes) or sum(sizes) > _TOTAL_LIMIT:
        raise CodeCommitError("FileContentSizeLimitExceeded")


def _keep_folders(git: Git, edit: _Edit) -> None:
    for path in edit.removed:
        name = path.rpartition("/")[0]
        if not name:
            continue
        above = find(git, edit.base, name)
        inside = {f"{name}/{entry.path}" for entry in listing(git, above.identifier)} if above else set()
        left = inside - edit.removed.keys()
        if not left and not any(written.startswith(f"{name}/") for written in edit.written):
            blob = git.line("hash-object", "-w", "--stdin")
            edit.written[f"{name}/{_KEEP}"] = Entry(_GIT_MODES["NORMAL"], blob, f"{name}/{_KEEP}")


def _write_tree(git: Git, edit: _Edit) -> str:
    """The new tree, through an index of its own so that commits at the same time do not meet."""
    lines = [f"0 {ZERO}\t{path}\0" for path in edit.removed if path not in edit.written]
    lines += [f"{entry.mode} {entry.identifier}\t{path}\0" for path, entry in edit.written.items()]
    with tempfile.TemporaryDirectory(dir=git.path) as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if edit.base != EMPTY_TREE:
            git("read-tree", edit.base, env=index)
        git("update-index", "-z", "--index-info", input="".join(lines).encode("utf-8", "surrogateescape"), env=index)
        return git.line("write-tree", env=index)


def _commit(git: Git, tree: str, parent: str | None, author: Author) -> str:
    name, email = author.name or "unknown", author.email or ""
    person = {"NAME": name, "EMAIL": email, "DATE": f"{int(time.time())} +0000"}
    env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
    parents = ["-p", parent] if parent else []
    return git.line("commit-tree", tree, *parents, input=(author.message or "").encode(), env=env)


def _git_mode(mode: str) -> str:
    if mode not in _GIT_MODES:
        raise CodeCommitError("InvalidFileMode")
    return _GIT_MODES[mode]
