"""The two pipes: what goes in at one end comes out at the other."""

from __future__ import annotations

import json

import pytest

from emulator.data import proxy as p
from emulator.data.proxy.messages import configuration_line, event_line, parse_configuration, parse_event

RULE = {"Priority": "default", "Conditions": [], "Actions": [{"Type": "forward", "TargetGroupArn": "tg"}]}


def test_a_configuration_survives_the_pipe() -> None:
    group = p.TargetGroup(
        "tg",
        stickiness=p.Stickiness(True, "app_cookie", 5, "session"),
        health_check=p.HealthCheck(path="/healthz", matcher="200-299"),
        targets=(p.Target("10.0.0.1", 7860, "127.0.0.1:1"), p.Target("10.0.0.2", 7860, "127.0.0.1:2", "draining")),
    )
    wanted = p.Configuration(3, (p.Listener("l", "lb", 80, (RULE,), idle_timeout=4),), (group,))
    line = configuration_line(wanted)
    assert line.count("\n") == 1
    assert parse_configuration(line) == wanted


def test_a_configuration_may_leave_out_what_has_a_default() -> None:
    raw = {"generation": "1", "target_groups": [{"arn": "tg", "health_check": {"port": 81}, "targets": []}]}
    assert parse_configuration(json.dumps(raw)).target_groups[0] == p.TargetGroup(
        "tg", health_check=p.HealthCheck(port="81")
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", "not a configuration"),
        ("{", "not a configuration"),
        ('{"listeners": []}', "generation"),
        ('{"generation": 1, "target_groups": [{"arn": "x", "colour": 1}]}', "TargetGroup has no colour"),
        ('{"generation": 1, "listeners": [{"arn": "x"}]}', "rules"),
    ],
)
def test_a_line_that_is_no_configuration_is_refused_and_says_why(line: str, says: str) -> None:
    with pytest.raises(p.BadMessage, match=says):
        parse_configuration(line)


@pytest.mark.parametrize(
    "event",
    [
        p.Configured(1),
        p.Refused(2, "because"),
        p.Bound("l", "127.0.0.1", 80),
        p.BindFailed("l", "127.0.0.1", 80, "Address already in use"),
        p.HealthChanged("tg", "10.0.0.1", 7860, "unhealthy", "Target.Timeout", "Request timed out"),
        p.Drained("tg", "10.0.0.1", 7860),
        p.Metrics(1.5, (p.Metric("RequestCount", "lb", None, (1.0,), (3.0,)),)),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_survives_the_pipe(event: p.Event) -> None:
    assert parse_event(event_line(event)) == event
