"""Hostile requests, each with the answer that it gets; a normal chat is answered throughout."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gradio_client import Client

from tests.chatbot.conftest import Stage
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import App, Served

JOIN = "/gradio_api/queue/join"


def exchange(port: int, raw: bytes, visitor: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; the status (0 when the server hung up without one), headers and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(visitor, 0)) as connection:
        head, _, rest = raw.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        with contextlib.suppress(OSError):  # refused before the body was sent whole
            connection.sendall(rest)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except OSError:
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3})", lines[0])
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(found[1]) if found else 0, headers, body


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A request; `headers` replace the defaults, an empty one leaves it out."""
    wanted = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body))}
    if body:
        wanted["Content-Type"] = "application/json"
    wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items() if value)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(target: str, **headers: str) -> bytes:
    return request("GET", target, **headers)


def post(target: str, body: object = None, **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return request("POST", target, data, **headers)


CHAT = {"data": ["hi", None]}
EVENT: dict[str, Any] = {"data": [[]], "fn_index": 1, "session_hash": "abuse"}
CHUNKED = b"Host: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"

HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    # size and time
    "a body above the limit, announced": (post(JOIN, b"x" * 1_100_000), {413}),
    "a body far above the limit": (post(JOIN, b"x" * 8_000_000), {413}),
    "a body above the limit, in chunks": (
        b"POST /gradio_api/queue/join HTTP/1.1\r\n" + CHUNKED + b"\r\n"
        + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 17 + b"0\r\n\r\n", {413}),
    "a body that never arrives": (request("POST", JOIN, Content_Type="application/json", Content_Length="50"), {408}),
    "a header of 70 KB": (get("/", X_Long="x" * 70_000), {400, 431}),
    "a target of 70 KB": (get("/" + "a" * 70_000), {400, 404, 414}),
    "ten thousand nested lists": (post(JOIN, b"[" * 10_000), {400, 422}),
    # origin
    "another site's origin": (post(JOIN, EVENT, Origin="https://evil.example"), {403}),
    "the origin null": (post(JOIN, EVENT, Origin="null"), {403}),
    "an origin that begins like ours": (post(JOIN, EVENT, Origin="http://127.0.0.1.evil.example"), {403}),
    "an origin with our name as its user": (post(JOIN, EVENT, Origin="http://127.0.0.1@evil.example"), {403}),
    "a preflight": (request("OPTIONS", JOIN, Origin="https://evil.example"), {405}),
    "a form of another site": (
        post(JOIN, b"a=b", Content_Type="application/x-www-form-urlencoded", Origin="https://evil.example"), {403}),
    "a body that is no JSON by its type": (post(JOIN, b"{}", Content_Type="text/plain"), {415}),
    # files
    "an upload": (post("/gradio_api/upload", b"x", Content_Type="multipart/form-data; boundary=b"), {404}),
    "an upload of 5 MB": (
        post("/gradio_api/upload", b"x" * 5_000_000, Content_Type="multipart/form-data; boundary=b"), {404}),
    "an upload's progress": (get("/gradio_api/upload_progress?upload_id=1"), {404}),
    "a file of the host": (get("/gradio_api/file=/etc/passwd"), {404}),
    "a file by the older route": (get("/gradio_api/file/etc/passwd"), {404}),
    "traversal out of the assets": (get("/assets/../../../../../../etc/passwd"), {404}),
    "encoded traversal": (get("/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "doubly encoded traversal": (get("/page/%252e%252e/settings.py"), {404}),
    "traversal with backslashes": (get("/page/..\\..\\settings.py"), {400, 404}),
    "an absolute path below the assets": (get("/static//etc/passwd"), {404}),
    "a null byte in a path": (get("/assets/a%00.js"), {404}),
    "a file as a message": (
        post("/gradio_api/call/chat", {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, None]}),
        {200, 400, 403, 422}),
    # inside
    "the cloud's metadata through the proxy": (get("/gradio_api/proxy=http://169.254.169.254/latest/meta-data"), {404}),
    "the monitoring page": (get("/monitoring"), {404}),
    "the monitoring's summary": (get("/monitoring/summary"), {404}),
    "FastAPI's documentation": (get("/docs"), {404}),
    "FastAPI's schema": (get("/openapi.json"), {404}),
    "Gradio's schema": (get("/gradio_api/openapi.json"), {404}),
    "the history of runs": (get("/gradio_api/run-history/records"), {404}),
    "the metrics": (get("/metrics"), {404}),
    "the code editor": (post("/gradio_api/vibe-edit", {"prompt": "x"}), {404}),
    "a component's server function": (post("/gradio_api/component_server", {"data": []}), {404}),
    "a private event by its name": (post("/gradio_api/call/answer", CHAT), {404}),
    "a run outside the queue": (post("/gradio_api/run/chat", CHAT), {404}),
    "a login": (post("/login", b"username=a"), {404}),
    # nonsense
    "an event that does not exist": (post(JOIN, {**EVENT, "fn_index": 999}), {400, 404, 422}),
    "an event without a session": (post(JOIN, {"data": [[]], "fn_index": 1}), {400, 422}),
    "a body that is no JSON": (post(JOIN, b"{not json"), {400, 422}),
    "a list for a body": (post(JOIN, b"[]"), {400, 422}),
    "a method that changes things": (request("DELETE", "/"), {405}),
    "TRACE": (request("TRACE", "/"), {405}),
    "a websocket": (get("/gradio_api/queue/join", Connection="Upgrade", Upgrade="websocket",
                        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Version="13"), {400, 404, 405}),
    # smuggling
    "a length and chunks": (
        b"POST /gradio_api/queue/join HTTP/1.1\r\nContent-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\nGET /x\r\n\r\n",
        {400}),
    "two lengths": (
        b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 40\r\n"
        b"Content-Type: application/json\r\nConnection: close\r\n\r\n{}", {400}),
    "a header that breaks its line": (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rB: c\r\nConnection: close\r\n\r\n", {400}),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\nConnection: close\r\n\r\n", {400}),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
}  # fmt: skip


@pytest.fixture(scope="module")
def client(stage: Stage) -> Client:
    return Client(stage.served.url, verbose=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_its_answer_and_a_chat_is_answered_after_it(
    served: Served, client: Client, name: str
) -> None:
    raw, expected = HOSTILE[name]
    status, headers, body = exchange(served.port, raw)
    assert status in expected, (status, body[:300])
    for inside in (b"Traceback", b"site-packages", b"root:x:", b"sk-very-secret", b'File "'):
        assert inside not in body
    assert "access-control-allow-origin" not in headers
    assert client.predict("still there?", api_name="/chat") == "You said: still there? "


def test_there_are_at_least_forty_hostile_requests() -> None:
    assert len(HOSTILE) >= 40


def test_a_file_given_as_a_message_never_comes_back(served: Served) -> None:
    raw, _ = HOSTILE["a file as a message"]
    _, _, body = exchange(served.port, raw)
    if event := json.loads(body).get("event_id"):
        _, _, answer = exchange(served.port, get(f"/gradio_api/call/chat/{event}"))
        assert b"root:" not in answer and b"Traceback" not in answer


def test_a_page_of_another_site_may_not_read_ours(served: Served) -> None:
    status, headers, _ = exchange(served.port, get("/config", Origin="https://evil.example"))
    assert status == 200
    assert "access-control-allow-origin" not in headers
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_forged_host_is_not_written_into_the_page(served: Served) -> None:
    _, _, body = exchange(served.port, get("/", X_Forwarded_Host="evil.example", Forwarded="host=evil.example"))
    assert b"gradio_config" in body
    assert b"evil.example" not in body


def test_every_answer_has_the_security_headers(served: Served) -> None:
    for target in ("/", "/healthz", "/page/chat.js", "/nowhere"):
        _, headers, _ = exchange(served.port, get(target))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_the_pages_scripts_carry_the_nonce_of_the_policy_and_each_page_has_its_own(served: Served) -> None:
    nonces = set()
    for _ in range(2):
        _, headers, body = exchange(served.port, get("/"))
        nonce = re.search(r"'nonce-([\w-]+)'", headers["content-security-policy"])
        assert nonce
        nonces.add(nonce[1])
        assert body.count(b"<script") == body.count(f'<script nonce="{nonce[1]}"'.encode()) > 3
    assert len(nonces) == 2
    script_sources = re.search("script-src ([^;]+)", headers["content-security-policy"])
    assert script_sources and "unsafe-inline" not in script_sources[1]


@pytest.fixture(scope="module")
def limited(stage: Stage, fake: FakeOpenAI) -> Iterator[Served]:
    strict = stage.start(CHATBOT_BASE_URL=fake.url, CHATBOT_RATE_PER_MINUTE="6", CHATBOT_RATE_BURST="5")
    yield strict.ready()
    strict.kill()


def flood(served: Served, visitor: str, forwarded: Callable[[int], str]) -> list[tuple[int, dict[str, str], bytes]]:
    raw = [post("/gradio_api/call/chat", CHAT, X_Forwarded_For=forwarded(number)) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda each: exchange(served.port, each, visitor), raw))


def test_a_flood_is_cut_at_the_burst_with_the_seconds_to_wait_and_others_are_served(limited: Served) -> None:
    answers = flood(limited, "127.0.0.2", lambda _: "")
    assert sorted({status for status, _, _ in answers}) == [200, 429]
    assert sum(status == 200 for status, _, _ in answers) == 5
    _, headers, body = next(answer for answer in answers if answer[0] == 429)
    assert 1 <= int(headers["retry-after"]) <= 10
    assert "too quickly" in json.loads(body)["detail"]
    status, _, _ = exchange(limited.port, post("/gradio_api/call/chat", CHAT), "127.0.0.3")
    assert status == 200


def test_a_forged_x_forwarded_for_does_not_get_round_the_limit(limited: Served) -> None:
    # The load balancer adds the true address at the end of whatever the client sent; without one, this test does.
    answers = flood(limited, "127.0.0.4", lambda number: f"198.51.100.{number}{limited.forwarded}")
    assert sum(status == 200 for status, _, _ in answers) == 5


def test_many_slow_bodies_at_once_do_not_keep_a_chat_from_its_answer(served: Served, client: Client) -> None:
    slow = request("POST", JOIN, Content_Type="application/json", Content_Length="50")
    with ThreadPoolExecutor(30) as threads:
        waiting = [threads.submit(exchange, served.port, slow) for _ in range(30)]
        time.sleep(0.2)
        assert client.predict("and me?", api_name="/chat") == "You said: and me? "
        assert {each.result()[0] for each in waiting} == {408}


@pytest.mark.parametrize("target", [
    "/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json", "/healthz", "/readyz",
    "/page/chat.js", "/page/page.css", "/assets/", "/gradio_api/info", "/gradio_api/app_id",
    "/gradio_api/theme.css", "/static/nothing.js",
])  # fmt: skip
def test_head_is_answered_as_get_is_without_the_body(app: App, target: str) -> None:
    if target == "/assets/":  # one of Gradio's, as the page names it
        found = re.search(rb'(?:href|src)="\.?(/assets/[^"]+)"', exchange(app.port, get("/"))[2])
        assert found
        target = found[1].decode()
    (got, head, nothing), (status, headers, body) = (
        exchange(app.port, request(method, target)) for method in ("HEAD", "GET")
    )
    varying = {"date", "content-security-policy"}  # with its nonce
    assert (got, {k: v for k, v in head.items() if k not in varying}) == (
        status, {k: v for k, v in headers.items() if k not in varying}
    )  # fmt: skip
    assert nothing == b""
    assert body


@pytest.mark.parametrize("target", ["/gradio_api/heartbeat/abc", "/gradio_api/queue/data?session_hash=abc"])
def test_head_of_a_stream_does_not_wait_for_its_end(app: App, target: str) -> None:
    status, headers, body = exchange(app.port, request("HEAD", target))
    assert (status, headers["content-type"].split(";")[0], body) == (200, "text/event-stream", b"")
