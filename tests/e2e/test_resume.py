"""kill -9 in the middle of every phase, then the same command: it goes on, and nothing is there twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import phases
from tests.e2e.machine import QUICK, Machine
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="resume")]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path / "machine", settings={"image": {"builder": "bundle"}}, variables=QUICK) as machine:
        yield machine


def _children(pid: int) -> list[int]:
    """``pid`` and everything below it: the guards and the Terraforms are in sessions of their own."""
    found, parents = [pid], {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _kill_in(machine: Machine, phase: str, *, everything: bool) -> None:
    """Begins a deploy and kills it once ``phase`` has begun to create something (or is over already)."""
    log = machine.folder / ".orchestrator" / machine.environment / phase / "terraform.log"
    before = log.stat().st_size if log.is_file() else 0
    output = machine.folder / f"killed-in-{phase}.log"
    with output.open("w") as file:
        running = subprocess.Popen(
            machine.command("orchestrator", "deploy", "--env", machine.environment),
            cwd=machine.folder, env=machine.environ(), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip

    def creating() -> bool:
        if running.poll() is not None:
            return True
        lines = output.read_text().splitlines()
        if phase == "image":
            return any(line.startswith("image") for line in lines)
        fresh_log = log.read_bytes()[before:] if log.is_file() else b""
        ended = any(line.startswith(phase) and " starts" not in line and "/" not in line for line in lines)
        return b': Creating..."' in fresh_log or ended

    eventually(creating, 600, output.read_text, pause=0.05)
    time.sleep(1.0)  # in the middle of it
    for pid in _children(running.pid) if everything else [running.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.wait(timeout=60)


def _killed(machine: Machine) -> str:
    """What the killed deploys said."""
    return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(machine.folder.glob("killed-in-*.log")))


def _counts(machine: Machine) -> dict[str, int]:
    ec2, elb, ecs = machine.client("ec2"), machine.client("elbv2"), machine.client("ecs")
    ours = [{"Name": "tag:Application", "Values": ["chatbot"]}]
    roles = [role["RoleName"] for role in machine.client("iam").list_roles()["Roles"]]
    service = ecs.describe_services(cluster="chatbot", services=["chatbot"])["services"][0]
    return {
        "VPCs": len(ec2.describe_vpcs(Filters=ours)["Vpcs"]),
        "subnets": len(ec2.describe_subnets(Filters=ours)["Subnets"]),
        "security groups": len(ec2.describe_security_groups(Filters=ours)["SecurityGroups"]),
        "gateways": len(ec2.describe_internet_gateways(Filters=ours)["InternetGateways"]),
        "load balancers": len(elb.describe_load_balancers()["LoadBalancers"]),
        "target groups": len(elb.describe_target_groups()["TargetGroups"]),
        "repositories": len(machine.client("ecr").describe_repositories()["repositories"]),
        "clusters": len(ecs.list_clusters()["clusterArns"]),
        "services": len(ecs.list_services(cluster="chatbot")["serviceArns"]),
        "task sets": len(service["taskSets"]),
        "roles more than once": len(roles) - len(set(roles)),
        "pipelines": len(machine.client("codepipeline").list_pipelines()["pipelines"]),
        "build projects": len(machine.client("codebuild").list_projects()["projects"]),
    }


ONCE = {
    "VPCs": 1, "subnets": 2, "security groups": 2, "gateways": 1, "load balancers": 1, "target groups": 2,
    "repositories": 1, "clusters": 1, "services": 1, "task sets": 1, "roles more than once": 0, "pipelines": 1,
    "build projects": 2,  # the pipeline's, and the one that builds for a machine without Docker
}  # fmt: skip


@pytest.mark.parametrize("everything", [False, True], ids=["the orchestrator", "Terraform too"])
def test_killed_in_every_phase_a_deploy_goes_on_and_doubles_nothing(fresh: Machine, everything: bool) -> None:
    for phase in phases.names():
        _kill_in(fresh, phase, everything=everything)
    done = fresh.orchestrate("deploy", timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + _killed(fresh)
    assert _counts(fresh) == ONCE
    with urllib.request.urlopen(fresh.url, timeout=60) as page:
        assert page.status == 200
    again = fresh.orchestrate("deploy")
    assert "no changes: skipped" in again.stdout
    assert "no changes" in fresh.orchestrate("plan").stdout
