"""What the load balancer answers by itself, and when."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"


def test_a_group_without_targets_answers_503_with_the_page_of_alb(balancer: Any) -> None:
    balancer.configure(balancer.group("blue"))
    answer = balancer.ask()
    assert answer.start == "HTTP/1.1 503 Service Temporarily Unavailable"
    assert answer.body.decode() == PAGE.format("503 Service Temporarily Unavailable")
    assert (answer["server"], answer["content-type"], answer["connection"]) == ("awselb/2.0", "text/html", "keep-alive")


def test_a_target_that_refuses_connections_is_a_502(balancer: Any, backend: Any) -> None:
    target = backend()
    balancer.serve(target)
    target.close()
    answer = balancer.ask()
    assert (answer.status, answer.body.decode()) == (502, PAGE.format("502 Bad Gateway"))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"a" * 33_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half a head", "another protocol", "two lengths", "an upgrade unasked", "a head above 32K"],
)
def test_a_target_that_closes_or_talks_nonsense_is_a_502(balancer: Any, backend: Any, said: bytes) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(said)
        return False

    balancer.serve(backend("1", behave))
    assert balancer.ask().status == 502


def test_a_response_with_two_framings_reaches_the_client_with_the_one_that_counts(balancer: Any, backend: Any) -> None:
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    balancer.serve(backend("1", lambda _, connection: connection.sendall(both)))
    answer = balancer.ask()
    assert (answer["content-length"], answer["transfer-encoding"], answer.body) == (None, "chunked", b"abc")


def test_a_response_that_breaks_off_reaches_the_client_as_broken(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        return False

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.request()
    rest = client.head() and b""
    with pytest.raises((ConnectionResetError, EOFError)):  # never a tidy end
        while not rest.endswith(b"0\r\n\r\n"):
            more = client.file.read(1)
            if not more:
                raise EOFError
            rest += more


def test_a_target_slower_than_the_idle_timeout_is_a_504_and_is_hung_up_on(balancer: Any, backend: Any) -> None:
    hung_up = threading.Event()

    def behave(request: Any, connection: socket.socket) -> bool:
        connection.settimeout(5)
        if connection.recv(1) == b"":
            hung_up.set()
        return False

    balancer.serve(backend("1", behave), idle_timeout=0.3)
    began = time.monotonic()
    answer = balancer.ask()
    assert (answer.status, answer.body.decode()) == (504, PAGE.format("504 Gateway Time-out"))
    assert 0.25 < time.monotonic() - began < 20
    assert hung_up.wait(20)


def test_a_stream_that_falls_silent_is_cut_and_one_that_talks_is_not(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            time.sleep(0.3)
            connection.sendall(b"1\r\nx\r\n")
        if request.target == "/silent":
            time.sleep(20)
        connection.sendall(b"0\r\n\r\n")
        return True

    balancer.serve(backend("1", behave), idle_timeout=2)
    assert balancer.ask("/talks").body == b"x" * 8
    client = balancer.client()
    client.request("/silent")
    assert client.head().status == 200
    assert client.file.read(8 * 6) == b"1\r\nx\r\n" * 8
    assert client.closed()


def test_an_idle_client_is_disconnected_without_a_word(balancer: Any, backend: Any) -> None:
    balancer.serve(backend(), idle_timeout=1.5)
    fresh, used = balancer.client(), balancer.client()
    used.request()
    used.answer()
    assert fresh.closed() and used.closed()


@pytest.mark.parametrize(
    "begun",
    ["GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["head", "body"],
)
def test_a_client_that_stops_in_the_middle_of_a_request_gets_408(balancer: Any, backend: Any, begun: str) -> None:
    balancer.serve(backend(), idle_timeout=1.5)
    client = balancer.client()
    client.send(begun)
    answer = client.answer()
    assert (answer.status, answer["connection"]) == (408, "close")
    assert client.closed()


def test_a_client_that_leaves_before_the_response_frees_the_target_and_counts_as_460(
    balancer: Any, backend: Any
) -> None:
    reached, released = threading.Event(), threading.Event()

    def behave(request: Any, connection: socket.socket) -> bool:
        reached.set()
        connection.settimeout(60)
        assert connection.recv(1) == b""  # the load balancer hangs up on us
        released.set()
        return False

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.request()
    assert reached.wait(60)
    client.close()
    assert released.wait(60)
    balancer.next_metrics()
    assert (balancer.total("HTTPCode_ELB_4XX_Count"), balancer.total("HTTPCode_ELB_5XX_Count")) == (1, 0)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Null: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET /" + "a" * 17_000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET /" + "a" * 70_000, 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + "a" * 17_000 + "\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{n}: {'a' * 9000}\r\n" for n in range(8)), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + ", ".join(["10.0.0.1"] * 31) + "\r\n\r\n", 463),
    ],
    ids=lambda value: str(value)[:60].replace("\r\n", "|") if isinstance(value, str) else None,
)
def test_a_request_that_two_could_read_differently_never_reaches_a_target(
    balancer: Any, backend: Any, request_text: str, status: int
) -> None:
    target = backend()
    balancer.serve(target)
    client = balancer.client()
    client.send(request_text)
    answer = client.answer()
    assert (answer.status, answer["connection"], answer["server"]) == (status, "close", "awselb/2.0")
    assert client.closed()
    assert target.requests == []


def test_a_body_that_is_not_what_it_claims_to_be_is_a_400(balancer: Any, backend: Any) -> None:
    balancer.serve(backend())
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
    assert client.answer().status == 400
    assert client.closed()


def test_an_upload_that_nobody_wants_gets_its_answer_instead_of_a_reset(balancer: Any) -> None:
    balancer.configure(balancer.group("blue"))
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(5):
        time.sleep(0.05)
        client.send("x" * 100_000)
    answer = client.answer()
    assert (answer.status, answer["connection"]) == (503, "close")


def test_an_early_refusal_of_a_large_upload_reaches_the_client(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
        return False

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nX-Raw-Body: 1\r\nContent-Length: 10000000\r\n\r\n" + "x" * 100_000)
    answer = client.answer()
    assert (answer.status, answer.body) == (413, b"no")
