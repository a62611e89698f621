"""The counters: their names, their dimensions, their sums."""

from __future__ import annotations

import socket
import time
from typing import Any

from emulator.data.proxy.metrics import Meter
from tests.waiting import eventually


def test_requests_are_counted_by_load_balancer_by_group_and_by_both(balancer: Any, backend: Any, say: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(say.response("x", f"{request.target[1:]} Status"))

    balancer.serve(backend("1", behave))
    for status in (200, 201, 302, 404, 500, 503):
        assert balancer.ask(f"/{status}").status == status
    balancer.next_metrics()
    lb, group = balancer.arn, balancer.group_arn()
    for dimensions in ((lb, None), (None, group), (lb, group)):
        sums = {}
        for name in ("RequestCount", *(f"HTTPCode_Target_{n}XX_Count" for n in (2, 3, 4, 5))):
            metrics = [m for m in balancer.metrics(name) if (m.load_balancer_arn, m.target_group_arn) == dimensions]
            sums[name] = sum(m.sum for m in metrics)
            assert all(m.values == (1.0,) for m in metrics)  # a count is samples of 1, as on AWS
        assert list(sums.values()) == [6, 2, 1, 1, 2]
    assert balancer.metrics("HTTPCode_ELB_5XX_Count") == []  # the target's own
    per_target = [m.sum for m in balancer.metrics("RequestCountPerTarget") if m.load_balancer_arn is None]
    assert sum(per_target) == 6


def test_what_the_load_balancer_answers_itself_is_counted_apart(balancer: Any, backend: Any) -> None:
    target = backend("1", lambda *_: time.sleep(10))
    balancer.serve(target, idle_timeout=1.5)
    assert balancer.ask().status == 504
    target.close()
    assert balancer.ask().status == 502
    balancer.configure(balancer.group("blue"))
    assert balancer.ask().status == 503
    client = balancer.client()
    client.send("nonsense\r\n\r\n")
    assert client.answer().status == 400
    balancer.next_metrics()
    names = [f"HTTPCode_ELB_{code}_Count" for code in ("502", "503", "504", "5XX", "4XX", "3XX")]
    assert [balancer.total(name) for name in names] == [1, 1, 1, 3, 1, 0]
    assert balancer.total("RequestCount") == 2  # no target was chosen for the other two
    assert balancer.total("TargetConnectionErrorCount") == 1
    assert balancer.metrics("HTTPCode_Target_5XX_Count") == []


def test_the_response_time_is_the_targets(balancer: Any, backend: Any, say: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
        time.sleep(10)  # the body's time is not in it
        connection.sendall(b"x")

    balancer.serve(backend("1", behave))
    balancer.ask()
    balancer.next_metrics()
    times = [m for m in balancer.metrics("TargetResponseTime") if m.target_group_arn is None]
    assert [(m.count, m.unit) for m in times] == [(1, "Seconds")]
    assert 0.3 <= times[0].sum < 10


def test_hosts_and_connections_are_reported_every_second(balancer: Any, backend: Any) -> None:
    ill = backend("2")
    ill.health = "500 Internal Server Error"
    balancer.configure(balancer.group("blue", backend("1"), ill))
    clients = [balancer.client() for _ in range(3)]
    for each in clients:
        each.request()
        each.answer()
    for name in ("HealthyHostCount", "UnHealthyHostCount"):
        eventually(lambda name=name: [metric.values for metric in balancer.metrics(name)][-1:] == [(1,)])
    assert balancer.metrics("HealthyHostCount")[-1].target_group_arn == balancer.group_arn()
    assert balancer.total("NewConnectionCount") >= 3
    assert max(m.sum for m in balancer.metrics("ActiveConnectionCount")) == 3


def test_a_period_without_events_has_no_metrics_and_times_keep_three_digits() -> None:
    meter = Meter()
    assert meter.take() == ()
    meter.time_response("lb", "tg", 0.01234567)
    meter.time_response("lb", "tg", 0.012349)
    meter.time_response("lb", "tg", 0.0)
    metric = next(each for each in meter.take() if each.target_group_arn is None)
    assert dict(zip(metric.values, metric.counts, strict=True)) == {0.0123: 2, 0.0: 1}
    assert meter.take() == ()
