"""buildspec.yml, versions 0.1 and 0.2, read and checked.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")

_TOP = {"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
_ON_FAILURE = re.compile(r"ABORT|CONTINUE|RETRY(-\d+)?(-.+)?")


class BuildspecError(Exception):
    """CodeBuild's YAML_FILE_ERROR."""


@dataclass(frozen=True)
class Phase:
    commands: list[str] = field(default_factory=list)
    finally_: list[str] = field(default_factory=list)
    on_failure: str | None = None


@dataclass(frozen=True)
class Artifact:
    """`files`, `exclude` and `base` are patterns; `name` may hold shell expressions."""

    files: list[str]
    base: str = ""
    exclude: list[str] = field(default_factory=list)
    discard_paths: bool = False
    name: str = ""


@dataclass(frozen=True)
class Buildspec:
    phases: dict[str, Phase]
    shell: str = "sh"
    variables: dict[str, str] = field(default_factory=dict)
    parameter_store: dict[str, str] = field(default_factory=dict)
    secrets_manager: dict[str, str] = field(default_factory=dict)
    exported: list[str] = field(default_factory=list)
    artifact: Artifact | None = None
    secondary: dict[str, Artifact] = field(default_factory=dict)


def parse(text: str) -> Buildspec:
    """Raises BuildspecError with what is wrong and where."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildspecError(f"Invalid buildspec: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise BuildspecError("Invalid buildspec: it is empty or not a mapping")
    if str(document.get("version")) not in ("0.1", "0.2"):
        raise BuildspecError(f"Invalid buildspec: unsupported version {document.get('version')}")
    if unknown := sorted(set(document) - _TOP):
        raise BuildspecError(f"Invalid buildspec: unknown key {unknown[0]}")
    env = _mapping(document, "env")
    artifact, secondary = _artifacts(_mapping(document, "artifacts"))
    return Buildspec(
        _phases(document), _shell(env), _strings(env, "variables"), _strings(env, "parameter-store"),
        _strings(env, "secrets-manager"), _list(env, "exported-variables"), artifact, secondary,
    )  # fmt: skip


def _phases(document: dict[str, Any]) -> dict[str, Phase]:
    phases = _mapping(document, "phases")
    if not phases:
        raise BuildspecError("Invalid buildspec: at least one phase is required")
    if unknown := sorted(set(phases) - set(PHASES)):
        raise BuildspecError(f"Invalid buildspec: unknown phase {unknown[0]}")
    return {name: _phase(name, phases[name] or {}) for name in phases}


def _phase(name: str, phase: dict[str, Any]) -> Phase:
    if not isinstance(phase, dict):
        raise BuildspecError(f"Invalid buildspec: phase {name} is not a mapping")
    on_failure = phase.get("on-failure")
    if on_failure is not None and not _ON_FAILURE.fullmatch(str(on_failure)):
        raise BuildspecError(f"Invalid buildspec: on-failure {on_failure} of phase {name}")
    return Phase(_list(phase, "commands"), _list(phase, "finally"), on_failure)


def _shell(env: dict[str, Any]) -> str:
    shell = str(env.get("shell", "sh"))
    if shell not in ("sh", "bash", "/bin/sh", "/bin/bash"):
        raise BuildspecError(f"Invalid buildspec: shell {shell} is not one of Linux")
    return shell


def _artifacts(section: dict[str, Any]) -> tuple[Artifact | None, dict[str, Artifact]]:
    secondary = {name: _artifact(name, each) for name, each in _mapping(section, "secondary-artifacts").items()}
    if not section or ("files" not in section and secondary):
        return None, secondary
    return _artifact("artifacts", section), secondary


def _artifact(name: str, section: Any) -> Artifact:
    if not isinstance(section, dict) or not _list(section, "files"):
        raise BuildspecError(f"Invalid buildspec: {name} has no files")
    discard = str(section.get("discard-paths", "no")).lower() in ("yes", "true")
    return Artifact(
        _list(section, "files"), str(section.get("base-directory") or ""), _list(section, "exclude-paths"), discard,
        str(section.get("name") or ""),
    )  # fmt: skip


def _mapping(section: dict[str, Any], key: str) -> dict[str, Any]:
    found = section.get(key) or {}
    if not isinstance(found, dict):
        raise BuildspecError(f"Invalid buildspec: {key} is not a mapping")
    return found


def _strings(section: dict[str, Any], key: str) -> dict[str, str]:
    return {str(name): _text(value) for name, value in _mapping(section, key).items()}


def _list(section: dict[str, Any], key: str) -> list[str]:
    found = section.get(key) or []
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list) or any(isinstance(each, dict | list) for each in found):
        # A colon and a space in a bare command make YAML read a mapping: the most common mistake of all.
        raise BuildspecError(f"Invalid buildspec: {key} is not a list of strings; a command with ': ' needs quotes")
    return [_text(each) for each in found]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
