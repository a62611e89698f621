"""What the load balancer makes of a request before it goes anywhere: refuse it, describe it, rewrite its head.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
"""

from __future__ import annotations

import os
import time

import h11

from .answers import Answer, page
from .hop import LINE_LIMIT, REQUEST_LIMIT, end_to_end, head_size, values, wants_websocket
from .routing import Asked

_MOST_FORWARDERS = 30
_OURS = frozenset(
    (b"host", b"expect", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-amzn-trace-id")
)


def refusal(request: h11.Request) -> Answer | None:
    """The answer to a request that must not reach a target; every one of them ends the connection."""
    names = [name for name, _ in request.headers]
    if request.http_version not in (b"1.0", b"1.1"):
        return page(505, close=True)
    if len(request.target) > LINE_LIMIT:
        return page(414, close=True)
    too_long = any(len(name) + len(value) > LINE_LIMIT for name, value in request.headers)
    if too_long or head_size(request) > REQUEST_LIMIT:
        return page(400, close=True)
    if request.method in (b"TRACE", b"CONNECT"):
        return page(405, close=True)
    # Two framings, or one that HTTP/1.0 does not know: whoever reads it otherwise sees another request (smuggling).
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
        return page(400, close=True)
    if not (request.target.startswith((b"/", b"http://", b"https://")) or request.target == b"*"):
        return page(400, close=True)
    if sum(len(each.split(",")) for each in values(request.headers, b"x-forwarded-for")) > _MOST_FORWARDERS:
        return page(463, close=True)
    return None


def has_body(request: h11.Request) -> bool:
    """Whether bytes follow the head."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in request.headers
    )


def _origin(request: h11.Request) -> tuple[str, str]:
    """Target and host of a request; the absolute form (RFC 9112, 3.2.2) is taken apart."""
    target, host = request.target.decode("ascii"), "".join(values(request.headers, b"host")[:1])
    scheme, separator, rest = target.partition("://")
    if separator and scheme in ("http", "https"):
        end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        host, target = rest[:end], rest[end:]
        target = target if target.startswith("/") else "/" + target
    return target, host


def describe(request: h11.Request, client: str, scheme: str, port: int) -> Asked:
    """The request as rules see it."""
    target, host = _origin(request)
    path, _, query = target.partition("?")
    name = host[: host.rindex(":")] if ":" in host and not host.endswith("]") else host
    headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers]
    return Asked(request.method.decode("ascii"), name, path, query, client, headers, scheme, port)


def rewrite(request: h11.Request, asked: Asked) -> h11.Request:
    """The head as the target gets it."""
    target, host = _origin(request)
    forwarders = [*values(request.headers, b"x-forwarded-for"), asked.client]
    headers = [
        (b"X-Forwarded-For", ", ".join(forwarders).encode("latin-1")),
        (b"X-Forwarded-Proto", asked.scheme.encode()),
        (b"X-Forwarded-Port", str(asked.port).encode()),
        (b"Host", (host or f"{asked.host or 'localhost'}:{asked.port}").encode("latin-1")),
        (b"X-Amzn-Trace-Id", _trace(values(request.headers, b"x-amzn-trace-id"))),
    ]
    headers += [(name, value) for name, value in end_to_end(request) if name.lower() not in _OURS]
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        headers.append((b"Transfer-Encoding", b"chunked"))
    if wants_websocket(request):
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return h11.Request(method=request.method, target=target, headers=headers)


def _trace(given: list[str]) -> bytes:
    """X-Amzn-Trace-Id: a root of our own, or ourselves added to the one that came."""
    own = f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"
    fields = [
        each.strip() for each in ";".join(given).split(";") if each.strip() and not each.strip().startswith("Self=")
    ]
    if not any(each.startswith("Root=") for each in fields):
        return ";".join([f"Root={own}", *fields]).encode("latin-1")
    return ";".join([f"Self={own}", *fields]).encode("latin-1")
