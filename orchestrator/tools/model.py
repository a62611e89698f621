"""Whether the model answers that an environment's tasks will ask: `python -m chatbot probe`, with their settings."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass

from orchestrator.config import CHECKOUT, Config
from orchestrator.settings import find
from orchestrator.tools import process

# What a task's environment has of an environment's settings, and the probe needs (terraform/stacks/ecs/main.tf).
_SETTINGS = ("backend", "base_url", "model", "system_prompt", "temperature")
_SECONDS = 90  # a model may be loaded for the question
# What this machine may meet and a task may not: another network, another resolver.
_OF_THIS_MACHINE = ("unreachable", "no_name", "timed_out")


@dataclass(frozen=True)
class Reply:
    """What the model said to one question for one token; `again`: it may answer later, nobody having done anything."""

    ready: bool
    kind: str
    text: str
    remedy: str = ""
    again: bool = False

    @property
    def is_of_the_token(self) -> bool:
        """Whether another token is what it takes."""
        return self.kind in ("unauthorised", "forbidden")


def is_remote(config: Config, token: str) -> bool:
    """Whether tasks ask a server, and not a model of their own."""
    backend = config.get("ecs", "chatbot_backend")
    return backend in ("huggingface", "openai") or (
        backend == "auto" and bool(token or config.get("ecs", "chatbot_base_url"))
    )


def lacks(config: Config, token: str) -> str:
    """What a deployment without any model should know; empty where there is one to ask."""
    in_image = str(config.get("image", "build_args").get("WITH_MODEL", "")) == "1"
    if (why := needs_token(config)) and not token:
        return why
    if is_remote(config, token) or in_image:
        return ""
    if config.get("ecs", "chatbot_backend") == "embedded":
        return "ecs.chatbot_backend is embedded, and no model is in the image: tasks will not be ready"
    return "no token, no server of a model, and none in the image: the page will say that it has no model"


def needs_token(config: Config) -> str:
    """What holds without a token: no task starts (chatbot/settings.py refuses it); empty where none is needed."""
    if config.get("ecs", "chatbot_backend") == "huggingface":
        return "ecs.chatbot_backend is huggingface, and no token is set: tasks will not start"
    return ""


def remedy(config: Config) -> str:
    """What gives it one."""
    return f"{config.command('secret set')}, ecs.chatbot_base_url, or image.build_args WITH_MODEL"


def asks_with_token(config: Config) -> bool:
    """Whether tasks that have a Hugging Face token send it anywhere."""
    return config.get("ecs", "chatbot_backend") in ("auto", "huggingface")


def ask(config: Config, token: str) -> Reply:
    """One question as a task with this token would put it; the token goes by environment, and is in no message."""
    ours = ("CHATBOT_", "HF_", "MODEL_GGUF", "HOST", "PORT")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for name in _SETTINGS:
        value = config.get("ecs", f"chatbot_{name}")
        env[f"CHATBOT_{name.upper()}"] = "" if value is None else str(value)
    env["HF_TOKEN"] = token
    command = [sys.executable, "-m", "chatbot", "probe", "--json"]
    done = process.run(command, cwd=CHECKOUT, env=env, timeout=_SECONDS)
    try:
        return _reply(json.loads(done.out), config)
    except (ValueError, KeyError, TypeError):
        last = (done.err or done.out).strip().replace(token or "\0", "***").splitlines()[-1:] or [
            f"exit code {done.code}"
        ]
        return Reply(
            False, "not_asked", f"the model could not be asked: {last[0]}", "install what it needs: make install"
        )


def _reply(answer: dict[str, object], config: Config) -> Reply:
    who = " ".join(str(answer[name]) for name in ("backend", "model") if answer[name])
    if answer["ready"]:
        return Reply(True, "ready", f"{who} answered in {answer['seconds']} s")
    said = f": {answer['said']}" if answer.get("said") else ""
    kind, again = str(answer["kind"]), bool(answer["again"])
    text, remedy = f"{who} does not answer, {kind} ({answer['cause']}){said}", _for_environments(str(answer["remedy"]))
    if kind in _OF_THIS_MACHINE and not config.endpoint_is_loopback:
        return Reply(False, kind, f"{text}; from here, tasks may reach it", remedy, again=True)
    return Reply(False, kind, text, remedy, again)


def _for_environments(remedy: str) -> str:
    """With the settings of an environment, where there are any, for those of the container."""

    def named(variable: re.Match[str]) -> str:
        key = variable[0].lower()
        return f"ecs.{key}" if find("ecs", key) else f"{variable[0]} in taskdef.json"

    return re.sub(r"\bCHATBOT_[A-Z_]+\b", named, remedy)
