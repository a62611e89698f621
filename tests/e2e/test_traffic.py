"""The instrument itself: what a visitor would notice is counted, so that nothing counted means nothing noticed."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.traffic import Act, Traffic, chat, get
from tests.waiting import eventually

EVENTS: dict[str, list[dict[str, Any]]] = {
    "whole": [{"msg": "process_starts"}, {"msg": "process_completed", "success": True, "output": {"data": ["whole"]}}],
    "empty": [{"msg": "process_completed", "success": True, "output": {"data": [""]}}],
    "failed": [{"msg": "process_completed", "success": False, "output": {"error": "no model"}}],
    "lost": [{"msg": "unexpected_error", "message": "404: Not Found", "session_not_found": True}],
    "ended": [{"msg": "process_starts"}],
}


class Site:
    """A load balancer and a chatbot in one, which answer as the question says."""

    def __init__(self) -> None:
        self.questions: dict[str, str] = {}
        self.cookies: set[str] = set()
        self.url = ""

    async def page(self, request: web.Request) -> web.Response:
        self.cookies.add(request.cookies.get("who", ""))
        response = web.Response(text="page")
        response.set_cookie("who", request.cookies.get("who") or uuid.uuid4().hex)
        return response

    async def config(self, request: web.Request) -> web.Response:
        return web.json_response({"dependencies": [{"id": 3, "api_name": "like"}, {"id": 7, "api_name": "chat"}]})

    async def join(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["fn_index"] == 7
        self.questions[asked["session_hash"]] = asked["data"][0]
        return web.json_response({"event_id": "1"})

    async def data(self, request: web.Request) -> web.StreamResponse:
        question = self.questions[request.query["session_hash"]]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in EVENTS.get(question, []):
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        if question == "cut" and request.transport:
            request.transport.abort()
        return response

    async def serve(self, ready: threading.Event, over: threading.Event) -> None:
        app = web.Application()
        app.add_routes([
            web.get("/", self.page), web.get("/config", self.config), web.post("/gradio_api/queue/join", self.join),
            web.get("/gradio_api/queue/data", self.data),
        ])  # fmt: skip
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://localhost:{runner.addresses[0][1]}"
        ready.set()
        await asyncio.to_thread(over.wait)
        await runner.cleanup()


@pytest.fixture
def site() -> Iterator[Site]:
    site, ready, over = Site(), threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(site.serve(ready, over)))
    thread.start()
    assert ready.wait(60)
    yield site
    over.set()
    thread.join(20)


def noticed(site: Site, act: Act, count: int = 3) -> dict[str, int]:
    """The failures of at least `count` requests."""
    with Traffic(site.url, 50, [act]) as traffic:
        eventually(lambda: traffic.count >= count, 20, "that many requests", pause=0.01)
    return dict(traffic.failures)


def test_what_is_answered_is_no_failure(site: Site) -> None:
    assert noticed(site, get("/")) == {}
    assert noticed(site, chat("whole", "whole")) == {}


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (get("/nowhere"), "/nowhere 404"),
        (chat("lost"), "stream: 404: Not Found"),
        (chat("ended"), "stream: it ended before the answer was complete"),
        (chat("empty"), "stream: an empty answer"),
        (chat("failed"), "stream: no model"),
        (chat("cut"), "/gradio_api/queue/data ClientPayloadError"),
        (chat("whole", "all of it"), "stream: not the whole answer"),
    ],
)  # fmt: skip
def test_what_a_visitor_would_notice_is_counted_by_kind(site: Site, act: Act, kind: str) -> None:
    failures = noticed(site, act)
    assert len(failures) == 1
    assert next(iter(failures)).startswith(kind)


def test_nobody_listening_is_a_failure_too(site: Site) -> None:
    site.url = "http://localhost:9"
    (kind,) = noticed(site, get("/"))
    assert kind.startswith("/ ClientConnectorError")


def test_people_keep_their_cookies_and_strangers_have_none(site: Site) -> None:
    noticed(site, get("/"), 5)
    assert site.cookies == {""}
    with Traffic(site.url, 100, [get("/")], people=3) as traffic:
        eventually(lambda: traffic.count >= 20, 20, "twenty requests", pause=0.01)
    assert len(site.cookies) >= 4


def test_the_pace_does_not_depend_on_the_answers(site: Site) -> None:
    async def slow(visitor: object) -> None:
        await asyncio.sleep(1)

    with Traffic(site.url, 50, [Act(slow)]) as traffic:
        time.sleep(1)
    assert traffic.count > 20


def test_a_stream_is_whole_or_broken_and_opened_again(site: Site) -> None:
    for question, whole in (("whole", True), ("ended", False)):
        with Traffic(site.url, 10, streams=2, stream=chat(question)) as traffic:
            eventually(lambda: traffic.streams.whole + traffic.streams.broken.total() >= 3, 20, "three streams")
        assert bool(traffic.streams.whole) is whole
        assert bool(traffic.streams.broken) is not whole
        assert traffic.streams.open == 0


def test_what_never_comes_true_fails_and_says_what() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the moon"):
        eventually(lambda: False, 0.1, lambda: "the moon", pause=0.01)
