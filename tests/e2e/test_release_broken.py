"""Releases that are broken, each in its own way: blue serves on, history says why, and the next good one works."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest
import yaml

from tests.e2e.machine import PROJECT, Machine
from tests.e2e.releasing import RUNNING, alarms, deployments, release_of, retitle, serving, title
from tests.e2e.traffic import Traffic, get
from tests.waiting import eventually


@dataclass(frozen=True)
class Fault:
    """What breaks a release: in `file`, `new` takes the place of `old`; `why` is what history says of it."""

    file: str
    old: str
    new: str
    why: str
    result: str = "Failed"


BUILD = "  build:\n"
END = "\nartifacts:"
NOT_A_CHAT = "The deployment failed because one or more of the lifecycle event validation functions failed."
# Each `why` in AWS's own words, where AWS has any.
FAULTS = {
    "a container that exits": Fault(
        "chatbot/__main__.py", "import signal\n", "raise SystemExit(3)\n",
        "its tasks have stopped.*Essential container in task exited; chatbot: exit code 3",
    ),
    "a container that is up and fails its health check": Fault(
        "chatbot/app.py", 'JSONResponse({"status": "alive"})', 'JSONResponse({"status": "sick"}, status_code=503)',
        r"its tasks have stopped.*failed (ELB health checks in \(target-group|container health checks)",
    ),
    "a build that fails": Fault(
        "buildspec.yml", BUILD, "  pre_build:\n    commands: [exit 7]\n" + BUILD,
        "Build terminated with state: FAILED. Phase: PRE_BUILD, Code: COMMAND_EXECUTION_ERROR, "
        "Message: Error while executing command: exit 7. Reason: exit status 7",
    ),
    "a chat that gets no answer": Fault(
        "taskdef.json", '"<CHATBOT_BASE_URL>"', '"http://127.0.0.1:9/v1"', NOT_A_CHAT
    ),
    "a missing image": Fault(
        "buildspec.yml", END, '      - sed -i "s/sha256:....../sha256:000000/" imageDetail.json\n' + END,
        "CannotPullContainerError",
    ),
    "a malformed taskdef.json": Fault(
        "buildspec.yml", END, "      - echo '{' > taskdef.json\n" + END,
        "Exception while trying to parse the task definition artifact file from",
    ),
    "a malformed appspec.yaml": Fault(
        "buildspec.yml", END, "      - echo '[' > appspec.yaml\n" + END,
        "the AppSpec file that specifies the deployment configuration is missing or has an invalid configuration. The "
        "input AppSpec file is a not well-formed yaml. The template cannot be parsed.",
    ),
}  # fmt: skip


def test_every_fault_finds_its_place_and_breaks_nothing_else() -> None:
    """Quick, so that whoever moves these lines hears of it."""
    for fault in (*FAULTS.values(), _only_in_production(80)):
        text = (PROJECT / fault.file).read_text()
        assert fault.old in text, fault
        broken = text.replace(fault.old, fault.new)
        if fault.file.endswith(".yml"):
            assert yaml.safe_load(broken)["phases"]
        if fault.file.endswith(".py"):
            compile(broken, fault.file, "exec")


@pytest.mark.e2e
@pytest.mark.slow(group="releases")
@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_release_reaches_nobody_and_the_next_good_one_works(releasing: Machine, name: str) -> None:
    before, colour, fault = title(releasing.url), serving(releasing), FAULTS[name]
    commit = _break(releasing, fault)
    with Traffic(releasing.url) as traffic:
        _refused(releasing)
        assert (title(releasing.url), serving(releasing)) == (before, colour)
    assert not traffic.failures
    _told(releasing, commit, fault)
    _release_a_good_one(releasing, colour)


@pytest.mark.e2e
@pytest.mark.slow(group="releases")
def test_errors_after_the_shift_raise_an_alarm_that_takes_the_traffic_back(releasing: Machine) -> None:
    before, colour = title(releasing.url), serving(releasing)
    fault = _only_in_production(releasing.production_port)
    commit = _break(releasing, fault)
    with Traffic(releasing.url, acts=[get("/")]) as traffic:
        _refused(releasing)
    # 507 is an answer that no load balancer gives by itself: only green failed, from the shift to the way back.
    assert set(traffic.failures) == {"/ 507"}, traffic.failures
    with Traffic(releasing.url) as traffic:
        assert (title(releasing.url), serving(releasing)) == (before, colour)
    assert not traffic.failures
    other = {"blue": "green", "green": "blue"}[colour]
    alarm = f"chatbot-{other}-5xx"
    eventually(lambda: not deployments(releasing, RUNNING), 120, "the end of the rollback")
    again = releasing.orchestrate("release", "--again", check=False)
    assert again.returncode == 2
    assert f"alarm {alarm} is on" in again.stderr + again.stdout
    _told(releasing, commit, fault)
    eventually(lambda: not alarms(releasing), 150, "the alarm off, as no broken answer has come for a minute")
    _release_a_good_one(releasing, colour)


def _only_in_production(port: int) -> Fault:
    """A green that is well on the test listener, so for the hook, and fails at what people ask of it on `port`."""
    admit = "            self._admit(scope)\n"
    fails = f"""            if (b"x-forwarded-port", b"{port}") in scope["headers"]:
                raise Refusal(507, "Only here.")
"""
    return Fault(
        "chatbot/guard.py", admit, admit + fails,
        "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the "
        "affected deployments have been stopped. Activated alarms: <chatbot-(blue|green)-5xx>",
        "Stopped",
    )  # fmt: skip


def _break(machine: Machine, fault: Fault) -> str:
    machine.edit(fault.file, fault.old, fault.new)
    return machine.commit(f"Broken: {fault.file}")


def _refused(machine: Machine) -> subprocess.CompletedProcess[str]:
    done = machine.orchestrate("release", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "what served before goes on serving" in done.stdout + done.stderr
    return done


def _told(machine: Machine, commit: str, fault: Fault) -> None:
    broken = release_of(machine, commit)
    assert broken["result"] == fault.result, broken
    assert re.search(fault.why, broken["why"]), broken
    assert "\n" not in broken["why"]


def _release_a_good_one(machine: Machine, colour: str) -> None:
    machine.git("revert", "--no-edit", "HEAD")
    new, _ = retitle(machine, "Good again")
    with Traffic(machine.url) as traffic:
        machine.orchestrate("release")
    assert title(machine.url) == new
    assert serving(machine) != colour
    assert not traffic.failures
