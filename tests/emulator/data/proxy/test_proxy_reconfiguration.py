"""A new configuration: what goes on, what drains, what is closed; and what ends the process."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from emulator.data import proxy as p
from tests.ports import free_port, free_ports
from tests.waiting import eventually

ROOT = Path(p.__file__).parents[3]


def streaming(release: threading.Event) -> Any:
    """A target's behaviour: a stream that ends when told to."""

    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
        release.wait(60)
        connection.sendall(b"3\r\nend\r\n0\r\n\r\n")
        return True

    return behave


def begin_stream(balancer: Any) -> Any:
    client = balancer.client()
    client.request("/stream")
    assert client.head().status == 200
    assert client.file.read(10) == b"5\r\nbegin\r\n"
    return client


def drained(balancer: Any, name: str = "1", group: str = "blue") -> list[Any]:
    return list(balancer.all_of(p.Drained, target_group_arn=balancer.group_arn(group), id=f"10.0.0.{name}"))


@pytest.mark.parametrize("how", ["removed", "marked as draining", "the group removed"])
def test_a_leaving_target_ends_its_stream_gets_nothing_new_and_then_has_drained(
    balancer: Any, backend: Any, say: Any, how: str
) -> None:
    release = threading.Event()
    old, new = backend("1", streaming(release)), backend("2")
    balancer.serve(old, group={"deregistration_delay": 30})
    client = begin_stream(balancer)
    marked = old.as_target(state="draining")
    if how == "the group removed":
        balancer.configure(balancer.group("green", new))
    else:
        staying = (marked,) if how == "marked as draining" else ()
        balancer.configure(balancer.group("blue", targets=(*staying, new.as_target()), deregistration_delay=30))
    event = balancer.event(p.HealthChanged, target_group_arn=balancer.group_arn(), id="10.0.0.1", state="draining")
    assert (event.reason, event.description) == (
        "Target.DeregistrationInProgress",
        "Target deregistration is in progress",
    )
    assert [balancer.ask().body for _ in range(3)] == [b"2"] * 3
    assert drained(balancer) == []
    release.set()
    assert client.file.read(13) == b"3\r\nend\r\n0\r\n\r\n"
    balancer.event(p.Drained, target_group_arn=balancer.group_arn(), id="10.0.0.1", seconds=60)
    assert len(drained(balancer)) == 1


def test_a_target_with_nothing_to_do_has_drained_at_once(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"), group={"deregistration_delay": 300})
    balancer.ask()
    balancer.configure(balancer.group("blue", deregistration_delay=300))
    balancer.event(p.Drained, target_group_arn=balancer.group_arn(), id="10.0.0.1", seconds=60)
    assert balancer.ask().status == 503


def test_after_the_deregistration_delay_what_is_left_is_cut(balancer: Any, backend: Any) -> None:
    release = threading.Event()

    def behave(request: Any, connection: socket.socket) -> Any:
        if request.target == "/stream":
            return streaming(release)(request, connection)
        return release.wait(60)

    balancer.serve(backend("1", behave), group={"deregistration_delay": 0.5})
    streams, waits = begin_stream(balancer), balancer.client()
    waits.request("/no-answer-yet")
    time.sleep(0.2)
    began = time.monotonic()
    balancer.configure(balancer.group("blue", deregistration_delay=0.5))
    assert waits.answer().status == 502
    assert streams.closed()
    assert 0.4 < time.monotonic() - began < 30
    balancer.event(p.Drained, target_group_arn=balancer.group_arn(), id="10.0.0.1", seconds=60)
    release.set()


def test_a_target_that_is_registered_again_while_it_drains_is_checked_anew_and_not_cut(
    balancer: Any, backend: Any
) -> None:
    release = threading.Event()
    target = backend("1", streaming(release))
    balancer.serve(target, group={"deregistration_delay": 3})
    client = begin_stream(balancer)
    balancer.configure(balancer.group("blue", deregistration_delay=3))
    balancer.configure(balancer.group("blue", target, deregistration_delay=3))
    balancer.event(p.HealthChanged, 60, 2, target_group_arn=balancer.group_arn(), id="10.0.0.1", state="healthy")
    time.sleep(3.5)
    release.set()
    assert client.file.read(13) == b"3\r\nend\r\n0\r\n\r\n"
    assert drained(balancer) == []


def test_a_target_at_a_new_address_is_followed_there(balancer: Any, backend: Any) -> None:
    old, new = backend("1"), backend("2")
    balancer.serve(old)
    balancer.configure(balancer.group("blue", targets=(dataclasses.replace(old.as_target(), address=new.address),)))
    balancer.event(p.HealthChanged, 60, 2, target_group_arn=balancer.group_arn(), id="10.0.0.1", state="healthy")
    assert balancer.ask().body == b"2"


def test_a_changed_listener_keeps_its_socket_and_its_connections(balancer: Any, backend: Any, say: Any) -> None:
    release = threading.Event()
    blue, green = backend("1", streaming(release)), backend("2")
    balancer.serve(blue)
    streams, kept = begin_stream(balancer), balancer.client()
    groups = balancer.group("blue", blue), balancer.group("green", green)
    balancer.configure(*groups, rules=[say.default(say.forward(groups[1].arn))], idle_timeout=7)
    kept.request()  # a connection from before follows the new rules
    assert kept.answer().body == b"2"
    release.set()
    assert streams.file.read(13) == b"3\r\nend\r\n0\r\n\r\n"
    assert len(balancer.all_of(p.Bound, listener_arn=f"{balancer.arn}-listener")) == 1


def test_a_removed_listener_closes_its_port_and_finishes_what_it_began(balancer: Any, backend: Any) -> None:
    release = threading.Event()
    balancer.serve(backend("1", streaming(release)), group={"deregistration_delay": 30})
    idle, streams = balancer.client(), begin_stream(balancer)
    idle.request("/stream")
    time.sleep(0.1)
    idle_after = balancer.client()
    time.sleep(0.1)
    balancer.apply((), ())
    with pytest.raises(ConnectionRefusedError):
        balancer.client()
    assert idle_after.closed()
    release.set()
    assert streams.file.read(13) == b"3\r\nend\r\n0\r\n\r\n"
    assert streams.closed()


def test_a_port_in_use_is_reported_once_and_taken_when_it_is_free(balancer: Any, backend: Any) -> None:
    group = balancer.group("blue", backend("1"))
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        listener = p.Listener("contested", balancer.arn, port, (balancer.default_to(group),))
        balancer.apply((listener,), (group,))
        failed = balancer.event(p.BindFailed, listener_arn="contested")
        assert (failed.port, failed.reason) == (port, "Address already in use")
        time.sleep(1.2)
        assert len(balancer.all_of(p.BindFailed, listener_arn="contested")) == 1
    assert balancer.event(p.Bound, seconds=30, listener_arn="contested").port == port


def test_two_listeners_can_swap_their_ports(balancer: Any, backend: Any, say: Any) -> None:
    one, two = balancer.group("blue", backend("1")), balancer.group("green", backend("2"))
    free = free_ports(2)

    def listeners(*ports: int) -> tuple[p.Listener, ...]:
        pairs = zip(("swap-1", "swap-2"), ports, (one, two), strict=True)
        return tuple(p.Listener(arn, balancer.arn, port, (balancer.default_to(group),)) for arn, port, group in pairs)

    balancer.apply(listeners(*free), (one, two))
    balancer.apply(listeners(*reversed(free)), (one, two))
    balancer.event(p.Bound, listener_arn="swap-1", port=free[1])
    balancer.event(p.Bound, listener_arn="swap-2", port=free[0])
    balancer.port = free[0]
    assert balancer.ask().body == b"2"


def test_a_configuration_that_makes_no_sense_is_refused_and_changes_nothing(balancer: Any, backend: Any) -> None:
    balancer.serve(backend("1"))
    lost = p.Listener("lost", balancer.arn, 0, (balancer.default_to(balancer.group("nowhere")),))
    balancer.process.configure(p.Configuration(987654, (lost,), ()))
    refused = balancer.event(p.Refused, generation=987654)
    assert "nowhere" in refused.reason
    assert balancer.ask().body == b"1"


# --- the process


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie (where process 1 does not reap, it stays one)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_end_of_standard_input_ends_the_process_with_streams_open(backend: Any, say: Any) -> None:
    release = threading.Event()
    target = backend("1", streaming(release))
    proxy = p.Proxy()
    proxy.start()
    group = p.TargetGroup("tg", targets=(target.as_target(),))
    proxy.configure(p.Configuration(1, (p.Listener("l", "lb", 0, (say.default(say.forward("tg")),)),), (group,)))
    port = next(event.port for event in proxy.events() if isinstance(event, p.Bound))
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        began = time.monotonic()
        proxy.close()
        assert time.monotonic() - began < 30
        assert proxy.pid is None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    release.set()


def test_a_proxy_that_died_is_started_again_on_the_same_port(backend: Any, say: Any) -> None:
    target, proxy = backend("1"), p.Proxy()
    port = free_port()
    rules = (say.default(say.forward("tg")),)
    wanted = p.Configuration(
        1, (p.Listener("l", "lb", port, rules),), (p.TargetGroup("tg", targets=(target.as_target(),)),)
    )
    for _ in range(2):
        proxy.start()
        proxy.configure(wanted)
        assert next(event for event in proxy.events() if isinstance(event, (p.Bound, p.BindFailed))) == p.Bound(
            "l", "127.0.0.1", port
        )
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
            assert proxy.pid is not None
            os.kill(proxy.pid, signal.SIGKILL)
            list(proxy.events())  # which end
        eventually(lambda: proxy.pid is None)
    proxy.close()


def test_it_dies_with_its_parent_even_when_another_holds_the_pipe() -> None:
    parent = (
        "import os, sys, time; from emulator.data.proxy import Proxy; p = Proxy(); p.start();"
        "print(p.pid, flush=True); os.fork() or time.sleep(4); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.wait(60) == -signal.SIGKILL  # its fork sleeps on, with a copy of the pipe
    eventually(lambda: not runs(pid))
    process.stdout.close()
