"""Releases under load: what visitors noticed of them, and where the time from a push to 100 % of the traffic goes.

    python -m bench.release [--json] [--quick]

One machine in a temporary folder, deployed on its own emulator; then two releases, one after the other, while people
ask 50 requests a second (pages, API, health, chats by the page's own protocol with their cookies) and 50 more read
answers of 20 seconds, one after another. The model behind the chatbot is a small server that words come out of at a
steady pace, so that the releases are what is measured. Nothing is asserted; 0 failed, 0 broken is the goal.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.chatbot.fake_openai import FakeOpenAI
from tests.e2e.machine import Machine
from tests.e2e.traffic import Traffic, chat, get

PER_SECOND, STREAMS, REQUESTS = 50, 50, 10_000
# Each comes back every ten seconds: longer than a colour sticks, as people do who read what they were answered.
PEOPLE = 400
QUESTION = "Please say this back to me"
# Of ten requests four belong to chats.
MIX = (
    get("/"), chat(QUESTION, QUESTION), get("/healthz"), get("/config"), get("/page/chat.js"),
    chat(QUESTION, QUESTION), get("/gradio_api/info"), get("/healthz"),
)  # fmt: skip
LONG = chat("drips 20", "You said: drips 20")
# No limit per visitor: they all come from one address. As many tasks as at the start: another bench is about scaling.
SETTINGS = {"chatbot_backend": "openai", "chatbot_rate_per_minute": 0, "max_capacity": 2}


@dataclass(frozen=True)
class Release:
    """Seconds from the command to all of the traffic, and of its parts; what is left between them is `rest`."""

    push: float
    source: float
    build: float
    start: float
    healthy: float
    hook: float
    shift: float
    rest: float
    total: float

    @property
    def parts(self) -> dict[str, float]:
        return {name: seconds for name, seconds in asdict(self).items() if name != "total"}


MEANING = {
    "push": "command, checks, git push",
    "source": "pipeline: commit to zip",
    "build": "pipeline: image and documents",
    "start": "task set created until every task runs",
    "healthy": "until the load balancer finds all of them healthy",
    "hook": "a conversation on the test listener",
    "shift": "all of the production traffic",
    "rest": "between these",
}


def release(machine: Machine, title: str) -> Release:
    """Commits another title and releases it, to the end of blue."""
    source = machine.folder / "chatbot/branding.py"
    source.write_text(re.sub(r'^TITLE = ".*"', f'TITLE = "{title}"', source.read_text(), flags=re.MULTILINE))
    machine.commit(f"The title is {title}")
    began = time.time()
    done = machine.orchestrate("release", "--json")
    return timed(machine, began, json.loads(done.stdout)["execution"])


def timed(machine: Machine, began: float, execution: str) -> Release:
    """The parts as pipeline, CodeDeploy and ECS say them."""
    pipeline = machine.client("codepipeline")
    summaries = pipeline.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"]
    started = next(each for each in summaries if each["pipelineExecutionId"] == execution)["startTime"].timestamp()
    listed = pipeline.list_action_executions(pipelineName="chatbot", filter={"pipelineExecutionId": execution})
    actions = {each["stageName"]: each for each in listed["actionExecutionDetails"]}
    events = lifecycle(machine, actions["Deploy"]["output"]["executionResult"]["externalExecutionId"])
    created, running = green(machine)
    known = {
        "push": started - began,
        "source": span(actions["Source"], "startTime", "lastUpdateTime"),
        "build": span(actions["Build"], "startTime", "lastUpdateTime"),
        "start": running - created,
        "healthy": events["Install"]["endTime"].timestamp() - running,
        "hook": span(events["AfterAllowTestTraffic"], "startTime", "endTime"),
        "shift": span(events["AllowTraffic"], "startTime", "endTime"),
    }
    total = events["AllowTraffic"]["endTime"].timestamp() - began
    return Release(**known, rest=total - sum(known.values()), total=total)


def span(event: dict[str, Any], first: str, last: str) -> float:
    began, ended = event[first], event[last]
    assert isinstance(began, datetime) and isinstance(ended, datetime)
    return (ended - began).total_seconds()


def lifecycle(machine: Machine, deployment: str) -> dict[str, dict[str, Any]]:
    """The deployment's lifecycle events by name."""
    client = machine.client("codedeploy")
    (target,) = client.list_deployment_targets(deploymentId=deployment)["targetIds"]
    found = client.get_deployment_target(deploymentId=deployment, targetId=target)["deploymentTarget"]["ecsTarget"]
    return {event["lifecycleEventName"]: event for event in found["lifecycleEvents"]}


def green(machine: Machine) -> tuple[float, float]:
    """When the task set that serves now was created, and when the last task it began with ran."""
    ecs = machine.client("ecs")
    service = ecs.describe_services(cluster="chatbot", services=["chatbot"])["services"][0]
    primary = next(each for each in service["taskSets"] if each["status"] == "PRIMARY")
    arns = ecs.list_tasks(cluster="chatbot", serviceName="chatbot")["taskArns"]
    tasks = ecs.describe_tasks(cluster="chatbot", tasks=arns)["tasks"]
    started = [each["startedAt"].timestamp() for each in tasks if each["startedBy"] == primary["id"]]
    return primary["createdAt"].timestamp(), max(started)


@contextmanager
def shown(traffic: Traffic, console: Console) -> Iterator[Progress]:
    """A line that says how the traffic is doing, under what happens."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task, stop = progress.add_task(""), threading.Event()

        def follow() -> None:
            while not stop.wait(0.5):
                streams = traffic.streams
                progress.update(task, description=(
                    f"{traffic.count} requests, {traffic.failures.total()} failed; {streams.open} streams open, "
                    f"{streams.whole} whole, {streams.broken.total()} broken"
                ))  # fmt: skip

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield progress
        stop.set()
        thread.join()


def measure(machine: Machine, console: Console, *, quick: bool) -> dict[str, object]:
    machine.start()
    console.print("deploy …")
    machine.orchestrate("deploy")
    began, found = time.monotonic(), []
    traffic = Traffic(machine.url, PER_SECOND, MIX, people=PEOPLE, streams=STREAMS, stream=LONG)
    with traffic, shown(traffic, console) as progress:
        time.sleep(STREAMS * 0.2)  # until every stream is open
        for number in range(1, 2 if quick else 3):
            progress.console.print(f"release {number} …")
            found.append(release(machine, f"Release {number}"))
        while traffic.count < REQUESTS and not quick:
            time.sleep(0.5)
        seconds = time.monotonic() - began
    return {
        "requests": traffic.count,
        "requests_per_second": round(traffic.count / seconds, 1),
        "failed": traffic.failures.total(),
        "failures": dict(traffic.failures),
        "streams": STREAMS,
        "streams_whole": traffic.streams.whole,
        "streams_broken": traffic.streams.broken.total(),
        "breaks": dict(traffic.streams.broken),
        "releases": [{name: round(seconds, 2) for name, seconds in asdict(each).items()} for each in found],
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    releases = figures["releases"]
    total = statistics.mean(each["total"] for each in releases)
    heads = "".join(f"{f'release {number}':>12}" for number in range(1, len(releases) + 1))
    lines = [f"{'push to 100 %, seconds':<24}{heads}{'part':>8}"]
    for name in [*MEANING, "total"]:
        seconds = "".join(f"{each[name]:>12.1f}" for each in releases)
        part = statistics.mean(each[name] for each in releases) / total
        lines.append(f"  {name:<22}{seconds}{part:>8.0%}   {MEANING.get(name, '')}".rstrip())
    lines += [
        "",
        f"requests {figures['requests']} ({figures['requests_per_second']}/s), failed {figures['failed']}   goal: 0",
        f"streams  {figures['streams']} open, {figures['streams_whole']} ended whole, "
        f"broken {figures['streams_broken']}   goal: 0",
    ]
    lines += [f"  {count} x {kind}" for kind, count in {**figures["failures"], **figures["breaks"]}.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    parser.add_argument("--quick", action="store_true", help="one release, and as many requests as fit in it")
    arguments = parser.parse_args()
    model = FakeOpenAI().start()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-release-") as folder:
            machine = Machine(Path(folder) / "machine", settings={"ecs": SETTINGS | {"chatbot_base_url": model.url}})
            try:
                figures = measure(machine, Console(stderr=True), quick=arguments.quick)
            finally:
                machine.stop()
    finally:
        model.stop()
    print(json.dumps(figures, indent=2) if arguments.json else table(figures))


if __name__ == "__main__":
    main()
