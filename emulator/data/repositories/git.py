"""The stock git, on one bare repository: the only place that starts it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

ZERO = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_CONFIG = {
    "core.fsync": "all",  # a push is reported when it would survive the power going off
    "gc.autoDetach": "false",  # nothing of git outlives the request that started it
    "receive.denyDeleteCurrent": "refuse",  # CodeCommit does not let go of its default branch
    "advice.defaultBranchName": "false",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
}


class GitFailed(Exception):
    """git said no; the text is what it said."""


class Git:
    """Commands on the bare repository in `path`, whatever the configuration of the user or the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, *arguments: str, input: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What a command prints; GitFailed when it fails."""
        command = ["git", f"--git-dir={self.path}", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, env=environment(env), check=False)
        if done.returncode:
            raise GitFailed(done.stderr.decode("utf-8", "replace").strip())
        return done.stdout

    def line(self, *arguments: str, input: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        return self(*arguments, input=input, env=env).decode("utf-8", "replace").strip()

    def type_of(self, revision: str) -> str | None:
        """`commit`, `tree`, `blob` or `tag`; None when there is no such object."""
        try:
            return self.line("cat-file", "-t", revision)
        except GitFailed:
            return None

    def commit_of(self, reference: str) -> str | None:
        """The commit that a full reference or an id stands for, through annotated tags."""
        try:
            return self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
        except GitFailed:
            return None

    def clone(self, commit: str, target: Path) -> None:
        """A whole clone with its history in an empty folder, on `commit`."""
        self("clone", "--quiet", "--no-hardlinks", str(self.path), str(target))
        Git(target / ".git")(f"--work-tree={target}", "checkout", "--quiet", "--detach", commit)

    def serve(
        self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL, env: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """`upload-pack` or `receive-pack` with its options, on one request; its answer is read from `stdout`."""
        command = ["git", *arguments, "--stateless-rpc", str(self.path)]
        return subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(env)
        )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """git's environment: the search path, our configuration, and none of the caller's `GIT_*`."""
    config = {"GIT_CONFIG_COUNT": str(len(_CONFIG))}
    for number, (key, value) in enumerate(_CONFIG.items()):
        config[f"GIT_CONFIG_KEY_{number}"], config[f"GIT_CONFIG_VALUE_{number}"] = key, value
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    return {"PATH": os.environ.get("PATH", os.defpath), **own, **config, **(more or {})}
