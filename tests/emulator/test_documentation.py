"""docs/emulator.md says what there is: commands, options, services."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from emulator.__main__ import _parser
from emulator.control.table import SERVICES

PAGE = (Path(__file__).parents[2] / "docs/emulator.md").read_text()

# Where people do not call a service as boto3 does.
_NAMES = {
    "application-autoscaling": "Application Auto Scaling",
    "elbv2": "Elastic Load Balancing",
    "events": "EventBridge",
    "logs": "CloudWatch Logs",
    "resourcegroupstaggingapi": "Resource Groups Tagging",
    "secretsmanager": "Secrets Manager",
}


def _commands() -> dict[str, argparse.ArgumentParser]:
    actions = _parser()._subparsers
    assert actions is not None
    found: dict[str, argparse.ArgumentParser] = dict(actions._group_actions[0].choices or {})
    return found


@pytest.mark.parametrize("command", sorted(_commands()))
def test_every_command_is_documented(command: str) -> None:
    assert f"python -m emulator {command}" in PAGE


def test_every_option_of_start_is_documented() -> None:
    options = {option for action in _commands()["start"]._actions for option in action.option_strings}
    missing = {option for option in options - {"-h", "--help"} if f"`{option}`" not in PAGE}
    assert missing == set()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_that_is_ours_is_documented(service: str) -> None:
    assert re.search(re.escape(_NAMES.get(service, service)), PAGE, re.IGNORECASE)
