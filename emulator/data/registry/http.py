"""The little of HTTP that the endpoints need, over WSGI: a request read in blocks, and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from emulator.data.registry.blobs import BLOCK
from emulator.data.registry.errors import BlobUploadInvalid, RangeInvalid

_CHUNK = 1 << 16  # about what clients send at once

Headers = list[tuple[str, str]]


class StartResponse(Protocol):
    def __call__(self, status: str, headers: Headers, /) -> Any: ...


class Request:
    """One request; its body is read at most once, and to its end even when nobody wants it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        # WSGI's strings are Latin-1 views of the bytes (PEP 3333).
        raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.path: str = raw.encode("latin-1").decode("utf-8", "replace")
        self.query: dict[str, str] = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        self.authorization: str = environ.get("HTTP_AUTHORIZATION", "")
        self._length = int(environ["CONTENT_LENGTH"]) if environ.get("CONTENT_LENGTH") else None
        self._chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._received = 0
        self._ended = False

    @property
    def length(self) -> int | None:
        return None if self._chunked else self._length

    @property
    def base_url(self) -> str:
        return f"{self._environ.get('wsgi.url_scheme', 'http')}://{self._environ.get('HTTP_HOST', 'localhost')}/"

    def header(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return str(self._environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}", ""))

    def blocks(self) -> Iterator[bytes]:
        """The body; a client that goes away in the middle of it is an error, after the blocks that did arrive."""
        while not self._ended:
            block = self._read()
            if not block:
                self._ended = True
                if self.length is not None and self._received < self.length:
                    raise BlobUploadInvalid(f"the body ended after {self._received} of {self.length} bytes")
                return
            self._received += len(block)
            yield block

    def body(self, limit: int) -> bytes:
        """The whole body, cut just above the limit, which the caller refuses."""
        content = bytearray()
        for block in self.blocks():
            content += block
            if len(content) > limit:
                break
        return bytes(content[: limit + 1])

    def drain(self) -> None:
        """Reads what is left, so that the connection is at the next request."""
        try:
            for _ in self.blocks():
                pass
        except BlobUploadInvalid:
            self._ended = True

    def _read(self) -> bytes:
        try:
            if self._chunked:
                return bytes(self._environ["wsgi.input"].read(_CHUNK))
            wanted = min(BLOCK, (self._length or 0) - self._received)
            return bytes(self._environ["wsgi.input"].read(wanted)) if wanted > 0 else b""
        except (OSError, ValueError) as error:  # the servers' ways to say that the connection broke
            self._ended = True
            raise BlobUploadInvalid(f"the body broke off: {error}") from None


@dataclass
class Response:
    """An answer; `body` is bytes, or a file's part."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | FilePart = b""

    def send(self, start_response: StartResponse, with_body: bool = True) -> Iterable[bytes]:
        headers = [*self.headers, ("Docker-Distribution-Api-Version", "registry/2.0")]
        if self.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(self.body))))
        start_response(f"{self.status} {HTTPStatus(self.status).phrase}", headers)
        if not with_body:
            return []
        return [self.body] if isinstance(self.body, bytes) else self.body.blocks()


@dataclass(frozen=True)
class FilePart:
    """Bytes `start` to `end` (exclusive) of a file, read while they are sent."""

    path: Path
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = len(self)
            while left and (block := file.read(min(BLOCK // 4, left))):
                left -= len(block)
                yield block


def json_response(status: int, document: Any, headers: Headers | None = None) -> Response:
    typed = (
        headers
        if headers and any(name == "Content-Type" for name, _ in headers)
        else [*(headers or []), ("Content-Type", "application/json; charset=utf-8")]
    )
    return Response(status, typed, json.dumps(document).encode())


def file_response(path: Path, range_header: str, headers: Headers) -> Response:
    """A file, or the one range of it that was asked for (RFC 9110, 14.2); several ranges are answered in full."""
    size = path.stat().st_size
    headers = [*headers, ("Accept-Ranges", "bytes")]
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", range_header.strip())
    if asked is None or asked.group(1) == asked.group(2) == "":
        return Response(200, headers, FilePart(path, 0, size))
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise RangeInvalid(f"the blob has {size} bytes", [("Content-Range", f"bytes */{size}")])
    return Response(206, [*headers, ("Content-Range", f"bytes {start}-{end - 1}/{size}")], FilePart(path, start, end))


def chunk_start(content_range: str, length: int | None) -> int | None:
    """Where a chunk says that it starts; None when it does not say."""
    if not content_range:
        return None
    given = re.fullmatch(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?", content_range.strip())
    if given is None:
        raise BlobUploadInvalid(f"Content-Range '{content_range}' is not <first>-<last>")
    start, end = int(given.group(1)), int(given.group(2))
    if end < start or (length is not None and end - start + 1 != length):
        raise BlobUploadInvalid(f"Content-Range '{content_range}' does not fit {length} bytes")
    return start
