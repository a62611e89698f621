"""A verb, a phase or a setting that neither the README nor docs/orchestrator.md tells of is a mistake."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer.main

from orchestrator import phases
from orchestrator.cli import app
from orchestrator.config import CHECKOUT
from orchestrator.settings import SETTINGS, Setting

PAGE = (CHECKOUT / "README.md").read_text() + (CHECKOUT / "docs/orchestrator.md").read_text()


def _verbs(command: Any, before: str = "") -> list[str]:
    found = []
    for name, sub in command.commands.items():
        found += _verbs(sub, f"{before}{name} ") if hasattr(sub, "commands") else [f"{before}{name}"]
    return found


def _shown(setting: Setting) -> str:
    if setting.default is None:
        return "unset"
    value = setting.default
    text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else json.dumps(value)
    return f"`{text}`"


@pytest.mark.parametrize("verb", _verbs(typer.main.get_command(app)))
def test_every_verb_is_documented(verb: str) -> None:
    assert f"| `{verb}" in PAGE


@pytest.mark.parametrize("phase", phases.PHASES, ids=lambda phase: phase.name)
def test_every_phase_is_documented_with_what_it_needs(phase: phases.Phase) -> None:
    needs = ", ".join(f"`{need}`" for need in phase.needs) or "-"
    assert f"| `{phase.name}` | {needs} | {phase.about} |" in PAGE


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented_as_it_is(setting: Setting) -> None:
    assert f"| `{setting.name}` | {setting.type_name} | {_shown(setting)} | {setting.help} |" in PAGE
