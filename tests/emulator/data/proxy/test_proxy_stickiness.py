"""AWSALB, AWSALBAPP-0 and AWSALBTG: who stays where, for how long, and what ends it."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

from emulator.data import proxy as p
from emulator.data.proxy.stickiness import Sealer, identity, parse_cookies, read_cookie

LB = p.Stickiness(enabled=True, duration_seconds=60)


def cookie_header(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def visits(balancer: Any, count: int, cookies: dict[str, str] | None = None) -> Counter[str]:
    """Which targets answer that many requests."""
    headers = cookie_header(cookies) if cookies else {}
    return Counter(balancer.ask(headers=headers).body.decode() for _ in range(count))


def test_without_stickiness_targets_take_turns_and_no_cookie_is_set(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), backend("2"))
    assert visits(balancer, 6) == {"1": 3, "2": 3}
    assert balancer.ask().all("set-cookie") == []


def test_a_client_with_the_cookie_stays_on_its_target(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), backend("2"), backend("3"), group={"stickiness": LB})
    first = balancer.ask()
    assert set(first.cookies()) == {"AWSALB", "AWSALBCORS"}
    assert visits(balancer, 9, first.cookies()) == {first.body.decode(): 9}
    assert visits(balancer, 3, {"AWSALBCORS": first.cookies()["AWSALBCORS"]}) == {first.body.decode(): 3}


def test_the_cookie_says_nothing_and_expires_after_the_duration(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), group={"stickiness": LB})
    cookies = [balancer.ask().all("set-cookie") for _ in range(2)]
    assert cookies[0][0].split(";")[0] != cookies[1][0].split(";")[0]  # opaque: never twice the same
    _, expires, path = cookies[0][0].split("; ")
    ends = parsedate_to_datetime(expires.removeprefix("Expires=")).timestamp()
    assert 55 < ends - time.time() < 61 and path == "Path=/"
    assert cookies[0][1].endswith("; Path=/; SameSite=None")


def test_a_cookie_that_is_over_binds_no_more(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), backend("2"), group={"stickiness": dataclasses.replace(LB, duration_seconds=0.3)})
    cookies = balancer.ask().cookies()
    time.sleep(0.4)
    assert visits(balancer, 4, cookies) == {"1": 2, "2": 2}


def test_a_changed_or_foreign_cookie_is_not_believed(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), backend("2"), group={"stickiness": LB})
    value = balancer.ask().cookies()["AWSALB"]
    assert visits(balancer, 4, {"AWSALB": ("A" if value[0] != "A" else "B") + value[1:]}) == {"1": 2, "2": 2}
    foreign = Sealer("another").seal("AWSALB", identity(balancer.group_arn(), "10.0.0.1", "7860"), time.time() + 60)
    assert visits(balancer, 4, {"AWSALB": foreign}) == {"1": 2, "2": 2}


def test_a_client_whose_target_left_or_fell_ill_gets_another_and_stays_there(balancer: Any, backend: Any) -> None:
    one, two = backend("1"), backend("2")
    balancer.serve(one, two, group={"stickiness": LB})
    first = balancer.ask()
    mine, other = (one, two) if first.body == b"1" else (two, one)
    mine.health = "500 Internal Server Error"
    balancer.event(p.HealthChanged, target_group_arn=balancer.group_arn(), id=f"10.0.0.{mine.name}", state="unhealthy")
    moved = balancer.ask(headers=cookie_header(first.cookies()))
    assert moved.body.decode() == other.name
    mine.health = "200 OK"
    balancer.event(
        p.HealthChanged, 10, 2, target_group_arn=balancer.group_arn(), id=f"10.0.0.{mine.name}", state="healthy"
    )
    assert visits(balancer, 4, moved.cookies()) == {other.name: 4}
    balancer.configure(balancer.group("blue", mine, stickiness=LB))
    assert visits(balancer, 4, moved.cookies()) == {mine.name: 4}


def test_an_application_cookie_binds_when_both_cookies_come_back(balancer: Any, backend: Any, say: Any) -> None:
    def login(name: str) -> Any:
        def behave(request: Any, connection: socket.socket) -> None:
            cookie = "Set-Cookie: session=abc; Path=/\r\n" if request.target == "/login" else ""
            connection.sendall(say.response(name, headers=cookie))

        return behave

    stickiness = p.Stickiness(enabled=True, type="app_cookie", cookie_name="session", duration_seconds=60)
    balancer.serve(backend("1", login("1")), backend("2", login("2")), group={"stickiness": stickiness})
    assert balancer.ask("/").cookies() == {}
    first = balancer.ask("/login")
    cookies, mine = first.cookies(), first.body.decode()
    assert set(cookies) == {"session", "AWSALBAPP-0"}
    assert visits(balancer, 4, cookies) == {mine: 4}
    assert visits(balancer, 4, {"AWSALBAPP-0": cookies["AWSALBAPP-0"]}) == {"1": 2, "2": 2}


def test_weights_divide_the_traffic_and_a_group_without_weight_gets_none(balancer: Any, backend: Any, say: Any) -> None:
    blue, green = balancer.group("blue", backend("b")), balancer.group("green", backend("g"))
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 90), (green.arn, 10)))])
    assert visits(balancer, 20) == {"b": 18, "g": 2}
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 0), (green.arn, 100)))])
    assert visits(balancer, 5) == {"g": 5}
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 0), (green.arn, 0)))])
    assert balancer.ask().status == 503


def test_stickiness_of_the_listener_keeps_a_client_in_a_group_that_lost_its_weight(
    balancer: Any, backend: Any, say: Any
) -> None:
    blue, green = balancer.group("blue", backend("b")), balancer.group("green", backend("g"))

    def weigh(blue_weight: int, green_weight: int) -> None:
        action = say.forward((blue.arn, blue_weight), (green.arn, green_weight), sticky=3)
        balancer.configure(blue, green, rules=[say.default(action)])

    weigh(100, 0)
    cookies = balancer.ask().cookies()
    assert set(cookies) == {"AWSALBTG", "AWSALBTGCORS"}
    weigh(0, 100)
    began = time.monotonic()
    answer = balancer.ask(headers=cookie_header(cookies))
    assert (answer.body, balancer.ask().body) == (b"b", b"g")
    while answer.body == b"b" and time.monotonic() - began < 60:  # coming back all the time does not prolong it
        time.sleep(0.2)
        answer = balancer.ask(headers=cookie_header(answer.cookies()))
    assert answer.body == b"g" and time.monotonic() - began > 2


def test_a_client_bound_to_an_emptied_group_gets_503(balancer: Any, backend: Any, say: Any) -> None:
    blue, green = balancer.group("blue", backend("b")), balancer.group("green", backend("g"))
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 1), (green.arn, 0), sticky=60))])
    cookies = balancer.ask().cookies()
    empty = dataclasses.replace(blue, targets=())
    balancer.configure(empty, green, rules=[say.default(say.forward((blue.arn, 0), (green.arn, 1), sticky=60))])
    assert balancer.ask(headers=cookie_header(cookies)).status == 503
    assert balancer.ask().body == b"g"


def test_stickiness_of_a_target_group_alone_does_not_hold_a_client_in_the_group(
    balancer: Any, backend: Any, say: Any
) -> None:
    blue = balancer.group("blue", backend("b"), stickiness=LB)
    green = balancer.group("green", backend("g"), stickiness=LB)
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 1), (green.arn, 0)))])
    cookies = balancer.ask().cookies()
    balancer.configure(blue, green, rules=[say.default(say.forward((blue.arn, 0), (green.arn, 1)))])
    assert visits(balancer, 3, cookies) == {"g": 3}


def test_cookies_are_read_from_several_headers_and_the_first_of_a_name_counts() -> None:
    assert parse_cookies(["a=1; b=2", 'c="3"; a=4', "flag"]) == {"a": "1", "b": "2", "c": "3"}


def test_a_cookie_of_one_purpose_does_not_serve_another() -> None:
    sealer = Sealer("lb")
    value = sealer.seal("AWSALB", b"x" * 16, time.time() + 60)
    assert read_cookie(sealer, "AWSALB", {"AWSALB": value}) is not None
    assert read_cookie(sealer, "AWSALBTG", {"AWSALBTG": value}) is None
