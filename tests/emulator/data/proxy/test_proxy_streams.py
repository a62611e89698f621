"""Bytes pass as they come: uploads, server-sent events, websockets; and a release under load loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import socket
import threading
import time
from typing import Any

import aiohttp
from aiohttp import web

from emulator.data import proxy as p
from tests.waiting import eventually

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_every_event_of_a_stream_arrives_before_the_next_is_sent(balancer: Any, backend: Any) -> None:
    received = threading.Semaphore(0)

    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(CHUNKED)
        for number in range(5):
            connection.sendall(chunk(b"data: %d\n\n" % number))
            assert received.acquire(timeout=60), "the client has not seen what was sent"
        connection.sendall(b"0\r\n\r\n")

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.request("/stream")
    assert client.head()["content-type"] == "text/event-stream"
    for number in range(5):
        size = int(client.file.readline(), 16)
        assert client.file.read(size + 2) == b"data: %d\n\n\r\n" % number
        received.release()
    assert client.file.read(5) == b"0\r\n\r\n"


def test_an_upload_reaches_the_target_while_it_is_being_sent(balancer: Any, backend: Any, say: Any) -> None:
    received = threading.Semaphore(0)

    def behave(request: Any, connection: socket.socket) -> None:
        file, whole = request.file, b""
        while size := int(file.readline(), 16):
            whole += file.read(size)
            file.readline()
            received.release()
        file.readline()
        connection.sendall(say.response(whole))

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nX-Raw-Body: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(5):
        client.send(chunk(b"part %d " % number))
        assert received.acquire(timeout=60), "the target has not seen what was sent"
    client.send("0\r\n\r\n")
    assert client.answer().body == b"part 0 part 1 part 2 part 3 part 4 "


def test_a_response_may_begin_while_the_request_still_goes_on(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(CHUNKED)
        while size := int(request.file.readline(), 16):
            connection.sendall(chunk(request.file.read(size).upper()))
            request.file.readline()
        request.file.readline()
        connection.sendall(b"0\r\n\r\n")

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nX-Raw-Body: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.head().status == 200
    for word in (b"one", b"two"):
        client.send(chunk(word))
        assert client.file.read(len(chunk(word))) == chunk(word.upper())
    client.send("0\r\n\r\n")
    assert client.file.read(5) == b"0\r\n\r\n"
    client.request(headers={"X-Raw-Body": "1", "Transfer-Encoding": "chunked"})  # the connection is still good
    client.send("0\r\n\r\n")
    assert client.answer().status == 200


def test_a_large_body_passes_both_ways_intact(balancer: Any, backend: Any, say: Any) -> None:
    balancer.serve(backend("1", lambda request, connection: connection.sendall(say.response(request.body))))
    body = bytes(range(256)) * 40_000
    client = balancer.client()
    sender = threading.Thread(target=client.request, kwargs={"method": "POST", "body": body})
    sender.start()
    assert client.answer().body == body
    sender.join()


def test_a_slow_reader_holds_back_the_target_instead_of_filling_memory(balancer: Any, backend: Any) -> None:
    sent, block = [0], b"x" * 65536

    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(CHUNKED)
        for _ in range(2000):
            connection.sendall(chunk(block))
            sent[0] += len(block)
        connection.sendall(b"0\r\n\r\n")

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.request()
    client.head()

    def held_back() -> bool:
        before = sent[0]
        time.sleep(0.5)
        return 0 < before == sent[0]

    eventually(held_back)
    assert sent[0] < 40_000_000


def test_a_websocket_passes_bytes_both_ways_until_one_side_ends(balancer: Any, backend: Any) -> None:
    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(SWITCHING + b"welcome")
        while data := connection.recv(100):
            connection.sendall(data.upper())
            if data == b"bye":
                return False
        return False

    target = backend("1", behave)
    balancer.serve(target, group={"stickiness": balancer.sticky})
    client = balancer.client()
    client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n")
    answer = client.head()
    assert (answer.status, answer["upgrade"], answer["sec-websocket-accept"]) == (101, "websocket", "x")
    assert (target.requests[0]["connection"], target.requests[0]["upgrade"]) == ("Upgrade", "websocket")
    assert client.file.read(7) == b"welcome"
    for word in (b"hello", b"bye"):
        client.send(word)
        assert client.file.read(len(word)) == word.upper()
    assert client.closed()


def test_a_websocket_that_the_target_declines_is_an_ordinary_response(balancer: Any, backend: Any, say: Any) -> None:
    balancer.serve(backend("1", lambda _, connection: connection.sendall(say.response("no", "403 Forbidden"))))
    client = balancer.client()
    for _ in range(2):
        client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n")
        assert client.answer().status == 403


def test_when_the_client_of_a_websocket_leaves_the_target_hears_its_last_words(balancer: Any, backend: Any) -> None:
    heard: list[bytes] = []

    def behave(request: Any, connection: socket.socket) -> bool:
        connection.sendall(SWITCHING)
        connection.settimeout(5)
        while data := connection.recv(100):
            heard.append(data)
        heard.append(b"(gone)")
        return False

    balancer.serve(backend("1", behave))
    client = balancer.client()
    client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n")
    assert client.head().status == 101
    client.send(b"close frame")
    client.close()
    deadline = time.monotonic() + 5
    while b"(gone)" not in heard and time.monotonic() < deadline:
        time.sleep(0.01)
    assert b"".join(heard) == b"close frame(gone)"


# --- a release under load, with a server and a client that were not written here

REQUESTS, STREAMS, EVENTS = 2000, 50, 20


class Site:
    """An aiohttp server in a thread: /name, /stream (EVENTS events), /ws (echo), /healthz."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.address = ""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(60)

    def _run(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self.say),
                web.get("/name", self.say),
                web.post("/echo", self.echo),
                web.get("/stream", self.stream),
                web.get("/ws", self.websocket),
            ]
        )
        runner = web.AppRunner(app)
        self.loop.run_until_complete(runner.setup())
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.loop.run_until_complete(web.SockSite(runner, listening).start())
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        self.started.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())

    async def say(self, request: web.Request) -> web.Response:
        return web.Response(text=self.name)

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(EVENTS):
            await response.write(f"data: {self.name} {number}\n\n".encode())
            await asyncio.sleep(0.1)
        return response

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    def as_target(self) -> p.Target:
        return p.Target(f"10.0.0.{self.name}", 7860, self.address)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


async def _requests(
    session: aiohttp.ClientSession, url: str, names: set[str], over: threading.Event, failures: list[str]
) -> None:
    """At least ``REQUESTS`` of them, until ``over``; ``names``: who answered so far."""

    async def worker(share: int) -> None:
        for number in itertools.count():
            if number >= share and over.is_set():
                return
            try:
                if number % 4:
                    async with session.get(url + "/name") as response:
                        text = await response.text()
                        names.add(text)
                        if response.status != 200:
                            failures.append(f"{response.status} {text}")
                else:
                    body = b"%d" % number * 1000
                    async with session.post(url + "/echo", data=body) as response:
                        if response.status != 200 or await response.read() != body:
                            failures.append(f"POST {response.status}")
            except aiohttp.ClientError as error:
                failures.append(repr(error))
            await asyncio.sleep(0.01)

    await asyncio.gather(*(worker(REQUESTS // 20) for _ in range(20)))


async def _stream(session: aiohttp.ClientSession, url: str, failures: list[str]) -> None:
    try:
        async with session.get(url + "/stream") as response:
            text = await response.text()
        if text.count("data: ") != EVENTS:
            failures.append(f"a stream of {text.count('data: ')} events")
    except aiohttp.ClientError as error:
        failures.append(repr(error))


async def _websocket(session: aiohttp.ClientSession, url: str, failures: list[str]) -> None:
    try:
        async with session.ws_connect(url + "/ws") as websocket:
            for number in range(EVENTS):
                await websocket.send_str(str(number))
                if await websocket.receive_str(timeout=60) != str(number):
                    failures.append("a websocket echoed something else")
                await asyncio.sleep(0.1)
    except (aiohttp.ClientError, TypeError, TimeoutError) as error:
        failures.append(repr(error))


def test_a_release_under_load_fails_no_request_stream_or_websocket(balancer: Any, say: Any) -> None:
    sites = {name: Site(name) for name in ("b1", "b2", "g1", "g2")}
    targets = {name: site.as_target() for name, site in sites.items()}
    blue = balancer.group("blue", targets=(targets["b1"], targets["b2"]), deregistration_delay=30)
    green = balancer.group("green", targets=(targets["g1"], targets["g2"]), deregistration_delay=30)

    def weigh(blue_weight: int, green_weight: int, *groups: p.TargetGroup) -> None:
        balancer.configure(
            *groups, rules=[say.default(say.forward((blue.arn, blue_weight), (green.arn, green_weight)))]
        )

    names: set[str] = set()
    failures: list[str] = []
    over = threading.Event()

    def release() -> None:
        try:
            eventually(lambda: {"b1", "b2"} <= names, 120, "answers of both blue targets")
            time.sleep(0.5)
            weigh(90, 10, blue, green)
            eventually(lambda: {"g1", "g2"} <= names, 120, "answers of both green targets")
            time.sleep(0.5)
            weigh(0, 100, blue, green)
            weigh(0, 100, dataclasses.replace(blue, targets=()), green)
            names.clear()
            eventually(lambda: {"g1", "g2"} <= names, 120, "answers after the release")
        except AssertionError as error:
            failures.append(str(error))
        finally:
            over.set()

    async def load() -> None:
        url = f"http://127.0.0.1:{balancer.port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            streams = [_stream(session, url, failures) for _ in range(STREAMS)]
            websockets = [_websocket(session, url, failures) for _ in range(10)]
            await asyncio.gather(_requests(session, url, names, over, failures), *streams, *websockets)

    weigh(100, 0, blue, green)
    for group, name in ((blue, "b1"), (blue, "b2"), (green, "g1"), (green, "g2")):
        balancer.event(p.HealthChanged, target_group_arn=group.arn, id=f"10.0.0.{name}", state="healthy")
    releasing = threading.Thread(target=release)
    releasing.start()
    asyncio.run(load())
    releasing.join()
    for name in ("b1", "b2"):
        balancer.event(p.Drained, target_group_arn=blue.arn, id=f"10.0.0.{name}")
    with contextlib.ExitStack() as stack:
        for site in sites.values():
            stack.callback(site.close)
    assert failures == []
