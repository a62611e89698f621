"""What a provider says when it does not answer, in whatever it says it; and what failed where it says nothing.

Providers agree on little: a status, words, and perhaps a code, somewhere in a JSON document or a page.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError

from chatbot.backends import kinds
from chatbot.backends.base import BackendError
from chatbot.backends.rules import kind_of

BODY_BYTES = 65_536  # of an error; what is more says nothing more
BODY_SECONDS = 3.0


async def raise_refusal(response: httpx2.Response) -> None:
    """A hook of an httpx client: raises BackendError for whatever is no answer of a model."""
    kind = response.headers.get("content-type", "").lower()
    if response.status_code < 300 and "html" not in kind:
        if "json" not in kind:
            return
        body = await response.aread()
        if not isinstance(_json(body), dict) or not _json(body).get("error"):
            return
    else:
        body = await _beginning(response)
    raise of_answer(response.status_code, response.headers, body)


async def _beginning(response: httpx2.Response) -> bytes:
    """The body, or as much of it as comes in time and tells something."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= BODY_BYTES:
                    break
    except (TimeoutError, httpx2.HTTPError, httpx2.StreamError):
        pass
    return body[:BODY_BYTES]


def of_answer(status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
    """The refusal that an HTTP answer is: of any status that is no success, or an error document under 200."""
    headers = {name.lower(): value for name, value in headers.items()}
    provider = headers.get("x-inference-provider", "")
    text = body.decode("utf-8", "replace").strip()
    document = _json(body)
    if document is None and (
        "html" in headers.get("content-type", "").lower() or re.match(r"<(!doctype|html)", text, re.I)
    ):
        return _of_page(status, headers, text, provider)
    if document is None:
        document = {"message": text[:2000]}
    if "x-error-code" in headers:  # of the Hub: huggingface_hub/utils/_http.py reads it first too
        document = {"code": headers["x-error-code"], "message": headers.get("x-error-message", ""), "body": document}
    if 300 <= status < 400:
        to = headers.get("location", "")
        return BackendError(kinds.PAGE, f"redirects to {to}", status=status, code="redirect", provider=provider)
    return of_document(document, status, provider=provider, seconds=_told_to_wait(headers))


def _of_page(status: int, headers: Mapping[str, str], text: str, provider: str) -> BackendError:
    title = re.search(r"<(title|h1)\b[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
    said = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", title[2] if title else text[:400])).split())
    # One that is in trouble, or will not take more, says so by its status; any other page is no model's.
    spoken = {413: kinds.TOO_LONG, 429: kinds.RATE_LIMITED, 504: kinds.TIMED_OUT, 524: kinds.TIMED_OUT}
    kind = spoken.get(status, kinds.UNAVAILABLE if status >= 500 else kinds.PAGE)
    seconds = _told_to_wait(headers)
    return BackendError(kind, said, status=status, code="html", provider=provider, seconds=seconds)


def of_document(
    document: Any, status: int | None = None, *, provider: str = "", seconds: float | None = None
) -> BackendError:
    """The refusal that a JSON document is: of an answer, or of an event in a stream (then without a status)."""
    said = list(_strings(_unfolded(document)))
    words = " ".join(dict.fromkeys(value for name, value in said if name in _WORDS))
    codes = [value for key in _CODES for name, value in said if name == key]
    numbers = [int(code) for code in codes if re.fullmatch(r"[45]\d\d", code)]
    if (status is None or status < 400) and numbers:
        status = numbers[0]
    names = [code for code in dict.fromkeys(codes) if re.fullmatch(r"(?!\d+$)[\w.:-]{1,64}", code)]
    loads = any(name == "estimated_time" for name, _ in said)
    seconds = _seconds(words, said) if seconds is None else seconds
    daily = seconds is None and re.search(r"per[ -]day|daily|\b[rt]pd\b", words, re.IGNORECASE)
    return BackendError(
        kinds.LOADING if loads else kind_of(status, " ".join(codes), words),
        words,
        status=status,
        code=next((name for name in names if name not in _VAGUE), next(iter(names), "")),
        param=next((value for name, value in said if name in ("param", "loc")), ""),
        provider=provider,
        seconds=seconds,
        when="tomorrow" if daily else "",
    )


# Where a code is, the most telling first; and what says nothing.
_CODES = ("code", "reason", "error_type", "type", "innercode", "status")
_VAGUE = ("error", "invalid_request_error", "unknown_error", "BadRequestError")
_WORDS = (
    "message", "error", "detail", "msg", "description", "error_description", "error_message", "errors", "title", "raw",
    "body",
)  # fmt: skip


def _strings(document: Any, name: str = "message", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every name and value in a document, from the outside in; a list's values have its name."""
    if depth > 8:
        return
    if isinstance(document, dict):
        inner = [(str(key).lower(), value) for key, value in document.items()]
        yield from ((key, str(value)) for key, value in inner if isinstance(value, (str, int, float)))
        for key, value in inner:
            if isinstance(value, (dict, list)):
                yield from _strings(value, key, depth + 1)
    elif isinstance(document, list):
        if name == "loc":
            yield name, ".".join(map(str, document))
            return
        for each in document:
            if isinstance(each, (str, int, float)):
                yield name, str(each)
            else:
                yield from _strings(each, name, depth + 1)
    elif isinstance(document, str):
        yield name, document


def _unfolded(document: Any) -> Any:
    """With the documents that are kept in strings, as routers hand on what their providers said."""
    if isinstance(document, dict):
        return {name: _unfolded(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_unfolded(value) for value in document]
    if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
        inner = _json(document.encode())
        return document if inner is None else _unfolded(inner)
    return document


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


# --- when to try again

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBER, _UNIT = r"\d+(?:\.\d+)?", r"(?:ms|milliseconds?|hours?|h|minutes?|mins?|m|seconds?|secs?|s|days?|d)(?![a-z])"
_SPAN = rf"(?:{_NUMBER}\s*{_UNIT}\s*(?:and\s*)?)+"


def _told_to_wait(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date; some write a span ("6m0s") or milliseconds."""
    if re.fullmatch(r"\d+", value := headers.get("retry-after-ms", "")):
        return float(value) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    if value and (span := _span(value)) is not None:
        return span
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        pass
    # https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers: as the Hub sends it, on every answer.
    limit = re.search(r"\br=0\b.*?\bt=(\d+)", headers.get("ratelimit", ""))
    return float(limit[1]) if limit else None


def _seconds(words: str, said: list[tuple[str, str]]) -> float | None:
    for name, value in said:
        if name in ("estimated_time", "retry_after", "retryafter", "retry_after_seconds") and re.fullmatch(
            r"\d+(\.\d+)?", value
        ):
            return float(value)
        if name == "x-ratelimit-reset" and (left := _until(value)):
            return left
        if name == "retrydelay":  # google.rpc.RetryInfo
            return _span(value)
    in_words = re.search(rf"(?:retry|try again|available|resets?|wait)\b.{{0,20}}?({_SPAN})", words, re.IGNORECASE)
    return _span(in_words[1]) if in_words else None


def _until(moment: str) -> float | None:
    """Seconds to a Unix time, in seconds or in milliseconds; None when it is over, or none."""
    if not re.fullmatch(r"\d{10}(\d{3})?", moment):
        return None
    left = int(moment) / (1000 if len(moment) == 13 else 1) - datetime.now(UTC).timestamp()
    return left if left > 0 else None


def _span(text: str) -> float | None:
    """Seconds of "6m0s", "34.5s" or "5 minutes"."""
    if not re.fullmatch(_SPAN, text.strip(), re.IGNORECASE):
        return None
    parts = re.findall(rf"({_NUMBER})\s*({_UNIT})", text.lower())
    return sum(float(number) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]] for number, unit in parts)


# --- what no answer came for


def of_failure(error: Exception, started: bool) -> BackendError:
    """What the HTTP client or huggingface_hub raised; `started`: after words of the answer."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:  # the Hub's, of a model's providers
        return of_answer(error.response.status_code, error.response.headers, error.response.content)
    if isinstance(error, TextGenerationError):
        return _of_event(error, started)
    name = type(error).__name__
    if isinstance(error, (InferenceTimeoutError, httpx2.TimeoutException)):
        if started:
            return BackendError(kinds.STALLED, cause=name)
        no_connection = any(isinstance(cause, httpx2.ConnectTimeout) for cause in _causes(error))
        return BackendError(kinds.UNREACHABLE if no_connection else kinds.TIMED_OUT, cause=name)
    if isinstance(error, httpx2.HTTPError):
        return _of_connection(error, started)
    if type(error) is ValueError and not started:  # huggingface_hub's own words, of a model and its providers
        told = of_document({"error": str(error)}, 400)
        return told if told.kind is not kinds.REJECTED else BackendError(kinds.NO_PROVIDER, str(error), cause=name)
    return BackendError(kinds.GARBLED, cause=name)


def _of_event(error: TextGenerationError, started: bool) -> BackendError:
    """An error in the stream: huggingface_hub keeps what it says as the argument, and its type as a class."""
    told = of_document({"error": error.args[0] if error.args else "", "code": _TGI.get(type(error).__name__, "")})
    unknown = told.kind in (kinds.FAILED, kinds.REJECTED, kinds.UNAVAILABLE)
    return told.as_kind(kinds.INTERRUPTED) if started and unknown else told


# https://huggingface.co/docs/text-generation-inference: error_type
_TGI = {"OverloadedError": "overloaded", "ValidationError": "validation", "GenerationError": "generation",
        "IncompleteGenerationError": "incomplete_generation"}  # fmt: skip


def _of_connection(error: httpx2.HTTPError, started: bool) -> BackendError:
    name = type(error).__name__
    if started:
        return BackendError(kinds.INTERRUPTED, cause=name)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return BackendError(kinds.CERTIFICATE, cause.verify_message, code=str(cause.reason or ""), cause=name)
        if isinstance(cause, ssl.SSLError):
            return BackendError(kinds.UNREACHABLE, "no TLS is spoken there", code=str(cause.reason or ""), cause=name)
        if isinstance(cause, socket.gaierror):
            return BackendError(kinds.NO_NAME, str(cause.strerror or ""), cause=name)
    said = {os.strerror(cause.errno) for cause in _causes(error) if isinstance(cause, OSError) and cause.errno}
    return BackendError(kinds.UNREACHABLE, ", ".join(sorted(said)), cause=name)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """It, and what it came of, through groups too."""
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
