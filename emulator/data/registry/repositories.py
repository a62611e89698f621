"""What each repository holds: its images and tags in one index file, and which shared blobs it may serve."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator.data.registry.blobs import Blobs
from emulator.data.registry.manifests import Manifest
from emulator.data.registry.names import checked_digest, checked_repository


@dataclass(frozen=True)
class Image:
    """One manifest of a repository; `size` is what ECR calls imageSizeInBytes (config and layers, compressed)."""

    digest: str
    media_type: str
    manifest_size: int
    size: int
    pushed: float
    subject: str | None
    artifact_type: str | None
    annotations: dict[str, str]
    blobs: tuple[str, ...]
    children: tuple[str, ...]
    tags: tuple[str, ...] = ()

    @property
    def pushed_at(self) -> datetime:
        return datetime.fromtimestamp(self.pushed, UTC)

    @classmethod
    def of(cls, manifest: Manifest) -> Image:
        return cls(
            digest=manifest.digest,
            media_type=manifest.media_type,
            manifest_size=len(manifest.content),
            size=sum(blob["size"] for blob in manifest.blobs()) or len(manifest.content),
            pushed=time.time(),
            subject=manifest.subject,
            artifact_type=manifest.artifact_type,
            annotations=manifest.document.get("annotations") or {},
            blobs=tuple(blob["digest"] for blob in manifest.blobs()),
            children=tuple(child["digest"] for child in manifest.children()),
        )


@dataclass
class Contents:
    """A repository at one moment."""

    images: dict[str, Image] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def listing(self) -> list[Image]:
        """Every image with its tags, oldest push first."""
        tags: dict[str, list[str]] = {}
        for tag, digest in sorted(self.tags.items()):
            tags.setdefault(digest, []).append(tag)
        named = [Image(**{**vars(image), "tags": tuple(tags.get(image.digest, []))}) for image in self.images.values()]
        return sorted(named, key=lambda image: image.pushed)

    def document(self) -> dict[str, Any]:
        return {"images": [asdict(image) for image in self.images.values()], "tags": self.tags}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Contents:
        images = [Image(**{key: _frozen(value) for key, value in entry.items()}) for entry in document["images"]]
        return cls({image.digest: image for image in images}, document["tags"])


class RepositoryFiles:
    """`repositories/<name>/_index.json`, replaced whole, so that a tag and its image appear together or not at all;
    and `repositories/<name>/_blobs/<algorithm>-<digest>`, empty files, one for each blob pushed or mounted there.

    Nothing here locks: readers see one version of the index, and writers are ordered by the Registry.
    """

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder = folder / "repositories"
        self._blobs = blobs

    def names(self) -> Iterator[str]:
        for path in sorted(self._folder.glob("**/_index.json")):
            yield path.parent.relative_to(self._folder).as_posix()

    def contents(self, repository: str) -> Contents:
        try:
            return Contents.read(json.loads(self._index(repository).read_bytes()))
        except FileNotFoundError:
            return Contents()

    def save(self, repository: str, contents: Contents) -> None:
        self._blobs.write(self._index(repository), json.dumps(contents.document()).encode())

    def delete(self, repository: str) -> None:
        """Leaves `repository/below` alone: a name may be a folder of other names."""
        self._index(repository).unlink(missing_ok=True)
        shutil.rmtree(self._at(repository) / "_blobs", ignore_errors=True)

    def link(self, repository: str, digest: str) -> None:
        self._blobs.write(self._link(repository, digest), b"")

    def unlink(self, repository: str, digest: str) -> None:
        self._link(repository, digest).unlink(missing_ok=True)

    def has_blob(self, repository: str, digest: str) -> bool:
        link = self._link(repository, digest)
        if not link.exists() or not self._blobs.path(digest).exists():
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(link)  # someone counts on this blob: `collect` leaves it for a while
        return True

    def links(self) -> Iterator[tuple[str, Path]]:
        for path in self._folder.glob("**/_blobs/*"):
            yield path.name.replace("-", ":", 1), path

    def _at(self, repository: str) -> Path:
        return self._folder / checked_repository(repository)

    def _index(self, repository: str) -> Path:
        return self._at(repository) / "_index.json"

    def _link(self, repository: str, digest: str) -> Path:
        return self._at(repository) / "_blobs" / checked_digest(digest).replace(":", "-")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
