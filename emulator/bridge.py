"""A WSGI application as uvicorn wants it: a thread for each request at work, none for one that still arrives.

Ours, where libraries have the same (a2wsgi): they take a body that breaks off for a short one, write names of headers
in lower case, and go from thread to thread for every piece, which took twice as long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

log = logging.getLogger("emulator.listener")

_SMALL = 1 << 16  # bytes of a body that is waited for without a thread
_SLASH = re.compile("%2f", re.IGNORECASE)


class BrokenBody(ConnectionError):
    """The client went away before the body of its request was complete."""


def asgi(application: WSGIApplication) -> Any:
    """The ASGI application that runs a WSGI one, each call in a thread of its own, which keeps no process alive."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(BrokenBody):
            await _Exchange(application, scope, _Body(receive), send).run()

    return served


class _Body:
    """A request's body as WSGI reads it; one that breaks off gives what has arrived, then BrokenBody, never an end."""

    def __init__(self, receive: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._arrived = bytearray()
        self._more = True

    async def gather(self) -> None:
        """Waits for the whole of it, in the loop."""
        while self._more:
            self._arrived += await self._next()

    def read(self, size: int = -1) -> bytes:
        try:
            while self._more and (size < 0 or len(self._arrived) < size):
                self._arrived += asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        except BrokenBody:
            if size < 0 or not self._arrived:
                raise
        return self._take(len(self._arrived) if size < 0 else size)

    def readline(self, size: int = -1) -> bytes:
        limit = sys.maxsize if size < 0 else size
        while self._more and b"\n" not in self._arrived and len(self._arrived) < limit:
            self._arrived += asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        end = self._arrived.find(b"\n") + 1 or len(self._arrived)
        return self._take(min(end, limit))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _take(self, size: int) -> bytes:
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken

    async def _next(self) -> bytes:
        event = await self._receive()
        if event["type"] == "http.request":
            self._more = event.get("more_body", False)
            return bytes(event["body"])
        cycle = self._receive.__self__  # uvicorn's: what has arrived is handed on, though the client has gone
        arrived, cycle.body = bytes(cycle.body), bytearray()
        if not arrived:
            raise BrokenBody("the client went away before the body of its request was complete")
        return arrived


class _Exchange:
    """One request and its answer."""

    def __init__(self, application: WSGIApplication, scope: Any, body: _Body, send: Any) -> None:
        self._application = application
        self._scope = scope
        self._body = body
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.Future[list[dict[str, Any]]] = self._loop.create_future()
        self._head: dict[str, Any] | None = None
        self._begun = False

    async def run(self) -> None:
        if _length(self._scope) <= _SMALL:  # then a client that is slow with it costs no thread
            await self._body.gather()
        threading.Thread(target=self._call, name="request", daemon=True).start()
        for event in await self._rest:
            await self._send(event)

    def _call(self) -> None:
        """In the thread: the application, and of an answer in pieces all but the end."""
        try:
            rest = self._answer()
        except BrokenBody as error:
            self._loop.call_soon_threadsafe(self._end, error)
            return
        except Exception:
            log.exception("%s %s", self._scope["method"], self._scope["path"])
            rest = self._failed()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._end, rest)

    def _end(self, rest: list[dict[str, Any]] | BrokenBody) -> None:
        if self._rest.done():  # cancelled, at the end of a stop
            return
        if isinstance(rest, BrokenBody):
            self._rest.set_exception(rest)
        else:
            self._rest.set_result(rest)

    def _answer(self) -> list[dict[str, Any]]:
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            named = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            self._head = {"type": "http.response.start", "status": int(status.split(" ")[0]), "headers": named}
            return written.append

        pieces = self._application(_environ(self._scope, self._body), start_response)
        try:
            if isinstance(pieces, (list, tuple)):
                return [*self._heads(), _piece(b"".join([*written, *pieces]))]
            for piece in pieces:
                for event in (*self._heads(), _piece(b"".join([*written, piece]), more=True)):
                    asyncio.run_coroutine_threadsafe(self._send(event), self._loop).result()
                written.clear()
            return [*self._heads(), _piece(b"".join(written))]
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _heads(self) -> list[dict[str, Any]]:
        """The answer's head, the first time."""
        assert self._head, "the application has not begun its answer"
        begun, self._begun = self._begun, True
        return [] if begun else [self._head]

    def _failed(self) -> list[dict[str, Any]]:
        if self._begun:
            return []  # uvicorn ends the connection of an answer that has no end
        body = b'{"__type": "InternalFailure", "message": "the emulator failed; see its log (python -m emulator logs)"}'
        headers = [(b"Content-Type", b"application/x-amz-json-1.1"), (b"Content-Length", str(len(body)).encode())]
        return [{"type": "http.response.start", "status": 500, "headers": headers}, _piece(body)]


def _piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _length(scope: Any) -> float:
    """Of the request's body; of one in chunks nobody knows it."""
    headers = dict(scope["headers"])
    return float("inf") if b"transfer-encoding" in headers else int(headers.get(b"content-length", 0))


def _environ(scope: Any, body: _Body) -> WSGIEnvironment:
    """PEP 3333's, and REQUEST_URI: moto and the registry tell `a%2Fb` from `a/b` by the path as it was sent."""
    raw = scope["raw_path"].decode("ascii")
    if not raw.startswith("/"):  # a proxy's client sends a whole URL
        raw = urlsplit(raw).path or "/"
    query = scope["query_string"].decode("ascii")
    uri = f"{raw}?{query}" if query else raw
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "", "QUERY_STRING": query,
        "PATH_INFO": unquote_to_bytes(_SLASH.sub("%252F", raw)).decode("latin-1"), "REQUEST_URI": uri, "RAW_URI": uri,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0], "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": scope["client"][0], "REMOTE_PORT": str(scope["client"][1]),
        "wsgi.version": (1, 0), "wsgi.url_scheme": scope["scheme"], "wsgi.input": body, "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True, "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    for name, value in scope["headers"]:
        if b"_" in name:  # nginx lets none through either: X_Amz_Target would be X-Amz-Target
            continue
        named = name.decode("latin-1").upper().replace("-", "_")
        key = named if named in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{named}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
