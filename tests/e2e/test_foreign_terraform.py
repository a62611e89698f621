"""Terraform that nobody here wrote for the emulator: applied, planned again without changes, destroyed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import daemon
from emulator.state.clients import Credentials
from emulator.state.config import Config
from orchestrator.tools import terraform_program
from tests.e2e.machine import PROJECT
from tests.ports import free_ports

LOCK = PROJECT / "terraform/stacks/network/.terraform.lock.hcl"


class Root:
    """A copy of a folder of Terraform, with an emulator of its own."""

    def __init__(self, folder: Path, name: str = "foreign") -> None:
        self.folder = folder / "root"
        shutil.copytree(Path(__file__).parent / name, self.folder)
        shutil.copy(LOCK, self.folder)
        port, self.http_port = free_ports(2)
        self.options = daemon.Options((folder / "emulator").resolve(), Config(port, "process"))
        self.url = f"http://localhost:{port}"
        config = folder / "terraform.rc"
        (folder / "cache").mkdir()
        mirror = terraform_program.mirror(terraform_program.locked_version(LOCK))
        config.write_text(terraform_program.cli_config(mirror, folder / "cache"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "AWS_"))}
        credentials = Credentials()
        self._environ = kept | {
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_VAR_http_port": str(self.http_port),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        }

    def __call__(self, *argv: str) -> subprocess.CompletedProcess[str]:
        command = [*terraform_program.find().command, *argv]
        return subprocess.run(
            command, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=600, check=False
        )

    def apply(self) -> None:
        """Whether or not another test has destroyed it."""
        if daemon.running(self.options.folder):
            return
        self.instance = daemon.start(self.options)
        initialised = self("init", "-input=false", "-lockfile=readonly", "-no-color")
        assert initialised.returncode == 0, initialised.stderr
        applied = self("apply", "-auto-approve", "-input=false", "-no-color")
        assert applied.returncode == 0, applied.stdout[-3000:] + applied.stderr

    def stop(self) -> None:
        if found := daemon.running(self.options.folder):
            daemon.stop(self.options, found)


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    root = Root(tmp_path_factory.mktemp("foreign"))
    try:
        yield root
    finally:
        root.stop()


@pytest.fixture
def root(shared_root: Root) -> Root:
    """Applied."""
    shared_root.apply()
    return shared_root


@pytest.mark.e2e
@pytest.mark.slow(group="foreign")
def test_a_second_plan_has_no_changes(root: Root) -> None:
    planned = root("plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert planned.returncode == 0, planned.stdout[-3000:] + planned.stderr


@pytest.mark.e2e
@pytest.mark.slow(group="foreign")
def test_its_listener_answers_as_its_rules_say(root: Root) -> None:
    url = f"http://localhost:{root.http_port}"
    assert _get(f"{url}/teapot/1", {"X-Tea": "yes"}) == (418, "short and stout")
    assert _get(f"{url}/teapot/1", {})[0] == 503  # no target in the default action's groups


@pytest.mark.e2e
@pytest.mark.slow(group="foreign")
def test_destroy_leaves_nothing(root: Root) -> None:
    destroyed = root("destroy", "-auto-approve", "-input=false", "-no-color")
    assert destroyed.returncode == 0, destroyed.stdout[-3000:] + destroyed.stderr
    assert json.loads((root.folder / "terraform.tfstate").read_text())["resources"] == []
    status: dict[str, Any] | None = daemon.health(root.instance)
    assert status and status["listeners"] == []
    assert not daemon.stop(root.options, root.instance)


def _get(url: str, headers: dict[str, str]) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
