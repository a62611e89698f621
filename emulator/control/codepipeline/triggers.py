"""Triggers of pipelines whose source is a connection: checked, given by default, and matched with a push.

https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-triggers.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from emulator.control.codepipeline.tables import Json
from emulator.state.call import AwsError

PROVIDER = "CodeStarSourceConnection"

_FILTERS = 3  # of one event in a trigger
_PUSH = ({"tags"}, {"branches"}, {"branches", "filePaths"})
_PULL_REQUEST = ({"branches"}, {"branches", "filePaths"})


@dataclass(frozen=True)
class Pushed:
    """What a push changed: a branch or a tag, by its short name; `files` answers the paths when a filter asks."""

    kind: str  # "branch" or "tag"
    name: str
    commit: str  # or the object of an annotated tag
    files: Callable[[], Iterable[str]]


def connected(declaration: Json) -> Iterator[Json]:
    """The source actions that use a connection."""
    for action in declaration["stages"][0]["actions"]:
        if action["actionTypeId"]["provider"] == PROVIDER:
            yield action


def check(declaration: Json) -> None:
    """Raises AWS's errors."""
    sources = {action["name"] for action in connected(declaration)}
    seen: set[str] = set()
    for trigger in declaration.get("triggers") or []:
        given = trigger["gitConfiguration"]
        name = given["sourceActionName"]
        if trigger["providerType"] != PROVIDER or name not in sources or name in seen:
            raise AwsError(
                "InvalidStructureException",
                "Triggers for connection must reference a CodeStarSourceConnection action. Note that when you specify "
                "a trigger, you cant specify more than one trigger per source action.",
            )
        seen.add(name)
        _check_filters(given.get("push") or [], _PUSH)
        _check_filters(given.get("pullRequest") or [], _PULL_REQUEST)


def _check_filters(filters: list[Json], valid: tuple[set[str], ...]) -> None:
    if len(filters) > _FILTERS:
        raise AwsError("ValidationException", f"A trigger has at most {_FILTERS} filters for each event")
    for each in filters:
        if {key for key in each if key != "events" and each[key]} not in valid:
            raise AwsError(
                "InvalidStructureException",
                "The trigger configuration for the source action is not valid. Make sure to choose valid filter "
                "combinations.",
            )


def with_defaults(declaration: Json) -> list[Json]:
    """The triggers of a V2 pipeline: those that it declares, and one for each other source that detects changes."""
    declared = list(declaration.get("triggers") or [])
    named = {trigger["gitConfiguration"]["sourceActionName"] for trigger in declared}
    return declared + [
        {
            "providerType": PROVIDER,
            "gitConfiguration": {
                "sourceActionName": action["name"],
                "push": [{"branches": {"includes": [action["configuration"]["BranchName"]]}}],
            },
        }
        for action in connected(declaration)
        if action["name"] not in named and _detects(action)
    ]


def _detects(action: Json) -> bool:
    return str(action["configuration"].get("DetectChanges", "true")).lower() != "false"


def starts(declaration: Json, action: Json, pushed: Pushed) -> bool:
    """Whether a push to the action's repository starts the pipeline."""
    for trigger in declaration.get("triggers") or []:
        given = trigger["gitConfiguration"]
        if given["sourceActionName"] != action["name"]:
            continue
        if given.get("push") or given.get("pullRequest"):  # of pull requests the emulator has none
            return any(_passes(each, pushed) for each in given.get("push") or [])
        return _is_its_branch(action, pushed)
    # A V2 pipeline without a trigger was told not to detect changes.
    return declaration["pipelineType"] == "V1" and _detects(action) and _is_its_branch(action, pushed)


def _is_its_branch(action: Json, pushed: Pushed) -> bool:
    return pushed.kind == "branch" and pushed.name == action["configuration"]["BranchName"]


def _passes(each: Json, pushed: Pushed) -> bool:
    if pushed.kind == "tag":
        return bool(each.get("tags")) and _chosen(each["tags"], pushed.name)
    if not each.get("branches") or not _chosen(each["branches"], pushed.name):
        return False
    paths = each.get("filePaths")
    return not paths or any(_chosen(paths, path) for path in pushed.files())


def _chosen(criteria: Json, name: str) -> bool:
    """Excluded beats included; without includes everything is."""
    includes, excludes = criteria.get("includes") or [], criteria.get("excludes") or []
    if any(_glob(each).fullmatch(name) for each in excludes):
        return False
    return not includes or any(_glob(each).fullmatch(name) for each in includes)


@functools.lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/syntax-glob.html"""
    pieces = {
        "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|",
    }  # fmt: skip
    inside = 0
    found = ""
    for token in re.findall(r"\*\*/|\*\*|\\.|\[[!^]?[^\]]+\]|.", pattern, re.DOTALL):
        if token == "," and not inside:
            found += ","
        elif token in pieces:
            inside += {"{": 1, "}": -1}.get(token, 0)
            found += pieces[token]
        elif token.startswith("[") and len(token) > 1:
            found += "[" + token[1:].replace("\\", "\\\\").replace("!", "^", token[1] == "!")
        else:
            found += re.escape(token.removeprefix("\\") if len(token) > 1 else token)
    try:
        return re.compile(found, re.DOTALL)
    except re.error:  # an unbalanced brace is itself
        return re.compile(re.escape(pattern))
