"""The table of settings: what it reads, what it refuses, and that it is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import chatbot
from chatbot.settings import TABLE, Settings, SettingsError, load

ROOT = Path(__file__).parents[2]


def test_without_an_environment_the_backend_is_embedded_and_every_default_holds() -> None:
    settings = load({})
    assert settings.backend == "embedded"
    for setting in TABLE:
        if setting.variable != "CHATBOT_BACKEND":
            assert getattr(settings, setting.attribute) == setting.default


def test_the_table_and_the_settings_have_the_same_names() -> None:
    assert [setting.attribute for setting in TABLE] == [field.name for field in fields(Settings)]


@pytest.mark.parametrize(
    ("environment", "backend"),
    [
        ({"HF_TOKEN": "hf_x"}, "huggingface"),
        ({"HF_TOKEN": "hf_x", "CHATBOT_BASE_URL": "http://a/v1"}, "huggingface"),
        ({"CHATBOT_BASE_URL": "http://a/v1"}, "openai"),
        ({"HF_TOKEN": "unset"}, "embedded"),
        ({"HF_TOKEN": ""}, "embedded"),
        ({"HF_TOKEN": "hf_x", "CHATBOT_BACKEND": "embedded"}, "embedded"),
    ],
)
def test_auto_takes_the_token_then_the_base_url_then_the_embedded_model(
    environment: dict[str, str], backend: str
) -> None:
    assert load(environment).backend == backend


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CHATBOT_TITEL": "x"}, "CHATBOT_TITEL is not a setting; did you mean CHATBOT_TITLE?"),
        ({"PORT": "eighty"}, "PORT is 'eighty', but must be a whole number from 0 to 65535"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"CHATBOT_TEMPERATURE": "nan"}, "a number from 0 to 2"),
        ({"CHATBOT_TEMPERATURE": "hot"}, "a number from 0 to 2"),
        ({"CHATBOT_MAX_TOKENS": "0"}, "a whole number from 1"),
        ({"CHATBOT_BACKEND": "gpt"}, "one of auto, huggingface, openai, embedded"),
        ({"CHATBOT_BACKEND": "openai"}, "CHATBOT_BASE_URL is not set"),
        ({"CHATBOT_BACKEND": "huggingface", "HF_TOKEN": "unset"}, "HF_TOKEN is not set"),
        ({"CHATBOT_BASE_URL": "localhost:8000"}, "an http:// or https:// URL"),
        ({"CHATBOT_VISITOR_SETTINGS": "temperature,colour"}, "a comma-separated list of system_prompt"),
        ({"MODEL_GGUF": "/nowhere/x.gguf"}, "there is no such file"),
        ({"CHATBOT_DRAIN_SECONDS": "500"}, "a number from 0 to 110"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_should_be(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(environment)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"PORT": "x", "CHATBOT_SLOTS": "x", "CHATBOT_NOPE": "x"})
    assert len(caught.value.problems) == 3


def test_a_secret_shows_neither_in_an_error_nor_in_the_representation() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"HF_TOKEN": "hf_very secret"})
    assert "very" not in str(caught.value)
    assert "hf_abc" not in repr(load({"HF_TOKEN": "hf_abc"}))


def test_a_wrong_setting_ends_the_program_with_2_and_a_line_before_anything_is_loaded() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "chatbot"], cwd=ROOT, env={"CHATBOT_TITEL": "x"},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert run.returncode == 2
    assert "chatbot: CHATBOT_TITEL is not a setting; did you mean CHATBOT_TITLE?" in run.stderr
    assert not re.search(r"\| +gradio$", run.stderr, re.MULTILINE)


def test_the_documentation_has_every_setting_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\w+) \| (.*?) \| (.*) \|$",
                      (ROOT / "docs/chatbot.md").read_text(), re.MULTILINE)  # fmt: skip
    documented = {name: (kind, default, text) for name, kind, default, text in rows}
    assert documented == {
        setting.variable: (setting.type, shown_default(setting.default), setting.help) for setting in TABLE
    }


def shown_default(default: object) -> str:
    """A default as the documentation shows it."""
    if default == "" or default == ():
        return ""
    return f"`{'|'.join(default)}`".replace("|", "\\|") if isinstance(default, tuple) else f"`{default}`"


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["nonsense"], 2, "invalid choice: 'nonsense'"), (["--port", "1"], 2, "usage: python -m chatbot"),
    (["--help"], 0, "docs/chatbot.md"), (["--version"], 0, f"chatbot {chatbot.__version__}"),
])  # fmt: skip
def test_arguments_are_answered_with_usage_and_nothing_is_served(arguments: list[str], code: int, says: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "chatbot", *arguments], cwd=ROOT, env={}, capture_output=True, text=True, timeout=90
    )
    assert (run.returncode, says in run.stdout + run.stderr) == (code, True)


def test_what_a_task_is_given_are_settings_of_the_chatbot() -> None:
    """A variable that the chatbot's table does not know ends the start of every task."""
    text = (ROOT / "taskdef.json").read_text()
    given = re.findall(r'\{"name": "(\w+)", "value(?:From)?": "<(\w+)>"\}', text)
    assert len(given) == text.count('{"name": "') and given
    assert {name for name, _ in given} <= {setting.variable for setting in TABLE}
    environment = {name for name, placeholder in given if name == placeholder}
    stack = (ROOT / "terraform/stacks/ecs/main.tf").read_text()
    block = re.search(r"\n  environment = \{\n(.*?)\n  \}", stack, re.DOTALL)
    assert block and environment == set(re.findall(r"(?m)^ +(\w+) += ", block[1]))
    assert {name for name, placeholder in given if name != placeholder} == {"HF_TOKEN"}, "of Secrets Manager"
