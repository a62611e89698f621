"""Health checks, who gets traffic because of them, and how a target is chosen."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest

from emulator.data import proxy as p
from emulator.data.proxy.health import parse_matcher
from emulator.data.proxy.messages import BadMessage


def health(balancer: Any, name: str = "1", count: int = 1, **fields: Any) -> p.HealthChanged:
    event = balancer.event(
        p.HealthChanged, 10, count, target_group_arn=balancer.group_arn(), id=f"10.0.0.{name}", **fields
    )
    assert isinstance(event, p.HealthChanged)
    return event


def test_a_new_target_is_initial_and_healthy_after_one_check_at_once(balancer: Any, backend: Any, say: Any) -> None:
    check = dataclasses.replace(say.FAST, interval=60, healthy_threshold=5)
    began = time.monotonic()
    balancer.configure(balancer.group("blue", backend(), health_check=check))
    first = health(balancer)
    assert (first.state, first.reason, first.description) == (
        "initial",
        "Elb.InitialHealthChecking",
        "Initial health checks in progress",
    )
    healthy = health(balancer, count=2)
    assert (healthy.state, healthy.reason, healthy.description) == ("healthy", "", "")
    assert time.monotonic() - began < 30


def test_the_check_asks_for_the_configured_path_as_elb_does(balancer: Any, say: Any) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    balancer.configure(balancer.group("blue", targets=(p.Target("10.0.5.5", 7860, address),)))
    connection, _ = listening.accept()
    asked = connection.recv(4096).decode().lower()
    connection.close()
    listening.close()
    assert asked.startswith("get /healthz http/1.1\r\n")
    assert "\r\nuser-agent: elb-healthchecker/2.0\r\n" in asked and "\r\nhost: 10.0.5.5:7860\r\n" in asked


def test_a_healthy_target_falls_ill_after_the_threshold_and_recovers_after_the_other(
    balancer: Any, backend: Any, say: Any
) -> None:
    target, check = backend(), dataclasses.replace(say.FAST, unhealthy_threshold=3, healthy_threshold=4, interval=0.2)
    balancer.serve(target, group={"health_check": check})
    target.health = "404 Not Found"
    failing = time.monotonic()
    ill = health(balancer, state="unhealthy")
    assert time.monotonic() - failing > 0.35
    assert (ill.reason, ill.description) == (
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [404]",
    )
    target.health = "200 OK"
    passing = time.monotonic()
    health(balancer, count=2, state="healthy")
    assert time.monotonic() - passing > 0.55


def test_a_target_that_never_passes_says_why(balancer: Any, backend: Any, say: Any) -> None:
    slow = socket.create_server(("127.0.0.1", 0))
    targets = (
        p.Target("10.0.0.slow", 7860, f"127.0.0.1:{slow.getsockname()[1]}"),
        p.Target("10.0.0.dead", 7860, "127.0.0.1:1"),
    )
    check = dataclasses.replace(say.FAST, timeout=0.2)
    balancer.configure(balancer.group("blue", targets=targets, health_check=check))
    timed_out, refused = health(balancer, "slow", state="unhealthy"), health(balancer, "dead", state="unhealthy")
    slow.close()
    assert (timed_out.reason, timed_out.description) == ("Target.Timeout", "Request timed out")
    assert (refused.reason, refused.description) == ("Target.FailedHealthChecks", "Health checks failed")


def test_the_matcher_decides_what_passes(balancer: Any, backend: Any, say: Any) -> None:
    target = backend()
    target.health = "301 Moved Permanently"
    check = dataclasses.replace(say.FAST, matcher="200-299,301")
    balancer.serve(target, group={"health_check": check})
    assert health(balancer, count=2).state == "healthy"


def test_a_matcher_is_a_list_of_codes_and_ranges() -> None:
    assert parse_matcher("200-201,404") == [range(200, 202), range(404, 405)]
    with pytest.raises(BadMessage, match="ok"):
        parse_matcher("ok")


def test_only_healthy_targets_get_traffic_and_all_do_when_none_is_healthy(balancer: Any, backend: Any) -> None:
    one, two = backend("1"), backend("2")
    balancer.serve(one, two)
    one.health = "500 Internal Server Error"
    health(balancer, "1", state="unhealthy")
    assert {balancer.ask().body for _ in range(4)} == {b"2"}
    two.health = "500 Internal Server Error"
    health(balancer, "2", state="unhealthy")
    assert {balancer.ask().body for _ in range(4)} == {b"1", b"2"}


def test_a_group_that_no_rule_forwards_to_is_unused_until_one_does(balancer: Any, backend: Any, say: Any) -> None:
    idle, busy = balancer.group("blue", backend("1")), balancer.group("green", backend("2"))
    balancer.configure(idle, busy, rules=[say.default(say.forward(busy.arn))])
    unused = health(balancer)
    assert (unused.state, unused.reason) == ("unused", "Target.NotInUse")
    assert unused.description == "Target group is not configured to receive traffic from the load balancer"
    balancer.configure(idle, busy, rules=[say.default(say.forward((idle.arn, 0), (busy.arn, 1)))])
    assert health(balancer, state="initial") and health(balancer, state="healthy")
    balancer.configure(idle, busy, rules=[say.default(say.forward(busy.arn))])
    assert health(balancer, count=2, state="unused")


def test_the_least_busy_target_gets_the_request_when_asked_for(balancer: Any, backend: Any, say: Any) -> None:
    release = threading.Event()

    def behave(name: str) -> Any:
        def answer(request: Any, connection: socket.socket) -> None:
            if request.target == "/slow":
                release.wait(60)
            connection.sendall(say.response(name))

        return answer

    one, two = backend("1", behave("1")), backend("2", behave("2"))
    balancer.serve(one, two, group={"algorithm": "least_outstanding_requests"})
    busy = balancer.client()
    busy.request("/slow")
    while not (one.requests or two.requests):
        time.sleep(0.01)
    free = b"2" if one.requests else b"1"
    assert Counter(balancer.ask().body for _ in range(6)) == {free: 6}
    release.set()
    busy.answer()


def test_slow_start_gives_a_newcomer_less_until_its_time_is_over(balancer: Any, backend: Any) -> None:
    old, new = backend("1"), backend("2")
    balancer.serve(old, group={"slow_start": 6})
    balancer.configure(balancer.group("blue", old, new, slow_start=6))
    health(balancer, "2", state="healthy")
    early = Counter(balancer.ask().body for _ in range(20))
    assert 0 < early[b"2"] < 7
    time.sleep(6)
    late = Counter(balancer.ask().body for _ in range(20))
    assert late[b"2"] >= 9


def test_targets_of_a_group_that_was_empty_do_not_start_slowly(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), backend("2"), group={"slow_start": 30})
    assert Counter(balancer.ask().body for _ in range(10)) == {b"1": 5, b"2": 5}
