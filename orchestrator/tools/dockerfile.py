"""Reads a Dockerfile as far as a bundle needs it: stages, what the last one copies from the source, and its settings.

Follows docs.docker.com/reference/dockerfile: escape directive, comments, continuation, ARG and ENV substitution, JSON
and shell forms. Standard library only, because CodeBuild runs it as it lies in the source.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import BadDocument

# What a base image brings, as far as Dockerfiles build on it (ENV PATH=/venv/bin:$PATH).
BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True)
class Copy:
    """One COPY or ADD from the build context; ``target`` as written, relative to ``folder`` unless absolute."""

    sources: tuple[str, ...]
    target: str
    folder: str
    line: int


@dataclass
class Stage:
    """One FROM and what follows; a stage that starts from another has inherited its settings."""

    base: str
    name: str = ""
    copies: list[Copy] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    folder: str = "/"
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    stop_signal: str = ""


def parse(text: str, arguments: Mapping[str, str] | None = None, name: str = "Dockerfile") -> list[Stage]:
    """The stages, the last one last; ``arguments`` are the build's (``--build-arg``)."""
    reader = _Reader(dict(arguments or {}), name)
    for line, instruction, rest in _instructions(text, name):
        reader.read(line, instruction, rest)
    if not reader.stages:
        raise BadDocument(f"{name} has no FROM", "write a Dockerfile")
    return reader.stages


def _instructions(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    escape = "`" if re.match(r"#\s*escape\s*=\s*`", text) else "\\"
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#") or not line:
            continue
        start = start or number
        if line.endswith(escape):
            pending += line[:-1].rstrip() + " "
            continue
        instruction, _, rest = (pending + line).partition(" ")
        # A heredoc's body would otherwise be read as instructions.
        if re.search(r"<<-?[\"']?[A-Za-z_]", rest) and instruction.upper() in {"RUN", "COPY", "ADD"}:
            raise BadDocument(f"{name} line {start}: a heredoc is not supported", "put it into a file of its own")
        yield start, instruction.upper(), rest.strip()
        pending, start = "", 0
    if pending:
        raise BadDocument(f"{name} line {start}: the last line ends with a continuation", "remove the last backslash")


class _Reader:
    def __init__(self, given: dict[str, str], name: str) -> None:
        self.stages: list[Stage] = []
        self._given = given
        self._name = name
        self._global: dict[str, str] = {}
        self._arguments: dict[str, str] = {}

    def read(self, line: int, instruction: str, rest: str) -> None:
        if instruction == "ARG":
            self._argument(rest)
        elif instruction == "FROM":
            self._start(rest)
        elif not self.stages:
            raise BadDocument(f"{self._name} line {line}: {instruction} before FROM", "start with FROM")
        elif instruction in ("COPY", "ADD"):
            self._copy(line, rest)
        elif instruction in ("ENV", "LABEL"):
            pairs = self._pairs(rest)
            (self.stages[-1].environment if instruction == "ENV" else self.stages[-1].labels).update(pairs)
        else:
            self._setting(instruction, rest)

    def _setting(self, instruction: str, rest: str) -> None:
        stage = self.stages[-1]
        if instruction == "WORKDIR":
            folder = self._fill(rest)
            stage.folder = folder if folder.startswith("/") else f"{stage.folder.rstrip('/')}/{folder}"
        elif instruction == "EXPOSE":
            stage.ports += [port if "/" in port else f"{port}/tcp" for port in self._fill(rest).split()]
        elif instruction == "USER":
            stage.user = self._fill(rest)
        elif instruction == "STOPSIGNAL":
            stage.stop_signal = self._fill(rest)
        elif instruction == "ENTRYPOINT":
            stage.entrypoint, stage.command = _command(rest), []
        elif instruction == "CMD":
            stage.command = _command(rest)

    def _argument(self, rest: str) -> None:
        for word in shlex.split(rest):
            name, equals, default = word.partition("=")
            value = self._given.get(name, self._fill(default) if equals else self._global.get(name, ""))
            (self._arguments if self.stages else self._global)[name] = value

    def _start(self, rest: str) -> None:
        words = [word for word in self._fill(rest, self._global).split() if not word.startswith("--")]
        named = len(words) == 3 and words[1].upper() == "AS"
        self._arguments = {}
        stage = Stage(words[0], words[2] if named else "")
        for before in self.stages:
            if before.name and before.name.lower() == stage.base.lower():
                stage = Stage(
                    before.base, stage.name, list(before.copies), dict(before.environment), dict(before.labels),
                    list(before.ports), before.folder, before.user, list(before.entrypoint), list(before.command),
                    before.stop_signal,
                )  # fmt: skip
        self.stages.append(stage)

    def _copy(self, line: int, rest: str) -> None:
        words = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
        flags = [word for word in words if word.startswith("--")]
        places = [self._fill(word) for word in words if not word.startswith("--")]
        remote = [place for place in places[:-1] if re.match(r"(https?|git|ssh)://|git@", place)]
        if any(word.startswith("--from=") for word in flags) or remote:
            return
        if len(places) < 2:
            raise BadDocument(f"{self._name} line {line}: COPY needs a source and a target", "name both")
        stage = self.stages[-1]
        stage.copies.append(Copy(tuple(places[:-1]), places[-1], stage.folder, line))

    def _pairs(self, rest: str) -> dict[str, str]:
        words = shlex.split(rest)
        if words and "=" not in words[0]:
            key, _, value = rest.partition(" ")
            return {key: self._fill(value.strip())}
        return {key: self._fill(value) for key, _, value in (word.partition("=") for word in words)}

    def _fill(self, text: str, known: Mapping[str, str] | None = None) -> str:
        if known is None:
            known = BASE_ENVIRONMENT | self._arguments | (self.stages[-1].environment if self.stages else {})

        def value(match: re.Match[str]) -> str:
            found = known.get(match["braced"] or match["plain"], "")
            if match["operator"] == ":-":
                return found or match["word"]
            if match["operator"] == ":+":
                return match["word"] if found else ""
            return found

        return re.sub(r"\$(?:\{(?P<braced>\w+)(?:(?P<operator>:[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))", value, text)


def _command(rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            return [str(word) for word in json.loads(rest)]
        except json.JSONDecodeError:
            pass  # Docker, too, takes what is not JSON as the shell form.
    return ["/bin/sh", "-c", rest]
