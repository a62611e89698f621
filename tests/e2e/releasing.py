"""What a test of releases does and looks at: a title to release, the listeners while it goes on, order afterwards."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.e2e.machine import Machine
from tests.waiting import eventually

SOURCE = "chatbot/branding.py"
GROUP = {"applicationName": "chatbot", "deploymentGroupName": "chatbot"}
RUNNING = ["Created", "Queued", "InProgress", "Ready"]


def title(url: str) -> str:
    """The title of the page at `url`, which Gradio's first configuration carries."""
    with urllib.request.urlopen(url, timeout=60) as page:
        found = re.search(r'"title":"([^"]*)"', page.read().decode())
    return found[1] if found else ""


def retitle(machine: Machine, word: str) -> tuple[str, str]:
    """Commits a page with a title that was never there before; title and commit."""
    new = f"{word} {time.time_ns() // 1_000_000}"
    text = (machine.folder / SOURCE).read_text()
    (machine.folder / SOURCE).write_text(re.sub(r'^TITLE = ".*"', f'TITLE = "{new}"', text, flags=re.MULTILINE))
    return new, machine.commit(f"The title is {new}")


def title_at(machine: Machine, commit: str) -> str:
    """The title that a commit gave the page."""
    found = re.search(r'^TITLE = "(.*)"', machine.git("show", f"{commit}:{SOURCE}"), re.MULTILINE)
    assert found, commit
    return found[1]


def serving(machine: Machine) -> str:
    """The colour with all of the production traffic."""
    status = json.loads(machine.orchestrate("status", "--json").stdout)
    return next(name for name, colour in status["colours"].items() if colour["production"] == 100)


def shares(machine: Machine) -> dict[str, int]:
    """The production listener's weights, by colour."""
    elbv2 = machine.client("elbv2")
    groups = _colours(elbv2)
    for balancer in elbv2.describe_load_balancers()["LoadBalancers"]:
        for listener in elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
            if listener["Port"] == machine.production_port:
                forwarded = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
                return {groups[each["TargetGroupArn"]]: each["Weight"] for each in forwarded}
    raise AssertionError("there is no production listener")


def _colours(elbv2: Any) -> dict[str, str]:
    """Colours by target group ARN."""
    groups = elbv2.describe_target_groups()["TargetGroups"]
    return {each["TargetGroupArn"]: each["TargetGroupName"].rpartition("-")[2] for each in groups}


def history(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.orchestrate("history", "--json").stdout)["releases"]
    return found


def release_of(machine: Machine, commit: str) -> dict[str, Any]:
    """The history's row of a commit; above it there may be the rollback, a deployment of its own as on AWS."""
    return next(each for each in history(machine) if each["commit"] == commit)


def deployments(machine: Machine, statuses: list[str] | None = None) -> list[str]:
    found: list[str] = machine.client("codedeploy").list_deployments(**GROUP, includeOnlyStatuses=statuses or [])[
        "deployments"
    ]
    return found


def execution_of(machine: Machine, commit: str) -> dict[str, Any]:
    """The pipeline execution of a commit; empty while there is none."""
    client = machine.client("codepipeline")
    for each in client.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"]:
        if any(source["revisionId"] == commit for source in each["sourceRevisions"]):
            found: dict[str, Any] = each
            return found
    return {}


class Watch:
    """What both listeners showed while a release went on: `seen` has each pair (production, test) once, in order."""

    def __init__(self, machine: Machine) -> None:
        self.seen: list[tuple[str, str]] = []
        self._machine = machine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            try:
                # Test before production: a shift between the two reads must not look like production came first.
                test = title(self._machine.test_url)
                pair = (title(self._machine.url), test)
            except OSError:
                continue
            if not self.seen or self.seen[-1] != pair:
                self.seen.append(pair)


def settle(machine: Machine) -> None:
    """Nothing is being released any more, and no alarm is on that would stop the next release."""
    pipelines, codedeploy = machine.client("codepipeline"), machine.client("codedeploy")
    for each in pipelines.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"]:
        if each["status"] in ("InProgress", "Stopping"):
            with contextlib.suppress(ClientError):
                pipelines.stop_pipeline_execution(
                    pipelineName="chatbot", pipelineExecutionId=each["pipelineExecutionId"], abandon=True, reason="over"
                )
    for deployment in deployments(machine, RUNNING):
        with contextlib.suppress(ClientError):  # a rollback comes to its end by itself
            codedeploy.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    eventually(lambda: not deployments(machine, RUNNING), 120, "the end of every deployment")
    eventually(lambda: not alarms(machine), 180, "every alarm off")


def alarms(machine: Machine) -> list[str]:
    """Which of the deployment group's alarms are on; autoscaling's own are not among them."""
    found = machine.client("cloudwatch").describe_alarms(StateValue="ALARM", AlarmNamePrefix="chatbot-")
    return [each["AlarmName"] for each in found["MetricAlarms"]]


@dataclass(frozen=True)
class Before:
    """What a test found: the commit, and the task definition that served."""

    commit: str
    revision: str

    @classmethod
    def of(cls, machine: Machine) -> Before:
        return cls(machine.git("rev-parse", "HEAD"), _revision(machine))

    def restore(self, machine: Machine) -> None:
        """After a failure: the files as they were, in a commit on top, and the release before serving."""
        machine.git("read-tree", "-u", "--reset", self.commit)
        if machine.git("diff", "--cached", "--stat", "HEAD"):
            machine.commit("As it was before the test")
        if _revision(machine) != self.revision:
            machine.orchestrate("rollback")


def _revision(machine: Machine) -> str:
    service = machine.client("ecs").describe_services(cluster="chatbot", services=["chatbot"])["services"][0]
    return next(str(each["taskDefinition"]) for each in service["taskSets"] if each["status"] == "PRIMARY")
