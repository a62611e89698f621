"""Sticky cookies: AWSALB, AWSALBAPP-0 and AWSALBTG, opaque to the client.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
import time
from collections.abc import Iterable
from email.utils import formatdate

TARGET = "AWSALB"
APPLICATION = "AWSALBAPP-0"
GROUP = "AWSALBTG"

_NONCE, _MAC = 16, 16
_PAYLOAD = struct.Struct(">d16s")  # when it ends, whom it names


def identity(*parts: str) -> bytes:
    """Sixteen bytes that stand for a target or a target group."""
    return hashlib.sha256("\0".join(parts).encode()).digest()[:16]


class Sealer:
    """Makes and reads the cookies of one load balancer.

    The key comes from the load balancer's ARN alone: what a client holds outlives a restart of the proxy. It hides
    nothing worth hiding, on loopback; a cookie of another load balancer, or a changed one, is still not accepted.
    """

    def __init__(self, load_balancer_arn: str) -> None:
        self._key = hashlib.sha256(b"emulated load balancer\0" + load_balancer_arn.encode()).digest()

    def seal(self, purpose: str, whom: bytes, until: float) -> str:
        """A cookie's value that says, for `purpose`, `whom` until when (seconds since the epoch)."""
        nonce = os.urandom(_NONCE)
        hidden = _xor(_PAYLOAD.pack(until, whom), self._stream(nonce))
        return base64.b64encode(nonce + hidden + self._mac(purpose, nonce + hidden)).decode()

    def open(self, purpose: str, value: str) -> tuple[bytes, float] | None:
        """Whom it names, and until when; None when it is over or not one of ours."""
        try:
            raw = base64.b64decode(value, validate=True)
        except ValueError:
            return None
        sealed, mac = raw[:-_MAC], raw[-_MAC:]
        if len(raw) != _NONCE + _PAYLOAD.size + _MAC or not hmac.compare_digest(mac, self._mac(purpose, sealed)):
            return None
        until, whom = _PAYLOAD.unpack(_xor(sealed[_NONCE:], self._stream(sealed[:_NONCE])))
        return (whom, until) if until > time.time() else None

    def _stream(self, nonce: bytes) -> bytes:
        return hashlib.sha256(self._key + nonce).digest()

    def _mac(self, purpose: str, data: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + b"\0" + data, "sha256")[:_MAC]


def _xor(data: bytes, stream: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def parse_cookies(headers: Iterable[str]) -> dict[str, str]:
    """The cookies of a request's Cookie headers; the first of a name counts."""
    cookies: dict[str, str] = {}
    for header in headers:
        for pair in header.split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals:
                cookies.setdefault(name, value.strip('"'))
    return cookies


def read_cookie(sealer: Sealer, name: str, cookies: dict[str, str]) -> tuple[bytes, float] | None:
    """The cookie, else its CORS twin."""
    for each in (name, name + "CORS"):
        if each in cookies and (found := sealer.open(name, cookies[each])) is not None:
            return found
    return None


def set_cookies(sealer: Sealer, name: str, whom: bytes, until: float, *, secure: bool) -> list[bytes]:
    """The Set-Cookie values; AWSALB and AWSALBTG have a twin for cross-origin requests."""
    value, expires = sealer.seal(name, whom, until), formatdate(until, usegmt=True)
    cookies = [f"{name}={value}; Expires={expires}; Path=/"]
    if name != APPLICATION:
        cookies.append(f"{name}CORS={value}; Expires={expires}; Path=/; SameSite=None{'; Secure' if secure else ''}")
    return [each.encode() for each in cookies]
