"""How what is seen is judged: from the facts alone, so that each case is one that a test can make."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from orchestrator import health, status, view
from orchestrator.config import CHECKOUT
from orchestrator.facts import Facts
from orchestrator.health import Health
from orchestrator.repair import MENDS
from orchestrator.tools import drift
from orchestrator.tools.drift import Drift
from orchestrator.tools.page import Look, Seen

URL = "http://chat.example.com"
BLUE, GREEN = "arn:aws:elb:blue", "arn:aws:elb:green"
NETWORK = {
    "production_listener_arn": "production", "test_listener_arn": "test", "url": URL, "test_url": f"{URL}:8080",
    "target_groups": {"blue": {"arn": BLUE}, "green": {"arn": GREEN}}, "load_balancer_dns_name": "lb.example.com",
}  # fmt: skip
SECRET = {"name": "chatbot/hf-token", "arn": "arn:aws:sm:::secret:chatbot/hf-token-abc"}


def forward(*groups: tuple[str, int]) -> dict[str, Any]:
    pairs = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
    return {"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": pairs}}]}


def target(address: str, state: str = "healthy") -> dict[str, Any]:
    return {"Target": {"Id": address, "Port": 7860}, "TargetHealth": {"State": state}}


def task(address: str) -> dict[str, Any]:
    details = [{"name": "privateIPv4Address", "value": address}]
    return {"startedBy": "ts-1", "lastStatus": "RUNNING", "desiredStatus": "RUNNING",
            "attachments": [{"details": details}]}  # fmt: skip


PRIMARY = {"id": "ts-1", "status": "PRIMARY", "runningCount": 2, "loadBalancers": [{"targetGroupArn": GREEN}]}
FINE = Facts(
    NETWORK,
    {"service_name": "chatbot"},
    SECRET,
    {},
    Look(URL, Seen.UP, 200),
    listeners={"production": forward((GREEN, 100), (BLUE, 0)), "test": forward((GREEN, 1))},
    targets={"blue": [], "green": [target("10.0.0.1"), target("10.0.0.2")]},
    service={"status": "ACTIVE", "desiredCount": 2, "taskSets": [PRIMARY]},
    tasks=(task("10.0.0.1"), task("10.0.0.2")),
)
DOWN = Look(URL, Seen.DOWN, 503, "the page answers 503")
UNSEEN = Look(URL, Seen.UNSEEN, 0, "nothing answers within 3 s")
RULE_GONE = Drift("network", "a.b", "aws_vpc_security_group_ingress_rule", "sgr-1", drift.GONE, {})


def judged(**facts: Any) -> Health:
    seen = replace(FINE, **facts)
    return Health(seen, tuple(fault for check in health.CHECKS for fault in check(seen, str)))


def test_what_is_as_it_should_be_has_no_fault() -> None:
    seen = judged()
    assert (seen.seen, seen.faults, seen.why, seen.remedy) == (Seen.UP, (), "", "")


@pytest.mark.parametrize(
    ("facts", "why", "mend"),
    [
        ({"listeners": {"production": forward((BLUE, 1))}}, "forwards to blue, and what runs is green", "listener"),
        ({"listeners": {"production": {"DefaultActions": [{"Type": "fixed-response"}]}}}, "fixed-response", "listener"),
        ({"service": None}, "service chatbot is gone", "service"),
        ({"service": {"status": "INACTIVE", "desiredCount": 0}}, r"deleted \(INACTIVE\)", "service"),
        ({"service": {"status": "ACTIVE", "desiredCount": 2}}, "no primary task set", "service"),
        ({"service": {"status": "ACTIVE", "desiredCount": 0, "taskSets": [PRIMARY]}}, "set to run 0 tasks", "count"),
        ({"targets": {"blue": [], "green": []}}, "2 of 2 running tasks are no targets of green", "targets"),
    ],
)
def test_a_page_that_is_down_says_why_and_what_mends_it(facts: dict[str, Any], why: str, mend: str) -> None:
    seen = judged(page=DOWN, **facts)
    assert seen.seen is Seen.DOWN and seen.cause is not None and seen.cause.mend == mend and mend in MENDS
    assert re.search(f"the page answers 503: .*{why}", seen.why) and seen.remedy.endswith(" repair")


def test_half_of_the_visitors_are_not_served_by_a_listener_that_forwards_them_to_nobody() -> None:
    """One look at the page may well be of the other half."""
    assert judged(listeners={"production": forward((BLUE, 50), (GREEN, 50))}).seen is Seen.DOWN


def test_a_release_moves_what_it_moves() -> None:
    moved = judged(listeners={"production": forward((BLUE, 50), (GREEN, 50))}, deployment={"deploymentId": "d-1"})
    assert moved.seen is Seen.UP and not moved.faults


def test_where_the_page_cannot_be_seen_the_targets_are_the_witness() -> None:
    seen = judged(page=UNSEEN)
    assert seen.seen is Seen.UNSEEN and seen.why.endswith("2 healthy targets say that it serves")
    assert judged(page=UNSEEN, targets={"blue": [], "green": [target("10.0.0.1", "unhealthy")]}).seen is Seen.DOWN
    shut = judged(page=UNSEEN, drifts=(RULE_GONE,))
    assert shut.seen is Seen.DOWN and "security group rule sgr-1 is gone" in shut.why


def test_each_verdict_has_a_word_and_an_exit_code() -> None:
    told = [status.verdict(judged(page=page)) for page in (FINE.page, DOWN, UNSEEN)]
    assert [each["exit_code"] for each in told] == [0, 1, 4]
    heads = [view.headline(each).plain.splitlines()[0] for each in told]
    assert heads[0] == f"UP   {URL}" and heads[1].startswith(f"DOWN   {URL}   the page answers 503")
    assert heads[2].startswith(f"CANNOT BE SEEN FROM HERE   {URL}   nothing answers")


@pytest.mark.parametrize(("pattern", "mends"), [("/*", True), ("*", True), ("/", True), ("/admin/*", False)])
def test_a_rule_that_takes_nothing_of_the_page_is_told_and_left(pattern: str, mends: bool) -> None:
    rule = {"Conditions": [{"Field": "path-pattern", "Values": [pattern]}], "Actions": [{"Type": "fixed-response"}]}
    (fault,) = judged(rules={"production": [rule]}).faults
    assert fault.mendable is mends and "nobody's file knows" in fault.text


def test_what_a_task_that_is_missing_died_of_is_told() -> None:
    stopped = {"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
               "containers": [{"exitCode": 3}]}  # fmt: skip
    primary = PRIMARY | {"runningCount": 1}
    service = {"status": "ACTIVE", "desiredCount": 2, "taskSets": [primary]}
    seen = judged(service=service, tasks=(task("10.0.0.1"),), stopped=(stopped,),
                  targets={"blue": [], "green": [target("10.0.0.1")]})  # fmt: skip
    assert [fault.text for fault in seen.faults] == [
        "1 of 2 tasks run: Essential container in task exited (exit code 3)"
    ]


def test_every_resource_type_of_the_stacks_has_its_reading() -> None:
    text = "\n".join(file.read_text() for file in CHECKOUT.glob("terraform/modules/*/*.tf"))
    types = set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE))
    assert len(types) > 30 and types <= drift.READINGS.keys()
