"""How long a deploy takes, held against what nobody can beat: the Terraform provider's own waits.

    python -m bench.deploy [--json]

One run on a machine in a temporary folder, with its own emulator: a cold deploy, a deploy with nothing to do, and,
after a destroy, the same phases one after another. Ratios, not seconds, are what can be compared between machines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator import phases
from tests.e2e.machine import Machine

# A resource that took longer than this was waited for: the provider sleeps in steps of seconds.
WAIT = 2.0


@dataclass(frozen=True)
class Applied:
    """One resource as Terraform's events tell it; seconds since the epoch."""

    stack: str
    address: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def applied(log: Path) -> Iterator[Applied]:
    """The resources that one stack's log says were applied."""
    began: dict[str, float] = {}
    for line in log.read_text().splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("type") in ("apply_start", "apply_complete"):
            address = event["hook"]["resource"]["addr"]
            moment = datetime.fromisoformat(event["@timestamp"]).timestamp()
            if event["type"] == "apply_start":
                began[address] = moment
            elif address in began:
                yield Applied(log.parent.name, address, began.pop(address), moment)


def critical_path(resources: list[Applied]) -> list[Applied]:
    """The chain that ends last: each link the one that ended last before the next began, in its stack or one needed."""
    path: list[Applied] = []
    candidates = resources
    while candidates:
        last = max(candidates, key=lambda each: each.ended)
        path.append(last)
        behind = {last.stack, *phases.find(last.stack).needs}
        candidates = [each for each in resources if each.ended <= last.began and each.stack in behind]
    return path[::-1]


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def phases_of_a_deploy(machine: Machine) -> float:
    """Seconds of a deploy without the first release that it ends with: the phases alone begin none."""
    began = time.monotonic()
    seconds = 0.0
    with machine.spawn("orchestrator", "deploy", "--env", machine.environment) as running:
        assert running.stdout
        for line in running.stdout:
            if not seconds and line.startswith("first release"):
                seconds = time.monotonic() - began
    assert running.returncode == 0, "the deploy failed"
    return seconds or time.monotonic() - began


def measure(machine: Machine, say: Callable[[str], None]) -> dict[str, object]:
    machine.start()
    say("cold deploy …")
    cold = phases_of_a_deploy(machine)
    logs = sorted((machine.folder / ".orchestrator" / machine.environment).glob("*/terraform.log"))
    waits = [each for each in critical_path([each for log in logs for each in applied(log)]) if each.seconds >= WAIT]
    floor = sum(each.seconds for each in waits)
    say("deploy with nothing to do …")
    idle = min(timed(lambda: machine.orchestrate("deploy")) for _ in range(3))
    bare = min(timed(lambda: machine.run("this", check=False)) for _ in range(3))
    names = [row["phase"] for row in json.loads(machine.orchestrate("status", "--json").stdout)["phases"]]
    say("destroy …")
    machine.orchestrate("destroy", "--yes")
    machine.stop()
    machine.start()
    sequential = 0.0
    for phase in names:
        say(f"alone: {phase} …")
        sequential += timed(lambda phase=phase: machine.orchestrate("phase", phase))  # type: ignore[misc]
    return {
        "cold_seconds": round(cold, 1),
        "floor_seconds": round(floor, 1),
        "sequential_seconds": round(sequential, 1),
        "no_op_seconds": round(idle, 2),
        "no_op_after_interpreter_start_seconds": round(idle - bare, 2),
        "cold_to_floor": round(cold / floor, 2),
        "cold_to_sequential": round(cold / sequential, 2),
        "waits": [{"resource": each.address, "seconds": round(each.seconds, 1)} for each in waits],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as folder:
        machine = Machine(Path(folder) / "machine")
        try:
            figures = measure(machine, (lambda text: None) if arguments.json else print)
        finally:
            machine.stop()
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"""
cold deploy                     {figures["cold_seconds"]:>7} s
  the provider's own waits      {figures["floor_seconds"]:>7} s   on the critical path
  ratio                         {figures["cold_to_floor"]:>7}     goal: at most 1.25
same phases one after another   {figures["sequential_seconds"]:>7} s
  ratio                         {figures["cold_to_sequential"]:>7}     goal: at most 0.7
deploy with nothing to do       {figures["no_op_seconds"]:>7} s   goal: at most 3 after interpreter start
  after interpreter start       {figures["no_op_after_interpreter_start_seconds"]:>7} s""")


if __name__ == "__main__":
    main()
