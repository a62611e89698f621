"""Settings: where they come from, which one wins, and that every key is the stack's variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hcl2
import pytest

from orchestrator import config as configuration
from orchestrator.config import CHECKOUT, is_loopback
from orchestrator.errors import BadSetting, Refused
from orchestrator.settings import SETTINGS, find
from tests.e2e.machine import as_shipped

STACKS = ("network", "ecr", "secret", "ecs", "artifacts", "pipeline")
# What every stack gets beside its own table: names, the answers of its needs, and what the orchestrator makes.
GIVEN = {
    "account",
    "name",
    "region",
    "tags",
    "network",
    "ecr",
    "image",
    "secret",
    "ecs",
    "artifacts",
    "hook_package",
    "sources",
    "state_bucket",
}


def _plain(value: Any) -> Any:
    """An HCL literal as Python has it."""
    if isinstance(value, str):
        return None if value == "null" else value.strip('"')
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("__")}
    return value


def _variables(stack: str) -> dict[str, Any]:
    with (CHECKOUT / f"terraform/stacks/{stack}/variables.tf").open() as file:
        parsed = hcl2.load(file)
    found: dict[str, Any] = {}
    for block in parsed["variable"]:
        for name, body in block.items():
            if not name.startswith("__"):
                found[name.strip('"')] = _plain(body.get("default"))
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_the_keys_of_a_table_are_the_variables_of_its_stack_with_the_same_defaults(stack: str) -> None:
    variables = {name: default for name, default in _variables(stack).items() if name not in GIVEN}
    settings = {setting.key: setting.default for setting in SETTINGS if setting.table == stack}
    assert settings == variables


def test_flags_beat_variables_beat_the_file_beat_the_defaults(checkout: Path) -> None:
    path = checkout / "environments/local.toml"
    path.write_text(path.read_text() + "[ecs]\ncpu = 1024\nmemory = 2048\nstop_timeout = 30\n")
    env = {"CHATBOT_DEPLOY_ECS_CPU": "2048", "CHATBOT_DEPLOY_ECS_MEMORY": "8192"}
    found = configuration.load("local", checkout, ["ecs.cpu=4096"], env).table("ecs")
    assert (found["cpu"], found["memory"], found["stop_timeout"], found["desired_count"]) == (4096, 8192, 30, 2)


def test_text_from_a_variable_becomes_the_type_of_its_setting(checkout: Path) -> None:
    env = {
        "CHATBOT_DEPLOY_ECS_HOOK": "false",
        "CHATBOT_DEPLOY_NETWORK_TEST_CIDRS": "10.0.0.0/8, 192.168.0.0/16",
        "CHATBOT_DEPLOY_ECS_CHATBOT_TEMPERATURE": "1",
        "CHATBOT_DEPLOY_IMAGE_BUILD_ARGS": '{ WITH_MODEL = "1" }',
        "CHATBOT_DEPLOY_ECS_CHATBOT_TITLE": "42",
    }
    found = configuration.load("local", checkout, (), env)
    assert found.get("ecs", "hook") is False
    assert found.get("network", "test_cidrs") == ["10.0.0.0/8", "192.168.0.0/16"]
    assert found.get("ecs", "chatbot_temperature") == 1.0
    assert found.get("image", "build_args") == {"WITH_MODEL": "1"}
    assert found.get("ecs", "chatbot_title") == "42"


@pytest.mark.parametrize("name", ["local", "example"])
def test_the_environments_of_the_project_are_valid(name: str, checkout: Path) -> None:
    """Of the example's one choice each answer is."""
    (checkout / f"environments/{name}.toml").write_text(as_shipped(f"environments/{name}.toml"))
    chosen = ["network.allow_http=true"] if name == "example" else []
    assert configuration.load(name, checkout, chosen, {}).name == name
    if name == "example":
        with pytest.raises(BadSetting, match=r"network\.allow_http"):
            configuration.load(name, checkout, (), {})


def test_the_example_shows_every_setting() -> None:
    text = (CHECKOUT / "environments/example.toml").read_text()
    missing = [setting.name for setting in SETTINGS if f"{setting.key} = " not in text or setting.help not in text]
    assert missing == []


def test_the_bundle_is_refused_on_aws_with_its_remedies(checkout: Path) -> None:
    with pytest.raises(BadSetting) as refused:
        configuration.load("local", checkout, ["image.builder=bundle", "environment.endpoint_url="], {})
    assert "environment.endpoint_url" in refused.value.remedy and "docker" in refused.value.remedy


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.default is not None], ids=lambda s: s.name)
def test_every_default_satisfies_its_own_check(setting: Any) -> None:
    assert setting.problem(setting.default) == ""


def test_find_knows_only_what_is_in_the_table() -> None:
    assert find("ecs", "cpu") is not None
    assert find("ecs", "nope") is None


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://localhost:4566", True),
        ("http://127.0.0.1:4566", True),
        ("http://[::1]:4566", True),
        ("http://emulator.localhost", True),
        ("http://10.0.0.1:4566", False),
        ("https://localhost.example.com", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, answer: bool) -> None:
    assert is_loopback(url) is answer


def test_an_unknown_environment_names_the_known_ones(checkout: Path) -> None:
    with pytest.raises(Refused, match="did you mean 'local'"):
        configuration.load("locall", checkout, (), {})
