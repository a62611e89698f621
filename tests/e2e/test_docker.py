"""The same deployment with a Docker engine: the real image in real containers, from deploy to destroy."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from gradio_client import Client

from orchestrator.tools import engine
from tests import docker_base
from tests.docker_base import docker
from tests.e2e.machine import QUICK, Machine
from tests.e2e.releasing import retitle
from tests.e2e.traffic import Traffic
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.slow(group="docker")]


def _containers(machine: Machine, *flags: str) -> list[str]:
    """The containers of this machine's emulator, newest first."""
    mine = f"label=dev.chatbot.emulator={machine.folder / '.emulator'}"
    return docker("ps", "--no-trunc", "--quiet", "--filter", mine, *flags).stdout.split()


def _host(machine: Machine) -> str:
    """The emulator's registry, as images are named after it."""
    endpoint = machine.client("ecr").get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
    return str(endpoint).partition("//")[2]


def _inspect(container: str) -> dict[str, Any]:
    return dict(json.loads(docker("inspect", container).stdout)[0])


@pytest.fixture(scope="module")
def base() -> str:
    if not engine.answers():
        pytest.skip("no Docker engine answers")
    return docker_base.ensure()


@pytest.fixture(scope="module")
def shared_machine(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    arguments = {"BASE_IMAGE": base, "WITH_MODEL": "1"}
    settings = {
        "image": {"build_args": arguments},
        "network": {"listener_stickiness_duration": 0},  # nobody may stick to a colour that ends at once
        # A machine with much else to do may take a minute to start green: that is no alarm yet.
        "ecs": {"termination_wait_minutes": 0, "health_check_grace_period": 180, "alarm_evaluation_periods": 3},
    }
    machine = Machine(tmp_path_factory.mktemp("machine"), settings, runtime="docker", variables=QUICK)
    try:
        yield machine
    finally:
        machine.stop()
        for container in _containers(machine, "--all"):
            docker("rm", "--force", "--volumes", container, check=False)
        # Where the test of destroy did not run, too.
        for left in set(docker("image", "ls", "--quiet", f"localhost:{machine.port}/*").stdout.split()):
            docker("image", "rm", "--force", left, check=False)


@pytest.fixture
def deployed(shared_machine: Machine) -> Machine:
    """Deployed, also where another test has just destroyed it."""
    if not (shared_machine.folder / ".emulator/emulator.json").exists():
        shared_machine.start()
        shared_machine.orchestrate("deploy", timeout=1500)
        eventually(lambda: _healthy(shared_machine) >= 2, 120, "two healthy targets")
    return shared_machine


def _healthy(machine: Machine) -> int:
    elb = machine.client("elbv2")
    groups = elb.describe_target_groups()["TargetGroups"]
    states = [
        each["TargetHealth"]["State"]
        for group in groups
        for each in elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    ]
    return states.count("healthy")


def _tasks(machine: Machine, **which: str) -> dict[str, dict[str, Any]]:
    ecs = machine.client("ecs")
    arns = ecs.list_tasks(cluster="chatbot", **which)["taskArns"]
    found = ecs.describe_tasks(cluster="chatbot", tasks=arns)["tasks"] if arns else []
    return {task["containers"][0]["runtimeId"]: task for task in found if "runtimeId" in task["containers"][0]}


def _victim(machine: Machine) -> str:
    """One of two containers that are well."""
    eventually(lambda: _healthy(machine) == 2 and len(_tasks(machine)) == 2, 180, "two healthy targets")
    return next(iter(_tasks(machine)))


def test_tasks_are_containers_as_the_task_definition_says(deployed: Machine) -> None:
    eventually(lambda: len(_containers(deployed)) == 2, 180, "the tasks of blue gone")
    tasks = _tasks(deployed)
    assert set(tasks) == set(_containers(deployed))
    for container, task in tasks.items():
        found = _inspect(container)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"] and "/tmp" in host["Tmpfs"]
        assert found["Config"]["User"] == "10001:10001"
        assert (host["NanoCpus"], host["Memory"]) == (int(task["cpu"]) * 10**9 // 1024, int(task["memory"]) * 2**20)
        assert "@sha256:" in found["Config"]["Image"]
        assert task["healthStatus"] == "HEALTHY"


def test_a_conversation_is_held_with_the_model_in_the_image(deployed: Machine) -> None:
    job = Client(deployed.url, verbose=False).submit("What is the capital of France?", api_name="/chat")
    job.result(timeout=180)
    assert len(job.outputs()) > 1


def test_a_release_goes_through_the_pipeline_and_nobody_notices(deployed: Machine) -> None:
    before = set(_containers(deployed))
    title, commit = retitle(deployed, "In a container")
    with Traffic(deployed.url) as traffic:
        deployed.orchestrate("release", timeout=900)
    assert traffic.count > 50
    assert not traffic.failures
    with urllib.request.urlopen(deployed.url, timeout=60) as page:
        assert title.encode() in page.read()
    eventually(lambda: len(_containers(deployed)) == 2, 120, "the tasks of blue gone")
    assert not before.intersection(_containers(deployed))
    written = datetime.fromtimestamp(int(deployed.git("show", "--no-patch", "--format=%at")), UTC)
    for container in _containers(deployed):
        labels = _inspect(container)["Config"]["Labels"]
        assert labels["org.opencontainers.image.revision"] == commit
        assert labels["org.opencontainers.image.created"] == f"{written:%Y-%m-%dT%H:%M:%SZ}"
    builds = deployed.client("codebuild").list_builds()["ids"]
    assert deployed.client("codebuild").batch_get_builds(ids=builds)["builds"][0]["buildStatus"] == "SUCCEEDED"


def _replaced(machine: Machine, victim: str, seconds: float) -> dict[str, Any]:
    """Waits until another task has taken the place of the victim's; the victim's task as it ended."""
    eventually(lambda: victim not in _tasks(machine), seconds, "the victim's task stopped")
    eventually(lambda: _healthy(machine) >= 2 and len(_tasks(machine)) >= 2, 180, "two healthy targets again")
    return _tasks(machine, desiredStatus="STOPPED")[victim]


def test_a_killed_container_is_replaced(deployed: Machine) -> None:
    victim = _victim(deployed)
    with Traffic(deployed.url) as traffic:
        docker("kill", victim)
        ended = _replaced(deployed, victim, 60)
    assert ended["stopCode"] == "EssentialContainerExited"
    assert ended["containers"][0]["exitCode"] == 137
    # Until its end is noticed, the load balancer answers for it as AWS's does; the other task answers everything else.
    assert {kind.rpartition(" ")[2] for kind in traffic.failures} <= {"502"}
    assert sum(traffic.failures.values()) < 20, "more than a second's requests"


def test_a_container_that_runs_out_of_memory_says_so(deployed: Machine) -> None:
    victim = _victim(deployed)
    # The hog would be the kernel's first choice; the task's own process is made it, as when the chatbot itself grows.
    docker("exec", "--user", "0", victim, "sh", "-c", "echo 1000 > /proc/1/oom_score_adj")
    docker("exec", victim, "python", "-c", "x = b'x' * (4 << 30)", check=False)
    ended = _replaced(deployed, victim, 60)
    assert ended["containers"][0]["exitCode"] == 137
    assert "OutOfMemory" in ended["containers"][0]["reason"]


def test_a_container_that_hangs_is_found_out_and_replaced(deployed: Machine) -> None:
    victim = _victim(deployed)
    docker("pause", victim)
    try:
        ended = _replaced(deployed, victim, 240)
    finally:
        docker("unpause", victim, check=False)
    assert "health" in ended["stoppedReason"].lower()


def test_destroy_leaves_nothing_on_the_engine(deployed: Machine) -> None:
    host = _host(deployed)
    assert docker("image", "ls", "--quiet", f"{host}/*").stdout.split()
    gone = deployed.orchestrate("destroy", "--yes", timeout=900)
    assert "nothing is left" in gone.stdout.lower()
    deployed.run("emulator", "stop")
    assert not _containers(deployed, "--all")
    assert not docker("image", "ls", "--all", "--quiet", f"{host}/*").stdout.split()
    mine = f"label=dev.chatbot.emulator={deployed.folder / '.emulator'}"
    assert not docker("network", "ls", "--quiet", "--filter", mine).stdout.split()
    names = docker("volume", "ls", "--format", "{{.Name}}").stdout.split()
    assert not [name for name in names if name.startswith("ecs-")]


def test_an_engine_without_the_base_image_ends_in_a_bundle_that_runs(base: str, tmp_path_factory: Any) -> None:
    settings = {"image": {"builder": "auto", "build_args": {"BASE_IMAGE": "localhost:9/not/to/be/had:1"}}}
    folder = tmp_path_factory.mktemp("machine")
    with Machine(folder, settings, runtime="auto", variables=QUICK) as machine:
        done = machine.orchestrate("deploy", timeout=900)
        assert "localhost:9/not/to/be/had:1 cannot be pulled" in done.stdout + done.stderr
        eventually(lambda: _healthy(machine) >= 2, 120, "two healthy targets")
        with urllib.request.urlopen(machine.url, timeout=60) as page:
            assert page.status == 200
        assert not _containers(machine, "--all")
