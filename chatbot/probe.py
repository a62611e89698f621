"""`python -m chatbot probe`: whether the configured model answers, and if not, what it says, means, and wants done."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from chatbot import backends
from chatbot.backends import kinds
from chatbot.backends.base import BackendError
from chatbot.settings import Settings

LABELS = {
    "provider": "provider",
    "code": "code",
    "param": "parameter",
    "said": "it says",
    "visitor": "visitors read",
    "remedy": "what to do",
}


def run(settings: Settings, *, as_json: bool) -> int:
    """Prints what came of it; 0 when the model answered, 1 when it did not."""
    answer = asyncio.run(ask(settings))
    print(json.dumps(answer, ensure_ascii=False) if as_json else _told(answer), flush=True)
    return 0 if answer["ready"] else 1


async def ask(settings: Settings) -> dict[str, Any]:
    """One token: `ready`, `backend`, `model`, `seconds`; and of a refusal `kind`, its facts, and what visitors read."""
    backend = backends.create(settings)
    began = time.monotonic()
    error: BackendError | None = None
    try:
        await backend.check()
    except BackendError as refused:
        error = refused
    except Exception as failed:  # its text could hold a secret
        error = BackendError(kinds.FAILED, cause=type(failed).__name__)
    finally:
        await backend.close()
    if backend.lacking:
        error = BackendError(backend.lacking, cause="no token, no CHATBOT_BASE_URL, no model in the image")
    asked = {"ready": error is None, "backend": backend.name, "model": backend.model,
             "seconds": round(time.monotonic() - began, 1)}  # fmt: skip
    if error is None:
        return asked
    told = {"kind": error.kind.name, "cause": error.cause, "again": error.kind.again, "visitor": error.sentence}
    return {**asked, **told, **error.facts()}


def _told(answer: dict[str, Any]) -> str:
    who = " ".join(filter(None, (answer["backend"], answer["model"])))
    if answer["ready"]:
        return f"{who} answered in {answer['seconds']} s"
    lines = [f"{who} did not answer: {answer['kind']} ({answer['cause']})"]
    lines += [f"  {label:<14}{answer[name]}" for name, label in LABELS.items() if answer.get(name)]
    return "\n".join(lines)
