"""CodeCommit's operations on repositories, branches, commits and files, without HTTP."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.data.repositories import ZERO, Author, Changes, CodeCommitError, Created, Difference, Put, Repositories

NOBODY = "f" * 40


@dataclass
class Api:
    repositories: Repositories
    pushes: list[tuple[str, str, str, str]]

    def commit(
        self, *puts: Put, parent: str | None = None, branch: str = "main", author: Author | None = None, **changes: Any
    ) -> Created:
        return self.repositories.create_commit(
            "app", branch, parent, author or Author("Ada", "ada@example.com", "a message"), Changes(puts, **changes)
        )

    def start(self, **files: bytes) -> Created:
        """The first commit: files by name, two underscores for a slash and one for a dot."""
        return self.commit(
            *(Put(name.replace("__", "/").replace("_", "."), content) for name, content in files.items())
        )

    def tree(self, specifier: str | None = None) -> dict[str, bytes]:
        """Every file of a commit, by path."""
        with zipfile.ZipFile(io.BytesIO(self.repositories.archive("app", specifier))) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    pushes: list[tuple[str, str, str, str]] = []
    repositories = Repositories(tmp_path, lambda access: None, lambda *push: pushes.append(push))
    repositories.create("app", "the application")
    return Api(repositories, pushes)


def refused(name: str, operation: Callable[[], object]) -> str:
    with pytest.raises(CodeCommitError) as caught:
        operation()
    assert caught.value.code == f"{name}Exception"
    return caught.value.message


# Repositories


def test_a_repository_is_created_described_renamed_listed_and_deleted(api: Api) -> None:
    repositories = api.repositories
    created = repositories.get("app")
    assert (created.name, created.description) == ("app", "the application")
    repositories.create("other")
    repositories.describe("app", None)
    repositories.rename("app", "renamed")
    after = repositories.get("renamed")
    assert (after.identifier, after.created, after.description) == (created.identifier, created.created, None)
    assert after.modified > created.modified
    assert [one.name for one in repositories.all()] == ["other", "renamed"]
    assert repositories.delete("renamed") == created.identifier
    assert repositories.delete("renamed") is None
    assert [one.name for one in repositories.all()] == ["other"]


def test_repositories_refuse_in_codecommits_words(api: Api) -> None:
    repositories = api.repositories
    assert refused("RepositoryDoesNotExist", lambda: repositories.get("nope")) == "nope does not exist"
    assert refused("RepositoryNameExists", lambda: repositories.create("app")) == "Repository named app already exists"
    repositories.create("other")
    refused("RepositoryNameExists", lambda: repositories.rename("app", "other"))
    for name in ("", "a/b", "app.git", "x" * 101, "späce", "a b", "../app"):
        refused("InvalidRepositoryName", lambda name=name: repositories.create(name))  # type: ignore[misc]


def test_repositories_outlive_the_process_and_half_made_ones_do_not(api: Api, tmp_path: Path) -> None:
    commit = api.start(a_txt=b"1").commit
    half = tmp_path / "repositories" / ".0b6a2f5e-half-made"
    half.mkdir()
    again = Repositories(tmp_path, lambda access: None)
    assert (again.branch("app", "main"), half.exists()) == (commit, False)
    assert [one.name for one in again.all()] == ["app"]


# Branches


def test_branches_are_created_listed_and_deleted_and_each_change_is_told(api: Api) -> None:
    commit = api.start(a_txt=b"1").commit
    repositories = api.repositories
    repositories.create_branch("app", "feature/x", commit)
    assert repositories.branches("app") == {"feature/x": commit, "main": commit}
    assert repositories.delete_branch("app", "feature/x") == commit
    assert repositories.delete_branch("app", "feature/x") is None
    assert api.pushes == [
        ("app", "refs/heads/main", ZERO, commit),
        ("app", "refs/heads/feature/x", ZERO, commit),
        ("app", "refs/heads/feature/x", commit, ZERO),
    ]


def test_the_default_branch_is_the_first_and_changes_on_request(api: Api) -> None:
    repositories = api.repositories
    assert repositories.default_branch("app") is None
    commit = api.commit(Put("a", b"1"), branch="trunk").commit
    assert repositories.default_branch("app") == "trunk"
    refused("BranchDoesNotExist", lambda: repositories.set_default_branch("app", "other"))
    repositories.create_branch("app", "other", commit)
    repositories.set_default_branch("app", "other")
    assert repositories.default_branch("app") == "other"
    refused("DefaultBranchCannotBeDeleted", lambda: repositories.delete_branch("app", "other"))


def test_branches_refuse_in_codecommits_words(api: Api) -> None:
    created = api.start(a_txt=b"1")
    repositories = api.repositories
    refused("BranchNameExists", lambda: repositories.create_branch("app", "main", created.commit))
    refused("CommitDoesNotExist", lambda: repositories.create_branch("app", "new", NOBODY))
    refused("CommitDoesNotExist", lambda: repositories.create_branch("app", "new", created.tree))
    refused("InvalidCommitId", lambda: repositories.create_branch("app", "new", "main"))
    refused("BranchDoesNotExist", lambda: repositories.branch("app", "new"))
    for name in ("", "a..b", "-x", "a b", "x.lock", "a\0b", "/"):
        refused("InvalidBranchName", lambda name=name: repositories.branch("app", name))  # type: ignore[misc]


# Reading


def test_a_commit_is_read_with_its_people_and_parents(api: Api) -> None:
    first = api.start(a_txt=b"1")
    second = api.commit(Put("b.txt", b"2"), parent=first.commit)
    commit = api.repositories.commit("app", second.commit)
    assert (commit.identifier, commit.tree, commit.parents) == (second.commit, second.tree, (first.commit,))
    assert (commit.author.name, commit.author.email, commit.message.strip()) == ("Ada", "ada@example.com", "a message")
    assert re.fullmatch(r"\d+ \+0000", commit.author.date)
    found = api.repositories.commits("app", [first.commit, NOBODY, "short"])
    assert [getattr(value, "code", "found") for value in found.values()] == [
        "found",
        "CommitIdDoesNotExistException",
        "InvalidCommitIdException",
    ]


def test_a_signed_commit_of_several_lines_is_read(api: Api) -> None:
    created = api.start(a_txt=b"1")
    text = (
        f"tree {created.tree}\nparent {created.commit}\nauthor Ü <u@example.com> 1700000000 -0330\n"
        "committer C <> 1700000001 +0000\ngpgsig -----BEGIN\n abc\n \n -----END\n\nsubject\n\nbody\n"
    )
    git = api.repositories.git("app")
    signed = git.line("hash-object", "-t", "commit", "-w", "--stdin", input=text.encode())
    commit = api.repositories.commit("app", signed)
    assert (commit.author.name, commit.author.date) == ("Ü", "1700000000 -0330")
    assert (commit.committer.email, commit.message) == ("", "subject\n\nbody\n")
    assert commit.additional == "gpgsig -----BEGIN\nabc\n\n-----END"


def test_a_file_is_read_by_branch_tag_reference_and_commit(api: Api) -> None:
    first = api.start(src__a_txt=b"old")
    second = api.commit(Put("src/a.txt", b"new", mode="EXECUTABLE"), parent=first.commit)
    git = api.repositories.git("app")
    git("update-ref", "refs/tags/v1", first.commit)
    for specifier, content in (
        (None, b"new"),
        ("main", b"new"),
        ("refs/heads/main", b"new"),
        (second.commit, b"new"),
        ("v1", b"old"),
        (first.commit, b"old"),
    ):
        assert api.repositories.file("app", "src/a.txt", specifier).content == content
    file = api.repositories.file("app", "src/a.txt")
    assert (file.commit, file.entry.mode, file.entry.size) == (second.commit, "100755", 3)
    assert api.repositories.blob("app", file.entry.identifier) == b"new"


def test_reading_refuses_in_codecommits_words(api: Api) -> None:
    repositories = api.repositories
    refused("CommitDoesNotExist", lambda: repositories.file("app", "a"))
    api.start(src__a_txt=b"1")
    refused("FileDoesNotExist", lambda: repositories.file("app", "b"))
    refused("FileDoesNotExist", lambda: repositories.file("app", "src"))
    refused("CommitDoesNotExist", lambda: repositories.file("app", "src/a.txt", "other"))
    refused("InvalidCommit", lambda: repositories.file("app", "src/a.txt", "main~1"))
    refused("InvalidCommit", lambda: repositories.file("app", "src/a.txt", "--all"))
    refused("FolderDoesNotExist", lambda: repositories.folder("app", "other"))
    refused("FolderDoesNotExist", lambda: repositories.folder("app", "src/a.txt"))
    refused("PathRequired", lambda: repositories.file("app", ""))
    refused("PathRequired", lambda: repositories.folder("app", ""))
    for path in ("../a", "a//b", "a/./b", ".git/config", "a\0b"):
        refused("InvalidPath", lambda path=path: repositories.file("app", path))  # type: ignore[misc]
    refused("BlobIdDoesNotExist", lambda: repositories.blob("app", NOBODY))
    refused("InvalidBlobId", lambda: repositories.blob("app", "HEAD:src/a.txt"))
    refused("CommitIdDoesNotExist", lambda: repositories.commit("app", NOBODY))


def test_a_folder_lists_its_own_entries_alone(api: Api) -> None:
    api.start(a_txt=b"1", src__b_txt=b"2", src__deep__c_txt=b"3")
    root = api.repositories.folder("app", "/")
    assert [(entry.mode, entry.path) for entry in root.entries] == [("100644", "a.txt"), ("040000", "src")]
    assert root.tree == api.repositories.commit("app", root.commit).tree
    for path in ("src", "/src", "src/"):
        folder = api.repositories.folder("app", path)
        assert [entry.path for entry in folder.entries] == ["src/b.txt", "src/deep"]
    assert folder.tree == root.entries[1].identifier


def test_names_that_git_would_read_as_patterns_or_quote_are_plain(api: Api) -> None:
    api.repositories.create_commit("app", "main", None, Author(), Changes((Put(":(top)x", b"magic"),)))
    assert api.repositories.file("app", ":(top)x").content == b"magic"
    parent = api.repositories.branch("app", "main")
    created = api.commit(Put("*.txt", b"star"), Put("ü \"'\n.txt", b"odd"), parent=parent)
    assert api.repositories.file("app", "*.txt").content == b"star"
    assert api.repositories.file("app", "ü \"'\n.txt").content == b"odd"
    assert {entry.path for entry in created.added} == {"*.txt", "ü \"'\n.txt"}


def test_differences_tell_what_was_added_modified_and_deleted(api: Api) -> None:
    first = api.start(kept_txt=b"0", changed_txt=b"1", src__gone_txt=b"2")
    second = api.commit(
        Put("changed.txt", b"1", mode="EXECUTABLE"),
        Put("src/new.txt", b"3"),
        deletes=("src/gone.txt",),
        parent=first.commit,
    )
    found = api.repositories.differences("app", first.commit, "main")

    def told(one: Difference) -> tuple[str, str | None, str | None, str | None]:
        return (
            one.kind,
            one.before.path if one.before else None,
            one.after.path if one.after else None,
            one.after.mode if one.after else None,
        )

    assert [told(one) for one in found] == [
        ("M", "changed.txt", "changed.txt", "100755"),
        ("D", "src/gone.txt", None, None),
        ("A", None, "src/new.txt", "100644"),
    ]
    whole = api.repositories.differences("app", None, second.commit)
    assert [(one.kind, one.before) for one in whole] == [("A", None)] * 3
    below = api.repositories.differences("app", first.commit, second.commit, "src", "src")
    assert [one.kind for one in below] == ["D", "A"]
    refused("PathDoesNotExist", lambda: api.repositories.differences("app", first.commit, "main", "", "nowhere"))


def test_an_archive_holds_the_files_of_the_commit(api: Api) -> None:
    first = api.start(a_txt=b"1", src__b_txt=b"2")
    api.commit(Put("a.txt", b"changed"), parent=first.commit)
    assert api.tree(first.commit) == {"a.txt": b"1", "src/b.txt": b"2"}
    assert api.tree()["a.txt"] == b"changed"


# Committing


def test_a_commit_tells_what_it_added_updated_and_deleted(api: Api) -> None:
    first = api.start(a_txt=b"1", b_txt=b"2")
    second = api.commit(Put("a.txt", b"11"), Put("c/d.txt", b"3"), deletes=("b.txt",), parent=first.commit)
    assert [entry.path for entry in second.added] == ["c/d.txt"]
    assert [entry.path for entry in second.updated] == ["a.txt"]
    assert [entry.path for entry in second.deleted] == ["b.txt"]
    assert api.tree() == {"a.txt": b"11", "c/d.txt": b"3"}
    assert api.pushes[1:] == [("app", "refs/heads/main", first.commit, second.commit)]
    api.repositories.git("app")("fsck", "--strict")


def test_files_are_copied_moved_and_given_modes(api: Api) -> None:
    first = api.start(a_txt=b"1", b_txt=b"2", c_txt=b"3")
    api.commit(
        Put("copy.txt", source="a.txt"),
        Put("moved/b.txt", source="b.txt", move=True, mode="EXECUTABLE"),
        modes=(("c.txt", "EXECUTABLE"),),
        parent=first.commit,
    )
    assert api.tree() == {"a.txt": b"1", "copy.txt": b"1", "moved/b.txt": b"2", "c.txt": b"3"}
    for path, mode in (("copy.txt", "100644"), ("moved/b.txt", "100755"), ("c.txt", "100755")):
        assert api.repositories.file("app", path).entry.mode == mode


def test_an_executable_stays_one_when_its_content_changes(api: Api) -> None:
    first = api.commit(Put("run", b"1", mode="EXECUTABLE"))
    api.commit(Put("run", b"2"), parent=first.commit)
    assert api.repositories.file("app", "run").entry.mode == "100755"


def test_an_emptied_folder_is_kept_on_request(api: Api) -> None:
    first = api.start(a_txt=b"1", one__x=b"1", two__x=b"2", two__y=b"3")
    api.commit(deletes=("one/x", "two/x"), keep_empty_folders=True, parent=first.commit)
    assert api.tree() == {"a.txt": b"1", "one/.gitkeep": b"", "two/y": b"3"}


def test_the_parent_must_be_the_tip_of_the_branch(api: Api) -> None:
    first = api.start(a_txt=b"1")
    second = api.commit(Put("a.txt", b"2"), parent=first.commit)
    change = Put("a.txt", b"3")
    refused("ParentCommitIdRequired", lambda: api.commit(change))
    refused("ParentCommitIdOutdated", lambda: api.commit(change, parent=first.commit))
    refused("ParentCommitIdOutdated", lambda: api.commit(deletes=("never.txt",), parent=first.commit))
    refused("ParentCommitDoesNotExist", lambda: api.commit(change, parent=NOBODY))
    refused("InvalidParentCommitId", lambda: api.commit(change, parent="main"))
    refused("BranchDoesNotExist", lambda: api.commit(change, branch="other", parent=second.commit))
    api.repositories.git("app")("update-ref", "refs/tags/v1", first.commit)
    refused("BranchNameIsTagName", lambda: api.commit(change, branch="v1", parent=second.commit))
    api.repositories.create("empty")
    author = Author()
    refused(
        "ParentCommitDoesNotExist",
        lambda: api.repositories.create_commit("empty", "main", NOBODY, author, Changes((change,))),
    )
    assert len(api.pushes) == 2


def test_a_commit_of_nothing_or_of_nonsense_is_refused(api: Api) -> None:
    first = api.start(a_txt=b"1", src__b_txt=b"2", src___gitkeep=b"")
    parent = first.commit
    for name, puts, changes in (
        ("FileEntryRequired", [], {}),
        ("NoChange", [Put("a.txt", b"1")], {}),
        ("SamePathRequest", [Put("x", b"1"), Put("/x", b"2")], {}),
        ("SamePathRequest", [Put("a.txt", b"2")], {"deletes": ("a.txt",)}),
        ("SourceFileOrContentRequired", [Put("x")], {}),
        ("FileContentAndSourceFileSpecified", [Put("x", b"1", source="a.txt")], {}),
        ("FileDoesNotExist", [Put("x", source="nope")], {}),
        ("FileDoesNotExist", [], {"deletes": ("nope",)}),
        ("FileDoesNotExist", [], {"deletes": ("src",)}),
        ("RestrictedSourceFile", [Put("x", source="src/.gitkeep")], {}),
        ("InvalidFileMode", [Put("x", b"1", mode="rwx")], {}),
        ("FileNameConflictsWithDirectoryName", [Put("src", b"1")], {}),
        ("DirectoryNameConflictsWithFileName", [Put("a.txt/x", b"1")], {}),
        ("InvalidPath", [Put("../x", b"1")], {}),
        ("PathRequired", [Put("", b"1")], {}),
        ("FileContentSizeLimitExceeded", [Put("x", b"0" * (6 * 1024 * 1024 + 1))], {}),
        ("MaximumFileEntriesExceeded", [Put(f"file{number}", b"1") for number in range(101)], {}),
    ):
        refused(name, lambda puts=puts, changes=changes: api.commit(*puts, parent=parent, **changes))  # type: ignore[misc]
    assert api.repositories.branch("app", "main") == parent
    assert len(api.pushes) == 1


def test_of_commits_at_once_on_one_tip_one_wins(api: Api) -> None:
    first = api.start(a_txt=b"1")
    results: list[str] = []

    def commit(number: int) -> None:
        try:
            api.commit(Put(f"file{number}", b"x"), parent=first.commit)
            results.append("committed")
        except CodeCommitError as error:
            results.append(error.code)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["ParentCommitIdOutdatedException"] * 4 + ["committed"]
    assert len(api.tree()) == 2


def test_someone_without_a_name_may_commit(api: Api) -> None:
    created = api.commit(Put("a", b"1"), author=Author())
    commit = api.repositories.commit("app", created.commit)
    assert (commit.author.name, commit.author.email, commit.message.strip()) == ("unknown", "", "")
