"""The renderer: one pass, the text must parse, nothing may be left over; the same as the HCL of module service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import documents
from orchestrator.config import CHECKOUT
from orchestrator.errors import BadDocument

PROMPT = 'Say "hi" <NAME> & go\nnow'


def _values(text: str) -> dict[str, str]:
    """A value for every placeholder; a number is one in any place."""
    values = {name: "1" for name in documents.placeholders(text) if name not in documents.LEFT_TO_THE_PIPELINE}
    return values | {"CHATBOT_SYSTEM_PROMPT": PROMPT}


def test_the_projects_task_definition_becomes_valid_json_whatever_the_prompt_holds() -> None:
    template = (CHECKOUT / "taskdef.json").read_text()
    text = documents.render(template, _values(template), "taskdef.json")
    container = json.loads(text)["containerDefinitions"][0]
    environment = {entry["name"]: entry["value"] for entry in container["environment"]}
    assert environment["CHATBOT_SYSTEM_PROMPT"] == PROMPT
    assert container["image"] == "<IMAGE1_NAME>"
    assert "<NAME>" not in text, "CodePipeline would take it for a placeholder"


def test_the_projects_appspec_keeps_the_pipelines_own_placeholder() -> None:
    template = (CHECKOUT / "appspec.yaml").read_text()
    text = documents.render(template, _values(template), "appspec.yaml")
    assert documents.placeholders(text) == ["TASK_DEFINITION"]


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(BadDocument, match="<MEMROY>"):
        documents.render('{"memory": "<MEMROY>"}', {"MEMORY": "1"}, "taskdef.json")


def test_text_that_is_no_json_is_refused_with_its_line() -> None:
    with pytest.raises(BadDocument, match="line 2"):
        documents.render('{\n"cpu": <CPU>,\n}', {"CPU": "oops"}, "taskdef.json")


def test_a_value_is_never_searched_for_placeholders() -> None:
    assert documents.render("<A> <B>", {"A": "<B>", "B": "b"}, "appspec.yaml") == "<B> b"


def test_the_command_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    (tmp_path / "taskdef.json").write_text('{"cpu": "<CPU>"}')
    command = [sys.executable, "-S", "-m", "orchestrator.documents", "render", "--values-json", '{"CPU": 512}']
    done = subprocess.run(
        [*command, str(tmp_path / "taskdef.json")], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, (tmp_path / "taskdef.json").read_text()) == (0, '{"cpu": "512"}'), done.stderr


def test_the_command_refuses_what_it_cannot_render(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "appspec.yaml").write_text("x: <NOPE>\n")
    assert documents.main(["render", "--values-json", "{}", str(tmp_path / "appspec.yaml")]) == 2
    assert "<NOPE>" in capsys.readouterr().err
    assert documents.main(["render", "--values-json", "[]", str(tmp_path / "appspec.yaml")]) == 2


def test_the_image_and_the_task_definition_have_one_health_check() -> None:
    line = re.search(r"^HEALTHCHECK (.*) CMD (\[.*\])$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    assert line
    template = (CHECKOUT / "taskdef.json").read_text()
    rendered = json.loads(documents.render(template, _values(template), "taskdef.json"))
    task = rendered["containerDefinitions"][0]["healthCheck"]
    flags = dict(re.findall(r"--(\S+?)=(\d+)s?", line[1]))
    names = {"interval": "interval", "timeout": "timeout", "retries": "retries", "start-period": "startPeriod"}
    assert {names[flag]: int(value) for flag, value in flags.items()} == {name: task[name] for name in names.values()}
    assert ["CMD", *json.loads(line[2])] == task["command"]
