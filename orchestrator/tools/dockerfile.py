"""Reads a Dockerfile as far as a bundle needs it: stages, what the last one copies from the source, and its settings.

Follows docs.docker.com/reference/dockerfile: escape directive, comments, continuation, ARG and ENV substitution, JSON
and shell forms. Standard library only, because CodeBuild runs it as it lies in the source.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import BadDocument
from orchestrator.tools import dockerfile_words as words

# What a base image brings, as far as Dockerfiles build on it (ENV PATH=/venv/bin:$PATH).
BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True)
class Copy:
    """One COPY or ADD from the build context; ``target`` as written, relative to ``folder`` unless absolute."""

    sources: tuple[str, ...]
    target: str
    folder: str
    line: int
    mode: int = 0  # of --chmod


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
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    command_is_own: bool = False


def parse(text: str, arguments: Mapping[str, str] | None = None, name: str = "Dockerfile") -> list[Stage]:
    """The stages, the last one last; ``arguments`` are the build's (``--build-arg``).

    Raises BadDocument, by name and line, for what a bundle could only misread; Docker may well build it.
    """
    reader = _Reader(dict(arguments or {}), name, escape_of(text.removeprefix("\ufeff")))
    for line, instruction, rest in _instructions(text, name):
        try:
            reader.read(line, instruction, rest)
        except ValueError as error:
            raise BadDocument(f"{name} line {line}: {error}", "mend the line; Docker refuses it too") from None
    if not reader.stages:
        raise BadDocument(f"{name} has no FROM", "write a Dockerfile")
    return reader.stages


def chosen(stages: list[Stage], target: str, name: str = "Dockerfile") -> Stage:
    """The stage that is built: by its name or number, or the last. Raises BadDocument where there is none such."""
    found = _numbered(stages, target)
    if found is None:
        raise BadDocument(f"{name} has no stage {target}", "set image.target to the name that stands after AS")
    return stages[found]


def _numbered(stages: list[Stage], target: str) -> int | None:
    if not target:
        return len(stages) - 1
    named = [number for number, stage in enumerate(stages) if target.lower() in (stage.name.lower(), str(number))]
    return named[-1] if named else None


def bases(text: str, arguments: Mapping[str, str] | None = None, target: str = "") -> tuple[str, list[str]]:
    """The image that the target starts from ("" for none, as ``scratch``), and all that any stage starts from.

    As far as they can be told: nothing is refused, a builder judges.
    """
    reader = _Reader(dict(arguments or {}), "Dockerfile", escape_of(text.removeprefix("\ufeff")))
    with contextlib.suppress(BadDocument):
        for line, instruction, rest in _instructions(text, "Dockerfile"):
            if instruction in ("ARG", "FROM") and rest:
                with contextlib.suppress(ValueError, BadDocument):
                    reader.read(line, instruction, rest)
    named = {stage.name.lower() for stage in reader.stages if stage.name}
    no_image = named | {"scratch", ""}
    found = ["" if stage.base.lower() in no_image or "$" in stage.base else stage.base for stage in reader.stages]
    number = _numbered(reader.stages, target)
    own = found[number] if found and number is not None else ""
    return own, list(dict.fromkeys(filter(None, found)))


_HEREDOC = re.compile(r"""\d*<<(-?)(["']?)([A-Za-z_][\w.-]*)\2""")
_WORD = re.compile(r"""(?:[^\s"']|"(?:\\.|[^"\\])*"|'[^']*'|["'])+""")


def _instructions(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and rest of each; the bodies of heredocs are read over."""
    text = text.removeprefix("\ufeff")
    goes_on = re.compile(rf"(?:(?<!{re.escape(escape_of(text))})|^){re.escape(escape_of(text))}[ \t]*$")
    lines = iter(enumerate(text.splitlines(), 1))
    for start, first in lines:
        if not first.strip() or _is_comment(first):
            continue
        whole, ended = first.lstrip(), False
        while not ended:
            cut = goes_on.sub("", whole)
            ended = cut == whole
            whole = cut
            if not ended:
                following = next((line for _, line in lines if line.strip() and not _is_comment(line)), None)
                if following is None:
                    break
                whole += following
        instruction, rest = [*re.split(r"\s+", whole.strip(), maxsplit=1), ""][:2]
        instruction = instruction.upper()
        if instruction in ("RUN", "COPY", "ADD"):
            for word in _WORD.findall(rest):
                if found := _HEREDOC.fullmatch(word):
                    _read_over(lines, found[3], tabs=bool(found[1]), where=f"{name} line {start}")
        yield start, instruction, rest


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def escape_of(text: str) -> str:
    """https://docs.docker.com/reference/dockerfile/#parser-directives: they stand above everything else."""
    for line in text.splitlines():
        directive = re.fullmatch(r"#\s*(\w+)\s*=\s*(.+?)\s*", line.strip())
        if not directive:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def _read_over(lines: Iterator[tuple[int, str]], end: str, *, tabs: bool, where: str) -> None:
    for _, line in lines:
        if (line.lstrip("\t") if tabs else line) == end:
            return
    raise BadDocument(f"{where}: the heredoc has no {end} at its end", f"write a line {end}")


class _Reader:
    def __init__(self, given: dict[str, str], name: str, escape: str) -> None:
        self.stages: list[Stage] = []
        self._given = given
        self._name = name
        self._escape = escape
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
            if instruction == "ADD" and re.search(r"\.(tar|tgz|tbz2?|txz)(\.(gz|bz2|xz|zst))?\b", rest):
                raise BadDocument(f"{self._name} line {line}: a bundle unpacks no archive", _BY_DOCKER)
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
            ports = self._fill(rest).split()
            stage.ports += [port if "/" in port else f"{port}/tcp" for port in ports]
        elif instruction == "USER":
            stage.user = self._fill(rest)
        elif instruction == "STOPSIGNAL":
            stage.stop_signal = self._fill(rest)
        elif instruction == "ENTRYPOINT":
            stage.entrypoint = _command(rest, stage.shell)
            if not stage.command_is_own:  # an inherited one was another entrypoint's
                stage.command = []
        elif instruction == "CMD":
            stage.command, stage.command_is_own = _command(rest, stage.shell), True
        elif instruction == "SHELL":
            stage.shell = _command(rest, stage.shell)

    def _argument(self, rest: str) -> None:
        for word in words.split(rest, self._escape):
            name, equals, default = word.partition("=")
            name = self._fill(name)
            known = self._given if name in self._given or equals else self._global
            if name in known or equals:  # else it is not set
                value = known[name] if name in known else self._fill(default)
                (self._arguments if self.stages else self._global)[name] = value

    def _start(self, rest: str) -> None:
        parts = [self._fill(word, self._global) for word in rest.split() if not word.startswith("--")]
        named = len(parts) == 3 and parts[1].upper() == "AS"
        self._arguments = {}
        stage = Stage(parts[0], parts[2] if named else "")
        for before in self.stages:
            if before.name and before.name.lower() == stage.base.lower():
                stage = Stage(
                    before.base, stage.name, list(before.copies), dict(before.environment), dict(before.labels),
                    list(before.ports), before.folder, before.user, list(before.entrypoint), list(before.command),
                    before.stop_signal, list(before.shell),
                )  # fmt: skip
        self.stages.append(stage)

    def _copy(self, line: int, rest: str) -> None:
        flags: list[str] = []
        while match := re.match(r"(--\S+)\s+", rest):
            flags.append(match[1])
            rest = rest[match.end() :]
        places = [self._fill(word) for word in _listed(rest) or rest.split()]
        remote = [place for place in places[:-1] if re.match(r"(https?|git|ssh)://|git@", place)]
        if any(flag.startswith("--from=") for flag in flags) or remote:
            return
        where = f"{self._name} line {line}"
        if len(places) < 2:
            raise BadDocument(f"{where}: COPY needs a source and a target", "name both")
        mode = 0
        for flag in flags:
            name, _, value = flag.partition("=")
            if name == "--chmod" and re.fullmatch("[0-7]{3,4}", value):
                mode = int(value, 8)
            elif name not in ("--chown", "--link"):
                raise BadDocument(f"{where}: a bundle does not know {flag}", _BY_DOCKER)
        if any(_HEREDOC.fullmatch(place) for place in places[:-1]):
            raise BadDocument(f"{where}: a bundle holds no heredoc", f"put it into a file of its own, or {_BY_DOCKER}")
        stage = self.stages[-1]
        stage.copies.append(Copy(tuple(places[:-1]), places[-1], stage.folder, line, mode))

    def _pairs(self, rest: str) -> dict[str, str]:
        pairs = words.split(rest, self._escape)
        if pairs and "=" not in pairs[0]:
            key, _, value = rest.partition(" ")
            return {self._fill(key): self._fill(value.strip())}
        if wrong := next((pair for pair in pairs if "=" not in pair), ""):
            raise ValueError(f"{wrong} is not NAME=VALUE")
        return {self._fill(key): self._fill(value) for key, _, value in (pair.partition("=") for pair in pairs)}

    def _fill(self, text: str, known: Mapping[str, str] | None = None) -> str:
        if known is None:
            known = BASE_ENVIRONMENT | self._arguments | (self.stages[-1].environment if self.stages else {})
        return words.expanded(text, known, self._escape)


_BY_DOCKER = "build it with Docker: image.builder docker or codebuild"


def _listed(rest: str) -> list[str]:
    """The words of the JSON form; empty for what is not JSON, which Docker, too, takes as the shell form."""
    if rest.startswith("["):
        with contextlib.suppress(json.JSONDecodeError):
            listed = json.loads(rest)
            return listed if all(isinstance(word, str) for word in listed) else []
    return []


def _command(rest: str, shell: list[str]) -> list[str]:
    return _listed(rest) or ([] if rest.strip() == "[]" else [*shell, rest])
