"""Every setting of the app: one table, read from the environment and checked before anything starts."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chatbot import branding
from chatbot.packaged import packaged_model

BACKENDS = ("auto", "huggingface", "openai", "embedded")
VISITOR_CHOICES = ("system_prompt", "temperature", "max_tokens", "model")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """One or more settings are unknown or wrong; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _text(value: str) -> str:
    return value.strip()


def _token(value: str) -> str:
    # ECS injects the secret even before anybody set it; its first value is the word "unset".
    value = value.strip()
    if value == "unset":
        return ""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a token of printable ASCII characters without spaces")
    return value


def _url(value: str) -> str:
    value = value.strip().rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("an http:// or https:// URL")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        value = value.strip().lower()
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value

    return parse


def _some_of(*choices: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        chosen = _list(",")(value)
        if any(each not in choices for each in chosen):
            raise ValueError("a comma-separated list of " + ", ".join(choices) + ", or empty")
        return chosen

    return parse


def _list(separator: str) -> Callable[[str], tuple[str, ...]]:
    return lambda value: tuple(part.strip() for part in value.split(separator) if part.strip())


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:  # false for nan as well
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return parse


@dataclass(frozen=True)
class Setting:
    """One row of the table: the variable, how it is read, its default and what it does."""

    variable: str
    type: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    secret: bool = False

    @property
    def attribute(self) -> str:
        return self.variable.removeprefix("CHATBOT_").lower()


TABLE = (
    Setting("HOST", "text", _text, "0.0.0.0", "address that the server binds"),
    Setting("PORT", "integer", _whole(0, 65535), 7860, "port that the server binds; 0 takes a free one"),
    Setting("HF_TOKEN", "secret", _token, "", "Hugging Face token; empty or `unset` means none", secret=True),
    Setting("MODEL_GGUF", "path", _text, "", "GGUF file for the embedded backend instead of the packaged model"),
    Setting("CHATBOT_BACKEND", "choice", _one_of(*BACKENDS), "auto",
            "`auto`, `huggingface`, `openai` or `embedded`; `auto`: the token, the base URL, embedded, or no model"),
    Setting("CHATBOT_BASE_URL", "URL", _url, "",
            "OpenAI-compatible server, for example `http://vllm:8000/v1`; with the backend `huggingface` an Inference "
            "Endpoint, asked with the token"),
    Setting("CHATBOT_API_KEY", "secret", _token, "", "key for the OpenAI-compatible server", secret=True),
    Setting("CHATBOT_MODEL", "text", _text, "",
            "model name; empty: `HuggingFaceTB/SmolLM3-3B` on huggingface, the first one served on openai"),
    Setting("CHATBOT_MODELS", "list", _list(","), (), "further models that a visitor may choose, comma-separated"),
    Setting("CHATBOT_PROVIDER", "text", _text, "auto", "Hugging Face inference provider"),
    Setting("CHATBOT_SLOTS", "integer", _whole(1, 64), 2, "embedded: answers at once, one thread each"),
    Setting("CHATBOT_CONTEXT", "integer", _whole(256, 131072), 2048, "embedded: tokens of context per slot"),
    Setting("CHATBOT_TITLE", "text", _text, branding.TITLE, "title of the page"),
    Setting("CHATBOT_TAGLINE", "text", _text, branding.TAGLINE, "line under the title of an empty conversation"),
    Setting("CHATBOT_EXAMPLES", "list", _list("|"), branding.EXAMPLES, "example prompts, separated by `|`"),
    Setting("CHATBOT_SYSTEM_PROMPT", "text", _text, branding.SYSTEM_PROMPT, "what the model is told first"),
    Setting("CHATBOT_TEMPERATURE", "number", _number(0, 2), 0.2, "sampling temperature"),
    Setting("CHATBOT_TOP_P", "number", _number(0.01, 1), 0.9, "nucleus sampling"),
    Setting("CHATBOT_MAX_TOKENS", "integer", _whole(1, 32768), 512, "tokens of one answer, at most"),
    Setting("CHATBOT_VISITOR_SETTINGS", "list", _some_of(*VISITOR_CHOICES), (),
            "what a visitor may change: `system_prompt`, `temperature`, `max_tokens`, `model`"),
    Setting("CHATBOT_MAX_INPUT_CHARS", "integer", _whole(1, 1_000_000), 4000, "characters of one message"),
    Setting("CHATBOT_MAX_TURNS", "integer", _whole(1, 1000), 20, "turns of a conversation that the model sees"),
    Setting("CHATBOT_MAX_BODY_BYTES", "integer", _whole(1024, 100_000_000), 1_048_576, "request body; above it 413"),
    Setting("CHATBOT_BODY_SECONDS", "number", _number(0.1, 600), 10, "time to receive a request body; above it 408"),
    Setting("CHATBOT_RATE_PER_MINUTE", "number", _number(0, 1_000_000), 60,
            "requests that start work, per client and minute; above it 429; 0 means no limit"),
    Setting("CHATBOT_RATE_BURST", "integer", _whole(1, 1_000_000), 20, "of these, how many may come at once"),
    Setting("CHATBOT_CONCURRENT_ANSWERS", "integer", _whole(0, 10_000), 0,
            "answers at once per task; 0: the slots on embedded, else 200"),
    Setting("CHATBOT_QUEUE_LENGTH", "integer", _whole(0, 100_000), 100, "answers that may wait for their turn"),
    Setting("CHATBOT_FIRST_TOKEN_SECONDS", "number", _number(0.1, 600), 30, "wait for the first token of an answer"),
    Setting("CHATBOT_STALL_SECONDS", "number", _number(0.1, 600), 20, "wait between two tokens"),
    Setting("CHATBOT_ANSWER_SECONDS", "number", _number(1, 3600), 300, "length of one answer"),
    Setting("CHATBOT_YIELD_MS", "integer", _whole(0, 1000), 70, "time between two updates of the page"),
    Setting("CHATBOT_DRAIN_SECONDS", "number", _number(0, 110), 20,
            "after SIGTERM, how long running answers may finish; keep it below the task's stopTimeout"),
    Setting("CHATBOT_ALLOWED_ORIGINS", "list", _list(","), (),
            "origins besides the page's own that may POST, such as `https://example.org`"),
    Setting("CHATBOT_METRICS_PORT", "integer", _whole(0, 65535), 9464,
            "port of /metrics on 127.0.0.1, never on the load balancer; a free one when it is taken; 0 turns it off"),
    Setting("CHATBOT_LOG_LEVEL", "choice", _one_of(*LOG_LEVELS), "info", "`debug`, `info`, `warning` or `error`"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The settings as values, one attribute per row of `TABLE`."""

    host: str
    port: int
    hf_token: str
    model_gguf: str
    backend: str
    base_url: str
    api_key: str
    model: str
    models: tuple[str, ...]
    provider: str
    slots: int
    context: int
    title: str
    tagline: str
    examples: tuple[str, ...]
    system_prompt: str
    temperature: float
    top_p: float
    max_tokens: int
    visitor_settings: tuple[str, ...]
    max_input_chars: int
    max_turns: int
    max_body_bytes: int
    body_seconds: float
    rate_per_minute: float
    rate_burst: int
    concurrent_answers: int
    queue_length: int
    first_token_seconds: float
    stall_seconds: float
    answer_seconds: float
    yield_ms: int
    drain_seconds: float
    allowed_origins: tuple[str, ...]
    metrics_port: int
    log_level: str

    def __repr__(self) -> str:
        secrets = {setting.attribute for setting in TABLE if setting.secret}
        shown = (f"{f.name}={'***' if f.name in secrets else repr(getattr(self, f.name))}" for f in fields(self))
        return f"Settings({', '.join(shown)})"


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in this environment; an empty variable counts as absent.

    Raises SettingsError with every problem at once: an unknown CHATBOT_* name, a value of the wrong type, and
    settings that cannot be used together.
    """
    problems = _unknown(environment)
    values: dict[str, Any] = {}
    for setting in TABLE:
        text = environment.get(setting.variable, "")
        try:
            values[setting.attribute] = setting.parse(text) if text.strip() else setting.default
        except ValueError as error:
            shown = "" if setting.secret else f" is {text!r}, but"
            problems.append(f"{setting.variable}{shown} must be {error}")
    if not problems:
        problems = _contradictions(values)
    if problems:
        raise SettingsError(problems)
    if values["backend"] == "auto":
        values["backend"] = _backend(values)
        if values["backend"] == "huggingface":
            values["base_url"] = ""  # the token goes to Hugging Face's router, unless it is said to go elsewhere
    return Settings(**values)


def _unknown(environment: Mapping[str, str]) -> list[str]:
    known = [setting.variable for setting in TABLE]
    problems = []
    for name in sorted(environment):
        if name.startswith("CHATBOT_") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else ""))
    return problems


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if values["backend"] == "huggingface" and not values["hf_token"]:
        problems.append("CHATBOT_BACKEND is 'huggingface', but HF_TOKEN is not set")
    if values["backend"] == "openai" and not values["base_url"]:
        problems.append("CHATBOT_BACKEND is 'openai', but CHATBOT_BASE_URL is not set")
    gguf = values["model_gguf"]
    if gguf and not Path(gguf).is_file():
        problems.append(f"MODEL_GGUF is {gguf!r}, but there is no such file")
    return problems


def _backend(values: Mapping[str, Any]) -> str:
    if values["hf_token"]:
        return "huggingface"
    if values["base_url"]:
        return "openai"
    return "embedded" if values["model_gguf"] or packaged_model() else "none"
