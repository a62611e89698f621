"""The context as Docker's engine saw it equals ours: over generated trees and ignore files, by both of its builders."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.tools import context, process
from tests.docker_base import docker

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="images")]

NAMES = st.sampled_from(["a", "b", "a.txt", "b.json", ".git", "keep", "ab", "a b", "é", "x*y"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(
    ["*", "**", "?", "a*", "*.txt", "**.json", "[ab]", "[!a]", "[^a]*", "..", ".", "a\\*", "x\\*y", ""]
)
LINES = st.one_of(
    st.lists(NAMES | PARTS, min_size=1, max_size=4).map("/".join),
    st.sampled_from(["", "# a", " # b", "*", "**", "*.txt", "**/*.txt", "**/keep", "/a", "./b", "a/", "*/", "**/"]),
)
IGNORED = st.lists(st.tuples(st.sampled_from(["", "", "!", "! ", " "]), LINES).map("".join), max_size=6).map("\n".join)


def _tree(folder: Path, paths: list[str], ignored: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / ".dockerignore").write_text(ignored)
    for number, path in enumerate(paths):
        place = folder / path
        above = [folder / parent for parent in Path(path).parents]
        if os.path.lexists(place) or any(parent.is_symlink() or parent.is_file() for parent in above):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if number % 5 == 4:
            place.symlink_to("a")
        else:
            place.write_text(path)
            place.chmod(0o755 if number % 2 else 0o640)


def _ours(folder: Path) -> dict[str, int]:
    found = context.entries(folder, context.ignores(folder, folder / "Dockerfile"))
    return {entry.path: 0 if entry.is_link else stat.S_IMODE(entry.status.st_mode) for entry in found}


def _theirs(folder: Path, builder: str) -> dict[str, int] | None:
    """What `COPY . /` found, None where the engine refuses the ignore file."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1" if builder == "buildkit" else "0"}
    out = folder.with_name("out.tar")
    if builder == "buildkit":
        command = ["docker", "build", "--quiet", "--output", f"type=tar,dest={out}", str(folder)]
        done = process.run(command, env=environment, timeout=300)
    else:
        done = process.run(["docker", "build", "--tag", "context-test", str(folder)], env=environment, timeout=300)
    if done.code:
        assert "pattern" in done.err or "no such file" in done.err or "is empty" in done.err, done.err
        return None
    if builder == "classic":
        created = docker("create", "context-test", "nothing").stdout.strip()
        docker("export", "--output", str(out), created)
        docker("rm", created)
    with tarfile.open(fileobj=io.BytesIO(out.read_bytes())) as tar:
        found = {entry.name.strip("/"): 0 if entry.issym() else stat.S_IMODE(entry.mode) for entry in tar}
    out.unlink()
    # What the engine puts into every container.
    return {name: mode for name, mode in found.items() if builder == "buildkit" or name.split("/")[0] not in
            (".dockerenv", "dev", "proc", "sys", "etc")}  # fmt: skip


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_the_context_is_the_engines(base: str, tmp_path: Path, builder: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
    @given(paths=st.lists(PATHS, max_size=12), ignored=IGNORED)
    @example(paths=["conf/prompts.json", "a.json"], ignored="*.json")
    @example(paths=["secret/a", "a"], ignored="./secret")
    @example(paths=["a/b/keep", "a/b/x"], ignored="*\n!a/b/keep")
    @example(paths=["a/b/keep", "a/b/x"], ignored="**\n!**/keep")
    def agrees(paths: list[str], ignored: str) -> None:
        folder = tmp_path / "tree"
        _tree(folder, paths, ignored)
        theirs = _theirs(folder, builder)
        if theirs is None:
            return
        ours = _ours(folder)
        if builder == "buildkit":
            assert ours == theirs, ignored
        else:  # which does not look below some folders that BuildKit looks below
            assert {**ours, **theirs} == ours, ignored

    agrees()
