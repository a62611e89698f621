"""A machine without Docker has its image built by CodeBuild: the source goes up, log and digest come back."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="releases")]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """No engine answers, neither here nor where the build runs: the emulator's CodeBuild makes a bundle then."""
    settings = {"image": {"builder": "codebuild"}}
    with Machine(tmp_path / "machine", settings, variables={"DOCKER_HOST": "unix:///nowhere"}) as machine:
        machine.orchestrate("phase", "ecr")
        yield machine


def test_the_image_is_built_from_what_git_tracks_and_its_log_is_followed(machine: Machine) -> None:
    (machine.folder / "secret.txt").write_text("untracked: never sent")
    built = machine.orchestrate("phase", "image")
    said = built.stdout + built.stderr
    assert "started build chatbot-image:" in said
    assert "Entering phase BUILD" in said and "pushed " in said
    client = machine.client("codebuild")
    [identifier] = client.list_builds_for_project(projectName="chatbot-image")["ids"]
    build = client.batch_get_builds(ids=[identifier])["builds"][0]
    assert build["buildStatus"] == "SUCCEEDED"
    bucket, _, key = build["source"]["location"].partition("/")
    with zipfile.ZipFile(io.BytesIO(machine.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())) as source:
        assert "chatbot/__main__.py" in source.namelist()
        assert not {"secret.txt", ".git/HEAD"}.intersection(source.namelist())
    [image] = machine.client("ecr").describe_images(repositoryName="chatbot")["imageDetails"]
    outputs = json.loads(machine.orchestrate("outputs", "--json").stdout)
    assert image["imageDigest"] in json.dumps(outputs)


def test_the_same_source_is_built_once(machine: Machine) -> None:
    machine.orchestrate("phase", "image")
    again = machine.orchestrate("phase", "image", "--refresh")
    assert "there already" in again.stdout + again.stderr or "unchanged" in again.stdout + again.stderr
    client = machine.client("codebuild")
    assert len(client.list_builds_for_project(projectName="chatbot-image")["ids"]) == 1


def test_a_build_that_fails_says_where_and_why(machine: Machine) -> None:
    program = machine.folder / "orchestrator/tools/image.py"
    program.write_text(
        program.read_text().replace('if __name__ == "__main__":', 'if __name__ == "__main__":\n    sys.exit("broken")')
    )
    failed = machine.orchestrate("phase", "image", check=False)
    assert failed.returncode == 1
    assert "FAILED in BUILD" in failed.stderr + failed.stdout
    assert "exit status 1" in failed.stderr + failed.stdout
    assert "python -m orchestrator logs --build" in failed.stderr + failed.stdout
    told = machine.orchestrate("logs", "--build").stdout
    assert "FAILED" in told.splitlines()[0] and "broken" in told and len(told.splitlines()) > 12
