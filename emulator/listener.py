"""Sockets of the emulator: HTTP/1.1, in TLS or not, on the loopback interface, a thread for every request at work.

uvicorn speaks HTTP: a connection that is silent, or slow with the head of a request, costs a file descriptor and no
thread, and what breaks on a connection ends that connection alone (docs/decisions/0045).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import threading
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emulator.bridge import asgi
from emulator.data.repositories.tls import server_context

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("emulator.listener")

_ADDRESSES = ("127.0.0.1", "::1")  # "localhost" is either, as the resolver likes
_HANDSHAKE = b"\x16"  # the first byte of a TLS client, and of no HTTP request (RFC 8446, 5.1)
_HEAD = 30.0  # seconds in which a client has sent its first byte, its handshake, or the head of a request it began
_IDLE = 300  # seconds; a client that reuses a connection just as it is closed here sees an error
_STOP = 5  # seconds that a stop gives to requests at work
_LARGEST_HEAD = 1 << 17  # bytes
_CONNECTIONS = 4_096
_RESERVE = 256  # file descriptors for what requests open: children, files, the load balancer's


class Listener:
    """Serves `application` on both loopback addresses; `port` 0 takes a free one. Raises OSError when it is taken.

    A client that begins in TLS is answered in TLS, under `certificate` (a PEM file with its key).
    """

    def __init__(self, application: WSGIApplication, port: int, certificate: Path | None = None) -> None:
        context = server_context(certificate) if certificate else None
        sockets = _bound(port)
        self.port: int = sockets[0].getsockname()[1]
        config = uvicorn.Config(
            asgi(application),
            interface="asgi3",
            http=_Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_STOP,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
        self._server = _Server(config, context)
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finishes what is being answered, at most five seconds, and lets go of the port."""
        self._server.should_exit = True
        self._thread.join(_STOP + 5)


def _bound(port: int) -> list[socket.socket]:
    first = socket.create_server((_ADDRESSES[0], port), backlog=1024)
    sockets = [first]
    if socket.has_ipv6:
        try:
            port = first.getsockname()[1]
            sockets.append(socket.create_server((_ADDRESSES[1], port), family=socket.AF_INET6, backlog=1024))
        except OSError as error:  # a machine without IPv6 has no ::1
            log.info("not listening on [::1]:%d: %s", port, error)
    for bound in sockets:
        bound.setblocking(False)
    return sockets


class _Server(uvicorn.Server):
    """Looks at the first byte of a connection before it is spoken with: TLS, or not."""

    def __init__(self, config: uvicorn.Config, context: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._context = context
        self._most = _most_connections()
        self._begun: set[asyncio.Task[None]] = set()
        self.servers: list[asyncio.base_events.Server] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in sockets or []:
            self._start(self._accept(listening))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in list(self._begun):
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)
        await super().shutdown(sockets)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        complained = -float("inf")
        while True:
            try:
                while len(self._begun) + len(self.server_state.connections) > self._most:
                    await asyncio.sleep(0.1)
                client, _ = await loop.sock_accept(listening)
            except OSError as error:  # no file descriptor is free, or the client has thought better of it
                if loop.time() - complained > 60:
                    complained = loop.time()
                    log.warning("a connection could not be taken: %s", error)
                await asyncio.sleep(0.1)
                continue
            self._start(self._begin(client))

    async def _begin(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # an answer is two writes: head, body
            async with asyncio.timeout(_HEAD):
                await _readable(loop, client)
            in_tls = self._context is not None and client.recv(1, socket.MSG_PEEK) == _HANDSHAKE
            await loop.connect_accepted_socket(
                self._protocol,
                client,
                ssl=self._context if in_tls else None,
                ssl_handshake_timeout=_HEAD if in_tls else None,
            )
        except OSError as error:  # TimeoutError and SSLError are: a client that does not trust the certificate hangs up
            log.debug("a connection came to nothing: %s", error)
            client.close()
        except BaseException:
            client.close()
            raise

    def _protocol(self) -> _Protocol:
        crowded = len(self.server_state.connections) > self._most // 2
        return _Protocol(self.config, self.server_state, {}, patience=_HEAD if crowded else _IDLE)


class _Protocol(H11Protocol):
    """One whose client has _HEAD seconds for the head of a request, counted from its first byte."""

    def __init__(self, *arguments: Any, patience: float = _IDLE, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.timeout_keep_alive = int(patience)
        self._deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        unfinished = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if unfinished and self._deadline is None and self.timeout_keep_alive_task is None:
            self._deadline = self.loop.call_later(_HEAD, self.timeout_keep_alive_handler)
        elif not unfinished:
            self._unset_deadline()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own may be true
        """A client that has said all it has to say may wait for the answer: whether the connection stays open."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        if self.cycle.more_body and not self.cycle.response_started:
            self.cycle.disconnected = True  # for whoever reads the body
            self.cycle.message_event.set()
            self.send_400_response("The body of the request broke off.")
        return not self.cycle.more_body and self.scheme == "http"

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _readable(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
    """Returns when the client has sent something, or its end."""
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(client, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(client)


def _most_connections() -> int:
    """As many as file descriptors allow, with some left for what the requests open; as many of those as may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _CONNECTIONS + _RESERVE:
        wanted = _CONNECTIONS + _RESERVE
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has another limit yet, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS, soft - _RESERVE))
