"""A load balancer on real sockets, and targets and clients that do exactly what a test says, byte by byte."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from emulator.data import proxy as p

E = TypeVar("E")
_numbers = itertools.count(1)


@dataclass
class Message:
    """A request or a response as it stood on the wire."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    file: Any = None  # where a request's body can be read, by a target that was sent X-Raw-Body

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def target(self) -> str:
        return self.start.split()[1]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def __getitem__(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def cookies(self) -> dict[str, str]:
        """What a browser would send back."""
        return dict(each.split(";")[0].split("=", 1) for each in self.all("set-cookie"))  # type: ignore[misc]


def read_head(file: Any) -> Message | None:
    start = file.readline()
    if not start:
        return None
    headers = []
    while (line := file.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    return Message(start.decode("latin-1").strip(), headers)


def read_body(file: Any, message: Message, *, response: bool) -> bytes:
    if (message["transfer-encoding"] or "").lower() == "chunked":
        body = b""
        while size := int(file.readline().split(b";")[0], 16):
            body += file.read(size)
            file.readline()
        file.readline()
        return body
    length = message["content-length"]
    if length is None and response:
        return bytes(file.read())
    return bytes(file.read(int(length or 0)))


Behaviour = Callable[[Message, socket.socket], bool | None]


def response(body: bytes | str = b"", status: str = "200 OK", headers: str = "") -> bytes:
    """A whole response; `headers` are whole lines."""
    raw = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\n{headers}\r\n".encode() + raw


class Backend:
    """A target. `behave(request, socket)` writes what it likes; the connection stays open unless it returns False."""

    def __init__(self, name: str, behave: Behaviour | None = None) -> None:
        self.name = name
        self.behave = behave or self.say_name
        self.health = "200 OK"
        self.requests: list[Message] = []
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def say_name(self, request: Message, connection: socket.socket) -> None:
        connection.sendall(response(self.name))

    def as_target(self, **other: Any) -> p.Target:
        return p.Target(id=f"10.0.0.{self.name}", port=7860, address=self.address, **other)

    def close(self) -> None:
        """Refuse connections from now on, and drop those there are."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with connection, contextlib.suppress(OSError, ValueError):
            file, first = connection.makefile("rb"), True
            while (request := read_head(file)) is not None:
                if (request["user-agent"] or "").startswith("ELB-HealthChecker"):
                    connection.sendall(response(status=self.health, headers="Connection: close\r\n"))
                    break
                self.connections += first
                first = False
                request.file = file
                self.requests.append(request)
                if request["x-raw-body"] is None:
                    request.body = read_body(file, request, response=False)
                if self.behave(request, connection) is False:
                    break
            file.close()
        self._open.discard(connection)


class Client:
    """A client's connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(
        self, target: str = "/", method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        lines = [f"{method} {target} HTTP/1.1"]
        given = {"Host": "chat.example", **(headers or {})}
        if body or method == "POST":
            given.setdefault("Content-Length", str(len(body)))
        lines += [f"{name}: {value}" for name, value in given.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def head(self) -> Message | None:
        return read_head(self.file)

    def answer(self, *, body: bool = True) -> Message:
        """The next response, whole."""
        message = self.head()
        assert message is not None, "the connection was closed instead"
        if body and message.status not in (204, 304):
            message.body = read_body(self.file, message, response=True)
        return message

    def closed(self) -> bool:
        """Whether the other side has closed; waits for it."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def forward(*groups: str | tuple[str, int], sticky: float = 0) -> dict[str, Any]:
    """A forward action in the API's shape."""
    shares = [
        {"TargetGroupArn": each} if isinstance(each, str) else {"TargetGroupArn": each[0], "Weight": each[1]}
        for each in groups
    ]
    config = {"TargetGroups": shares, "TargetGroupStickinessConfig": {"Enabled": sticky > 0, "DurationSeconds": sticky}}
    return {"Type": "forward", "ForwardConfig": config}


def default(action: dict[str, Any]) -> dict[str, Any]:
    return {"Priority": "default", "Conditions": [], "Actions": [action]}


FAST = p.HealthCheck(path="/healthz", interval=0.1, timeout=1, healthy_threshold=2, unhealthy_threshold=2)


@dataclass
class Balancer:
    """One load balancer with one listener, in a proxy process that the tests of a module share."""

    process: p.Proxy
    events: list[p.Event]
    news: threading.Condition
    number: int = field(default_factory=lambda: next(_numbers))
    port: int = 0
    _clients: list[Client] = field(default_factory=list)
    _generation: int = 0

    @property
    def arn(self) -> str:
        return f"lb-{self.number}"

    def group(self, name: str = "blue", *backends: Backend, **other: Any) -> p.TargetGroup:
        """A target group of this load balancer."""
        other.setdefault("health_check", FAST)
        targets = other.pop("targets", tuple(each.as_target() for each in backends))
        return p.TargetGroup(arn=self.group_arn(name), targets=targets, **other)

    sticky = p.Stickiness(enabled=True)

    def default_to(self, group: p.TargetGroup) -> dict[str, Any]:
        """A default rule."""
        return default(forward(group.arn))

    def group_arn(self, name: str = "blue") -> str:
        return f"{self.arn}-{name}"

    def configure(self, *groups: p.TargetGroup, rules: list[dict[str, Any]] | None = None, **listener: Any) -> None:
        """The whole configuration; returns when it is in force. The first group gets the traffic by default."""
        rules = rules or [default(forward(groups[0].arn))]
        self.apply((p.Listener(f"{self.arn}-listener", self.arn, 0, tuple(rules), **listener),), groups)
        self.port = self.port or self.event(p.Bound, listener_arn=f"{self.arn}-listener").port

    def apply(self, listeners: tuple[p.Listener, ...], groups: tuple[p.TargetGroup, ...]) -> p.Configured:
        generation = next(_numbers)
        self.process.configure(p.Configuration(generation, listeners, groups))
        return self.event(p.Configured, generation=generation)

    def serve(self, *backends: Backend, group: dict[str, Any] | None = None, **listener: Any) -> None:
        """One group of these backends, all healthy."""
        self.configure(self.group("blue", *backends, **(group or {})), **listener)
        for each in backends:
            self.event(p.HealthChanged, target_group_arn=self.group_arn(), id=f"10.0.0.{each.name}", state="healthy")

    def client(self) -> Client:
        client = Client(self.port)
        self._clients.append(client)
        return client

    def ask(self, target: str = "/", **other: Any) -> Message:
        """One request on a connection of its own."""
        client = self.client()
        client.request(target, **other)
        return client.answer(body=other.get("method") != "HEAD")

    def all_of(self, kind: type[E], **fields: Any) -> list[E]:
        with self.news:
            found = [each for each in self.events if isinstance(each, kind)]
        return [each for each in found if all(getattr(each, name) == value for name, value in fields.items())]

    def event(self, kind: type[E], seconds: float = 60, count: int = 1, **fields: Any) -> E:
        """Wait for the first (or a later) event of a kind with these fields."""
        deadline = time.monotonic() + seconds
        with self.news:
            while True:
                if len(found := self.all_of(kind, **fields)) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                assert (left > 0 and self.news.wait(left)) or left > 0, (
                    f"no {kind.__name__} {fields}; there were {self.events}"
                )

    def metrics(self, name: str) -> list[p.Metric]:
        """Everything said of a metric of this load balancer or its groups until now."""
        every = [metric for each in self.all_of(p.Metrics) for metric in each.metrics if metric.name == name]
        return [
            m for m in every if m.load_balancer_arn == self.arn or (m.target_group_arn or "").startswith(self.arn + "-")
        ]

    def next_metrics(self) -> None:
        """Wait until what happened before this call has been counted."""
        self.event(p.Metrics, count=len(self.all_of(p.Metrics)) + 2)

    def total(self, name: str) -> float:
        """The sum of a metric in the dimension of this load balancer alone."""
        return sum(m.sum for m in self.metrics(name) if m.load_balancer_arn == self.arn and m.target_group_arn is None)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[p.Proxy, list[p.Event], threading.Condition]]:
    process, events, news = p.Proxy(), [], threading.Condition(threading.RLock())
    process.start()

    def collect() -> None:
        for event in process.events():
            with news:
                events.append(event)
                news.notify_all()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    yield process, events, news
    process.close()
    thread.join(5)


@pytest.fixture
def balancer(running: Any) -> Iterator[Balancer]:
    balancer = Balancer(*running)
    yield balancer
    for client in balancer._clients:
        client.close()
    if balancer.process.pid:
        balancer.apply((), ())


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    """Makes targets: backend() or backend("7", behave)."""
    made: list[Backend] = []

    def make(name: str = "1", behave: Behaviour | None = None) -> Backend:
        made.append(Backend(name, behave))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def say() -> Any:
    """The little language of these tests."""

    @dataclasses.dataclass(frozen=True)
    class Words:
        response = staticmethod(response)
        forward = staticmethod(forward)
        default = staticmethod(default)
        FAST = FAST

    return Words()
