"""The glob patterns of triggers, and which beats which."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.control.codepipeline.triggers import PROVIDER, Pushed, starts

ACTION = {
    "name": "Source", "actionTypeId": {"provider": PROVIDER},
    "configuration": {"BranchName": "main"},
}  # fmt: skip


def _starts(push: dict[str, Any], kind: str, name: str, *files: str) -> bool:
    trigger = {"providerType": PROVIDER, "gitConfiguration": {"sourceActionName": "Source", "push": [push]}}
    return starts({"pipelineType": "V2", "triggers": [trigger]}, ACTION, Pushed(kind, name, "0" * 40, lambda: files))


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("main", "main", "main2"),
        ("feature/*", "feature/a", "feature/a/b"),
        ("feature/**", "feature/a/b", "features/a"),
        ("**/done", "a/b/done", "a/undone"),
        ("**/done", "done", "done/a"),
        ("v?", "v1", "v10"),
        ("v[0-9]", "v1", "va"),
        ("v[!0-9]", "va", "v1"),
        ("{main,release-*}", "release-1", "release"),
        ("a.b", "a.b", "aab"),
        ("a+(b", "a+(b", "aa(b"),
        ("{a", "{a", "a"),
    ],
)
def test_a_pattern_is_a_glob(pattern: str, yes: str, no: str) -> None:
    assert _starts({"branches": {"includes": [pattern]}}, "branch", yes)
    assert not _starts({"branches": {"includes": [pattern]}}, "branch", no)


def test_excluded_beats_included() -> None:
    both = {"branches": {"includes": ["*"], "excludes": ["main"]}}
    assert _starts(both, "branch", "other") and not _starts(both, "branch", "main")
    assert _starts({"branches": {"excludes": ["main"]}}, "branch", "other")


def test_one_changed_file_that_counts_is_enough() -> None:
    push = {"branches": {"includes": ["main"]}, "filePaths": {"excludes": ["**/*.md"]}}
    assert _starts(push, "branch", "main", "docs/a.md", "a.py")
    assert not _starts(push, "branch", "main", "docs/a.md", "README.md")
    assert not _starts(push, "branch", "other", "a.py")


def test_a_filter_of_branches_is_none_of_tags() -> None:
    assert not _starts({"branches": {"includes": ["*"]}}, "tag", "v1")
    assert not _starts({"tags": {"includes": ["*"]}}, "branch", "main")
