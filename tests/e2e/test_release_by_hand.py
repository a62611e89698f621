"""Releases that a person holds the hand of: approved, refused, stopped half way, or an image of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.machine import Machine
from tests.e2e.releasing import RUNNING, deployments, execution_of, history, release_of, retitle, serving, shares, title
from tests.e2e.traffic import Traffic
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="releases")]


def _image(machine: Machine) -> str:
    """What the service's tasks run."""
    ecs = machine.client("ecs")
    serves = ecs.describe_services(cluster="chatbot", services=["chatbot"])["services"][0]["taskDefinition"]
    container = ecs.describe_task_definition(taskDefinition=serves)["taskDefinition"]["containerDefinitions"][0]
    return str(container["image"])


def test_a_stop_before_the_shift_goes_back_and_the_next_good_release_works(releasing: Machine) -> None:
    before, colour = title(releasing.url), serving(releasing)
    _, commit = retitle(releasing, "Stopped")
    releasing.orchestrate("release", "--no-wait")
    eventually(lambda: deployments(releasing, RUNNING), 200, "a deployment")
    with Traffic(releasing.url) as traffic:
        stopped = releasing.orchestrate("stop")
        eventually(lambda: not deployments(releasing, RUNNING), 120, "its end")
    assert "pipeline execution" in stopped.stdout + stopped.stderr
    assert (title(releasing.url), serving(releasing)) == (before, colour)
    assert not traffic.failures
    assert release_of(releasing, commit)["result"] == "Stopped"
    new, _ = retitle(releasing, "Good again")
    releasing.orchestrate("release")
    assert title(releasing.url) == new
    assert releasing.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0


def test_a_stop_during_the_build_ends_the_release_before_its_deployment(releasing: Machine) -> None:
    before, known = title(releasing.url), deployments(releasing)
    first = "      # First what fails in a second"
    slowly = "      - sleep 20\n"  # or the build may be over before the stop is asked for
    releasing.edit("buildspec.yml", first, slowly + first)
    _, commit = retitle(releasing, "Never deployed")
    releasing.orchestrate("release", "--no-wait")
    releasing.orchestrate("stop")
    releasing.edit("buildspec.yml", slowly, "")
    releasing.commit("Builds are quick again")
    eventually(lambda: execution_of(releasing, commit)["status"] == "Stopped", 120, "the pipeline stopped")
    assert deployments(releasing) == known
    assert title(releasing.url) == before
    told = release_of(releasing, commit)
    assert (told["result"], told["why"]) == ("Stopped", "stopped by the orchestrator")


def test_an_image_is_built_anew_by_the_pipeline_and_stays_the_answer(releasing: Machine) -> None:
    before = releasing.client("ecr").list_images(repositoryName="chatbot")["imageIds"]
    refused = releasing.orchestrate("deploy", "--rebuild", check=False)
    assert refused.returncode == 2 and "release --rebuild" in refused.stderr
    releasing.orchestrate("release", "--rebuild")
    after = releasing.client("ecr").list_images(repositoryName="chatbot")["imageIds"]
    [made] = [each["imageTag"] for each in after if each not in before]
    assert made.rpartition("-")[0] in {each["imageTag"] for each in before}
    # A commit that changes nothing of the image's must not bring the one before back.
    releasing.edit("docs/image.md", "# The image\n", "# The image, and more\n")
    releasing.commit("A note")
    said = releasing.orchestrate("release").stdout
    builds = releasing.orchestrate("logs", "--build").stdout
    assert f"{made} is in the registry already" in builds, said


def test_an_image_is_released_past_the_pipeline(releasing: Machine) -> None:
    before, image = title(releasing.url), _image(releasing)
    new, _ = retitle(releasing, "In between")
    releasing.orchestrate("release")
    assert title(releasing.url) == new
    colour = serving(releasing)
    with Traffic(releasing.url) as traffic:
        releasing.orchestrate("release", "--image", image)
    assert not traffic.failures
    assert (title(releasing.url), _image(releasing)) == (before, image)
    assert serving(releasing) != colour
    newest = history(releasing)[0]
    digest = image.partition("@sha256:")[2][:12]
    assert (newest["digest"], newest["result"], newest["why"]) == (digest, "Succeeded", f"image {digest}")
    assert releasing.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0
    refused = releasing.orchestrate("release", "--image", image.partition("@")[0] + ":latest", check=False)
    assert refused.returncode == 2
    assert "names no digest" in refused.stdout + refused.stderr


@pytest.fixture(scope="module")
def careful(deployed: Machine) -> Iterator[Machine]:
    """Settings of somebody careful: a person says yes, then half of the traffic goes first, for two minutes."""
    half = '{type = "linear", percentage = 50, interval_minutes = 2}'
    changes = {"ecs.custom_deployment_config": half, "pipeline.approval": "true"}
    deployed.orchestrate("deploy", *(part for key, value in changes.items() for part in ("--set", f"{key}={value}")))
    try:
        yield deployed
    finally:
        deployed.orchestrate("deploy")


def _asks(machine: Machine) -> bool:
    """Whether the pipeline waits for its approval."""
    for stage in machine.client("codepipeline").get_pipeline_state(name="chatbot")["stageStates"]:
        for action in stage["actionStates"]:
            latest = action.get("latestExecution", {})
            if latest.get("token") and latest["status"] == "InProgress":
                return True
    return False


def test_a_refused_release_is_never_deployed(careful: Machine, releasing: Machine) -> None:
    before, known = title(releasing.url), deployments(releasing)
    _, commit = retitle(releasing, "Refused")
    releasing.orchestrate("release", "--no-wait")
    eventually(lambda: _asks(releasing), 200, "the question")
    releasing.orchestrate("approve", "--reject", "--summary", "not on a Friday")
    eventually(lambda: execution_of(releasing, commit)["status"] == "Failed", 60, "the end of the pipeline")
    assert deployments(releasing) == known
    assert title(releasing.url) == before
    told = release_of(releasing, commit)
    assert told["result"] == "Failed"
    assert "not on a Friday" in told["why"]
    again = releasing.orchestrate("approve", check=False)
    assert again.returncode == 2
    assert "waits for no approval" in again.stdout + again.stderr


def test_an_approved_release_that_is_stopped_mid_shift_goes_back_and_the_next_one_works(
    careful: Machine, releasing: Machine
) -> None:
    before, colour = title(releasing.url), serving(releasing)
    other = {"blue": "green", "green": "blue"}[colour]
    _, commit = retitle(releasing, "Half way")
    releasing.orchestrate("release", "--no-wait")
    eventually(lambda: _asks(releasing), 200, "the question")
    assert not deployments(releasing, RUNNING)
    with Traffic(releasing.url) as traffic:
        releasing.orchestrate("approve")
        eventually(lambda: shares(releasing).get(other) == 50, 200, "half of the traffic on the new colour")
        releasing.orchestrate("stop")
        eventually(lambda: not deployments(releasing, RUNNING), 120, "its end")
        assert shares(releasing)[colour] == 100
    assert not traffic.failures
    assert (title(releasing.url), serving(releasing)) == (before, colour)
    told = release_of(releasing, commit)
    assert (told["result"], told["why"]) == ("Stopped", "The deployment was stopped by the user.")

    new, _ = retitle(releasing, "All the way")
    release = releasing.spawn("orchestrator", "release", "--env", releasing.environment)
    eventually(lambda: _asks(releasing), 200, "the next question")
    with Traffic(releasing.url) as traffic:
        releasing.orchestrate("approve", "--summary", "looks good")
        said, _ = release.communicate(timeout=300)
    assert release.returncode == 0, said
    assert not traffic.failures
    assert f"{other} 50%" in said
    assert (title(releasing.url), serving(releasing)) == (new, other)
