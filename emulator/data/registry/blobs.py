"""Blobs on disk by their digest, and the uploads that become blobs."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.data.registry.errors import BlobUploadUnknown, DigestInvalid, RangeInvalid
from emulator.data.registry.names import checked_digest

BLOCK = 1 << 20


@dataclass
class Upload:
    """An upload in progress; its bytes are `path`, and `hasher` has seen exactly those bytes."""

    identifier: str
    repository: str
    path: Path
    size: int = 0
    hasher: Any = field(default_factory=hashlib.sha256)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Blobs:
    """Content shared by every repository: `blobs/<algorithm>/<two digits>/<digest>`.

    A file appears under its digest only when it is whole and on the disk (fsync, then rename), so a kill at any moment
    leaves a blob or no blob. Uploads do not outlive the process: whatever lies in `uploads/` at start is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blobs"
        self._scratch = folder / "uploads"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        self._uploads: dict[str, Upload] = {}

    def path(self, digest: str) -> Path:
        algorithm, _, encoded = checked_digest(digest).partition(":")
        return self._folder / algorithm / encoded[:2] / encoded

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        for path in self._folder.glob("*/*/*"):
            yield f"{path.parent.parent.name}:{path.name}", path

    def begin(self, repository: str) -> Upload:
        identifier = str(uuid.uuid4())
        upload = Upload(identifier, repository, self._scratch / identifier)
        upload.path.touch()
        self._uploads[identifier] = upload
        return upload

    def upload(self, repository: str, identifier: str) -> Upload:
        upload = self._uploads.get(identifier)
        if upload is None or upload.repository != repository:
            raise BlobUploadUnknown("blob upload unknown to registry", {"uuid": identifier})
        return upload

    def append(self, upload: Upload, blocks: Iterable[bytes], start: int | None = None) -> None:
        """Adds `blocks` at the end; `start`, when given, must be that end. What came before a failure is kept."""
        with upload.lock:
            if start is not None and start != upload.size:
                raise RangeInvalid(f"the next chunk of this upload starts at {upload.size}, not at {start}")
            with upload.path.open("ab") as file:
                for block in blocks:
                    file.write(block)
                    upload.hasher.update(block)
                    upload.size += len(block)

    def commit(self, upload: Upload, digest: str) -> None:
        """Makes the upload the blob `digest`, or, when its bytes are others, drops it."""
        path = self.path(digest)
        with upload.lock:
            try:
                if self._digest(upload, digest) != digest:
                    raise DigestInvalid("provided digest did not match uploaded content", {"digest": digest})
                if not path.exists():
                    _move_durably(upload.path, path)
            finally:
                self.cancel(upload)

    def cancel(self, upload: Upload) -> None:
        self._uploads.pop(upload.identifier, None)
        upload.path.unlink(missing_ok=True)

    def forget(self, before: float) -> None:
        """Cancels the uploads that nobody has added to since a time (seconds since the epoch)."""
        for upload in list(self._uploads.values()):
            if upload.path.stat().st_mtime < before:
                self.cancel(upload)

    def put(self, digest: str, content: bytes) -> None:
        """A small blob whose digest the caller has checked (a manifest)."""
        if not self.path(digest).exists():
            self.write(self.path(digest), content)

    def write(self, path: Path, content: bytes) -> None:
        """Replaces a whole file at once: a reader, or a restart after a kill, sees the old or the new one."""
        temporary = self._scratch / str(uuid.uuid4())
        temporary.write_bytes(content)
        _move_durably(temporary, path)

    @staticmethod
    def _digest(upload: Upload, wanted: str) -> str:
        if wanted.startswith("sha256:"):
            return f"sha256:{upload.hasher.hexdigest()}"
        with upload.path.open("rb") as file:
            return f"sha512:{hashlib.file_digest(file, 'sha512').hexdigest()}"


def _move_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
