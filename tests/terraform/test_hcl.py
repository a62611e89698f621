"""The HCL by itself: formatted, valid, and every module's promises held with mock providers (`tests/*.tftest.hcl`).

`terraform test` asks the provider for the shapes of what it mocks, and starts it again for every step. Here one
provider serves all of them, as HashiCorp lets a debugged one do: https://developer.hashicorp.com/terraform/plugin/debugging
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.state.children import Child, Children
from orchestrator.tools import terraform_program

pytestmark = pytest.mark.terraform
PROJECT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.name for path in (PROJECT / "terraform/modules").iterdir() if any(path.glob("*.tf")))
STACKS = sorted(path.name for path in (PROJECT / "terraform/stacks").iterdir() if any(path.glob("*.tf")))
LOCK = ".terraform.lock.hcl"


class Terraform:
    """Terraform in a copy of the tree, so that `init` writes nothing into the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(
            PROJECT / "terraform", folder / "terraform", ignore=shutil.ignore_patterns(".terraform", "*.tfstate*")
        )
        for name in ("taskdef.json", "appspec.yaml", "buildspec.yml"):
            shutil.copy(PROJECT / name, folder)
        lock = PROJECT / "terraform/stacks/network" / LOCK
        mirror = terraform_program.mirror(terraform_program.locked_version(lock))
        config = folder / "terraform.rc"
        config.write_text(terraform_program.cli_config(mirror, folder / "cache"))
        (folder / "cache").mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "AWS_"))}
        self._env = kept | {"TF_CLI_CONFIG_FILE": str(config), "AWS_REGION": "us-east-1"}
        self._served: dict[str, str] = {}
        self._program = terraform_program.find().command

    def __call__(self, where: str, *argv: str, shared: bool = True) -> str:
        env = self._env | (self._served if shared else {})
        command = [*self._program, *argv]
        done = subprocess.run(command, cwd=self.folder / "terraform" / where, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"terraform {' '.join(argv)} in {where}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def init(self, where: str, *, shared: bool = True) -> None:
        """Not `shared`: as a deploy does it, with a provider of its own that must be the one of the lock file."""
        lock = self.folder / "terraform" / where / LOCK
        if not lock.exists():
            shutil.copy(PROJECT / "terraform/stacks/network" / LOCK, lock)
        self(where, "init", "-backend=false", "-input=false", "-lockfile=readonly", "-no-color", shared=shared)

    def share_provider(self, children: Children) -> None:
        """Starts the provider of the stacks once, for every run that follows."""
        self.init("stacks/network", shared=False)
        network = self.folder / "terraform/stacks/network"
        [program] = network.glob(".terraform/providers/*/*/*/*/*/terraform-provider-aws*")
        quiet = self._env | {"TF_LOG_SDK": "off", "TF_LOG_PROVIDER": "off"}
        provider = children.spawn(
            [str(program), "-debug"], name="provider", env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._served = {"TF_REATTACH_PROVIDERS": _address(provider)}


def _address(provider: Child) -> str:
    assert provider.stdout
    for line in provider.stdout:
        if found := re.search(rb"TF_REATTACH_PROVIDERS='(.+)'", line):
            return found[1].decode()
    raise AssertionError(f"the provider ended with {provider.wait(10)} and named no address")


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    terraform, children = Terraform(tmp_path_factory.mktemp("hcl")), Children()
    try:
        terraform.share_provider(children)
        yield terraform
    finally:
        children.close()


def test_the_hcl_is_formatted(terraform: Terraform) -> None:
    terraform(".", "fmt", "-check", "-recursive", "-diff", "-no-color")


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_is_valid(terraform: Terraform, stack: str) -> None:
    terraform.init(f"stacks/{stack}", shared=False)
    terraform(f"stacks/{stack}", "validate", "-no-color")


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_the_same_provider_lock(stack: str) -> None:
    assert (PROJECT / "terraform/stacks" / stack / LOCK).read_text() == (
        PROJECT / "terraform/stacks/network" / LOCK
    ).read_text()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_its_promises(terraform: Terraform, module: str) -> None:
    assert list((PROJECT / "terraform/modules" / module / "tests").glob("*.tftest.hcl")), (
        f"module {module} promises nothing"
    )
    terraform.init(f"modules/{module}")
    outcome = terraform(f"modules/{module}", "test", "-no-color")
    assert " 0 passed" not in outcome


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_refuses_every_wrong_setting(terraform: Terraform, stack: str) -> None:
    assert list((PROJECT / "terraform/stacks" / stack / "tests").glob("*.tftest.hcl")), f"stack {stack} refuses nothing"
    terraform.init(f"stacks/{stack}")
    outcome = terraform(f"stacks/{stack}", "test", "-no-color")
    assert " 0 passed" not in outcome
