"""What the tool tells its user to type is made by one function, and its own parser takes it."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from orchestrator import commands
from orchestrator.cli import app
from orchestrator.config import CHECKOUT
from orchestrator.errors import NotApplied
from orchestrator.tools.aws import remedy_of

REFUSED: Any = typer.BadParameter.__mro__[2]  # Click's ClickException, whichever Click Typer has
PACKAGE = CHECKOUT / "orchestrator"
# What stands in the braces of a command that is put together.
FILLED = {"name": ["network", "pipeline"], "verb": ["deploy", "plan", "destroy", "repair", "phase ecs"]}


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file, ast.parse(file.read_text(encoding="utf-8"))


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return {body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)}


def _spelled(argument: ast.expr) -> list[str]:
    """The verbs that an argument of `command` can be."""
    if isinstance(argument, ast.IfExp):
        return [*_spelled(argument.body), *_spelled(argument.orelse)]
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.Name):
        return FILLED[argument.id]
    assert isinstance(argument, ast.JoinedStr), ast.unparse(argument)
    parts = [_spelled(part.value if isinstance(part, ast.FormattedValue) else part) for part in argument.values]
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def _told() -> Iterator[tuple[str, str]]:
    for file, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and file.name not in ("commands.py", "config.py"):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "command" and node.args and ast.unparse(node.func) not in ("app.command", "secret.command"):
                    yield from ((f"{file.name}:{node.lineno}", verb) for verb in _spelled(node.args[0]))


def _parse(words: list[str]) -> None:
    """Raises what Typer would print; nothing is run."""
    command: Any = typer.main.get_command(app)
    context, name = None, "orchestrator"
    while hasattr(command, "commands"):
        context = command.context_class(command, info_name=name, parent=context)
        name, command, words = command.resolve_command(context, words)
    command.make_context(name, list(words), parent=context)


TOLD = sorted(set(_told()))


def test_there_are_commands_to_look_at() -> None:
    assert len(TOLD) > 40


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_every_command_that_is_told_is_one(environment: str) -> None:
    for place, verb in TOLD:
        words = commands.command(verb, environment).split()
        assert words[:3] == ["python", "-m", "orchestrator"]
        try:
            _parse(words[3:])
        except REFUSED as error:
            pytest.fail(f"{place} tells to type '{' '.join(words)}': {error}")


def test_what_is_no_command_is_found_out() -> None:
    for words in (["release", "--sideways"], ["reapir"], ["phase"]):
        with pytest.raises(REFUSED):
            _parse(words)


def test_nowhere_else_is_a_command_spelled() -> None:
    plain = [
        f"{file.relative_to(CHECKOUT)}:{node.lineno}: {node.value}"
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node not in _docstrings(tree) and file.name != "commands.py"
        if isinstance(node.value, str) and "-m orchestrator " in node.value
    ]
    assert not plain


def test_an_error_that_knows_no_environment_tells_of_the_one_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "_asked_for", "prod")
    assert "python -m orchestrator status --env prod" in remedy_of("NoSuchEntity")
    assert "phase ecs --env test" in NotApplied("ecs", "release", "test").remedy


@pytest.mark.parametrize(
    ("error_code", "says_permissions"),
    [("AccessDeniedException", True), ("UnauthorizedOperation", True), ("403", True), ("ThrottlingException", False),
     ("DeploymentNotStartedException", False), ("NoSuchBucket", False), ("LimitExceededException", False)],
)  # fmt: skip
def test_permissions_are_blamed_for_permissions_alone(error_code: str, says_permissions: bool) -> None:
    assert ("permissions" in remedy_of(error_code)) is says_permissions
