"""Asks a page as a visitor's browser would: what it answers, and in the visitor's words why it does not.

No credentials, no cookies, no proxy of the shell's; every try is bounded. Uses urllib3, which comes with boto3.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

import urllib3

CONNECT, READ = 3.0, 8.0  # seconds
REDIRECTS = 3
PAUSE = 0.25
MOVED = (301, 302, 303, 307, 308)


class Seen(StrEnum):
    """``UNSEEN``: nothing on the way to the page answered here, which says nothing of a visitor somewhere else: a VPN,
    a name that this machine does not know yet, an authority that it does not trust."""

    UP = "up"
    DOWN = "down"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Look:
    """What a visitor of ``url`` gets. ``status`` is 0 when nothing answered; ``why`` says what is wrong, empty when it
    is up; ``but`` is what is not as it should be although the page is there."""

    url: str
    seen: Seen
    status: int = 0
    why: str = ""
    but: str = ""
    seconds: float = 0.0

    @property
    def up(self) -> bool:
        return self.seen is Seen.UP


def look(url: str, *, otherwise: str = "", here: bool = False, patience: float = 0.0) -> Look:
    """Asks for ``url`` until it is up or ``patience`` (seconds) is over.

    ``otherwise`` is a name that leads to the same server: the load balancer's own. It is asked where the page's name
    leads nowhere yet, so that a missing DNS record is told from a chatbot that is down. ``here``: the page is on this
    machine, so nothing lies between that could hide it.
    """
    deadline = time.monotonic() + patience
    while True:
        began = time.monotonic()
        seen, status, why, but = _once(url, otherwise, Seen.DOWN if here else Seen.UNSEEN)
        if seen is Seen.UP or time.monotonic() >= deadline:
            return Look(url, seen, status, why, but, round(time.monotonic() - began, 2))
        time.sleep(PAUSE)


Answered = tuple[Seen, int, str, str]


def _once(url: str, otherwise: str, hidden: Seen) -> Answered:
    host = urlsplit(url).hostname or ""
    own_name = not otherwise or host == otherwise
    try:
        return _judged(_status(url))
    except urllib3.exceptions.SSLError as error:
        if own_name and _is_mismatch(error):
            # Nobody can have a certificate for a load balancer's own name: the chatbot is there for whom has its name.
            return _through(url, host, f"the certificate is not made out to {host}: set network.domain_name", Seen.UP)
        expired = "expired" in str(error)
        return Seen.DOWN if expired else Seen.UNSEEN, 0, f"the certificate is refused: {_reason(error)}", ""
    except urllib3.exceptions.NameResolutionError:
        if own_name:
            return hidden, 0, f"the name {host} does not resolve here", ""
        return _through(
            url, otherwise, f"the name {host} does not resolve here: it must lead to {otherwise}", Seen.UNSEEN
        )
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        return hidden, 0, _reason(error), ""
    except urllib3.exceptions.HTTPError as error:
        return Seen.DOWN, 0, _reason(error), ""
    except _SentAway as away:
        return Seen.DOWN, away.status, f"the page sends visitors away to {away.to}", ""


def _judged(status: int) -> Answered:
    return (Seen.UP, status, "", "") if status == 200 else (Seen.DOWN, status, f"the page answers {status}", "")


class _SentAway(Exception):
    def __init__(self, status: int, to: str) -> None:
        super().__init__(to)
        self.status, self.to = status, to


def _status(url: str) -> int:
    """The status after the redirects on the same host."""
    with urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT, read=READ), retries=False) as pool:
        for _ in range(REDIRECTS + 1):
            answer = pool.request("GET", url, redirect=False, preload_content=False)
            status, location = answer.status, answer.headers.get("Location", "")
            answer.close()
            if status not in MOVED or not location:
                break
            target = urljoin(url, location)
            if urlsplit(target).hostname != urlsplit(url).hostname:
                raise _SentAway(status, target)
            url = target
    return status


def _through(url: str, address: str, but: str, seen: Seen) -> Answered:
    """The page at another ``address``, under its own name; ``seen``: what 200 from there means for visitors. What the
    certificate says was looked at already, or is looked at once the name leads here."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    pool: urllib3.HTTPConnectionPool
    if secure:
        pool = urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, retries=False, assert_hostname=False, cert_reqs="CERT_NONE",
            server_hostname=host,
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout, retries=False)
    with pool:
        try:
            answer = pool.request(
                "GET", parts.path or "/", headers={"Host": parts.netloc}, redirect=False, preload_content=False
            )
            status = answer.status
            answer.close()
        except urllib3.exceptions.HTTPError as error:
            return Seen.UNSEEN, 0, f"{but}; and at {address} {_reason(error)}", ""
    if status != 200:
        return Seen.DOWN, status, f"the page answers {status}; {but}", ""
    return (seen, status, "", but) if seen is Seen.UP else (seen, status, f"{but}, which answers for it", "")


def _is_mismatch(error: Exception) -> bool:
    return "mismatch" in str(error).lower() or "doesn't match" in str(error)


def _reason(error: Exception) -> str:
    """The cause in a visitor's words."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "nothing takes connections"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return f"nothing answers within {CONNECT:.0f} s"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return f"the page takes the request and does not answer within {READ:.0f} s"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the page closes the connection without an answer"
    causes = (error.__cause__, *error.args, error)
    return next(
        (cause.verify_message for cause in causes if getattr(cause, "verify_message", "")), str(causes[0] or error)
    )
