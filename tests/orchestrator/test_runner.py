"""The scheduler: order, concurrency, what a failure stops, and what is said of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from orchestrator import phases
from orchestrator.config import Config
from orchestrator.errors import DeployError, ImageFailed, Interrupted, NotApplied, PhasesFailed, Refused
from orchestrator.runner import Event, Runner
from orchestrator.site import Answers, Outcome, Site
from orchestrator.tools.terraform_events import Listener, Progress


@dataclass
class FakeWork:
    """A phase in memory: it remembers when it ran, and fails when it is told to."""

    name: str
    done: list[str]
    applied: bool = False
    why: str = "not applied"
    seconds: float = 0.0
    fails: DeployError | None = None
    given: dict[str, Any] = field(default_factory=dict)
    during: Callable[[], None] = lambda: None
    began: list[str] = field(default_factory=list)
    early: bool = False
    planning: bool = False

    def prepare(self, site: Site) -> None:
        pass

    def answer(self, site: Site) -> dict[str, Any] | None:
        return {"name": self.name} if self.applied else None

    def stale(self, site: Site, needs: Answers) -> str:
        return "" if self.applied else self.why

    def apply(
        self, site: Site, needs: Answers, listener: Listener, *, yes: bool, answered: Callable[[], None]
    ) -> Outcome:
        self.given = {name: dict(answer) for name, answer in needs.items()}
        self.began.append(self.name)
        if self.early:
            self.applied = True
            answered()
        listener(Progress(0, 1, "creates", planning=self.planning))
        time.sleep(self.seconds)
        self.during()
        if self.fails:
            raise self.fails
        self.applied = True
        self.done.append(self.name)
        return Outcome(self.name, "applied")

    def plan(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        return Outcome(self.name, "unchanged")

    def destroy(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        self.applied = False
        self.done.append(self.name)
        return Outcome(self.name, "destroyed")


Works = dict[str, FakeWork]


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Works:
    """The project's table of phases with works that only remember."""
    done: list[str] = []
    made = {phase.name: FakeWork(phase.name, done) for phase in phases.PHASES}
    table = tuple(replace(phase, work=made[phase.name]) for phase in phases.PHASES)
    monkeypatch.setattr(phases, "PHASES", table)
    return made


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def runner(config: Config, works: Works, events: list[Event]) -> Runner:
    return Runner(config, events.append, lambda line: None)


def test_what_is_needed_comes_first_and_hands_its_answer_on(runner: Runner, works: Works) -> None:
    outcomes = runner.deploy()
    done = works["ecs"].done
    for phase in phases.PHASES:
        assert all(done.index(need) < done.index(phase.name) for need in phase.needs)
    assert [outcome.phase for outcome in outcomes] == phases.names()
    assert works["image"].given == {"ecr": {"name": "ecr"}}


def test_phases_that_do_not_need_each_other_run_at_the_same_time(runner: Runner, works: Works) -> None:
    together = threading.Barrier(2, timeout=60)
    works["network"].during = works["image"].during = lambda: (together.wait(), None)[1]
    runner.deploy()


def test_a_failure_stops_what_waits_for_it_and_nothing_else(runner: Runner, works: Works, events: list[Event]) -> None:
    works["ecr"].fails = ImageFailed("no")
    works["network"].seconds = 0.3
    with pytest.raises(PhasesFailed) as failed:
        runner.deploy()
    assert works["network"].applied and not works["ecs"].applied
    assert "network" in failed.value.what.partition("what stands: ")[2]
    assert failed.value.remedy.endswith("python -m orchestrator deploy")
    assert {event.phase for event in events if event.state == "blocked"} == {"image", "ecs", "pipeline"}
    assert failed.value.exit_code == 1


def test_the_same_command_goes_on_where_it_failed(config: Config, runner: Runner, works: Works) -> None:
    works["ecs"].fails = ImageFailed("no")
    with pytest.raises(PhasesFailed):
        runner.deploy()
    works["ecs"].fails = None
    works["ecs"].done.clear()
    results = {o.phase: o.result for o in Runner(config, lambda event: None, print).deploy()}
    assert results == {name: "applied" if name in ("ecs", "pipeline") else "skipped" for name in phases.names()}
    assert works["ecs"].done == ["ecs", "pipeline"]


def test_an_image_is_built_anew_by_a_deploy_only_before_the_first_release(runner: Runner, works: Works) -> None:
    with pytest.raises(Refused, match="no other phase builds"):
        runner.phase("ecr", rebuild="20260102T030405Z")
    runner.deploy(rebuild="20260102T030405Z")
    assert runner.site.rebuild == "20260102T030405Z"
    runner.site.put_record("pipeline", {"released": True})
    for verb in (runner.deploy, partial(runner.phase, "image")):
        with pytest.raises(Refused, match=r"orchestrator release --rebuild"):
            verb(rebuild="20260102T030406Z")


def test_a_destroy_takes_the_log_that_container_insights_has_made(runner: Runner, works: Works) -> None:
    """Nobody's state has it, and what looks for leftovers would find it for ever: aws/containers-roadmap#2315."""
    runner.deploy()
    logs, name = runner.site.aws.client("logs"), f"/aws/ecs/containerinsights/{runner.config.prefix}/performance"
    logs.create_log_group(logGroupName=name)
    runner.destroy()
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []


def test_destroy_goes_the_other_way(config: Config, runner: Runner, works: Works) -> None:
    runner.deploy()
    works["ecs"].done.clear()
    second = Runner(config, lambda event: None, print)
    second.destroy()
    done = works["ecs"].done
    for phase in phases.PHASES:
        assert all(done.index(need) > done.index(phase.name) for need in phase.needs)
    assert not second.site.bucket.exists()


def test_a_phase_alone_names_the_phase_to_run_first(runner: Runner, works: Works) -> None:
    with pytest.raises(NotApplied) as refused:
        runner.phase("ecs")
    assert refused.value.remedy == "run: python -m orchestrator phase network"
    works["network"].applied = True
    with pytest.raises(NotApplied) as refused:
        runner.phase("ecs")
    assert refused.value.remedy == "run: python -m orchestrator phase ecr"
    assert not works["ecs"].done


def test_a_phase_alone_runs_just_that(runner: Runner, works: Works) -> None:
    works["ecr"].applied = True
    assert [outcome.phase for outcome in runner.phase("image")] == ["image"]
    assert works["image"].done == ["image"]


def test_an_interrupt_begins_nothing_new_and_says_how_to_go_on(runner: Runner, works: Works) -> None:
    works["ecr"].during = runner.interrupt
    with pytest.raises(Interrupted) as stopped:
        runner.deploy()
    assert stopped.value.exit_code == 130
    assert "ecr" in stopped.value.what and "python -m orchestrator deploy" in stopped.value.remedy
    assert not works["image"].done[1:] or "ecs" not in works["image"].done


def test_the_lock_is_given_back_after_a_failure_too(runner: Runner, works: Works) -> None:
    works["network"].fails = ImageFailed("no")
    with pytest.raises(PhasesFailed):
        runner.deploy()
    assert runner.site.bucket.acquire("deploy") == ""


def test_a_plan_of_nothing_applied_names_what_is_missing(runner: Runner, works: Works) -> None:
    runner.site.bucket.ensure()
    notes = {outcome.phase: outcome.note for outcome in runner.plan()}
    assert notes["image"] == "everything: needs ecr, not applied yet"
    assert not works["image"].done


def test_outputs_are_what_was_applied(runner: Runner, works: Works) -> None:
    works["ecr"].applied = True
    assert runner.outputs()["ecr"] == {"name": "ecr"}
    assert runner.outputs()["ecs"] is None


def test_a_destroy_that_would_stop_half_way_is_refused_before_it_begins(runner: Runner, works: Works) -> None:
    site, name = runner.site, runner.config.prefix
    site.bucket.ensure()
    ecr = site.aws.client("ecr")
    ecr.create_repository(repositoryName=name)
    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="one")
    repository = {"mode": "managed", "type": "aws_ecr_repository", "instances": [{"attributes": {"name": name}}]}
    site.bucket.write("ecr.tfstate", {"serial": 1, "lineage": "l", "resources": [repository]})
    with pytest.raises(Refused, match="not empty") as refused:
        runner.destroy()
    assert "ecr.force_delete = true" in refused.value.remedy and "destroy --with-data" in refused.value.remedy
    assert works["ecr"].done == []


def test_a_destroy_with_its_data_empties_what_settings_protect(runner: Runner, works: Works) -> None:
    site, name = runner.site, runner.config.prefix
    site.bucket.ensure()
    ecr, s3, bucket = site.aws.client("ecr"), site.aws.client("s3"), f"{name}-artifacts"
    ecr.create_repository(repositoryName=name)
    for number in range(3):
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{number:064}", "size": 1}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config}
        ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=str(number))
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b", "a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="b")
    for kind, attributes in (("aws_ecr_repository", {"name": name}), ("aws_s3_bucket", {"bucket": bucket})):
        resource = {"mode": "managed", "type": kind, "instances": [{"attributes": attributes}]}
        stack = "ecr" if "ecr" in kind else "artifacts"
        site.bucket.write(f"{stack}.tfstate", {"serial": 1, "lineage": "l", "resources": [resource]})
    runner.destroy(with_data=True)
    assert ecr.list_images(repositoryName=name)["imageIds"] == []
    left = s3.list_object_versions(Bucket=bucket)
    assert not left.get("Versions") and not left.get("DeleteMarkers")


def test_refresh_looks_at_every_phase_though_nothing_changed_here(config: Config, runner: Runner, works: Works) -> None:
    runner.deploy()
    works["ecs"].done.clear()
    assert all(outcome.result == "skipped" for outcome in Runner(config, lambda event: None, print).deploy())
    assert works["ecs"].done == []
    Runner(config, lambda event: None, print).deploy(refresh=True)
    assert sorted(works["ecs"].done) == sorted(phases.names())


def test_what_needs_an_answer_begins_when_it_is_known_and_not_at_the_end(runner: Runner, works: Works) -> None:
    together = threading.Barrier(2, timeout=60)
    works["ecs"].early = True
    works["ecs"].during = works["pipeline"].during = lambda: (together.wait(), None)[1]
    assert [outcome.result for outcome in runner.deploy()] == ["applied"] * len(works)


def test_a_failure_after_the_answer_is_a_failure(runner: Runner, works: Works) -> None:
    works["ecs"].early = True
    works["ecs"].fails = ImageFailed("never steady")
    with pytest.raises(PhasesFailed, match="never steady"):
        runner.deploy()
    assert works["pipeline"].applied


def test_the_longest_way_to_the_end_plans_first(runner: Runner, works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    began: list[str] = []
    for work in works.values():
        work.began, work.planning, work.seconds = began, True, 0.1
    runner = Runner(runner.config, lambda event: None, print)
    runner.deploy()
    assert began[:3] == ["network", "artifacts", "ecr"]


def _interrupted_in(runner: Runner, works: Works, phase: str, wait: Callable[[], object]) -> tuple[Interrupted, float]:
    """How a deploy ends that is interrupted while ``phase`` does ``wait``, and how many seconds after."""
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        runner.interrupt()

    works[phase].during = lambda: (threading.Timer(0.1, press).start(), wait(), None)[-1]
    with pytest.raises(Interrupted) as stopped:
        runner.deploy()
    return stopped.value, time.monotonic() - pressed[0]


def test_an_interrupt_ends_a_phase_that_waits_and_says_what_goes_on(runner: Runner, works: Works) -> None:
    waits = lambda: runner.site.cancel.wait(60, "the balancer goes on")  # noqa: E731
    stopped, seconds = _interrupted_in(runner, works, "network", waits)
    assert seconds < 30
    assert "network: the balancer goes on" in stopped.what


def test_an_interrupt_does_not_wait_for_a_call_that_hangs(runner: Runner, works: Works) -> None:
    hung = threading.Event()
    stopped, seconds = _interrupted_in(runner, works, "network", lambda: hung.wait(60))
    hung.set()
    assert seconds < 30
    assert "network: its call of AWS or of a tool was not waited for" in stopped.what


def test_an_interrupt_waits_for_the_terraform_that_saves_its_state(
    runner: Runner, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = threading.Event()
    monkeypatch.setattr(runner.site, "saving", lambda: [] if saved.is_set() else ["network"])

    def save() -> None:
        time.sleep(2.5)
        saved.set()

    stopped, _ = _interrupted_in(runner, works, "network", save)
    assert saved.is_set()
    assert "what stands: network" in stopped.what


def test_an_interrupt_before_the_first_phase_ends_too(runner: Runner) -> None:
    runner.interrupt()
    with pytest.raises(Interrupted):
        runner.deploy()


def test_a_plan_of_an_unknown_phase_is_refused_before_anything_runs(runner: Runner, events: list[Event]) -> None:
    with pytest.raises(Refused, match="nope"):
        runner.plan(["nope"])
    assert events == []
