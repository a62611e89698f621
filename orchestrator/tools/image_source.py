"""What an image is built from: the context, the Dockerfile and the build's settings; and a fingerprint of it all."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import BadDocument
from orchestrator.tools import context, dockerfile, git


@dataclass(frozen=True)
class Source:
    """What an image is built from; ``commit`` and ``written``, its author's date, where git cannot be asked."""

    context: Path
    file_name: str = "Dockerfile"
    platform: str = "linux/amd64"
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str = ""  # the stage that is built; the last one where none is named
    rebuild: str = ""  # the name of this build, where an image of the same source is not good enough
    commit: str = ""
    written: str = ""
    known: str = ""  # the fingerprint, where it was taken before

    @property
    def file(self) -> Path:
        return self.context / self.file_name

    def stage(self) -> dockerfile.Stage:
        """The one that is built, as the bundle reads it."""
        text = self._text().decode("utf-8", "replace")
        return dockerfile.chosen(dockerfile.parse(text, self.arguments, self.file_name), self.target, self.file_name)

    def bases(self) -> tuple[str, list[str]]:
        """The image that the target starts from, empty for none, and all that any stage starts from."""
        return dockerfile.bases(self._text().decode("utf-8", "replace"), self.arguments, self.target)

    def _text(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise BadDocument(f"{self.file} cannot be read: {error.strerror}", "set image.dockerfile") from None

    def inputs(self) -> list[str]:
        """The files and links of the context, by their paths in it."""
        self._text()
        with self._readable():
            found = context.entries(self.context, context.ignores(self.context, self.file))
            return [entry.path for entry in found if not entry.is_folder]

    def fingerprint(self) -> str:
        """Of all that a builder may see: the Dockerfile, the context, arguments, platform, target (docs/image.md)."""
        if self.known:
            return self.known
        more = [
            self.platform,
            sorted(self.arguments.items()),
            self.file_name,
            self.target,
            hashlib.sha256(self._text()).hexdigest(),
        ]
        with self._readable():
            return context.fingerprint(self.context, context.ignores(self.context, self.file), more)

    def taken(self) -> Source:
        """The same, with fingerprint, commit and time taken once for all that is asked from now on."""
        return replace(self, known=self.fingerprint(), commit=self.revision(), written=self.created())

    def sent(self, names: Sequence[str]) -> Source:
        """As a build elsewhere is sent it: no more than these names, so they count too."""
        known = hashlib.sha256("\0".join((self.fingerprint(), *names)).encode("utf-8", "surrogateescape")).hexdigest()
        return replace(self, known=known)

    def tracked(self) -> list[str]:
        """What a build elsewhere is sent of the context: the files that git knows."""
        rules = context.ignores(self.context, self.file)
        return sorted(name for name in git.tracked(self.context) if context.holds(name, rules))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "make it readable, or leave it out by .dockerignore"
            raise BadDocument(f"{error.filename} cannot be read: {error.strerror}", remedy) from None

    def revision(self) -> str:
        """The commit that is built: what a pipeline knows too, whose zip has no history."""
        if self.commit:
            return self.commit
        rules = context.ignores(self.context, self.file)
        always = {posixpath.normpath(self.file_name), *context.ignore_names(self.context, self.file)}
        return git.revision_of(self.context, lambda path: path in always or context.holds(path, rules))

    def created(self) -> str:
        """When that commit was written, in UTC as RFC 3339 says, so that a build can be repeated; empty where nobody
        knows it. The author's date, because it is the only one that CodePipeline hands on for GitHub too."""
        written = self.written or git.author_date(self.context, self.revision())
        return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if written else ""

    def labels(self, builder: str) -> dict[str, str]:
        """What both builders write on the image."""
        found = {"dev.chatbot.builder": builder, "org.opencontainers.image.revision": self.revision()}
        return found | ({"org.opencontainers.image.created": created} if (created := self.created()) else {})
