"""What git says of the checkout. Short questions only; a checkout without git is answered, not refused."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.errors import Unreachable
from orchestrator.tools import process


def revision_of(folder: Path, counts: Callable[[str], bool]) -> str:
    """The commit that is checked out, ``-dirty`` when a path in ``folder`` that counts differs from it; ``unknown``
    without git."""
    commit = head(folder)
    if not commit:
        return "unknown"
    others = _names(folder, "ls-files", "--others", "--exclude-standard", "-z")
    return f"{commit}-dirty" if any(counts(path) for path in changed(folder) + others) else commit


def author_date(root: Path, revision: str) -> str:
    """When a commit was written, as ISO 8601 says; empty for one that this checkout does not know."""
    commit = revision.removesuffix("-dirty")
    if not commit or commit == "unknown":
        return ""
    answer = process.run(["git", "show", "--no-patch", "--format=%aI", commit], cwd=root)
    return answer.out.strip() if answer.code == 0 else ""


def head(root: Path) -> str:
    """The commit that is checked out; empty without git or before the first commit."""
    return process.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=root).out.strip()


def branch(root: Path) -> str:
    return process.run(["git", "branch", "--show-current"], cwd=root).out.strip()


def tracked(root: Path) -> list[str]:
    """The files that git knows in ``root``, relative to it."""
    return _names(root, "ls-files", "-z")


def changed(root: Path) -> list[str]:
    """Tracked files in ``root`` that differ from the last commit, relative to it."""
    return _names(root, "diff", "--name-only", "--relative", "-z", "HEAD")


def _names(root: Path, *arguments: str) -> list[str]:
    return [name for name in process.run(["git", *arguments], cwd=root).out.split("\0") if name]


def push(root: Path, url: str, branch_name: str, env: Mapping[str, str]) -> str:
    """Pushes HEAD to a CodeCommit repository with SigV4 credentials; git's words when it was refused, else empty."""
    helper = f"!{shlex.quote(sys.executable)} -P {shlex.quote(str(Path(__file__).with_name('git_credential.py')))}"
    # The empty helper first drops the user's own: a keychain would keep the 15-minute password.
    options = ["-c", "credential.helper=", "-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true"]
    command = ["git", *options, "push", "--porcelain", url, f"HEAD:refs/heads/{branch_name}"]
    done = process.run(command, cwd=root, env={**env, "GIT_TERMINAL_PROMPT": "0"}, timeout=600)
    return "" if done.code == 0 else (done.err.strip() or done.out.strip())


def remote_of(root: Path, repository: str) -> str:
    """The remote whose URL names ``OWNER/REPOSITORY``; empty when there is none."""
    wanted = repository.lower()
    for line in process.run(["git", "remote", "-v"], cwd=root).out.splitlines():
        name, _, rest = line.partition("\t")
        url = rest.rpartition(" ")[0].lower().removesuffix("/").removesuffix(".git")
        if url.endswith((f"/{wanted}", f":{wanted}")):
            return name
    return ""


def remote_head(root: Path, remote: str, branch_name: str) -> str:
    """The commit of a branch at a remote or URL, read with the user's own credentials; empty when there is none."""
    reference = f"refs/heads/{branch_name}"
    done = process.run(["git", "ls-remote", remote, reference], cwd=root, env=_unattended(), timeout=60)
    if done.code:
        raise Unreachable(
            f"git cannot read {remote}: {done.err.strip() or 'no answer'}", f"this must work: git ls-remote {remote}"
        )
    return done.out.partition("\t")[0].strip()


def push_remote(root: Path, remote: str, branch_name: str) -> str:
    """Pushes HEAD to a remote or URL, with the user's own credentials; git's words when it was refused, else empty."""
    command = ["git", "push", remote, f"HEAD:refs/heads/{branch_name}"]
    done = process.run(command, cwd=root, env=_unattended(), timeout=600)
    return "" if done.code == 0 else (done.err.strip() or done.out.strip())


def author_of(root: Path, commit: str) -> str:
    """Who wrote a commit; empty for one that this checkout does not know."""
    done = process.run(["git", "show", "--no-patch", "--format=%an", f"{commit}^{{commit}}"], cwd=root)
    return done.out.strip() if done.code == 0 else ""


def subject(root: Path, commit: str) -> str:
    """The first line of a commit's message; empty for one that this checkout does not know."""
    done = process.run(["git", "show", "--no-patch", "--format=%s", f"{commit}^{{commit}}"], cwd=root)
    return done.out.strip() if done.code == 0 else ""


def log(root: Path, since: str, until: str) -> list[str]:
    """The commits of ``until`` that ``since`` has not, the newest first, each with eight digits and its subject; none
    where this checkout does not know one of the two."""
    done = process.run(["git", "log", "--format=%H %s", f"{since}..{until}"], cwd=root)
    lines = done.out.splitlines() if done.code == 0 else []
    return [f"{line[:8]} {line.partition(' ')[2]}" for line in lines]


def text_at(root: Path, commit: str, file: str) -> str | None:
    """What a file held in a commit; None where it was not there, or nobody here knows the commit."""
    done = process.run(["git", "show", f"{commit}:./{file}"], cwd=root)
    return done.out if done.code == 0 else None


def _unattended() -> dict[str, str]:
    """Nobody is there to answer a prompt."""
    return {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
