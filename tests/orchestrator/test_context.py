"""The files that a builder is given, and their fingerprint: whatever changes the image is a new one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import BadDocument
from orchestrator.tools import context
from orchestrator.tools.image_source import Source

# lines of an ignore file → paths that are left out, paths that are not: docs.docker.com/build/concepts/context, and the
# behaviour of github.com/moby/patternmatcher where that says nothing.
RULES: dict[str, tuple[str, str]] = {
    "*.json": ("a.json", "conf/a.json"),
    "**/*.json": ("a.json conf/a.json a/b/c.json", "a.jsonx"),
    "./secret": ("secret secret/x", "a/secret"),
    "/secret": ("secret secret/x", "a/secret"),
    "secret/": ("secret secret/x", "secrets"),
    "a/../b": ("b", "a"),
    "temp?": ("tempa temp1/x", "temp tempab a/tempa"),
    "*/temp*": ("a/temporary.txt a/temp", "temp a/b/temp"),
    "*/*/temp*": ("a/b/temporary.txt", "a/temp"),
    "*": ("a a/b .x", ""),
    "**": ("a a/b", ""),
    "*\n!chatbot": ("a chatbots", "chatbot chatbot/x/y"),
    "*\n!chatbot\n**/x": ("a chatbot/x chatbot/a/x/y", "chatbot chatbot/a"),
    "*.md\n!README.md": ("a.md", "README.md a/b.md"),
    "*.md\n!README*.md\nREADME-secret.md": ("README-secret.md a.md", "README.md README-x.md"),
    "*.md\nREADME-secret.md\n!README*.md": ("a.md", "README-secret.md README.md"),
    "a\n!a/b": ("a/c", "a/b a/b/c"),
    "a/**\n!a/**/keep": ("a/x a/b/x", "a/keep a/b/c/keep a"),
    "**/*.txt\n!**/keep.txt": ("a.txt b/c.txt", "keep.txt b/keep.txt"),
    "# a comment\n #b": ("#b", "#"),
    "\ufeffa": ("a", "b"),
    "a\r\nb\r\n": ("a b", "c"),
    "  a  \n\n": ("a", "b"),
    "! a\n*\n! b": ("a c", "b"),
    "[ab]c": ("ac bc", "cc"),
    "[!a]": ("!", "b"),
    "a[": ("", "a[ a"),  # refused by Docker: nothing is left out, and it says so itself
    "!": ("", "a"),
    "a.b+(c)": ("a.b+(c)", "aXb+(c)"),
    r"\*": ("*", "a"),
    "foo**": ("foo foobar foo/x", "xfoo"),
    "**foo": ("foo barfoo a/barfoo", "foob"),
    "a**b": ("ab a/b axb/b", "axb"),
    "../x": ("", "x a/x"),
    ".": ("", "a"),
    "**/.git": (".git .git/x a/.git", ".github"),
}  # fmt: skip


@pytest.mark.parametrize("lines", RULES)
def test_an_ignore_file_is_read_as_docker_reads_it(tmp_path: Path, lines: str) -> None:
    (tmp_path / ".dockerignore").write_text(lines, newline="")
    rules = context.ignores(tmp_path, tmp_path / "Dockerfile")
    out, kept = RULES[lines]
    assert [path for path in out.split() if context.holds(path, rules)] == []
    assert [path for path in kept.split() if not context.holds(path, rules)] == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in ("Dockerfile", "app.py", "conf/prompts.json", "secret/key", "docs/a.md", "docs/deep/keep.md", "run.sh"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("FROM scratch\n" if path == "Dockerfile" else path)
    (tmp_path / "link").symlink_to("app.py")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(tree: Path, dockerfile: str = "Dockerfile") -> set[str]:
    return {entry.path for entry in context.entries(tree, context.ignores(tree, tree / dockerfile))}


def test_what_is_taken_back_is_there_with_the_folders_above_it(tree: Path) -> None:
    (tree / ".dockerignore").write_text("*\n!docs/deep/keep.md\n")
    assert names(tree) == {"docs", "docs/deep", "docs/deep/keep.md"}
    (tree / ".dockerignore").write_text("**\n!**/*.md\n")
    assert names(tree) == {"docs", "docs/a.md", "docs/deep", "docs/deep/keep.md"}


def test_of_two_ignore_files_a_file_stays_that_either_keeps(tree: Path) -> None:
    """BuildKit reads the Dockerfile's own, the classic builder the other."""
    (tree / "Dockerfile.dockerignore").write_text("secret\nconf\n")
    (tree / ".dockerignore").write_text("secret\nrun.sh\n")
    assert {"conf", "run.sh"} <= names(tree) and "secret" not in names(tree)
    assert "conf" in names(tree, "other.Dockerfile") and "run.sh" not in names(tree, "other.Dockerfile")


def test_what_is_left_out_is_not_even_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / ".dockerignore").write_text("*\n!conf\n**/x\n")
    looked: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(Path(path).name) or scan(path))
    assert names(tree) == {"conf", "conf/prompts.json"}
    assert looked == [tree.name, "conf"]


Change = Callable[[Path], object]
CHANGES: dict[str, Change] = {
    "a file's content": lambda tree: (tree / "conf/prompts.json").write_text("2"),
    "a file's content, of the same length": lambda tree: (tree / "app.py").write_text("APP.PY"),
    "a file's mode": lambda tree: (tree / "run.sh").chmod(0o755),
    "a file that only its owner may read": lambda tree: (tree / "app.py").chmod(0o600),
    "a folder's mode": lambda tree: (tree / "conf").chmod(0o700),
    "a new file": lambda tree: (tree / "new").write_text(""),
    "a new empty folder": lambda tree: (tree / "folder").mkdir(),
    "a file that is gone": lambda tree: (tree / "run.sh").unlink(),
    "an empty folder that is gone": lambda tree: (tree / "empty").rmdir(),
    "another name": lambda tree: (tree / "run.sh").rename(tree / "walk.sh"),
    "where a link leads": lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("run.sh")),
    "a link instead of its file": lambda tree: ((tree / "run.sh").unlink(), (tree / "run.sh").symlink_to("app.py")),
    "the Dockerfile": lambda tree: (tree / "Dockerfile").write_text("FROM scratch\nUSER 1\n"),
    "what is left out": lambda tree: (tree / ".dockerignore").write_text("conf\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_another_fingerprint(tree: Path, what: str) -> None:
    source = Source(tree)
    before = source.fingerprint()
    assert source.fingerprint() == before
    CHANGES[what](tree)
    assert source.fingerprint() != before


def test_times_and_what_is_left_out_are_no_change(tree: Path) -> None:
    (tree / ".dockerignore").write_text(".dockerignore\nsecret\n**/*.pyc\n")
    source = Source(tree)
    before = source.fingerprint()
    os.utime(tree / "app.py", (1, 1))
    (tree / "secret/key").write_text("another")
    (tree / "conf/x.pyc").write_text("")
    (tree / ".dockerignore").write_text(".dockerignore\nsecret\n**/*.pyc\n# a comment\n")
    assert source.fingerprint() == before


def test_a_context_without_the_dockerfile_counts_it(tree: Path) -> None:
    (tree / ".dockerignore").write_text("*\n!app.py\n")
    source = Source(tree)
    before = source.fingerprint()
    (tree / "Dockerfile").write_text("FROM scratch\nUSER 1\n")
    assert source.fingerprint() != before


def test_two_trees_that_would_read_the_same_in_a_row_are_two(tmp_path: Path) -> None:
    found = set()
    for number, (name, content) in enumerate((("ab", "c"), ("a", "bc"))):
        tree = tmp_path / str(number)
        tree.mkdir()
        (tree / name).write_text(content)
        found.add(context.fingerprint(tree, []))
    assert len(found) == 2


def test_what_only_a_build_elsewhere_is_not_sent_counts_there(tree: Path) -> None:
    source = Source(tree)
    sent = [source.sent(names).fingerprint() for names in ([], ["app.py"], ["app.py", "run.sh"])]
    assert len({source.fingerprint(), *sent}) == 4
    taken = source.taken()
    (tree / "new").write_text("")
    assert taken.fingerprint() != source.fingerprint(), "taken once, it is what was there then"


def test_a_file_that_may_not_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object, entry: context.Entry) -> bytes:  # root, who may run this, reads everything
        raise PermissionError(13, "Permission denied", str(tree / entry.path))

    monkeypatch.setattr(context._Hashes, "of", refused)
    with pytest.raises(BadDocument, match=r"Dockerfile cannot be read: Permission denied"):
        Source(tree).fingerprint()


# --- the cache


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of this test's own, in which all that was written so far is old enough to be kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(context, "_SETTLED", -60_000_000_000)


def test_what_did_not_change_is_not_read_again(tree: Path, settled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(tree)
    before = source.fingerprint()
    read: list[str] = []
    digest = context.hashlib.file_digest
    monkeypatch.setattr(context.hashlib, "file_digest", lambda file, name: read.append(file.name) or digest(file, name))
    assert source.fingerprint() == before and read == []
    (tree / "app.py").write_text("another")
    assert source.fingerprint() != before and [Path(name).name for name in read] == ["app.py"]


def test_a_file_that_changed_within_the_second_and_whose_time_was_put_back_fools_nobody(
    tree: Path, settled: None
) -> None:
    source, file = Source(tree), tree / "app.py"
    before = source.fingerprint()
    was = file.stat()
    file.write_text("APP.PY")  # as long as before
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert source.fingerprint() != before


def test_a_hash_is_kept_only_of_what_has_been_left_alone_for_a_while(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On file systems whose clock is coarse a change may have the time of the one before it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    Source(tree).fingerprint()
    assert list(folder.rglob("*.json")) == []


def test_a_cache_that_cannot_be_read_or_written_is_done_without(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Source(tree).fingerprint()
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert Source(tree).fingerprint() == before


def test_twenty_thousand_files_that_did_not_change_take_no_time(tmp_path: Path, settled: None) -> None:
    for folder in range(200):
        (tmp_path / f"{folder}").mkdir()
        for number in range(100):
            (tmp_path / f"{folder}/{number}.txt").write_text(f"{folder}/{number}")
    (tmp_path / ".dockerignore").write_text("**/*.pyc\n.git\nsecret\n!secret/keep\n")
    before = context.fingerprint(tmp_path, context.ignores(tmp_path, tmp_path / "Dockerfile"))
    began = time.monotonic()
    assert context.fingerprint(tmp_path, context.ignores(tmp_path, tmp_path / "Dockerfile")) == before
    assert time.monotonic() - began < 10  # 0.5 s on two cores with nothing else running


# --- git


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "./Dockerfile", "docker/app.Dockerfile"])
def test_a_revision_is_dirty_when_something_of_the_context_differs(tree: Path, dockerfile: str) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)

    file = tree / dockerfile
    file.parent.mkdir(exist_ok=True)
    file.write_text("FROM scratch\n")
    own = file.with_name(file.name + ".dockerignore")
    own.write_text("docs\ndocker\nDockerfile*\n")
    (tree / ".dockerignore").write_text("docs\ndocker\nDockerfile*\n.dockerignore\n")
    git("init")
    git("add", "--all")
    git("commit", "-m", "all")
    source = Source(tree, dockerfile)
    clean = source.revision()
    (tree / "docs/a.md").write_text("left out")
    assert source.revision() == clean and "dirty" not in clean
    for change in (
        lambda: (tree / "new").write_text(""), lambda: (tree / "run.sh").unlink(),
        lambda: file.write_text("FROM scratch\nUSER 1\n"), lambda: own.write_text("docs\ndocker\nDockerfile*\nconf\n"),
    ):  # fmt: skip
        change()
        assert source.revision() == f"{clean}-dirty"
        git("stash", "--include-untracked")
        assert source.revision() == clean
