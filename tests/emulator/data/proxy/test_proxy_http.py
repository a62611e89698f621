"""What of HTTP/1.1 reaches a target, and what of its response reaches the client."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from typing import Any

import pytest


def test_the_target_sees_the_request_as_the_client_made_it(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    answer = balancer.ask("/a%20b?x=1&y=%2F", method="POST", headers={"X-Own": "Ä", "Accept": "*/*"}, body=b"hello")
    seen = target.requests[0]
    assert (answer.status, answer.body) == (200, b"1")
    assert seen.start == "POST /a%20b?x=1&y=%2F HTTP/1.1"
    assert (seen["host"], seen["x-own"], seen["accept"], seen.body) == ("chat.example", "Ä", "*/*", b"hello")


def test_forwarded_headers_name_the_client_the_protocol_and_the_port(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    balancer.ask(headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "9"})
    seen = target.requests[0]
    assert seen.all("x-forwarded-for") == ["203.0.113.7, 127.0.0.1"]
    assert seen.all("x-forwarded-proto") == ["http"]
    assert seen.all("x-forwarded-port") == [str(balancer.port)]


def test_a_trace_id_is_made_or_the_load_balancer_adds_itself_to_it(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    balancer.ask()
    balancer.ask(headers={"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678;Who=me"})
    own = r"1-[0-9a-f]{8}-[0-9a-f]{24}"
    assert re.fullmatch(f"Root={own}", target.requests[0]["x-amzn-trace-id"])
    assert re.fullmatch(
        f"Self={own};Root=1-67891233-abcdef012345678912345678;Who=me", target.requests[1]["x-amzn-trace-id"]
    )


def test_hop_by_hop_headers_stay_on_their_hop(balancer: Any, backend: Any, say: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(
            say.response("x", headers="Keep-Alive: timeout=5\r\nX-Kept: yes\r\nConnection: x-hop\r\nX-Hop: 1\r\n")
        )

    target = backend("1", behave)
    balancer.serve(target)
    answer = balancer.ask(
        headers={"Connection": "keep-alive, X-Secret", "X-Secret": "1", "TE": "trailers", "Keep-Alive": "5"}
    )
    seen = target.requests[0]
    assert [seen[each] for each in ("connection", "x-secret", "te", "keep-alive")] == [None] * 4
    assert [answer[each] for each in ("keep-alive", "x-hop", "x-kept", "connection")] == [
        None,
        None,
        "yes",
        "keep-alive",
    ]


def test_a_connection_is_kept_alive_on_both_sides(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    client = balancer.client()
    for _ in range(5):
        client.request()
        assert client.answer().body == b"1"
    assert (len(target.requests), target.connections) == (5, 1)


def test_requests_sent_ahead_are_answered_in_their_order(balancer: Any, backend: Any, say: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        time.sleep(0.05 if request.target == "/first" else 0)
        connection.sendall(say.response(request.target))

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [client.answer().body, client.answer().body] == [b"/first", b"/second"]


def test_connection_close_is_honoured(balancer: Any, backend: Any) -> None:
    balancer.serve(backend())
    client = balancer.client()
    client.request(headers={"Connection": "close"})
    assert client.answer()["connection"] == "close"
    assert client.closed()


def test_an_http_1_0_client_gets_a_body_that_ends_with_the_connection(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    target = backend("1", behave)
    balancer.serve(target)
    client = balancer.client()
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    answer = client.answer()
    assert (answer["transfer-encoding"], answer.body) == (None, b"abc")
    assert target.requests[0].start == "GET / HTTP/1.1"


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("HEAD", "200 OK", "Content-Length: 5\r\n"),
        ("GET", "304 Not Modified", "ETag: x\r\n"),
        ("GET", "204 No Content", ""),
    ],
)
def test_a_response_without_a_body_ends_with_its_head(
    balancer: Any, backend: Any, method: str, status: str, headers: str
) -> None:
    balancer.serve(
        backend("1", lambda _, connection: connection.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n".encode()))
    )
    client = balancer.client()
    for _ in range(2):  # the second shows that nothing was left over
        client.request(method=method)
        answer = client.answer(body=False)
        assert answer.status == int(status[:3])
    assert method != "HEAD" or answer["content-length"] == "5"


def test_a_client_that_waits_for_100_continue_is_told_at_once(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert client.head().status == 100
    client.send("body")
    assert client.answer().body == b"1"
    assert (target.requests[0].body, target.requests[0]["expect"]) == (b"body", None)


def test_informational_responses_of_a_target_do_not_count_as_the_response(
    balancer: Any, backend: Any, say: Any
) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    balancer.serve(backend("1", lambda _, connection: connection.sendall(early + say.response("final"))))
    assert balancer.ask().body == b"final"


def test_an_absolute_target_counts_more_than_the_host_header(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    balancer.ask("http://real.example/x?y")
    assert (target.requests[0].target, target.requests[0]["host"]) == ("/x?y", "real.example")


def test_a_connection_that_the_target_closed_meanwhile_is_replaced(balancer: Any, backend: Any, say: Any) -> None:
    stale: list[Any] = []

    def connection_dies_once(request: Any, connection: socket.socket) -> bool:
        if request.target == "/again" and not stale:
            stale.append(request)
            return False
        connection.sendall(say.response(request.target))
        return True

    target = backend("1", connection_dies_once)
    balancer.serve(target)
    balancer.ask("/warm")
    assert balancer.ask("/again").body == b"/again"
    assert [each.target for each in target.requests] == ["/warm", "/again", "/again"]


def test_a_post_is_never_sent_twice(balancer: Any, backend: Any, say: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        if request.start.startswith("POST"):
            return False
        connection.sendall(say.response("ok"))
        return True

    target = backend("1", behave)
    balancer.serve(target)
    balancer.ask("/warm")
    assert balancer.ask("/order", method="POST", body=b"1").status == 502
    assert [each.target for each in target.requests] == ["/warm", "/order"]


def test_an_https_listener_speaks_tls_and_says_so_to_the_target(balancer: Any, backend: Any, tmp_path: Any) -> None:
    target, key, certificate = backend(), tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    group = balancer.group("blue", target, stickiness=balancer.sticky)
    balancer.configure(group, protocol="HTTPS", certificate=str(certificate), key=str(key))
    context = ssl.create_default_context(cafile=str(certificate))
    client = balancer.client()
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
    client.file = client.socket.makefile("rb")
    client.request()
    answer = client.answer()
    assert target.requests[0]["x-forwarded-proto"] == "https"
    assert answer.all("set-cookie")[1].endswith("; SameSite=None; Secure")


def test_a_missing_certificate_is_reported_and_the_port_opens_when_it_is_there(
    balancer: Any, backend: Any, tmp_path: Any
) -> None:
    from emulator.data import proxy as p

    group, files = balancer.group("blue", backend()), (tmp_path / "certificate.pem", tmp_path / "key.pem")
    listener = p.Listener("tls", balancer.arn, 0, (balancer.default_to(group),), "HTTPS", "127.0.0.1", *map(str, files))
    balancer.apply((listener,), (group,))
    assert "certificate.pem" in balancer.event(p.BindFailed, listener_arn="tls").reason
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", files[1], "-out", files[0]], check=True, capture_output=True)
    assert balancer.event(p.Bound, listener_arn="tls").port
