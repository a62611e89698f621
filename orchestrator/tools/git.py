"""What git says of the checkout. Short questions only; a checkout without git is answered, not refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.tools import process


def last_commit_of(root: Path, paths: Iterable[str]) -> str:
    """The last commit that touched ``paths``, ``-dirty`` when they have changed since; ``unknown`` without git."""
    chosen = list(paths)
    found = process.run(["git", "log", "-1", "--format=%H", "--", *chosen], cwd=root)
    revision = found.out.strip()
    if found.code or not revision:
        return "unknown"
    changed = process.run(["git", "status", "--porcelain", "--", *chosen], cwd=root)
    return f"{revision}-dirty" if changed.out.strip() else revision


def head(root: Path) -> str:
    """The commit that is checked out; empty without git or before the first commit."""
    return process.run(["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=root).out.strip()


def branch(root: Path) -> str:
    return process.run(["git", "branch", "--show-current"], cwd=root).out.strip()


def changed(root: Path) -> list[str]:
    """Tracked files that differ from the last commit."""
    lines = process.run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=root).out.splitlines()
    return [line[3:] for line in lines]
