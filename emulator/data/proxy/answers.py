"""What the load balancer answers by itself: error pages, redirects and fixed responses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

_TITLES = {
    463: "463",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
    408: "408 Request Time-out",
    414: "414 Request-URI Too Large",
    302: "302 Found",
}

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """A whole response of the load balancer's own; `close` when the connection cannot be used after it."""

    status: int
    body: bytes = b""
    content_type: str = "text/html"
    location: str | None = None
    close: bool = False

    def headers(self, *, close: bool) -> Headers:
        """Its headers, in the order in which ALB gives them."""
        headers = [(b"Server", b"awselb/2.0"), (b"Date", http_date()), (b"Content-Length", b"%d" % len(self.body))]
        if self.body:
            headers.append((b"Content-Type", self.content_type.encode()))
        headers.append((b"Connection", b"close" if close else b"keep-alive"))
        if self.location is not None:
            headers.append((b"Location", self.location.encode("ascii", "replace")))
        return headers


def page(status: int, *, location: str | None = None, close: bool = False) -> Answer:
    """The HTML page that ALB gives with a status code."""
    title = _title(status)
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, body.encode(), location=location, close=close)


def reason_phrase(status: int) -> bytes:
    """What stands behind a status code in the status line."""
    return _title(status).partition(" ")[2].encode()


def _title(status: int) -> str:
    if status in _TITLES:
        return _TITLES[status]
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


_date = (0, b"")


def http_date() -> bytes:
    """Now, as a Date header has it; formatted once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True).encode())
    return _date[1]
