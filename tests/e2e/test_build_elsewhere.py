"""A machine without Docker has its image built by CodeBuild: the source goes up, log and digest come back."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.request
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
        packed = io.BytesIO(source.read(".source-of-this-build.tar"))
    with tarfile.open(fileobj=packed) as tar:
        names = tar.getnames()
    assert "chatbot/__main__.py" in names
    assert not {"secret.txt", ".git/HEAD"}.intersection(names)
    [image] = machine.client("ecr").describe_images(repositoryName="chatbot")["imageDetails"]
    outputs = json.loads(machine.orchestrate("outputs", "--json").stdout)
    assert image["imageDigest"] in json.dumps(outputs)


def test_the_same_source_is_built_once(machine: Machine) -> None:
    machine.orchestrate("phase", "image")
    again = machine.orchestrate("phase", "image", "--refresh")
    assert "there already" in again.stdout + again.stderr or "unchanged" in again.stdout + again.stderr
    client = machine.client("codebuild")
    assert len(client.list_builds_for_project(projectName="chatbot-image")["ids"]) == 1


def test_what_is_built_anew_is_built_there_and_keeps_links_and_modes(machine: Machine) -> None:
    (machine.folder / "chatbot/link").symlink_to("__main__.py")
    (machine.folder / "chatbot/__main__.py").chmod(0o755)
    machine.git("add", "--all")
    machine.orchestrate("phase", "image")
    machine.orchestrate("phase", "image", "--rebuild")
    client = machine.client("codebuild")
    assert len(client.list_builds_for_project(projectName="chatbot-image")["ids"]) == 2
    images = machine.client("ecr").list_images(repositoryName="chatbot")["imageIds"]
    first, anew = sorted(each["imageTag"] for each in images)
    assert anew.startswith(f"{first}-20"), "a bundle has two names for one image"
    assert len({each["imageDigest"] for each in images}) == 1
    answer = json.loads(machine.orchestrate("outputs", "--json").stdout)["image"]
    assert answer["tag"] == anew
    ecr = machine.client("ecr")
    [found] = ecr.batch_get_image(repositoryName="chatbot", imageIds=[{"imageTag": anew}])["images"]
    digest = json.loads(found["imageManifest"])["layers"][0]["digest"]
    [access] = ecr.get_authorization_token()["authorizationData"]
    request = urllib.request.Request(
        f"{access['proxyEndpoint']}/v2/chatbot/blobs/{digest}",
        headers={"Authorization": f"Basic {access['authorizationToken']}"},
    )
    with urllib.request.urlopen(request) as answered, tarfile.open(fileobj=io.BytesIO(answered.read())) as layer:
        assert layer.getmember("app/chatbot/link").linkname == "__main__.py"
        assert layer.getmember("app/chatbot/__main__.py").mode == 0o755


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
