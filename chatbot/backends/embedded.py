"""A GGUF model in this process, by llama.cpp: no network, no token; several slots, one thread each."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from chatbot.backends import kinds
from chatbot.backends.base import BackendError, Options, Piece
from chatbot.backends.kinds import Kind
from chatbot.conversation import Turn, without_oldest
from chatbot.packaged import PACKAGE, packaged_model
from chatbot.settings import Settings

# Two turns that show the tiny model what an answer looks like took it from 12/15 to 39/45 on trivial questions.
PRIMING = (
    {"role": "user", "content": "What is the capital of Italy?"},
    {"role": "assistant", "content": "The capital of Italy is Rome."},
    {"role": "user", "content": "What is 2 plus 3?"},
    {"role": "assistant", "content": "2 plus 3 is 5."},
)

Message = dict[str, str]


@dataclass
class Slot:
    """One llama.cpp, one thread, one answer at a time; `seen` is what its prefix cache holds."""

    server: Any
    seen: list[Message] = field(default_factory=list)

    def shares(self, messages: list[Message]) -> int:
        """How many messages from the first on it has read already."""
        pairs = zip(self.seen, messages, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class Embedded:
    """Backend `embedded`. The model is loaded by the first `check`, in a thread."""

    name = "embedded"
    lacking: Kind | None = None

    def __init__(self, settings: Settings) -> None:
        self._file = Path(settings.model_gguf) if settings.model_gguf else packaged_model()
        self.tiny = not settings.model_gguf
        self.model = "SmolLM2-135M-Instruct" if self.tiny else self._file.stem if self._file else ""
        self.concurrency = settings.slots
        self._context = settings.context
        self._key = secrets.token_hex()
        self._slots: list[Slot] = []
        self._free: list[Slot] = []
        self._choosing = threading.Lock()
        self._loading = asyncio.Lock()
        self._threads = ThreadPoolExecutor(settings.slots, thread_name_prefix="slot")

    async def check(self) -> None:
        async with self._loading:
            if not self._slots:
                self._slots = await asyncio.to_thread(self._load)
                self._free = list(self._slots)

    def _load(self) -> list[Slot]:
        if self._file is None:
            package = PACKAGE.replace("_", "-")
            raise BackendError(kinds.NOT_INSTALLED, f"the package {package} is not installed and MODEL_GGUF is not set")
        try:
            import xllamacpp
        except ImportError as error:  # a slim image without libgomp1 ends here as well
            raise BackendError(kinds.NOT_INSTALLED, f"xllamacpp cannot be imported: {error}") from error
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self._file)
        # A llama.cpp per slot with one thread each (the weights are mapped once). Threads that share an answer wait
        # for each other at every layer: one busy core, and two of them are ten times slower than one.
        parameters.n_parallel = 1
        parameters.n_ctx = self._context
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.n_gpu_layers = 0
        parameters.cache_ram_mib = 64  # the default, 8 GiB, is more than the task has
        parameters.verbosity = -1
        parameters.ui = False
        parameters.n_threads_http = 2
        # llama.cpp opens a port on loopback whether or not it is wanted; the key closes it to others on the host.
        parameters.api_keys = [self._key]
        try:
            return [Slot(xllamacpp.Server(parameters)) for _ in range(self.concurrency)]
        except RuntimeError as error:
            raise BackendError(kinds.NOT_INSTALLED, f"{self._file.name} cannot be loaded: {error}") from error

    async def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        await self.check()
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        stopped = threading.Event()

        def put(item: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        def take(chunk: Any) -> bool:
            put(chunk)
            return stopped.is_set()  # llama.cpp stops when told so

        def generate() -> None:
            try:
                body = self._request(list(turns), options)
                with self._slot(body["messages"]) as slot:
                    slot.server.handle_chat_completions(body, take)
                put(None)
            except Exception as error:  # crosses the thread; raised again below
                put(error)

        self._threads.submit(generate)
        try:
            while (item := await arrived.get()) is not None:
                if isinstance(item, BackendError):
                    raise item
                if isinstance(item, BaseException):
                    raise BackendError(kinds.UNAVAILABLE, cause=type(item).__name__) from item
                yield _piece(item)
        finally:
            stopped.set()

    @contextmanager
    def _slot(self, messages: list[Message]) -> Iterator[Slot]:
        """The free slot that has read most of these messages; there are as many slots as threads that ask."""
        with self._choosing:
            slot = max(self._free, key=lambda free: free.shares(messages))
            self._free.remove(slot)
        slot.seen = messages
        try:
            yield slot
        finally:
            with self._choosing:
                self._free.append(slot)

    def _request(self, turns: list[Turn], options: Options) -> dict[str, Any]:
        room = self._context - min(options.max_tokens, self._context // 2)
        while self._tokens(messages := self._messages(turns, options)) > room:
            shorter = without_oldest(turns)
            if len(shorter) == len(turns):
                raise BackendError(kinds.TOO_LONG)
            turns = shorter
        return {
            "messages": messages,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
        }

    def _messages(self, turns: list[Turn], options: Options) -> list[Message]:
        system = [{"role": "system", "content": options.system_prompt}] if options.system_prompt else []
        priming = list(PRIMING) if self.tiny else []
        return [*system, *priming, *({"role": turn.role, "content": turn.text} for turn in turns)]

    def _tokens(self, messages: list[Message]) -> int:
        prompt = self._ask("/apply-template", {"messages": messages})["prompt"]
        return len(self._ask("/tokenize", {"content": prompt, "add_special": True})["tokens"])

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(
            self._slots[0].server.listening_address + path, json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _piece(chunk: dict[str, Any]) -> Piece:
    if error := chunk.get("error"):
        if error.get("type") == "exceed_context_size_error":
            raise BackendError(kinds.TOO_LONG)
        raise BackendError(kinds.GARBLED, code=str(error.get("type", "error")))
    usage = chunk.get("usage") or {}
    choice = (chunk.get("choices") or [{}])[0]
    return Piece(
        text=(choice.get("delta") or {}).get("content") or "",
        stop=choice.get("finish_reason") or "",
        prompt_tokens=usage.get("prompt_tokens", 0),
        completion_tokens=usage.get("completion_tokens", 0),
    )
