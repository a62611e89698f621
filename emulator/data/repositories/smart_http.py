"""Git's smart HTTP protocol (git's Documentation/gitprotocol-http) over WSGI."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import subprocess
import tempfile
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import parse_qs

from emulator.data.repositories.errors import CodeCommitError, Forbidden, Unauthenticated
from emulator.data.repositories.git import Git
from emulator.data.repositories.signature import Access

_ROUTE = re.compile(r"/v1/repos/(?P<name>[^/]+)/(?P<call>info/refs|git-upload-pack|git-receive-pack)")
_SERVICES = {"git-upload-pack": "pull", "git-receive-pack": "push"}
_NEVER_CACHED = [("Expires", "Fri, 01 Jan 1980 00:00:00 GMT"), ("Pragma", "no-cache"), ("Cache-Control", "no-cache")]
_BLOCK = 1 << 18
_CHUNK = 1 << 16  # about what clients send at once

Change = tuple[str, str, str]


class StartResponse(Protocol):
    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> Any: ...


class Refused(Exception):
    """A request that is no git, or whose body broke off."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SmartHttp:
    """Answers git clients; `find(name)` opens a repository or raises, `pushed(name, changes)` hears what a push did.

    `route` names the repository and git's call in a path: CodeCommit's `/v1/repos/<name>/…`, unless given.

    A request's body is complete, in a file, before git sees it: whoever is killed while he pushes has pushed nothing.
    """

    def __init__(
        self,
        folder: Path,
        authorize: Callable[[Access], None],
        find: Callable[[str], Git],
        pushed: Callable[[str, list[Change]], None],
        route: re.Pattern[str] = _ROUTE,
    ) -> None:
        self._route = route
        self._authorize = authorize
        self._find = find
        self._pushed = pushed
        self._scratch = folder / "requests"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._hooks = folder / "hooks"
        self._hooks.mkdir(exist_ok=True)
        hook = self._hooks / "post-receive"
        hook.write_text('#!/bin/sh\nexec cat > "$PUSH_REPORT"\n')
        hook.chmod(0o755)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = _Body(environ)
        try:
            return self._respond(environ, body, start_response)
        except Unauthenticated as error:
            challenge = [("WWW-Authenticate", 'Basic realm="AWS CodeCommit"')]
            return _text(start_response, 401, str(error), challenge)
        except Forbidden as error:
            return _text(start_response, 403, str(error))
        except CodeCommitError as error:
            return _text(start_response, 404, error.message)
        except Refused as error:
            return _text(start_response, error.status, str(error))
        finally:
            body.drain()

    def _respond(self, environ: dict[str, Any], body: _Body, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        route = self._route.fullmatch(path)
        if route is None:
            raise Refused(404, "no such repository URL")
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("service", [""])[0]
        service = asked if route["call"] == "info/refs" else route["call"]
        if service not in _SERVICES:
            raise Refused(403, "only git's smart protocol is spoken here")
        root = path.removesuffix(f"/{route['call']}")
        self._authorize(_access(environ, root, route["name"], _SERVICES[service]))
        git = self._find(route["name"])
        environment = {"GIT_PROTOCOL": str(environ.get("HTTP_GIT_PROTOCOL", ""))}
        if route["call"] == "info/refs":
            _expect(environ, "GET")
            headers = [("Content-Type", f"application/x-{service}-advertisement"), *_NEVER_CACHED]
            content = _advertisement(git, service, environment)
            start_response("200 OK", [*headers, ("Content-Length", str(len(content)))])
            return [content]
        _expect(environ, "POST", f"application/x-{service}-request")
        with tempfile.TemporaryFile(dir=self._scratch) as request:
            body.save(request)
            answer = self._run(git, route["name"], service, request, environment)
        start_response("200 OK", [("Content-Type", f"application/x-{service}-result"), *_NEVER_CACHED])
        return answer

    def _run(self, git: Git, name: str, service: str, request: IO[bytes], environment: dict[str, str]) -> _Answer:
        if service == "git-upload-pack":
            return _Answer(git.serve("upload-pack", stdin=request, env=environment), lambda: None)
        report = self._scratch / f"report-{uuid.uuid4()}"
        report.touch()
        hooks = ("-c", f"core.hooksPath={self._hooks}")
        process = git.serve(*hooks, "receive-pack", stdin=request, env={**environment, "PUSH_REPORT": str(report)})
        return _Answer(process, lambda: self._report(name, report))

    def _report(self, name: str, report: Path) -> None:
        """Hands on what git's own hook was told: the references that this push, and no other, did change."""
        lines = [line.split(" ", 2) for line in report.read_text("utf-8", "surrogateescape").splitlines()]
        report.unlink()
        if lines:
            self._pushed(name, [(reference, old, new) for old, new, reference in lines])


class _Answer:
    """git's answer while git writes it. `done` is called once git has ended, before the client sees the end; also when
    the client has gone, for then the push stands nevertheless."""

    def __init__(self, process: subprocess.Popen[bytes], done: Callable[[], None]) -> None:
        self._process = process
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        while block := self._process.stdout.read1(_BLOCK):  # type: ignore[attr-defined]
            yield block
        self._finish()

    def close(self) -> None:
        """WSGI's promise: called at the end of every answer, sent or not."""
        assert self._process.stdout is not None
        while not self._process.stdout.closed and self._process.stdout.read(_BLOCK):
            pass
        self._finish()

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            done()


class _Body:
    """A request's body: chunked or of a known length, plain or gzip."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self._chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._left = int(environ.get("CONTENT_LENGTH") or 0)
        self._gzip = environ.get("HTTP_CONTENT_ENCODING", "") in ("gzip", "x-gzip")

    def save(self, file: IO[bytes]) -> None:
        """Writes the whole body, unpacked, and goes back to the file's start."""
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if self._gzip else None
        try:
            for block in self._blocks():
                file.write(inflate.decompress(block) if inflate else block)
        except zlib.error as error:
            raise Refused(400, f"the body is no gzip: {error}") from None
        if inflate and not inflate.eof:
            raise Refused(400, "the body's gzip broke off")
        file.flush()
        file.seek(0)

    def drain(self) -> None:
        """Reads what is left, so that the connection is at the next request."""
        with contextlib.suppress(Refused):
            for _ in self._blocks():
                pass

    def _blocks(self) -> Iterator[bytes]:
        while self._chunked or self._left:
            try:
                block = self._input.read(_CHUNK if self._chunked else min(_BLOCK, self._left))
            except (OSError, ValueError) as error:  # the server's ways to say that the connection broke
                self._chunked, self._left = False, 0
                raise Refused(400, f"the body broke off: {error}") from None
            if not block:
                broken, self._chunked, self._left = not self._chunked, False, 0
                if broken:
                    raise Refused(400, "the body broke off")
                return
            self._left = max(0, self._left - len(block))
            yield block


def _access(environ: dict[str, Any], path: str, repository: str, action: str) -> Access:
    username: str | None = None
    password = ""
    scheme, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Forbidden("the Authorization header is no Basic credentials") from None
    return Access(username, password, environ.get("HTTP_HOST", ""), path, repository, action)


def _advertisement(git: Git, service: str, environment: dict[str, str]) -> bytes:
    content, _ = git.serve(service.removeprefix("git-"), "--advertise-refs", env=environment).communicate()
    if service == "git-upload-pack" and "version=2" in environment["GIT_PROTOCOL"]:
        return content  # in version 2 the capabilities stand alone
    line = f"# service={service}\n".encode()
    return b"%04x%s0000" % (len(line) + 4, line) + content


def _expect(environ: dict[str, Any], method: str, content_type: str = "") -> None:
    if environ["REQUEST_METHOD"] != method:
        raise Refused(405, f"{method} is the method of this URL")
    if content_type and environ.get("CONTENT_TYPE", "") != content_type:
        raise Refused(415, f"the body must be {content_type}")


def _text(
    start_response: StartResponse, status: int, text: str, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    content = f"{text}\n".encode()
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, *fields])
    return [content]
