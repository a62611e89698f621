"""A build's context: the files that a builder is given, as Docker chooses them, and a fingerprint of all of them.

Which files .dockerignore leaves out is decided as github.com/moby/patternmatcher decides it, with its oddities. Where
builders differ (the classic one reads no ``<Dockerfile>.dockerignore``, and does not look below folders that BuildKit
does), a file counts when any of them would send it: one too many is a needless build, one too few an old image that
goes out as a new one. Standard library only, because CodeBuild runs it as it lies in the source.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What the orchestrator and the emulator themselves write into a checkout: it changes with every run.
OURS = (".orchestrator", ".emulator")
_Met = tuple[tuple[bool, ...], ...]  # by ignore file, which of its patterns a folder met
_SPECIAL = frozenset(".+()|{}$")
# Younger than this, in nanoseconds, a file may change again without another time: its hash is not kept.
_SETTLED = 2_000_000_000


class BadPattern(ValueError):
    """A line of an ignore file that Docker refuses."""


class Pattern:
    """One line of an ignore file; ``excepts``: it began with ``!``."""

    def __init__(self, line: str) -> None:
        line = _clean(line.strip())
        self.excepts = line.startswith("!")
        self.text = line[1:] if self.excepts else line
        if not self.text:
            raise BadPattern('"!" alone')
        self.parts = self.text.split("/")
        kind, expression = _compiled(self.text)
        self._kind = kind
        try:
            self._expression = re.compile(expression) if kind == "expression" else None
        except re.error as error:
            raise BadPattern(f"{line}: {error}") from None

    def matches(self, path: str) -> bool:
        if self._expression is not None:
            return self._expression.match(path) is not None
        if self._kind == "exact":
            return path == self.text
        if self._kind == "prefix":
            return path.startswith(self.text[:-2])
        suffix = self.text[2:]  # "**/foo" is "foo" as well, and "**foo" whatever ends so
        return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])

    def may_match_below(self, folder: list[str]) -> bool:
        """Whether it can match a path in this folder that it does not match as a whole."""
        for own, part in zip(self.parts, folder, strict=False):
            if "**" in own or "[" in own or "\\" in own:
                return True
            if not (own == part or (("*" in own or "?" in own) and Pattern(own).matches(part))):
                return False
        return len(self.parts) > len(folder)


def _clean(path: str) -> str:
    """Go's filepath.Clean: https://pkg.go.dev/path/filepath#Clean."""
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _compiled(pattern: str) -> tuple[str, str]:
    """How a pattern is matched: exact, prefix, suffix, or by the regular expression."""
    kind, expression, at, first = "exact", "", 0, True
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            if pattern.startswith("/", at):
                at += 1
            if at < len(pattern):
                expression, kind = expression + "(.*/)?", "expression"
            elif kind == "exact":
                kind = "prefix"
            else:
                expression, kind = expression + ".*", "expression"
            kind = "suffix" if first else kind
        elif sign == "*":
            expression, kind = expression + "[^/]*", "expression"
        elif sign == "?":
            expression, kind = expression + "[^/]", "expression"
        elif sign in _SPECIAL:
            expression += "\\" + sign
        elif sign == "\\" and at < len(pattern):
            expression, kind = expression + "\\" + pattern[at], "expression"
            at += 1
        elif sign in "[]":
            expression, kind = expression + sign, "expression"
        else:
            expression += "\\\\" if sign == "\\" else sign
        first = False
    return kind, f"{expression}\\Z"


class Ignore:
    """An ignore file: what it leaves out, folder by folder."""

    def __init__(self, text: str) -> None:
        """Raises BadPattern for a file with which Docker builds nothing."""
        self.patterns: list[Pattern] = []
        for line in text.removeprefix("\ufeff").split("\n"):
            if line.startswith("#") or not line.strip():
                continue
            line = line.strip()
            excepts = line.startswith("!")
            pattern = line[1:].strip() if excepts else line
            if pattern:
                pattern = _clean(pattern)
                pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
            self.patterns.append(Pattern(f"!{pattern}" if excepts else pattern))

    def judge(self, path: str, above: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Whether a path is left out, and which patterns it met; ``above``: those that its folder met."""
        out, met = False, [False] * len(self.patterns)
        for index, pattern in enumerate(self.patterns):
            meets = bool(above) and above[index]
            if not meets:
                if pattern.excepts != out:
                    continue
                meets = pattern.matches(path)
            met[index] = meets
            if meets:
                out = not pattern.excepts
        return out, tuple(met)

    def may_take_back_below(self, folder: str) -> bool:
        parts = folder.split("/")
        return any(pattern.excepts and pattern.may_match_below(parts) for pattern in self.patterns)


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a context, by its path in it."""

    path: str
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)


def ignore_names(context: Path, dockerfile: Path) -> list[str]:
    """Those that a builder may read, by their paths in the context (the Dockerfile's own may lie outside of it):
    https://docs.docker.com/build/concepts/context/#filename-and-location."""
    own = Path(os.path.relpath(dockerfile, context))
    names = (own.with_name(own.name + ".dockerignore").as_posix(), ".dockerignore")
    return [name for name in names if (context / name).is_file()]


def ignores(context: Path, dockerfile: Path, *, strictly: bool = False) -> list[Ignore]:
    """One that nothing can be built with leaves nothing out: the builder has the word on it. ``strictly``: we are the
    builder, and it is BadPattern."""
    found = []
    for name in ignore_names(context, dockerfile):
        try:
            found.append(Ignore((context / name).read_text(encoding="utf-8", errors="surrogateescape")))
        except BadPattern as error:
            if strictly:
                raise BadPattern(f"{name}: {error}") from None
    return found


def entries(context: Path, rules: list[Ignore]) -> Iterator[Entry]:
    """What is in the context and not left out by all of the rules, folders before what is in them."""
    yield from _below(context, "", rules, ())


def _below(context: Path, folder: str, rules: list[Ignore], above: _Met) -> Iterator[Entry]:
    with os.scandir(context / folder) as listed:
        children = sorted(listed, key=lambda child: child.name)
    for child in children:
        if not folder and child.name in OURS:
            continue
        path = f"{folder}/{child.name}" if folder else child.name
        out, met = _judged(path, rules, above)
        entry = Entry(path, child.stat(follow_symlinks=False))
        if not entry.is_folder:
            if not out:
                yield entry
            continue
        if out and not any(rule.may_take_back_below(path) for rule in rules):
            continue
        inside = _below(context, path, rules, met)
        if out:  # with what is taken back, the folders above it
            first = next(inside, None)
            if first is None:
                continue
            yield entry
            yield first
        else:
            yield entry
        yield from inside


def holds(path: str, rules: list[Ignore]) -> bool:
    """Whether a path, of a file that need not exist, belongs to the context."""
    if path.partition("/")[0] in OURS:
        return False
    parts = path.split("/")
    out: bool = False
    above: _Met = ()
    for count in range(1, len(parts) + 1):
        out, above = _judged("/".join(parts[:count]), rules, above)
    return not out


def _judged(path: str, rules: list[Ignore], above: _Met) -> tuple[bool, _Met]:
    """Whether all of the rules leave a path out, and which patterns it met; ``above``: those that its folder met."""
    judged = [rule.judge(path, met) for rule, met in zip(rules, above or [()] * len(rules), strict=True)]
    return bool(rules) and all(out for out, _ in judged), tuple(met for _, met in judged)


def fingerprint(context: Path, rules: list[Ignore], more: Any = None) -> str:
    """A hash of every entry: kind, mode, path and content, or where a link leads; owner and times do not count."""
    digest = hashlib.sha256(json.dumps(more).encode())
    with _Hashes(context) as hashes:
        for entry in entries(context, rules):
            digest.update(f"{entry.status.st_mode:o} {len(entry.path)} ".encode())
            digest.update(os.fsencode(entry.path))
            if entry.is_link:
                digest.update(os.fsencode((context / entry.path).readlink()))
            elif entry.is_file:
                digest.update(hashes.of(entry))
    return digest.hexdigest()


class _Hashes:
    """Contents' hashes, kept between runs in the user's cache by size, times and inode: only what changed is read."""

    def __init__(self, context: Path) -> None:
        self._context = context
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(os.fsencode(context)).hexdigest()[:32]
        self._file = base / "ecs-chatbot/contexts" / f"{name}.json"
        self._known: dict[str, list[Any]] = {}
        self._seen: dict[str, list[Any]] = {}
        self._now = time.time_ns()

    def __enter__(self) -> _Hashes:
        with contextlib.suppress(OSError, ValueError):
            self._known = dict(json.loads(self._file.read_text(encoding="utf-8")))
        return self

    def __exit__(self, *_: object) -> None:
        if self._seen == self._known:
            return
        with contextlib.suppress(OSError, ValueError):  # a name that is no UTF-8: nothing is kept
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._file.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self._seen), encoding="utf-8")
            draft.replace(self._file)

    def of(self, entry: Entry) -> bytes:
        found = entry.status
        now = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        known = self._known.get(entry.path)
        if known and known[:4] == now:
            self._seen[entry.path] = known
            return bytes.fromhex(known[4])
        with (self._context / entry.path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        if max(found.st_mtime_ns, found.st_ctime_ns) < self._now - _SETTLED:
            self._seen[entry.path] = [*now, content.hexdigest()]
        return content.digest()
