"""The API stays up: whatever one connection does, and however many there are, the others are answered."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from emulator import listener as listener_module
from emulator.data.repositories.tls import make_certificate
from emulator.emulator import HEALTH, Emulator
from emulator.listener import Listener
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CROWD = 1_000
HEAD = b"PUT /states/x HTTP/1.1\r\nHost: localhost\r\n"


def get(port: int, path: str = HEALTH, host: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def received(port: int, sent: bytes) -> bytes:
    """All that comes back until the connection is closed, or this side of it has said what it has to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


# One that breaks


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\x16\x03\x01\x00\x05hello", b"\x16" * 600])
def test_a_handshake_that_fails_ends_its_own_connection_alone(emulator: Emulator, host: str, first: bytes) -> None:
    port = emulator.store.config.port
    for _ in range(30):
        received(port, first)
    assert get(port, host=host) == 200


def test_a_client_that_does_not_trust_the_certificate_ends_its_own_connection_alone(emulator: Emulator) -> None:
    port = emulator.store.config.port
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    context = ssl.create_default_context(cafile=str(emulator.store.folder / "tls.pem"))
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    connection.request("GET", HEALTH)
    assert connection.getresponse().status == 200
    assert get(port) == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
        HEAD + b"Content-Length: 100000000000000000000\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\nhello\r\n",
        "GET /ä HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    ],
    ids=lambda sent: repr(sent[-40:]),
)
def test_what_is_no_http_is_answered_400_and_nobody_else_hears_of_it(emulator: Emulator, sent: bytes) -> None:
    answer = received(emulator.store.config.port, sent)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert get(emulator.store.config.port) == 200


def test_a_head_without_end_is_not_read_to_its_end(emulator: Emulator) -> None:
    with suppress(ConnectionError):  # it is cut while it is being sent
        assert received(emulator.store.config.port, HEAD + b"X-Long: " + b"x" * 10_000_000).startswith(b"HTTP/1.1 400 ")
    assert get(emulator.store.config.port) == 200


def test_a_body_that_breaks_off_is_not_taken_for_a_short_one(emulator: Emulator) -> None:
    s3 = emulator.store.clients("s3")
    s3.create_bucket(Bucket="states")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "states", "Key": "x"}).partition("/states")[2]
    head = f"PUT /states{url} HTTP/1.1\r\nHost: localhost:{emulator.store.config.port}\r\n".encode()
    for half in (b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        assert received(emulator.store.config.port, head + half).startswith(b"HTTP/1.1 400 ")
    assert s3.list_objects_v2(Bucket="states")["KeyCount"] == 0
    received(emulator.store.config.port, head + b"Content-Length: 5\r\n\r\nhello")
    assert s3.list_objects_v2(Bucket="states")["KeyCount"] == 1


# Many


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\nabc"], ids=["silent", "half a head", "half a body"]
)
def test_a_thousand_slow_connections_keep_nobody_waiting(emulator: Emulator, sent: bytes) -> None:
    port = emulator.store.config.port
    with ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(sent)
        assert get(port) == 200
    assert get(port) == 200


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[WSGIApplication], int]]:
    """Its port."""
    with ExitStack() as ends:

        def start(application: WSGIApplication) -> int:
            listener = Listener(application, 0, make_certificate(tmp_path / "tls.pem"))
            ends.callback(listener.close)
            return listener.port

        yield start


def answered(start_response: StartResponse, body: bytes = b"") -> list[bytes]:
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def test_a_thousand_calls_at_work_keep_nobody_waiting(serve: Callable[[WSGIApplication], int]) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            entered.release()
            leave.wait(60)
        return answered(start_response)

    port = serve(slow)
    statuses: list[int] = []
    callers = [threading.Thread(target=lambda: statuses.append(get(port, "/slow"))) for _ in range(CROWD)]
    for caller in callers:
        caller.start()
    for _ in range(CROWD):
        assert entered.acquire(timeout=60)
    assert get(port) == 200
    leave.set()
    for caller in callers:
        caller.join()
    assert statuses == [200] * CROWD


def test_calls_that_call_back_are_answered_however_many_they_are(serve: Callable[[WSGIApplication], int]) -> None:
    """As functions do whose invoker waits for them."""
    everybody = threading.Barrier(200)
    ports: list[int] = []

    def back(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/invoke":
            everybody.wait(60)
            assert get(ports[0], "/") == 200
        return answered(start_response)

    ports.append(serve(back))
    statuses: list[int] = []
    callers = [threading.Thread(target=lambda: statuses.append(get(ports[0], "/invoke"))) for _ in range(200)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 200


@pytest.mark.parametrize("sent", [b"", b"\x16\x03", b"GET / HT"], ids=["silent", "half a handshake", "half a head"])
def test_a_client_that_takes_too_long_with_its_head_is_left(
    serve: Callable[[WSGIApplication], int], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(listener_module, "_HEAD", 0.2)
    port = serve(lambda environ, start_response: answered(start_response))
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_more_connections_than_there_may_be_wait_for_room(
    serve: Callable[[WSGIApplication], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_CONNECTIONS", 50)
    monkeypatch.setattr(listener_module, "_HEAD", 1)
    port = serve(lambda environ, start_response: answered(start_response))
    with ExitStack() as crowd:
        for _ in range(100):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert get(port) == 200


# As it was sent


def test_the_path_is_told_as_it_was_sent(serve: Callable[[WSGIApplication], int]) -> None:
    seen: list[tuple[Any, ...]] = []

    def told(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(tuple(environ.get(name, "") for name in ("PATH_INFO", "RAW_URI", "QUERY_STRING", "HTTP_X_A")))
        return answered(start_response)

    port = serve(told)
    rest = b" HTTP/1.1\r\nHost: localhost\r\nX_A: forged\r\nConnection: close\r\n\r\n"
    for target in (b"/a%2fb%20c/%C3%A4?x=%2F", b"http://localhost/a%2Fb?x=1", b"/%ff"):
        assert received(port, b"GET " + target + rest).startswith(b"HTTP/1.1 200 ")
    assert seen == [
        ("/a%2Fb c/\xc3\xa4", "/a%2fb%20c/%C3%A4?x=%2F", "x=%2F", ""),
        ("/a%2Fb", "/a%2Fb?x=1", "x=1", ""),
        ("/\xff", "/%ff", "", ""),
    ]


def test_an_answer_without_a_length_comes_in_chunks_and_one_to_head_without_a_body(
    serve: Callable[[WSGIApplication], int],
) -> None:
    def pieces(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("ETag", "x")])
        return [b"a" * 100_000, b"b"]

    port = serve(pieces)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert ("ETag", "x") in answer.getheaders(), "names are as they were written"
    assert answer.read() == b"a" * 100_000 + b"b"
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    connection.request("GET", "/")
    assert connection.getresponse().status == 200


def test_a_stop_waits_for_what_is_being_answered(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        leave.wait(60)
        return answered(start_response, b"done")

    listener = Listener(slow, 0)
    statuses: list[int] = []
    caller = threading.Thread(target=lambda: statuses.append(get(listener.port)))
    caller.start()
    assert entered.wait(60)
    closer = threading.Thread(target=listener.close)
    closer.start()
    eventually(lambda: _is_closed(listener.port), what="the port is let go")
    leave.set()
    caller.join()
    closer.join()
    assert statuses == [200]


def _is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
