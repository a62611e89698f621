"""A model behind HTTP: Hugging Face Inference Providers, or any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient, set_async_client_factory
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError

from chatbot.backends.base import (
    BackendError,
    Garbled,
    Interrupted,
    Options,
    Piece,
    RateLimited,
    Rejected,
    TimedOut,
    TooLong,
    Unauthorised,
    Unavailable,
)
from chatbot.conversation import Turn
from chatbot.settings import Settings

HUGGINGFACE_MODEL = "HuggingFaceTB/SmolLM3-3B"
WHOAMI = "https://huggingface.co/api/whoami-v2"
CHECK_SECONDS = 5.0


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

    def __init__(self, name: str, model: str, arguments: dict[str, Any], settings: Settings) -> None:
        self.name = name
        self.model = model
        self.concurrency = 200
        self._arguments = arguments
        self._timeout = max(settings.first_token_seconds, settings.stall_seconds)
        self._base_url = settings.base_url
        self._key = settings.hf_token if name == "huggingface" else settings.api_key
        self._transport = SharedTransport(limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=20))
        set_async_client_factory(self._client)

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=self._transport, timeout=self._timeout, follow_redirects=False)

    async def check(self) -> None:
        url = WHOAMI if self.name == "huggingface" else f"{self._base_url}/models"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with self._client() as client:
            try:
                response = await client.get(url, headers=headers, timeout=CHECK_SECONDS)
            except httpx2.HTTPError as error:
                raise translated(error, started=False) from error
        # Some compatible servers have no /models; that they answer at all is enough then.
        if response.status_code not in (200, 404, 405):
            raise for_status(response.status_code)
        if not self.model:
            self.model = _first_model(response)

    async def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        system = [{"role": "system", "content": options.system_prompt}] if options.system_prompt else []
        started = False
        async with AsyncInferenceClient(timeout=self._timeout, **self._arguments) as client:
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
            except (httpx2.HTTPError, TextGenerationError, ValueError, TypeError, AttributeError, KeyError) as error:
                raise translated(error, started) from error

    async def close(self) -> None:
        await self._transport.close_pool()


def huggingface(settings: Settings) -> Remote:
    """Hugging Face Inference Providers, with the deployment's token."""
    arguments = {"provider": settings.provider, "token": settings.hf_token}
    return Remote("huggingface", settings.model or HUGGINGFACE_MODEL, arguments, settings)


def openai(settings: Settings) -> Remote:
    """An OpenAI-compatible server: TGI, vLLM, llama-server, Ollama and others."""
    # Without a key the client would look for a Hugging Face token on the machine and send that one.
    arguments = {"base_url": settings.base_url, "api_key": settings.api_key or "none"}
    return Remote("openai", settings.model, arguments, settings)


def _first_model(response: httpx2.Response) -> str:
    try:
        return str(response.json()["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        return ""


def _piece(chunk: Any) -> Piece:
    choice = chunk.choices[0] if chunk.choices else None
    usage = chunk.usage
    return Piece(
        text=(choice.delta.content or "") if choice else "",
        stop=(choice.finish_reason or "") if choice else "",
        prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(usage, "completion_tokens", 0) or 0,
    )


def for_status(status: int) -> BackendError:
    """The error for an HTTP status other than success."""
    cause = f"HTTP {status}"
    if status in (401, 403):
        return Unauthorised(cause)
    if status == 429:
        return RateLimited(cause)
    if status in (408, 504):
        return TimedOut(cause)
    if status == 413:
        return TooLong(cause)
    if status >= 500:
        return Unavailable(cause)
    return Rejected(cause)


def translated(error: Exception, started: bool) -> BackendError:
    """A library's error as ours. Its message is dropped: it has the internal URL in it."""
    cause = type(error).__name__
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return for_status(error.response.status_code)
    if isinstance(error, (InferenceTimeoutError, httpx2.TimeoutException)):
        return Interrupted(cause) if started else TimedOut(cause)
    if isinstance(error, (TextGenerationError, httpx2.RemoteProtocolError, httpx2.ReadError)) and started:
        return Interrupted(cause)
    if isinstance(error, (json.JSONDecodeError, UnicodeError, TypeError, AttributeError, KeyError, ValueError)):
        return Garbled(cause)
    return Unavailable(cause)
