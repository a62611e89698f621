"""A model behind HTTP: Hugging Face Inference Providers, or any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import AsyncInferenceClient, set_async_client_factory
from huggingface_hub.errors import TextGenerationError

from chatbot.backends import kinds, refusals
from chatbot.backends.base import BackendError, Options, Piece
from chatbot.backends.kinds import Kind
from chatbot.backends.masking import Mask
from chatbot.conversation import Turn
from chatbot.settings import Settings

HUGGINGFACE_MODEL = "HuggingFaceTB/SmolLM3-3B"
LIST_SECONDS = 5.0
CONNECT_SECONDS = 8.0  # behind a closed security group nothing answers, and nothing refuses


class SharedTransport(httpx2.AsyncHTTPTransport):
    """A connection pool that outlives the clients that use it.

    An AsyncInferenceClient keeps every streamed response open until it is itself closed, so an answer that a visitor
    stops would go on being generated. Each answer therefore has a client of its own; they share this pool.
    """

    async def __aenter__(self) -> SharedTransport:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def aclose(self) -> None:
        return None

    async def close_pool(self) -> None:
        await super().aclose()


class Remote:
    """Backends `huggingface` and `openai`; they differ in the client's arguments and in how they are checked."""

    tiny = False
    lacking: Kind | None = None

    def __init__(self, name: str, model: str, arguments: dict[str, Any], settings: Settings) -> None:
        self.name = name
        self.model = model
        self.concurrency = 200
        self._arguments = arguments
        self._timeout = max(settings.first_token_seconds, settings.stall_seconds)
        self._base_url = settings.base_url
        self._key = settings.hf_token if name == "huggingface" else settings.api_key
        self._provider = urlsplit(settings.base_url).netloc or settings.provider
        self._mask = Mask([settings.hf_token, settings.api_key])
        self._patience = settings.first_token_seconds
        self._one_token = Options(model, settings.system_prompt, settings.temperature, settings.top_p, max_tokens=1)
        self._transport = SharedTransport(limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=20))
        set_async_client_factory(self._client)

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=self._transport,
            timeout=self._timeout,
            follow_redirects=False,
            event_hooks={"response": [refusals.raise_refusal]},
        )

    async def check(self) -> None:
        """Asks for one token, as a visitor's question does: a token may list models that it may not call."""
        if not self.model:
            self.model = await self._first_model()
        try:
            await self._ask_for_one_token()
        except BackendError as error:
            if error.kind is not kinds.UNREACHABLE:
                raise
            await self._ask_for_one_token()  # a server may end a kept connection in the moment of its next use

    async def _ask_for_one_token(self) -> None:
        options = replace(self._one_token, model=self.model)
        try:
            async with asyncio.timeout(self._patience), aclosing(self.stream([Turn("user", "Hi")], options)) as pieces:
                async for piece in pieces:
                    if piece.text or piece.stop:
                        break
        except TimeoutError:
            raise BackendError(kinds.TIMED_OUT, cause="no first token", provider=self._provider) from None

    async def _first_model(self) -> str:
        """The first that an OpenAI-compatible server lists; some list none, and need no name."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with self._client() as client:
            try:
                listed = (await client.get(f"{self._base_url}/models", headers=headers, timeout=LIST_SECONDS)).json()
                return str(listed["data"][0]["id"])
            except BackendError as error:
                if error.status not in (404, 405):
                    raise self._told(error, self._mask) from None
            except httpx2.HTTPError as error:
                raise self._told(refusals.of_failure(error, started=False), self._mask) from error
            except (ValueError, LookupError, TypeError):
                pass
        return ""

    async def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        system = [{"role": "system", "content": options.system_prompt}] if options.system_prompt else []
        mask, started = self._mask.over(turn.text for turn in turns), False
        # The client's annotation has seconds alone; what it does with them is to hand them on to httpx.
        timeout: Any = httpx2.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout))
        async with AsyncInferenceClient(timeout=timeout, **self._arguments) as client:
            try:
                chunks = await client.chat_completion(
                    [*system, *({"role": turn.role, "content": turn.text} for turn in turns)],
                    model=options.model or self.model or "default",
                    temperature=options.temperature,
                    top_p=options.top_p,
                    max_tokens=options.max_tokens,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                async for chunk in chunks:
                    piece = _piece(chunk)
                    started = started or bool(piece.text)
                    yield piece
                    if piece.stop == "content_filter":
                        raise BackendError(kinds.FILTERED, code=piece.stop)
            except BackendError as error:
                raise self._told(error, mask) from None
            except (httpx2.HTTPError, TextGenerationError, ValueError, TypeError, AttributeError, KeyError) as error:
                raise self._told(refusals.of_failure(error, started), mask) from error

    def _told(self, error: BackendError, mask: Mask) -> BackendError:
        """For the log: without what must not be there, and with who it is that refuses."""
        told = error.masked(mask)
        told.provider = told.provider or self._provider
        return told

    async def close(self) -> None:
        await self._transport.close_pool()


def huggingface(settings: Settings) -> Remote:
    """Hugging Face Inference Providers, or one Inference Endpoint, with the deployment's token."""
    if settings.base_url:
        arguments = {"base_url": settings.base_url, "api_key": settings.hf_token}
        return Remote("huggingface", settings.model, arguments, settings)
    arguments = {"provider": settings.provider, "token": settings.hf_token}
    return Remote("huggingface", settings.model or HUGGINGFACE_MODEL, arguments, settings)


def openai(settings: Settings) -> Remote:
    """An OpenAI-compatible server: TGI, vLLM, llama-server, Ollama and others."""
    # Without a key the client would look for a Hugging Face token on the machine and send that one.
    arguments = {"base_url": settings.base_url, "api_key": settings.api_key or "none"}
    return Remote("openai", settings.model, arguments, settings)


def _piece(chunk: Any) -> Piece:
    choice = chunk.choices[0] if chunk.choices else None
    usage = chunk.usage
    return Piece(
        text=_text(choice.delta) if choice else "",
        stop=(choice.finish_reason or "") if choice else "",
        prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(usage, "completion_tokens", 0) or 0,
    )


def _text(delta: Any) -> str:
    """Its words: some servers send a list of parts, and a model that will not answer says so in a field of its own."""
    content = delta.content or getattr(delta, "refusal", None) or ""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return str(content)
