"""Whether visitors are served, what is not as it should be, and what mends it.

``look`` asks the page first, as a visitor does, and everything behind it at the same time. ``CHECKS`` is the table of
what is judged of that: each check is a function of the facts alone, so a new one is a function and a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from orchestrator import commands
from orchestrator.facts import Facts, Json, read
from orchestrator.site import Site
from orchestrator.tools import traffic
from orchestrator.tools.page import Seen

# A stack whose resources stand between visitors and their page.
SERVING = frozenset(
    {
        "aws_internet_gateway",
        "aws_lb",
        "aws_lb_listener",
        "aws_lb_target_group",
        "aws_route_table",
        "aws_route_table_association",
        "aws_security_group",
        "aws_subnet",
        "aws_vpc",
        "aws_vpc_security_group_egress_rule",
        "aws_vpc_security_group_ingress_rule",
        "aws_ecs_cluster",
    }
)
# Terraform would make these anew, or not see it at all; ``repair`` has a call that brings back the very same.
BY_CALL = {"aws_kms_key": "key", "aws_secretsmanager_secret": "secret", "aws_appautoscaling_target": "autoscaling"}


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be.

    ``down``: visitors are not served because of it. ``serving``: it lies on a visitor's way, so it may be why the page
    does not answer. ``phase``: the stack whose apply mends it; ``mend``: the call of ``repair`` that does, with
    ``subject`` what it is done to. With neither, ``remedy`` is what a person can do.
    """

    name: str
    text: str
    down: bool = False
    serving: bool = False
    phase: str = ""
    mend: str = ""
    subject: Any = None
    remedy: str = ""

    @property
    def mendable(self) -> bool:
        return bool(self.phase or self.mend)


@dataclass(frozen=True)
class Health:
    """What ``look`` came to; ``command`` spells a verb for this environment."""

    facts: Facts
    faults: tuple[Fault, ...]
    command: Callable[[str], str] = field(repr=False, default=commands.command)

    @property
    def seen(self) -> Seen:
        """What visitors get. Where the page cannot be seen from here, what is behind it is the witness; where it can, a
        fault may still be one that every second visitor meets."""
        if self.facts.page.seen is Seen.DOWN or any(fault.down for fault in self.faults):
            return Seen.DOWN
        if self.facts.page.seen is Seen.UNSEEN and (self.cause or not self.healthy):
            return Seen.DOWN
        return self.facts.page.seen

    @property
    def up(self) -> bool:
        return self.seen is Seen.UP

    @property
    def healthy(self) -> int:
        """Targets that pass their health checks, of those that production forwards to."""
        live = {self.facts.colour(group) for group in traffic.live(self.facts.listeners.get("production"))}
        states = (traffic.states(self.facts.targets.get(colour, [])) for colour in live)
        return sum(state.get("healthy", 0) for state in states)

    @property
    def cause(self) -> Fault | None:
        """The fault that explains why visitors are not served, the nearest to them first."""
        on_the_way = [fault for fault in self.faults if fault.serving]
        return next((fault for fault in on_the_way if fault.down), on_the_way[0] if on_the_way else None)

    @property
    def why(self) -> str:
        """One sentence; empty when visitors are served."""
        if self.up:
            return ""
        page = "the page answers" if self.facts.page.up else self.facts.page.why
        if self.seen is Seen.UNSEEN:
            return f"{page}; {self.healthy} healthy targets say that it serves"
        return f"{page}: {self.cause.text}" if self.cause else page

    @property
    def remedy(self) -> str:
        """The one command to run next, as it can be typed; empty when there is none to run."""
        if self.mendable:
            return self.command("repair")
        if self.seen is not Seen.DOWN:
            return next((fault.remedy for fault in self.faults if fault.remedy), "")
        if self.cause and self.cause.remedy:
            return self.cause.remedy
        return self.command("release --follow" if self.facts.release_runs else "logs")

    @property
    def mendable(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.mendable)


def look(site: Site, *, patience: float = 0.0) -> Health:
    """Looks at everything at once (``facts.read``), and judges it."""
    facts = read(site, patience)
    command = site.config.command
    faults = tuple(fault for check in CHECKS for fault in check(facts, command))
    return Health(facts, faults, command)


Command = Callable[[str], str]
Judge = Callable[[Facts, Command], Iterator[Fault]]


def _does(facts: Facts, listener: Json) -> str:
    """What a listener does with a visitor, in words."""
    live = [facts.colour(group) for group, weight in traffic.weights(listener).items() if weight]
    if live:
        return f"forwards to {' and '.join(sorted(live))}"
    actions = [action["Type"] for action in listener.get("DefaultActions", [])]
    return f"does not forward ({', '.join(actions) or 'no action'})"


def _made(facts: Facts, command: Command) -> Iterator[Fault]:
    """What Terraform made and somebody changed: first what lies on a visitor's way."""
    for one in sorted(facts.drifts, key=lambda drift: drift.type not in SERVING):
        if one.type == "aws_ecs_service" and one.gone:
            continue  # the service's own check says more
        kind = one.type.removeprefix("aws_").removeprefix("ecs_").replace("_", " ")
        by_call = {"aws_ecs_cluster": "cluster"}.get(one.type, "") if one.gone else BY_CALL.get(one.type, "")
        yield Fault(
            one.address,
            f"{_KINDS.get(one.type, kind)} {one.name} {one.words}",
            serving=one.type in SERVING,
            phase=one.stack,
            mend=by_call,
            subject=one,
        )


_KINDS = {
    "aws_lb": "load balancer",
    "aws_lb_listener": "listener",
    "aws_lb_target_group": "target group",
    "aws_cloudwatch_metric_alarm": "alarm",
    "aws_iam_role": "role",
    "aws_iam_role_policy": "policy",
    "aws_codedeploy_app": "CodeDeploy application",
    "aws_codedeploy_deployment_group": "deployment group",
    "aws_codepipeline": "pipeline",
    "aws_s3_bucket": "bucket",
    "aws_kms_key": "KMS key",
    "aws_kms_alias": "KMS alias",
    "aws_ecr_repository": "image repository",
    "aws_lambda_function": "function",
    "aws_cloudwatch_log_group": "log group",
    "aws_secretsmanager_secret": "secret",
    "aws_appautoscaling_target": "autoscaling of",
    "aws_appautoscaling_policy": "autoscaling policy",
    "aws_vpc_security_group_ingress_rule": "security group rule",
    "aws_vpc_security_group_egress_rule": "security group rule",
    "aws_cloudwatch_event_rule": "event rule",
    "aws_cloudwatch_event_target": "target",
    "aws_codebuild_project": "build project",
    "aws_codecommit_repository": "git repository",
    "aws_vpc": "VPC",
}


def _listener(facts: Facts, command: Command) -> Iterator[Fault]:
    """CodeDeploy moves the listeners, Terraform ignores where they stand: production serves the primary task set."""
    if facts.release_runs or not facts.home:
        return
    for kind, listener in facts.listeners.items():
        if listener is None:
            continue  # the stack's check says that it is gone
        live = {group for group, weight in traffic.weights(listener).items() if weight}
        if kind == "production" and live != {facts.home}:
            text = f"the production listener {_does(facts, listener)}, and what runs is {facts.colour(facts.home)}"
            yield Fault("production listener", text, down=True, serving=True, mend="listener", subject=kind)
        elif kind == "test" and not any(facts.targets.get(facts.colour(group)) for group in live):
            text = f"the test listener {_does(facts, listener)}, where nothing runs"
            yield Fault("test listener", text, mend="listener", subject=kind)


def _rules(facts: Facts, command: Command) -> Iterator[Fault]:
    for kind, rules in facts.rules.items():
        for rule in rules:
            wants = ", ".join(
                f"{condition.get('Field', '?')} {' '.join(condition.get('Values', []))}".strip()
                for condition in rule.get("Conditions", [])
            )
            does = ", ".join(action["Type"] for action in rule.get("Actions", []))
            text = f"the {kind} listener has a rule that nobody's file knows: {wants or 'everything'} → {does}"
            if _takes_the_page(rule):
                yield Fault(f"{kind} listener rule", text, serving=kind == "production", mend="rule", subject=rule)
            else:  # somebody may want it: it takes nothing of the chatbot's
                yield Fault(f"{kind} listener rule", text)


def _takes_the_page(rule: Json) -> bool:
    """Whether a rule catches those who open the page: none of its conditions is of something else."""
    conditions = rule.get("Conditions", [])
    patterns = [condition.get("Values", []) for condition in conditions if condition.get("Field") == "path-pattern"]
    return len(patterns) == len(conditions) and all(any(fnmatch("/", value) for value in each) for each in patterns)


def _service_there(facts: Facts, command: Command) -> Iterator[Fault]:
    service, name = facts.service, facts.ecs["service_name"]
    if service is None or service["status"] != "ACTIVE":
        state = "gone" if service is None else f"deleted ({service['status']})"
        yield Fault("service", f"the service {name} is {state}", down=True, serving=True, mend="service")
    elif facts.release_runs:
        return
    elif facts.primary is None:
        text = f"the service {name} has no primary task set"
        yield Fault("task set", text, down=True, serving=True, mend="service")
    elif not facts.desired:
        text = f"the service {name} is set to run 0 tasks"
        yield Fault("desired count", text, down=True, serving=True, mend="count")


def _tasks(facts: Facts, command: Command) -> Iterator[Fault]:
    """Fewer tasks than there should be: why the last one stopped, or what ECS says of it."""
    running = int((facts.primary or {}).get("runningCount", 0))
    if facts.release_runs or not facts.primary or running >= facts.desired:
        return
    text = f"{running} of {facts.desired} tasks run"
    reason = why_missing(facts)
    yield Fault("tasks", f"{text}: {reason}" if reason else text, serving=True, remedy=command("logs"))


def why_missing(facts: Facts) -> str:
    """Why a task is missing: the newest that ended by itself, else the service's newest event."""
    for task in facts.stopped:
        if task.get("stopCode") in ("EssentialContainerExited", "TaskFailedToStart"):
            codes = [str(container["exitCode"]) for container in task.get("containers", []) if "exitCode" in container]
            return str(task.get("stoppedReason", "")) + (f" (exit code {', '.join(codes)})" if codes else "")
    events = (facts.service or {}).get("events", [])
    failed = [event["message"] for event in events[:3] if "unable" in event["message"] or "fail" in event["message"]]
    return str(failed[0]) if failed else ""


def address(task: Json) -> str:
    """The private address of a task (awsvpc: one network interface)."""
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail["name"] == "privateIPv4Address":
                return str(detail["value"])
    return ""


def _registered(facts: Facts, command: Command) -> Iterator[Fault]:
    """Every running task of what serves is a target, and no target is a stranger. ECS looks at neither again."""
    if facts.release_runs or not facts.primary or not facts.home:
        return
    targets = facts.targets.get(facts.colour(facts.home), [])
    registered = {target["Target"]["Id"]: target["TargetHealth"] for target in targets}
    serving = [task for task in facts.tasks if task.get("startedBy") == facts.primary["id"]]
    running = [task for task in serving if task["lastStatus"] == "RUNNING" and task["desiredStatus"] == "RUNNING"]
    lost = [address(task) for task in running if address(task) and address(task) not in _taking(targets)]
    if lost:
        text = f"{len(lost)} of {len(running)} running tasks are no targets of {facts.colour(facts.home)}"
        yield Fault("targets", text, down=len(lost) == len(running), serving=True, mend="targets", subject=lost)
    known = {address(task) for task in facts.tasks}
    strangers = [
        target
        for target in targets
        if target["Target"]["Id"] not in known and target["TargetHealth"]["State"] != "draining"
    ]
    if strangers and len(serving) == facts.desired:
        names = ", ".join(target["Target"]["Id"] for target in strangers)
        text = f"{names} in {facts.colour(facts.home)} is no task of ours"
        yield Fault("strange targets", text, serving=True, mend="strangers", subject=[s["Target"] for s in strangers])
    sick = [registered[address(task)] for task in running if address(task) in registered]
    sick = [state for state in sick if state["State"] == "unhealthy"]
    if sick:
        reason = sick[0].get("Description") or sick[0].get("Reason", "")
        text = f"{len(sick)} of {len(running)} tasks fail their health checks: {reason}"
        yield Fault("health checks", text, down=len(sick) == len(running), serving=True, remedy=command("logs"))


def _taking(targets: list[Json]) -> set[str]:
    """Those that take visitors, or will once they are healthy; what drains is on its way out."""
    return {target["Target"]["Id"] for target in targets if target["TargetHealth"]["State"] != "draining"}


def _live_revision(facts: Facts, command: Command) -> Iterator[Fault]:
    revision = facts.revision
    if revision is None or facts.release_runs:
        return
    name = revision["taskDefinitionArn"].rpartition("/")[2]
    if revision["status"] != "ACTIVE":
        text = f"the live task definition {name} is {revision['status']}: its tasks go on, no other can be made of it"
        yield Fault("live task definition", text, mend="revision")
    if not facts.image_there:
        text = f"the live image {revision['containerDefinitions'][0]['image'].partition('@')[2][:19]} is gone from the "
        yield Fault("live image", text + "repository: no task that stops can be replaced", mend="image")
    if secrets := _foreign_secrets(facts):
        text = f"the live task definition {name} names a secret that is not the deployment's: {secrets[0]}"
        yield Fault("live secret", text + ": no task that stops can be replaced", mend="revision")


def _foreign_secrets(facts: Facts) -> list[str]:
    """Secrets of this deployment's name that the live task definition has under the ARN of one that is gone."""
    names = [
        secret["valueFrom"]
        for container in (facts.revision or {}).get("containerDefinitions", [])
        for secret in container.get("secrets", [])
    ]
    now, name = facts.secret["arn"], facts.secret["name"]
    return [arn for arn in names if f":secret:{name}-" in arn and arn != now]


def _transitions(facts: Facts, command: Command) -> Iterator[Fault]:
    for stage in facts.stages:
        transition = stage.get("inboundTransitionState", {})
        if transition and not transition.get("enabled", True):
            reason = transition.get("disabledReason", "no reason given")
            text = f"the pipeline does not go on to stage {stage['stageName']}: switched off ({reason})"
            yield Fault("pipeline transition", text, mend="transition", subject=stage["stageName"])


def _model(facts: Facts, command: Command) -> Iterator[Fault]:
    """``/readyz`` answers 503 while the model behind the page cannot be used (docs/architecture.md)."""
    if facts.page.up and facts.model and facts.model.status == 503:
        yield Fault("model", "the page is there, its model does not answer (/readyz 503)", remedy=command("doctor"))


def _name(facts: Facts, command: Command) -> Iterator[Fault]:
    if facts.page.but:
        yield Fault("name", facts.page.but)


def _alarm_states(facts: Facts, command: Command) -> Iterator[Fault]:
    for name, state in facts.alarms.items():
        if state == "ALARM":
            yield Fault("alarm", f"alarm {name} is on", remedy=command("logs"))


# In the order in which they explain a page that does not answer.
CHECKS: tuple[Judge, ...] = (
    _made,
    _listener,
    _rules,
    _service_there,
    _registered,
    _tasks,
    _live_revision,
    _transitions,
    _model,
    _name,
    _alarm_states,
)
