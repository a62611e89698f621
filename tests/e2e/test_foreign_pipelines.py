"""Pipelines in Terraform that nobody here wrote for the emulator: applied, planned again, pushed to, destroyed."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from emulator import daemon
from tests.e2e.test_foreign_terraform import Root
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="foreign")]

# As AWS's own sample: it tells the pipeline that it has done its work.
NOTIFY = """
import boto3

def handler(event, context):
    job = event["CodePipeline.job"]
    given = job["data"]["actionConfiguration"]["configuration"]["UserParameters"]
    boto3.client("codepipeline").put_job_success_result(jobId=job["id"], executionDetails={"summary": given})
"""


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    root = Root(tmp_path_factory.mktemp("foreign"), "foreign_pipelines")
    with zipfile.ZipFile(root.folder / "notify.zip", "w") as archive:
        archive.writestr("notify.py", NOTIFY)
    try:
        yield root
    finally:
        root.stop()


@pytest.fixture
def root(shared_root: Root) -> Root:
    """Applied."""
    shared_root.apply()
    return shared_root


def _client(root: Root, service: str) -> Any:
    return boto3.Session("test", "test", region_name="us-east-1").client(service, endpoint_url=root.instance.url)


def _push(root: Root, folder: Path, repository: str, branch: str, path: str) -> None:
    """One commit with one file, pushed to the repository that stands in for GitHub's."""
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text("changed")
    url = f"{root.instance.url}/github.com/{repository}"
    for command in (
        ["init", "-q", "-b", branch], ["add", "--all"],
        ["-c", "user.name=T", "-c", "user.email=t@e", "commit", "-q", "-m", "a change"], ["push", "-qf", url, branch],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=folder, check=True)


def _runs(root: Root, pipeline: str) -> list[dict[str, Any]]:
    listed = _client(root, "codepipeline").list_pipeline_executions(pipelineName=pipeline)
    found: list[dict[str, Any]] = listed["pipelineExecutionSummaries"]
    return found


def test_a_second_plan_has_no_changes(root: Root) -> None:
    planned = root("plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert planned.returncode == 0, planned.stdout[-3000:] + planned.stderr


def test_a_push_goes_through_approval_and_function_as_the_pipeline_says(root: Root, tmp_path: Path) -> None:
    daemon.connect(root.instance, "acme/shop", "shop-github")
    before, others = len(_runs(root, "shop-rolling")), len(_runs(root, "shop-bluegreen"))
    _push(root, tmp_path / "shop", "acme/shop", "master", "src/a.py")
    client = _client(root, "codepipeline")
    eventually(lambda: len(_runs(root, "shop-rolling")) == before + 1, 60, "the execution that the push starts")
    triggers = [each["trigger"]["triggerType"] for each in _runs(root, "shop-rolling")]
    assert (triggers[0], triggers[-1]) == ("WebhookV2", "CreatePipeline")
    assert len(_runs(root, "shop-bluegreen")) == others  # its trigger wants other branches

    def approval() -> dict[str, Any]:
        stages = client.get_pipeline_state(name="shop-rolling")["stageStates"]
        found: dict[str, Any] = stages[2]["actionStates"][0].get("latestExecution", {})
        return found

    eventually(lambda: approval().get("token"), 120, "the approval that the pipeline waits for")
    client.put_approval_result(
        pipelineName="shop-rolling", stageName="Approve", actionName="Review", token=approval()["token"],
        result={"summary": "fine", "status": "Approved"},
    )  # fmt: skip
    # The deploy itself must fail: the service is CodeDeploy's, and AWS refuses to update it.
    eventually(lambda: _runs(root, "shop-rolling")[0]["status"] == "Failed", 120, "the end of the execution")
    stages = {each["stageName"]: each for each in client.get_pipeline_state(name="shop-rolling")["stageStates"]}
    notify = stages["Approve"]["actionStates"][1]["latestExecution"]
    assert (notify["status"], json.loads(notify["summary"])) == ("Succeeded", {"channel": "releases"})
    assert stages["Deploy"]["latestExecution"]["status"] == "Failed"


def test_a_push_whose_branch_and_path_pass_starts_the_other_pipeline(root: Root, tmp_path: Path) -> None:
    daemon.connect(root.instance, "acme/shop", None)
    before, others = len(_runs(root, "shop-bluegreen")), len(_runs(root, "shop-rolling"))
    _push(root, tmp_path / "release", "acme/shop", "release/1", "src/b.py")
    eventually(lambda: len(_runs(root, "shop-bluegreen")) == before + 1, 60, "the execution that the push starts")
    assert len(_runs(root, "shop-rolling")) == others


def test_destroy_leaves_nothing(root: Root) -> None:
    destroyed = root("destroy", "-auto-approve", "-input=false", "-no-color")
    assert destroyed.returncode == 0, destroyed.stdout[-3000:] + destroyed.stderr
    assert json.loads((root.folder / "terraform.tfstate").read_text())["resources"] == []
    status: dict[str, Any] | None = daemon.health(root.instance)
    assert status and status["listeners"] == [] and status["tasks"] == 0
    assert _client(root, "codeconnections").list_connections()["Connections"] == []
    assert not daemon.stop(root.options, root.instance)
