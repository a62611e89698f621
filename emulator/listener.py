"""Sockets of the emulator: HTTP/1.1, in TLS or not, on the loopback interface, a thread for every request at work."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING

from cheroot.wsgi import Server

from emulator.data.repositories.tls import tls_connection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from cheroot.server import HTTPConnection

log = logging.getLogger("emulator.listener")

_IPV4, _IPV6 = "127.0.0.1", "::1"  # "localhost" is either, as the resolver likes


class Listener:
    """Serves `application` on both loopback addresses; `port` 0 takes a free one. Raises OSError when it is taken.

    A client that begins in TLS is answered in TLS, under `certificate` (a PEM file with its key).
    """

    def __init__(self, application: WSGIApplication, port: int, certificate: Path) -> None:
        connection = tls_connection(certificate)
        first = _bound(application, connection, _IPV4, port)
        self.port: int = first.bind_addr[1]
        self._servers = [first]
        if socket.has_ipv6:
            try:
                self._servers.append(_bound(application, connection, _IPV6, self.port))
            except OSError as error:  # a machine without IPv6 has no ::1
                log.info("not listening on [::1]:%d: %s", self.port, error)
        for server in self._servers:
            threading.Thread(target=server.serve, name=f"listener {server.bind_addr[0]}", daemon=True).start()

    def close(self) -> None:
        """Finishes what is being answered, at most five seconds, and lets go of the port."""
        for server in self._servers:
            server.stop()


def _bound(application: WSGIApplication, connection: type[HTTPConnection], host: str, port: int) -> _Server:
    server = _Server((host, port), _raw_path(application), numthreads=24, request_queue_size=256, shutdown_timeout=5)
    # A client that reuses a connection just as it is closed here sees an error: keep many, and keep them long.
    server.keep_alive_conn_limit = 500
    server.ConnectionClass = connection
    server.timeout = 300
    server.expiration_interval = 0.1  # seconds that a stop may take: it waits for the next look at idle connections
    server.prepare()
    return server


class _Server(Server):
    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def _raw_path(application: WSGIApplication) -> WSGIApplication:
    """moto and the registry tell `a%2Fb` from `a/b` by the path as it was sent."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        return application(environ, start_response)

    return served
