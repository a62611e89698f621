"""Reading commits, files, folders and differences, as CodeCommit's API tells them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from emulator.data.repositories.errors import CodeCommitError
from emulator.data.repositories.git import EMPTY_TREE, Git

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_PERSON = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<date>-?\d+ [+-]\d{4})")

MODES = {"100644": "NORMAL", "100755": "EXECUTABLE", "120000": "SYMLINK"}
FOLDER_MODE, SUBMODULE_MODE = "040000", "160000"


@dataclass(frozen=True)
class Person:
    """`date` as git and the API write it: seconds since the epoch and the offset, `1700000000 +0100`."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class Commit:
    identifier: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str
    additional: str


@dataclass(frozen=True)
class Entry:
    """One line of a folder; `mode` is git's (`100644`), `path` the whole path."""

    mode: str
    identifier: str
    path: str
    size: int = 0


@dataclass(frozen=True)
class File:
    commit: str
    entry: Entry
    content: bytes


@dataclass(frozen=True)
class Folder:
    commit: str
    tree: str
    path: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Difference:
    """`kind` is A, M or D; a side that does not exist is None."""

    kind: str
    before: Entry | None
    after: Entry | None


def check_commit_id(identifier: str) -> None:
    if not _COMMIT_ID.fullmatch(identifier):
        raise CodeCommitError("InvalidCommitId")


def resolve(git: Git, specifier: str | None) -> str:
    if specifier is not None and (not specifier or specifier.startswith("-") or re.search(r"[\s~^:?*\[\\]", specifier)):
        raise CodeCommitError("InvalidCommit")
    references = [f"refs/heads/{specifier}", f"refs/tags/{specifier}"]
    if specifier is None:
        references = ["HEAD"]
    elif _COMMIT_ID.fullmatch(specifier) or specifier.startswith("refs/"):
        references = [specifier]
    for reference in references:
        if found := git.commit_of(reference):
            return found
    raise CodeCommitError("CommitDoesNotExist")


def commit(git: Git, identifier: str) -> Commit:
    check_commit_id(identifier)
    if git.type_of(identifier) != "commit":
        raise CodeCommitError("CommitIdDoesNotExist")
    head, _, message = git("cat-file", "commit", identifier).decode("utf-8", "replace").partition("\n\n")
    fields: dict[str, list[str]] = {}
    for line in re.sub(r"\n ", "\n\t", head).split("\n"):
        if line.startswith("\t"):  # a signature's further lines
            fields["additional"][-1] += "\n" + line[1:]
            continue
        key, _, value = line.partition(" ")
        known = key in ("tree", "parent", "author", "committer")
        fields.setdefault(key if known else "additional", []).append(value if known else line)
    return Commit(
        identifier=identifier,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", [])),
        author=_person(fields["author"][0]),
        committer=_person(fields["committer"][0]),
        message=message,
        additional="\n".join(fields.get("additional", [])),
    )


def file(git: Git, path: str, specifier: str | None) -> File:
    identifier = resolve(git, specifier)
    entry = find(git, identifier, clean(path))
    if entry is None or entry.mode not in MODES:
        raise CodeCommitError("FileDoesNotExist")
    return File(identifier, entry, git("cat-file", "blob", entry.identifier))


def folder(git: Git, path: str, specifier: str | None) -> Folder:
    if not path:
        raise CodeCommitError("PathRequired")
    identifier = resolve(git, specifier)
    name = clean(path, root=True)
    tree = git.line("rev-parse", f"{identifier}^{{tree}}")
    if name:
        entry = find(git, identifier, name)
        if entry is None or entry.mode != FOLDER_MODE:
            raise CodeCommitError("FolderDoesNotExist")
        tree = entry.identifier
    prefix = f"{name}/" if name else ""
    entries = [Entry(e.mode, e.identifier, prefix + e.path, e.size) for e in listing(git, tree)]
    return Folder(identifier, tree, name, tuple(entries))


def blob(git: Git, identifier: str) -> bytes:
    if not _COMMIT_ID.fullmatch(identifier):
        raise CodeCommitError("InvalidBlobId")
    if git.type_of(identifier) != "blob":
        raise CodeCommitError("BlobIdDoesNotExist")
    return git("cat-file", "blob", identifier)


def differences(git: Git, before: str | None, after: str, before_path: str, after_path: str) -> list[Difference]:
    """Files that differ between two commits; against nothing when `before` is None. The paths, files or folders,
    bound what is compared on either side."""
    old = resolve(git, before) if before else EMPTY_TREE
    new = resolve(git, after)
    for revision, path in ((old, before_path), (new, after_path)):
        if path and (revision == EMPTY_TREE or find(git, revision, clean(path)) is None):
            raise CodeCommitError("PathDoesNotExist")
    found = _raw_differences(git, old, new)
    return [one for one in found if _below(one.before, before_path) and _below(one.after, after_path)]


def find(git: Git, revision: str, path: str) -> Entry | None:
    """The entry at a path of a commit or tree."""
    return next((entry for entry in listing(git, revision, path) if entry.path == path), None)


def clean(path: str, root: bool = False) -> str:
    """A path as git has it; InvalidPath for one that cannot be in a repository."""
    if root and path == "/":
        return ""
    if not path:
        raise CodeCommitError("PathRequired")
    name = path.removesuffix("/") if root else path
    parts = name.removeprefix("/").split("/")
    if "\0" in path or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise CodeCommitError("InvalidPath")
    return "/".join(parts)


def listing(git: Git, tree: str, *paths: str) -> Iterator[Entry]:
    """Lines of `ls-tree`: `100644 blob <id> <size>\\t<path>`."""
    listed = git("ls-tree", "-z", "--long", "--full-tree", tree, "--", *paths).decode("utf-8", "surrogateescape")
    for line in listed.split("\0")[:-1]:
        head, _, path = line.partition("\t")
        mode, _, identifier, size = head.split()
        yield Entry(mode, identifier, path, int(size) if size.isdecimal() else 0)


def _raw_differences(git: Git, old: str, new: str) -> Iterator[Difference]:
    """Lines of `diff-tree --raw -z`: `:<mode> <mode> <id> <id> <kind>` and the path, each ended by a zero."""
    text = git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old, new)
    pieces = iter(text.decode("utf-8", "surrogateescape").split("\0")[:-1])
    for head, path in zip(pieces, pieces, strict=True):
        old_mode, new_mode, old_id, new_id, kind = head.removeprefix(":").split()
        before = None if kind == "A" else Entry(old_mode, old_id, path)
        after = None if kind == "D" else Entry(new_mode, new_id, path)
        yield Difference("M" if kind == "T" else kind, before, after)


def _below(entry: Entry | None, path: str) -> bool:
    if not path or entry is None:
        return True
    name = clean(path, root=True)
    return not name or entry.path == name or entry.path.startswith(f"{name}/")


def _person(text: str) -> Person:
    match = _PERSON.fullmatch(text)
    return Person(**match.groupdict()) if match else Person(text, "", "0 +0000")
