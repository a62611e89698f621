"""A build elsewhere: what is sent, which build is followed, and what is said of one that fails."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator.config import CHECKOUT
from orchestrator.errors import BadDocument, ImageFailed, Interrupted, Refused
from orchestrator.tools import archive, codebuild
from orchestrator.tools.cancel import Cancel
from orchestrator.tools.image_source import Source

PLACE = codebuild.Place("chatbot-image", "bucket", "sources", "aws/codebuild/standard:7.0", "BUILD_GENERAL1_SMALL")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "app/run.sh").chmod(0o755)
    (tmp_path / "app/link").symlink_to("../gone")
    (tmp_path / "app").chmod(0o750)
    (tmp_path / "Dockerfile").write_text('FROM a\nCOPY app /app\nENTRYPOINT ["/app/run.sh"]\n')
    for argv in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *argv], cwd=tmp_path, check=True)
    (tmp_path / ".env").write_text("HF_TOKEN=secret\n")
    return tmp_path


class FakeAws:
    """CodeBuild and its log: the builds that it knows, each moved on by one answer per question."""

    config = SimpleNamespace(command=lambda verb: f"python -m orchestrator {verb}")

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states = list(states)
        self._told = 0

    def client(self, _: str) -> FakeAws:
        return self

    def list_builds_for_project(self, **_: Any) -> dict[str, Any]:
        return {"ids": ["chatbot-image:1"]}

    def batch_get_builds(self, **_: Any) -> dict[str, Any]:
        return {"builds": [self._states.pop(0) if len(self._states) > 1 else self._states[0]]}

    def get_log_events(self, nextToken: str = "", **_: Any) -> dict[str, Any]:
        if not self._told:
            self._told = 1
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetLogEvents")
        fresh = [] if nextToken == "end" else [{"message": "Step 1\n"}, {"message": "no space left\n"}]
        return {"events": fresh, "nextForwardToken": "end"}


def build(status: str, *, complete: bool, location: str = "bucket/sources/1.zip") -> dict[str, Any]:
    failed = {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit status 1"}]}
    return {
        "id": "chatbot-image:1", "buildStatus": status, "buildComplete": complete, "source": {"location": location},
        "phases": [failed] if status == "FAILED" else [],
        "logs": {"groupName": "/codebuild/chatbot-image", "streamName": "1", "deepLink": "https://console/1"},
    }  # fmt: skip


def test_what_is_sent_is_what_git_tracks_the_same_bytes_every_time(root: Path) -> None:
    first = archive.source(root)
    (root / "app/run.sh").touch()
    assert archive.source(root) == first
    with zipfile.ZipFile(io.BytesIO(first)) as sent:
        [inside] = sent.namelist()  # of a name that no source has a file of
        assert f" {inside} " in (CHECKOUT / "terraform/modules/image_build/buildspec.yml").read_text()
        with tarfile.open(fileobj=io.BytesIO(sent.read(inside))) as tar:
            modes = {entry.name: (entry.mode, entry.linkname) for entry in tar}
    assert modes == {
        "Dockerfile": (0o644, ""), "app": (0o750, ""), "app/run.sh": (0o755, ""), "app/link": (0o777, "../gone"),
    }  # fmt: skip


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="git knows no file"):
        archive.source(tmp_path)


def test_the_log_is_told_once_line_by_line_from_before_it_exists(root: Path) -> None:
    said: list[str] = []
    aws = FakeAws(*[build("IN_PROGRESS", complete=False)] * 3, build("SUCCEEDED", complete=True))
    codebuild._follow(aws, "chatbot-image:1", said.append, Cancel(), pause=0)  # type: ignore[arg-type]
    assert said == ["Step 1", "no space left"]


def test_a_failed_build_says_where_why_and_what_it_said_last() -> None:
    aws = FakeAws(build("IN_PROGRESS", complete=False), build("FAILED", complete=True))
    with pytest.raises(ImageFailed) as failed:
        codebuild._follow(aws, "chatbot-image:1", lambda _: None, Cancel(), pause=0)  # type: ignore[arg-type]
    for part in ("ended FAILED in BUILD", "exit status 1", "no space left", "logs --build"):
        assert part in str(failed.value)


def test_a_build_of_the_same_source_that_still_runs_is_followed_instead_of_started_again() -> None:
    def request(**variables: str) -> dict[str, Any]:
        return {"environmentVariablesOverride": [{"name": name, "value": value} for name, value in variables.items()]}

    def running(status: str, *, complete: bool, **variables: str) -> dict[str, Any]:
        environment = {"environmentVariables": request(REPO="x", **variables)["environmentVariablesOverride"]}
        return {**build(status, complete=complete), "environment": environment}

    def found(wanted: dict[str, Any], build: dict[str, Any]) -> dict[str, Any] | None:
        return codebuild._running(FakeAws(build), PLACE, wanted)

    same, other = request(IMAGE_FINGERPRINT="1"), request(IMAGE_FINGERPRINT="1", IMAGE_REBUILD="20260101T000000Z")
    at_work = running("IN_PROGRESS", complete=False, IMAGE_FINGERPRINT="1")
    assert found(same, at_work) == at_work
    assert found(other, at_work) is None and found(request(IMAGE_FINGERPRINT="2"), at_work) is None
    assert found(same, running("FAILED", complete=True, IMAGE_FINGERPRINT="1")) is None


def test_the_request_carries_the_settings_and_the_platforms_machine(root: Path) -> None:
    whole = Source(
        root, platform="linux/arm64", arguments={"A": "1"}, target="two", rebuild="20260101T000000Z",
        commit="abc", written="2026-01-02T03:04:05Z",
    )  # fmt: skip
    source = whole.sent(["app.py"])
    request = codebuild._request(PLACE, root, source, "bucket/sources/1.zip", "host/chatbot")
    assert (request["sourceTypeOverride"], request["environmentTypeOverride"]) == ("S3", "ARM_CONTAINER")
    variables = {each["name"]: each["value"] for each in request["environmentVariablesOverride"]}
    assert variables["IMAGE_BUILD_ARGS"] == "--build-arg A=1"
    assert variables["IMAGE_FINGERPRINT"] == source.fingerprint() != whole.fingerprint()
    assert (variables["IMAGE_TARGET"], variables["IMAGE_REBUILD"]) == ("two", "20260101T000000Z")
    assert (variables["IMAGE_REVISION"], variables["IMAGE_CREATED"]) == ("abc", "2026-01-02T03:04:05Z")
    with pytest.raises(BadDocument, match="lies outside"):
        codebuild._request(PLACE, root / "app", source, "bucket/sources/1.zip", "host/chatbot")


def test_the_machines_image_is_of_its_architecture(root: Path) -> None:
    def image_of(place: codebuild.Place, platform: str) -> str:
        request = codebuild._request(
            place, root, Source(root, platform=platform, commit="a"), "b/1.zip", "host/chatbot"
        )
        return str(request["imageOverride"])

    unset = replace(PLACE, build_image="")
    assert image_of(unset, "linux/amd64") == "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    assert image_of(unset, "linux/arm64") == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert image_of(PLACE, "linux/arm64") == PLACE.build_image
    hcl = (CHECKOUT / "terraform/modules/pipeline/build.tf").read_text()
    assert all(f'"{platform}" = "{name}"' in hcl for platform, name in codebuild.CURATED_IMAGES.items())


def test_ctrl_c_leaves_the_build_to_itself_and_says_so() -> None:
    cancel = Cancel()
    cancel.request()
    aws = FakeAws(build("IN_PROGRESS", complete=False))
    with pytest.raises(Interrupted, match="build chatbot-image:1 goes on by itself; the same command follows it"):
        codebuild._follow(aws, "chatbot-image:1", lambda _: None, cancel, pause=60)  # type: ignore[arg-type]


def test_the_newest_build_of_all_projects_is_the_one_whose_log_is_told() -> None:
    old, new = ({**build("FAILED", complete=True), "startTime": moment} for moment in (1, 2))

    class Aws(FakeAws):
        def batch_get_builds(self, ids: list[str], **_: Any) -> dict[str, Any]:
            return {"builds": [old, new][: len(ids)]}

    aws: Any = Aws(old)
    assert codebuild.newest(aws, ["chatbot-image", "chatbot-build"]) is new
    assert codebuild.newest(aws, []) is None
    assert codebuild.log_of(aws, new) == [], "named before its first line is written"
    assert codebuild.log_of(aws, new) == ["Step 1", "no space left"]
