"""A listener at work: its socket, which outlives every change but that of its port, and the connections it took."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping

from .forwarding import Forwarder
from .frontend import ClientConnection, Decision
from .messages import BindFailed, Bound, Listener
from .metrics import Meter
from .routing import Asked, Forward, Rules
from .stickiness import Sealer
from .targets import Emit, LiveGroup
from .wire import Wire

_BACKLOG = 1024
_BURST = 64  # connections taken before others get their turn
_HANDSHAKE = 10.0  # seconds


class OpenListener:
    """What frontend.Door describes, and the socket below it."""

    def __init__(self, config: Listener, groups: Mapping[str, LiveGroup], meter: Meter, emit: Emit) -> None:
        self.config = config
        self.meter = meter
        self.sealer = Sealer(config.load_balancer_arn)
        self.closed = False
        self.connections: set[ClientConnection] = set()
        self._groups = groups
        self._emit = emit
        self._rules: Rules | None = None
        self._forwarders: dict[Forward, Forwarder] = {}
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLContext | None = None
        self._trouble = ""
        self._tasks: set[asyncio.Task[None]] = set()

    # --- frontend.Door

    @property
    def load_balancer(self) -> str:
        return self.config.load_balancer_arn

    @property
    def scheme(self) -> str:
        return self.config.protocol.lower()

    @property
    def port(self) -> int:
        """The configured port; for port 0, the one that the system chose."""
        return self.config.port or (self._socket.getsockname()[1] if self._socket else 0)

    @property
    def idle_timeout(self) -> float:
        return self.config.idle_timeout

    def decide(self, asked: Asked) -> Decision:
        """What the rules of this moment say."""
        assert self._rules is not None
        action = self._rules.choose(asked)
        return self._forwarders[action] if isinstance(action, Forward) else action

    # --- configuration

    def apply(self, config: Listener, rules: Rules) -> None:
        """Take on a configuration (same host and port); requests from now on follow it."""
        self.config = config
        self._rules = rules
        kept = self._forwarders  # an unchanged action goes on with its turns
        self._forwarders = {each: kept.get(each) or Forwarder(each, self._groups) for each in rules.forwards()}
        if self._socket is not None:
            self._load_certificate()

    def try_to_bind(self) -> None:
        """Open the port if it is not open; what prevents it is said once."""
        if self._socket is not None or self.closed or not self._load_certificate():
            return
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((self.config.host, self.config.port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            self._fail(error.strerror or str(error))
            return
        self._socket, self._trouble = listening, ""
        asyncio.get_running_loop().add_reader(listening, self._accept)
        self._emit(Bound(self.config.arn, self.config.host, self.port))

    def close(self) -> None:
        """Close the port; what is being answered is answered to its end."""
        self.closed = True
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for each in list(self.connections):
            each.retire()

    def _load_certificate(self) -> bool:
        if self.config.protocol != "HTTPS":
            self._tls = None
            return True
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(self.config.certificate or "", self.config.key)
        except (OSError, ssl.SSLError) as error:
            self._fail(f"certificate '{self.config.certificate}': {error}")
            return False
        self._tls = context
        return True

    def _fail(self, reason: str) -> None:
        if reason != self._trouble:
            self._trouble = reason
            self._emit(BindFailed(self.config.arn, self.config.host, self.config.port, reason))

    # --- connections

    def _accept(self) -> None:
        for _ in range(_BURST):
            if self._socket is None:
                return
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._rest()
                return
            accepted.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _rest(self) -> None:
        """Out of file descriptors: let those who wait wait, and look again in a moment."""
        self.meter.add("RejectedConnectionCount", self.load_balancer, None)
        loop, listening = asyncio.get_running_loop(), self._socket
        assert listening is not None
        loop.remove_reader(listening)

        def again() -> None:
            if self._socket is listening:
                loop.add_reader(listening, self._accept)

        loop.call_later(0.1, again)

    async def _serve(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handshake = _HANDSHAKE if self._tls else None
        try:
            _, wire = await loop.connect_accepted_socket(Wire, accepted, ssl=self._tls, ssl_handshake_timeout=handshake)
        except (OSError, TimeoutError):
            accepted.close()
            if self._tls:
                self.meter.add("ClientTLSNegotiationErrorCount", self.load_balancer, None)
            return
        self.meter.add("NewConnectionCount", self.load_balancer, None)
        connection = ClientConnection(wire, self)
        self.connections.add(connection)
        try:
            await connection.serve()
        finally:
            self.connections.discard(connection)
