"""One stack with a real Terraform: skipped when nothing changed, and made whole after every kind of cut."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import Locked, Refused, TerraformFailed
from orchestrator.site import Site
from orchestrator.stack_phase import StackWork
from orchestrator.tools import process, terraform_program
from orchestrator.tools.terraform_events import silent
from tests.orchestrator.conftest import Said
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not shutil.which("terraform"), reason="there is no terraform")]

HCL = """
terraform {
  required_version = ">= 1.11"
  backend "s3" {}
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
variable "force_delete" { type = bool }
variable "keep_images" { type = number }
variable "name" { type = string }
variable "region" { type = string }
variable "tags" { type = map(string) }

resource "terraform_data" "quick" {
  input = var.name
}
resource "terraform_data" "slow" {
  provisioner "local-exec" { command = "sleep ${fileexists("${path.root}/slow") ? 6 : 0}" }
  depends_on = [terraform_data.quick]
}
output "ecr" {
  value = { repository_name = terraform_data.quick.output }
}
"""
# Of AWS's own provider each start costs seconds of processor time, so only those tests have it that need it.
REPOSITORY = """
provider "aws" {
  region            = var.region
  s3_use_path_style = true
}
resource "aws_ecr_repository" "this" {
  name         = var.name
  force_delete = var.force_delete
  tags         = { Keep = tostring(var.keep_images) }
}
"""

SECURITY_GROUP = """
provider "aws" { region = var.region }
resource "aws_vpc" "this" { cidr_block = "10.0.0.0/16" }
resource "aws_security_group" "this" {
  name   = var.name
  vpc_id = aws_vpc.this.id

  lifecycle { create_before_destroy = true }
}
resource "aws_vpc_security_group_egress_rule" "this" {
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}
"""


@pytest.fixture
def folder(config: Config) -> Path:
    """The stack ``ecr``: two resources, of which one takes as long as the test wants."""
    folder = config.root / "terraform/stacks/ecr"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(HCL)
    lock = CHECKOUT / "terraform/stacks/ecr/.terraform.lock.hcl"
    shutil.copy(lock, folder)
    if terraform_program.mirror(terraform_program.locked_version(lock)) is None:
        pytest.skip("no mirror holds the AWS provider")
    return folder


@pytest.fixture
def repository(folder: Path) -> Path:
    """Its third resource, a repository in AWS."""
    return _add(folder, "repository.tf", REPOSITORY)


def _add(folder: Path, name: str, hcl: str) -> Path:
    (folder / name).write_text(hcl)
    return folder / name


@pytest.fixture
def work(folder: Path, site: Site) -> StackWork:
    site.bucket.ensure()
    return StackWork("ecr", bucket=True)


def _apply(work: StackWork, site: Site, *, yes: bool = False) -> str:
    site.survey(["ecr"], ["ecr"])
    work.prepare(site)
    return work.apply(site, {}, silent, yes=yes, answered=lambda: None).result


def _managed(site: Site) -> list[str]:
    """What the saved state has, by name."""
    state = site.bucket.state("ecr")
    return sorted(resource["name"] for resource in state.managed) if state else []


def _repositories(site: Site) -> list[str]:
    found = site.aws.client("ecr").describe_repositories()["repositories"]
    return [entry["repositoryName"] for entry in found if entry["repositoryName"] == site.config.prefix]


def test_what_did_not_change_is_not_run_again(work: StackWork, site: Site, folder: Path) -> None:
    assert _apply(work, site) == "applied"
    site.survey(["ecr"], ["ecr"])
    assert work.stale(site, {}) == ""
    assert work.answer(site) is not None
    assert site.terraform.init(site.terraform.stack("ecr")) is False, "init was needed again"
    (folder / "main.tf").write_text(HCL + "# a comment\n")
    assert work.stale(site, {}) == "changed: HCL"
    assert _apply(work, site) == "unchanged"
    assert work.stale(site, {}) == ""


@pytest.mark.slow(group="resume")
def test_a_state_that_someone_else_wrote_is_looked_at(work: StackWork, site: Site) -> None:
    _apply(work, site)
    found = site.bucket.read("ecr.tfstate")
    assert found is not None
    site.bucket.write("ecr.tfstate", found[0] | {"serial": found[0]["serial"] + 1})
    site.survey(["ecr"], ["ecr"])
    assert work.stale(site, {}) == "changed: state"


@pytest.mark.usefixtures("repository")
def test_a_resource_that_a_cut_run_had_made_is_adopted_and_not_doubled(work: StackWork, site: Site, said: Said) -> None:
    # Killed between the create call and the saving of the state: the repository is there, the state knows nothing.
    site.aws.client("ecr").create_repository(repositoryName=site.config.prefix)
    site.put_record("ecr", {"status": "applying"})
    assert _apply(work, site) == "applied"
    assert any("aws_ecr_repository.this" in line and "into the state" in line for line in said.lines)
    assert not site.terraform.stack("ecr").import_blocks.exists()
    assert _repositories(site) == [site.config.prefix]


def test_what_a_cut_run_had_not_finished_making_is_kept_where_a_second_one_could_not_have_its_name(
    work: StackWork, site: Site, folder: Path, said: Said
) -> None:
    _add(folder, "group.tf", SECURITY_GROUP)
    _apply(work, site)
    found = site.bucket.read("ecr.tfstate")
    assert found is not None
    (group,) = [each for each in found[0]["resources"] if each["type"] == "aws_security_group"]
    group["instances"][0]["status"] = "tainted"
    site.bucket.write("ecr.tfstate", found[0] | {"serial": found[0]["serial"] + 1})
    # Cut off before Terraform took away what AWS gives to every new group.
    ec2, identifier = site.aws.client("ec2"), group["instances"][0]["attributes"]["id"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_egress(GroupId=identifier, IpPermissions=everything)
    assert _apply(work, site) == "unchanged"
    assert any("keeps aws_security_group.this" in line for line in said.lines)
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [site.config.prefix]}])
    assert [each["GroupId"] for each in groups["SecurityGroups"]] == [identifier]
    (rule,) = groups["SecurityGroups"][0]["IpPermissionsEgress"]
    assert rule["FromPort"] == 443, "what Terraform made stays, what AWS had given is gone"


@pytest.mark.slow(group="resume")
@pytest.mark.usefixtures("repository")
def test_a_failure_after_a_cut_run_does_not_make_the_next_one_forget_it(
    work: StackWork, site: Site, folder: Path, said: Said
) -> None:
    site.aws.client("ecr").create_repository(repositoryName=site.config.prefix)
    site.put_record("ecr", {"status": "applying"})
    (folder / "main.tf").write_text(HCL + "nonsense {}\n")
    with pytest.raises(TerraformFailed):
        _apply(work, site)
    (folder / "main.tf").write_text(HCL)
    assert _apply(work, site) == "applied"
    assert any("into the state" in line for line in said.lines)
    assert "cut" not in site.record("ecr")


@pytest.mark.slow(group="resume")
@pytest.mark.usefixtures("repository")
def test_a_resource_of_someone_else_is_never_adopted(work: StackWork, site: Site) -> None:
    site.aws.client("ecr").create_repository(repositoryName=site.config.prefix)
    with pytest.raises(TerraformFailed, match="RepositoryAlreadyExistsException"):
        _apply(work, site)
    assert site.record("ecr")["status"] == "failed"
    with pytest.raises(TerraformFailed):
        _apply(work, site)


def test_a_lock_that_a_dead_terraform_left_is_released(work: StackWork, site: Site, said: Said) -> None:
    _apply(work, site)
    _leave_lock(site, f"root@{process.identity()['host']}")
    (site.config.root / "terraform/stacks/ecr/main.tf").write_text(HCL + "# changed\n")
    assert _apply(work, site) == "unchanged"
    assert any("released Terraform's lock" in line for line in said.lines)


@pytest.mark.slow(group="resume")
def test_a_lock_of_another_machine_is_refused_with_who_and_since_when(work: StackWork, site: Site) -> None:
    _apply(work, site)
    _leave_lock(site, "ada@elsewhere")
    with pytest.raises(Locked, match="ada@elsewhere since 2026"):
        _apply(work, site)


def _leave_lock(site: Site, who: str) -> None:
    lock = {
        "ID": "1b671a64-40d5-491e-99b0-da01ff1f3341",
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": who,
        "Version": "1.11.4",
        "Created": "2026-01-01T00:00:00Z",
        "Path": f"{site.bucket.name}/ecr.tfstate",
    }
    site.aws.client("s3").put_object(Bucket=site.bucket.name, Key="ecr.tfstate.tflock", Body=json.dumps(lock).encode())


@pytest.mark.slow(group="resume")
def test_a_state_that_could_not_be_saved_is_saved_by_the_next_run(
    work: StackWork, site: Site, folder: Path, said: Said
) -> None:
    _apply(work, site)
    found = site.bucket.read("ecr.tfstate")
    assert found is not None
    errored = found[0] | {"serial": found[0]["serial"] + 5}
    (folder / "errored.tfstate").write_text(json.dumps(errored))
    site.put_record("ecr", {"status": "applying"})
    _apply(work, site)
    assert not (folder / "errored.tfstate").exists()
    assert any("saved the state" in line for line in said.lines)
    state = site.bucket.state("ecr")
    assert state is not None and state.serial >= errored["serial"]


def test_ctrl_c_saves_the_state_gives_the_locks_back_and_says_how_to_go_on(
    work: StackWork, site: Site, folder: Path
) -> None:
    (folder / "slow").touch()
    command = [sys.executable, "-m", "orchestrator", "phase", "ecr", "--root", str(site.config.root)]
    command += ["--set", f"environment.name={site.config.prefix}"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        log = site.terraform.stack("ecr").log
        eventually(lambda: log.is_file() and "terraform_data.slow: Provisioning" in log.read_text())
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "python -m orchestrator phase ecr" in said
    assert log.read_text().count("Interrupt received") == 1, "Terraform got more than one"
    assert _managed(site) == ["quick", "slow"]
    assert site.bucket.terraform_lock("ecr") is None
    site.survey(["ecr"], ["ecr"])
    assert site.record("ecr")["cut"], "what Terraform was just creating may be in no state"
    assert site.bucket.acquire("deploy") == ""


@pytest.mark.slow(group="resume")
def test_a_replacement_that_would_lose_images_is_refused_without_yes(
    work: StackWork, site: Site, repository: Path
) -> None:
    _apply(work, site)
    repository.write_text(REPOSITORY.replace("name         = var.name", 'name         = "${var.name}-new"'))
    with pytest.raises(Refused, match=r"replace aws_ecr_repository\.this"):
        _apply(work, site)
    assert _repositories(site) == [site.config.prefix]
    assert _apply(work, site, yes=True) == "applied"


@pytest.mark.slow(group="resume")
def test_a_killed_orchestrator_leaves_a_saved_state_and_the_next_run_goes_on(
    work: StackWork, site: Site, folder: Path
) -> None:
    (folder / "slow").touch()
    command = [sys.executable, "-m", "orchestrator", "phase", "ecr", "--root", str(site.config.root)]
    command += ["--set", f"environment.name={site.config.prefix}"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        log = site.terraform.stack("ecr").log
        eventually(lambda: log.is_file() and "terraform_data.slow: Provisioning" in log.read_text())
        os.kill(running.pid, signal.SIGKILL)
    (folder / "slow").unlink()
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "released the lock of a run that is gone" in done.stdout
    assert _managed(site) == ["quick", "slow"]
    site.survey(["ecr"], ["ecr"])
    assert work.stale(site, {}) == ""


@pytest.mark.usefixtures("repository")
def test_a_killed_terraform_leaves_nothing_that_the_next_run_waits_for(
    work: StackWork, site: Site, folder: Path
) -> None:
    (folder / "slow").touch()
    command = [sys.executable, "-m", "orchestrator", "phase", "ecr", "--root", str(site.config.root)]
    command += ["--set", f"environment.name={site.config.prefix}"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        log = site.terraform.stack("ecr").log
        eventually(lambda: log.is_file() and "terraform_data.slow: Provisioning" in log.read_text())
        terraform = [pid for pid in process.at_work_in(folder, "terraform") if process.program(pid) == "terraform"]
        plugins = process.at_work_in(folder, "terraform-provider-")
        assert len(terraform) == 1 and plugins
        os.kill(terraform[0], signal.SIGKILL)  # as an OOM kill does
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 1 and "Terraform was killed (signal 9)" in said
    assert not [pid for pid in plugins if process.started(pid)], "its guard ends what it left"
    (folder / "slow").unlink()
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _managed(site) == ["quick", "slow", "this"]


def test_a_plugin_that_a_killed_terraform_left_is_ended_and_not_waited_for(
    work: StackWork, site: Site, folder: Path, said: Said, tmp_path: Path
) -> None:
    _apply(work, site)
    _leave_lock(site, f"root@{process.identity()['host']}")
    plugin = tmp_path / "terraform-provider-aws_v5.100.0_x5"
    shutil.copy(shutil.which("sleep") or "", plugin)
    with subprocess.Popen([plugin, "600"], cwd=folder) as left:
        assert work.plan(site, {}, silent).result == "unchanged"
        assert left.wait(timeout=60) == -signal.SIGKILL
    assert any("ended 1 provider plugin" in line for line in said.lines)
    assert any("released Terraform's lock" in line for line in said.lines)


def test_a_destroy_takes_it_all(work: StackWork, site: Site) -> None:
    _apply(work, site)
    assert work.destroy(site, {}, silent).result == "destroyed"
    assert _managed(site) == []
    assert work.destroy(site, {}, silent).result == "skipped"


def test_broken_hcl_is_shown_with_its_line_and_touches_nothing(work: StackWork, site: Site, folder: Path) -> None:
    (folder / "main.tf").write_text(HCL + 'resource "terraform_data" {\n}\n')
    with pytest.raises(TerraformFailed, match=r"main\.tf line \d+"):
        _apply(work, site)
    assert _managed(site) == []


@pytest.mark.slow(group="resume")
def test_import_blocks_that_a_killed_run_left_are_removed_first(work: StackWork, site: Site) -> None:
    left = site.terraform.stack("ecr").import_blocks
    left.write_text('import {\n  to = terraform_data.gone\n  id = "gone"\n}\n')
    assert _apply(work, site) == "applied"
    assert not left.exists()
