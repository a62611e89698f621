"""What a visitor gets, and what only this machine cannot see."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from emulator.data.repositories.tls import make_certificate
from orchestrator.tools import page
from orchestrator.tools.page import Seen

NOWHERE = "chat.invalid"  # RFC 6761: it never resolves


class Answer(BaseHTTPRequestHandler):
    status, location = 200, ""

    def do_GET(self) -> None:
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Page:
    """A page on this machine that answers what it is told to."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answer = type("Told", (Answer,), {})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self.answer)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def there() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "location", "seen", "says"),
    [(200, "", Seen.UP, ""), (503, "", Seen.DOWN, "answers 503"), (404, "", Seen.DOWN, "answers 404"),
     (302, "https://example.com/login", Seen.DOWN, "sends visitors away to https://example.com/login")],
)  # fmt: skip
def test_what_answers_is_what_a_visitor_gets(there: Page, status: int, location: str, seen: Seen, says: str) -> None:
    there.answer.status, there.answer.location = status, location
    look = page.look(f"http://127.0.0.1:{there.port}")
    assert (look.seen, look.status) == (seen, status) and says in look.why


@pytest.mark.parametrize(("here", "seen"), [(True, Seen.DOWN), (False, Seen.UNSEEN)])
def test_nothing_that_listens_is_down_on_this_machine_and_unseen_behind_a_network(here: bool, seen: Seen) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        look = page.look(f"http://127.0.0.1:{free.getsockname()[1]}", here=here)
    assert (look.seen, look.why) == (seen, "nothing takes connections")


def test_a_name_that_leads_nowhere_yet_is_asked_of_the_load_balancer(there: Page) -> None:
    url = f"http://{NOWHERE}:{there.port}"
    look = page.look(url, otherwise="127.0.0.1", here=True)
    assert look.seen is Seen.UNSEEN and f"{NOWHERE} does not resolve here: it must lead to 127.0.0.1" in look.why
    there.answer.status = 503
    look = page.look(url, otherwise="127.0.0.1")
    assert look.seen is Seen.DOWN and "answers 503" in look.why


def test_a_load_balancers_own_new_name_is_no_proof_of_anything() -> None:
    look = page.look(f"http://{NOWHERE}", otherwise=NOWHERE)
    assert look.seen is Seen.UNSEEN and "does not resolve" in look.why


def test_a_server_that_says_nothing_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "READ", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        look = page.look(f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert look.seen is Seen.DOWN and "does not answer within" in look.why


def test_a_certificate_that_this_machine_does_not_trust_may_be_trusted_by_visitors(tmp_path: Path) -> None:
    made = Page(make_certificate(tmp_path / "page.pem", "localhost"))
    look = page.look(f"https://localhost:{made.port}")
    made.close()
    assert look.seen is Seen.UNSEEN and "the certificate is refused: self" in look.why


def test_patience_waits_for_a_page_that_comes_up(there: Page) -> None:
    there.answer.status = 503
    threading.Timer(0.5, lambda: setattr(there.answer, "status", 200)).start()
    assert page.look(f"http://127.0.0.1:{there.port}", patience=60).up
