"""A release as people see it: on the test listener first, then everywhere, and nobody chatting notices."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from orchestrator.tools import bundle, image
from tests.e2e.machine import Machine
from tests.e2e.traffic import Traffic, until

pytestmark = pytest.mark.e2e
SOURCE = "chatbot/branding.py"


def title(url: str) -> str:
    """The title of the page at `url`, which Gradio's first configuration carries."""
    with urllib.request.urlopen(url, timeout=20) as page:
        found = re.search(r'"title":"([^"]*)"', page.read().decode())
    return found[1] if found else ""


def retitle(machine: Machine, new: str) -> str:
    """Commits a page with another title; the commit."""
    text = (machine.folder / SOURCE).read_text()
    (machine.folder / SOURCE).write_text(re.sub(r'^TITLE = ".*"', f'TITLE = "{new}"', text, flags=re.MULTILINE))
    return machine.commit(f"The title is {new}")


class Watch:
    """What both listeners showed while a release went on: `seen` has each pair (production, test) once, in order."""

    def __init__(self, machine: Machine) -> None:
        self.seen: list[tuple[str, str]] = []
        self._machine = machine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            try:
                # Test before production: a shift between the two reads must not look like production came first.
                test = title(self._machine.test_url)
                pair = (title(self._machine.url), test)
            except OSError:
                continue
            if not self.seen or self.seen[-1] != pair:
                self.seen.append(pair)


def serving(machine: Machine) -> str:
    """The colour with all of the production traffic."""
    status = json.loads(machine.orchestrate("status", "--json").stdout)
    return next(name for name, colour in status["colours"].items() if colour["production"] == 100)


def digest_of_checkout(machine: Machine) -> str:
    """What the bundle builder makes of the commit that is checked out, without any pipeline."""
    source = image.Source(machine.folder)
    built = bundle.build(source.stages()[-1], machine.folder, source.platform, image.labels(source, "bundle"))
    return built.digest


def test_a_new_title_is_on_the_test_listener_first_and_then_everywhere(deployed: Machine) -> None:
    before, colour = title(deployed.url), serving(deployed)
    retitle(deployed, "Released")
    with Watch(deployed) as watch, Traffic(deployed.url) as traffic:
        done = deployed.orchestrate("release")
    assert "AfterAllowTestTraffic" in done.stderr + done.stdout
    assert ("Released", before) not in watch.seen
    assert (before, "Released") in watch.seen, watch.seen
    assert title(deployed.url) == "Released"
    assert serving(deployed) != colour
    assert traffic.count > 20
    assert not traffic.failures
    # Code, labels and all: who has the commit can make the very image that runs.
    ecs = deployed.client("ecs")
    tasks = ecs.describe_tasks(cluster="chatbot", tasks=ecs.list_tasks(cluster="chatbot")["taskArns"])["tasks"]
    assert digest_of_checkout(deployed) in {task["containers"][0]["imageDigest"] for task in tasks}


def test_terraform_finds_nothing_to_change_after_a_release(deployed: Machine) -> None:
    assert deployed.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


def test_a_plain_git_push_releases_and_the_aws_cli_follows_it(deployed: Machine) -> None:
    pytest.importorskip("awscli", reason="the aws CLI is not installed")
    colour, commit = serving(deployed), retitle(deployed, "Pushed")
    outputs = json.loads(deployed.orchestrate("outputs", "--json").stdout)
    pipeline, ecs = outputs["pipeline"], outputs["ecs"]
    aws = deployed.environ() | {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": deployed.endpoint,
    }  # fmt: skip
    helper = f"!{sys.executable} -m awscli codecommit credential-helper --ignore-host-check $@"
    push = ("-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true", "push")
    deployed.git(*push, pipeline["clone_url_http"], f"HEAD:{pipeline['branch']}", env=aws)

    client = deployed.client("codepipeline")

    def execution() -> dict[str, object]:
        name = pipeline["pipeline_name"]
        newest = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"][0]
        return newest if newest["sourceRevisions"][0]["revisionId"] == commit else {}

    until(lambda: execution().get("status"), 60, "an execution of the pushed commit")
    until(lambda: execution().get("status") != "InProgress", 400, "the end of the execution")
    assert execution()["status"] == "Succeeded"
    newest = deployed.client("codedeploy").list_deployments(
        applicationName=ecs["application_name"], deploymentGroupName=ecs["deployment_group_name"]
    )["deployments"][0]
    for argv in (
        ["deploy", "wait", "deployment-successful", "--deployment-id", newest],
        ["codepipeline", "get-pipeline-state", "--name", pipeline["pipeline_name"]],
    ):
        done = subprocess.run([sys.executable, "-m", "awscli", *argv], env=aws, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert title(deployed.url) == "Pushed"
    assert serving(deployed) != colour
    assert deployed.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


def test_history_tells_the_releases_and_a_rollback_brings_the_one_before_back(deployed: Machine) -> None:
    releases = json.loads(deployed.orchestrate("history", "--json").stdout)["releases"]
    assert [each["result"] for each in releases[:2]] == ["Succeeded", "Succeeded"]
    assert releases[0]["commit"] == deployed.git("rev-parse", "HEAD")
    with Traffic(deployed.url) as traffic:
        deployed.orchestrate("rollback")
    assert title(deployed.url) == "Released"
    assert not traffic.failures


@pytest.mark.slow
def test_a_killed_follower_leaves_the_release_alone_and_another_takes_over(deployed: Machine) -> None:
    retitle(deployed, "Followed")
    first = deployed.spawn("orchestrator", "release", "--env", deployed.environment)
    client = deployed.client("codepipeline")

    def newest() -> dict[str, str]:
        return client.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"][0]

    until(lambda: newest()["status"] == "InProgress", 120, "the pipeline runs")
    time.sleep(2)
    first.kill()
    first.wait(20)
    deployed.orchestrate("release", "--follow")
    assert title(deployed.url) == "Followed"


BUILD = "  build:\n"
END = "\nartifacts:"
# What breaks it: a file, a text in it, and the text that takes its place.
FAULTS = {
    "a container that exits": ("chatbot/__main__.py", "from __future__", "raise SystemExit(3)\nfrom __future__"),
    "a build that fails": ("buildspec.yml", BUILD, "  pre_build:\n    commands: [exit 7]\n" + BUILD),
    "a chat that gets no answer": ("taskdef.json", '"<CHATBOT_BASE_URL>"', '"http://127.0.0.1:9/v1"'),
    "a missing image": (
        "buildspec.yml",
        END,
        '      - sed -i "s/sha256:....../sha256:000000/" imageDetail.json\n' + END,
    ),
    "a malformed taskdef.json": ("buildspec.yml", END, "      - echo '{' > taskdef.json\n" + END),
    "a malformed appspec.yaml": ("buildspec.yml", END, "      - echo 'version [' > appspec.yaml\n" + END),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_release_never_reaches_anyone(deployed: Machine, fault: str) -> None:
    before, colour = title(deployed.url), serving(deployed)
    file, old, new = FAULTS[fault]
    deployed.edit(file, old, new)
    commit = deployed.commit(f"Broken: {fault}")
    try:
        with Traffic(deployed.url) as traffic:
            done = deployed.orchestrate("release", check=False)
        assert done.returncode == 1
        assert not traffic.failures
        assert (title(deployed.url), serving(deployed)) == (before, colour)
        # Above it there may be the rollback, a deployment of its own as on AWS.
        releases = json.loads(deployed.orchestrate("history", "--json").stdout)["releases"]
        broken = next(each for each in releases if each["commit"] == commit)
        assert broken["result"] == "Failed"
        assert broken["why"]
        assert "\n" not in broken["why"]
    finally:
        deployed.git("revert", "--no-edit", "HEAD")


@pytest.mark.slow
def test_a_stop_in_the_middle_goes_back_and_the_next_good_release_works(deployed: Machine) -> None:
    before, colour = title(deployed.url), serving(deployed)
    retitle(deployed, "Stopped")
    deployed.orchestrate("release", "--no-wait")
    codedeploy = deployed.client("codedeploy")
    group = {"applicationName": "chatbot", "deploymentGroupName": "chatbot"}
    running = ["Created", "Queued", "InProgress"]
    until(lambda: codedeploy.list_deployments(**group, includeOnlyStatuses=running)["deployments"], 200, "a deployment")
    with Traffic(deployed.url) as traffic:
        deployed.orchestrate("stop")
        until(
            lambda: not codedeploy.list_deployments(**group, includeOnlyStatuses=running)["deployments"], 120, "its end"
        )
    assert (title(deployed.url), serving(deployed)) == (before, colour)
    assert not traffic.failures
    retitle(deployed, "Good again")
    deployed.orchestrate("release")
    assert title(deployed.url) == "Good again"
    assert deployed.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


@pytest.mark.soak
def test_an_emulator_killed_in_a_release_comes_back_clean(machine: Machine) -> None:
    machine.orchestrate("deploy")
    retitle(machine, "Lost")
    machine.orchestrate("release", "--no-wait")
    time.sleep(5)
    pid = json.loads(machine.run("emulator", "status", "--json").stdout)["pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: not _running_in(machine.folder), 30, "every process of the killed emulator is gone")
    machine.start()
    machine.orchestrate("deploy")
    assert title(machine.url) == "Lost"  # what is committed is what a new deploy builds
    machine.orchestrate("destroy", "--yes")


def _running_in(folder: Path) -> list[str]:
    """Command lines of processes that work below `folder`."""
    if not shutil.which("ps"):
        pytest.skip("ps is not installed")
    lines = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if str(folder) in line]
