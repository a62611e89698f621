"""Canary and linear through the whole stack: who meets green while a release shifts, and that nobody gets an error."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chatbot.fake_openai import FakeOpenAI
from tests.e2e.machine import Machine
from tests.e2e.releasing import settle
from tests.e2e.traffic import Act, Traffic, chat
from tests.e2e.visitor import Visitor
from tests.waiting import eventually

# In a group of its own: what it counts, and asks for every second, needs the machine for itself.
pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="split")]

# AWS counts in minutes; four of them pass in one here. A client's cookie counts real seconds.
SCALE, STICKY = 4, 3
# A file that every release changes: what it says is which release answered.
MARK = "chatbot/assets/release.txt"
CANARY = {"type": "canary", "percentage": 10, "interval_minutes": 3}
LINEAR = {"type": "linear", "percentage": 25, "interval_minutes": 1}
QUESTION = "Please say this back to me"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    model = FakeOpenAI().start()
    settings: dict[str, dict[str, Any]] = {
        "network": {"listener_stickiness_duration": STICKY},
        "ecs": {
            "chatbot_backend": "openai", "chatbot_base_url": model.url, "chatbot_rate_per_minute": 0,
            "max_capacity": 2,
        },
    }  # fmt: skip
    machine = Machine(tmp_path_factory.mktemp("split"), settings, variables={"EMULATOR_TIME_SCALE": str(SCALE)})
    (machine.folder / MARK).write_text("the first")
    machine.git("add", MARK)
    machine.commit("Pages say which release they are of")
    try:
        with machine:
            machine.orchestrate("deploy")
            yield machine
    finally:
        model.stop()
        shutil.rmtree(machine.folder, ignore_errors=True)


@dataclass(frozen=True)
class Sighting:
    """Which release answered somebody; both moments in monotonic seconds."""

    asked: float
    answered: float
    visitor: Visitor
    release: str


def look(sightings: list[Sighting]) -> Act:
    async def do(visitor: Visitor) -> None:
        asked = time.monotonic()
        release = await visitor.get("/page/release.txt")
        sightings.append(Sighting(asked, time.monotonic(), visitor, release))

    return Act(do)


@dataclass(frozen=True)
class Reading:
    """Green's percentage of the production traffic, as the API said it between two moments."""

    before: float
    after: float
    percentage: int


class Weights:
    """Reads the production listener's weights all the time."""

    def __init__(self, machine: Machine) -> None:
        self._elb = machine.client("elbv2")
        balancer = self._elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        listeners = self._elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        self._listener = next(each["ListenerArn"] for each in listeners if each["Port"] == machine.production_port)
        self._blue = max(self._now().items(), key=lambda item: item[1])[0]
        self.readings = [self._read()]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Weights:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _now(self) -> dict[str, int]:
        (action,) = self._elb.describe_listeners(ListenerArns=[self._listener])["Listeners"][0]["DefaultActions"]
        return {each["TargetGroupArn"]: each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]}

    def _read(self) -> Reading:
        before, weights = time.monotonic(), self._now()
        return Reading(before, time.monotonic(), 100 - round(100 * weights[self._blue] / sum(weights.values())))

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self.readings.append(self._read())

    @property
    def steps(self) -> list[int]:
        """The percentages in their order."""
        return [percentage for percentage, _ in itertools.groupby(each.percentage for each in self.readings)]

    def at(self, seen: Sighting, settle: float = 2.0) -> int | None:
        """The percentage when it was answered; None near a change, when the load balancer may know another one."""
        known = [each.percentage for each in self.readings if each.after <= seen.asked - settle]
        then = [each.percentage for each in self.readings if each.before >= seen.answered]
        return known[-1] if known and then and known[-1] == then[0] else None

    @property
    def until(self) -> float:
        """Until when blue surely had some of the traffic."""
        return max(each.before for each in self.readings if each.percentage < 100)


@dataclass
class Release:
    """What strangers, and people who come back every second or two, saw of a release."""

    name: str
    weights: Weights
    strangers: list[Sighting] = field(default_factory=list)
    people: list[Sighting] = field(default_factory=list)

    def shares(self) -> dict[int, tuple[float, int]]:
        """For each percentage that green was given: the percentage of strangers that met it, and of how many."""
        met: dict[int, list[bool]] = {}
        for each in self.strangers:
            percentage = self.weights.at(each)
            if percentage is not None:
                met.setdefault(percentage, []).append(each.release == self.name)
        return {given: (100 * sum(green) / len(green), len(green)) for given, green in sorted(met.items())}


TRIES = itertools.count(1)


def released(machine: Machine, name: str) -> Release:
    """Releases `name` while strangers look, people look again and again, and others chat: nobody sees an error."""
    settle(machine)  # a try before this one
    name = f"{name}, try {next(TRIES)}"
    (machine.folder / MARK).write_text(name)
    machine.commit(f"Release {name}")
    release = Release(name, Weights(machine))
    strangers = Traffic(machine.url, 40, [look(release.strangers)])
    regulars = Traffic(machine.url, 5, [look(release.people)], people=5)
    chatting = Traffic(machine.url, 8, [chat(QUESTION, QUESTION)], people=40)
    latecomers = Traffic(machine.url, 16, [look(release.people)], people=24)
    with release.weights, strangers, regulars, chatting:
        machine.orchestrate("release", "--no-wait")
        eventually(lambda: release.weights.readings[-1].percentage, 300, "green has some of the traffic", pause=0.1)
        with latecomers:
            machine.orchestrate("release", "--follow")
    assert not strangers.failures + regulars.failures + chatting.failures + latecomers.failures
    return release


def test_a_canary_shows_green_to_the_share_of_new_visitors_that_was_asked_for(deployed: Machine) -> None:
    shift(deployed, CANARY)
    release = released(deployed, "the canary")
    assert release.weights.steps == [0, 10, 100]
    found = release.shares()
    assert found[10][1] >= 1500, found
    assert all(abs(met - given) <= 3 for given, (met, _) in found.items()), found
    _everybody_moves_once(release)


def test_a_linear_release_shows_green_to_more_and_more_of_them(deployed: Machine) -> None:
    shift(deployed, LINEAR)
    release = released(deployed, "the linear one")
    assert release.weights.steps == [0, 25, 50, 75, 100]
    found = release.shares()
    assert min(found[given][1] for given in (25, 50, 75)) >= 400, found
    assert all(abs(met - given) <= 3 for given, (met, _) in found.items()), found
    assert 0 < _everybody_moves_once(release) < 24, "of two dozen who came with a quarter on green some began there"


def shift(machine: Machine, configuration: dict[str, Any]) -> None:
    """Releases go by `configuration` from now on."""
    machine.settings["ecs"]["custom_deployment_config"] = configuration
    machine.write_settings()
    machine.orchestrate("phase", "ecs")
    group = machine.client("codedeploy").get_deployment_group(applicationName="chatbot", deploymentGroupName="chatbot")
    assert configuration["type"] in group["deploymentGroupInfo"]["deploymentConfigName"]


def _everybody_moves_once(release: Release) -> int:
    """Who comes back in time stays on his colour as long as it has a weight; then all of blue's go to green.

    Answers how many began on green.
    """
    seen: dict[Visitor, list[Sighting]] = {}
    for each in sorted(release.people, key=lambda sighting: sighting.asked):
        seen.setdefault(each.visitor, []).append(each)
    for sightings in seen.values():
        for before, after in itertools.pairwise(sightings):
            # At most: the cookie was made after the one was asked for, and looked at before the other was answered.
            if after.release != before.release and after.answered - before.asked < STICKY - 1:
                assert after.release == release.name, "somebody went back from green"
                assert after.answered >= release.weights.until, "somebody left blue while it had a weight"
        assert sightings[-1].release == release.name
    return sum(sightings[0].release == release.name for sightings in seen.values())
