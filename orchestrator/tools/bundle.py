"""The bundle image: what the Dockerfile's last stage copies from the source, as one reproducible OCI layer.

It holds no Python and no packages, so only the emulator's ``process`` runtime runs it (docs/architecture.md). Same
source, same digest, everywhere: entries sorted, times 0, owner 0, and no compression (its bytes vary with zlib).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadDocument
from orchestrator.tools import archive, context
from orchestrator.tools.dockerfile import Copy, Stage
from orchestrator.tools.registry import MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Bundle:
    """An image ready to be pushed: blobs by digest, and the manifest that names them."""

    blobs: dict[str, bytes]
    manifest: bytes

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def build(stage: Stage, root: Path, platform: str, labels: dict[str, str], dockerfile: Path) -> Bundle:
    layer = _layer(stage, root, dockerfile)
    config = _json(_config(stage, platform, labels, sha256(layer)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": sha256(layer), "size": len(layer)}],
        "annotations": labels,
    }
    return Bundle({sha256(layer): layer, sha256(config): config}, _json(manifest))


def files(copies: list[Copy], root: Path, dockerfile: Path) -> Iterator[tuple[str, archive.Member]]:
    """What is copied out of the context: its absolute path in the image, and what lies there, as COPY's rules say."""
    try:
        rules = context.ignores(root, dockerfile, strictly=True)[:1]  # as BuildKit: the Dockerfile's own, or the other
    except context.BadPattern as error:
        raise BadDocument(f"{error}: no such pattern can be read", "mend the line; Docker refuses it too") from None
    known = {entry.path: entry for entry in context.entries(root, rules)}
    for copy in copies:
        target = posixpath.normpath(posixpath.join(copy.folder, copy.target))
        found = [match for source in copy.sources for match in _matches(copy, source, root, known)]
        if not found:
            what = " ".join(copy.sources)
            raise BadDocument(f"Dockerfile line {copy.line}: there is no {what} to copy", "mend the COPY or the source")
        is_there = target == posixpath.normpath(copy.folder)  # made by WORKDIR
        into = copy.target.endswith("/") or is_there or len(found) > 1
        for match in found:
            if match and not known[match].is_folder:
                place = posixpath.join(target, posixpath.basename(match)) if into else target
                yield place, _copied(root, known[match], copy.mode, follow=True)
            for path, entry in known.items():
                if not entry.is_folder and path.startswith(f"{match}/" if match else ""):
                    inside = path[len(match) + 1 :] if match else path
                    yield posixpath.join(target, inside), _copied(root, entry, copy.mode)


def _copied(root: Path, entry: context.Entry, mode: int, *, follow: bool = False) -> archive.Member:
    file = root / entry.path
    if entry.is_link and not follow:
        return archive.Member(file, str(file.readlink()), 0o777)
    # Permissions as git has them: a bundle is the same on every machine, whatever its umask.
    return archive.Member(file, mode=mode or (0o755 if file.stat().st_mode & 0o100 else 0o644))


def _matches(copy: Copy, source: str, root: Path, known: Mapping[str, context.Entry]) -> list[str]:
    """The entries that a source means, by their paths; "" is all of the context."""
    pattern = posixpath.normpath(source.lstrip("/") or ".")
    if pattern.startswith(".."):
        raise BadDocument(f"Dockerfile line {copy.line}: {source} lies outside the context", "copy from inside it")
    if pattern == ".":
        return [""]
    if not re.search(r"[*?\[\\]", pattern):
        followed = (root / pattern).resolve()
        inside = followed.relative_to(root.resolve()).as_posix() if followed.is_relative_to(root.resolve()) else ""
        if pattern in known and known[pattern].is_link and not (root / inside).is_dir():
            return [pattern] if inside in known else []  # its file is copied, under the link's name
        found = [inside] if inside in known else []
        if not found:
            raise BadDocument(
                f"Dockerfile line {copy.line}: there is no {source} to copy", "mend the COPY or the source"
            )
        return found
    parts = [context.Pattern(part) for part in pattern.split("/")]
    return [path for path in known if _meets(path.split("/"), parts)]


def _meets(path: list[str], parts: list[context.Pattern]) -> bool:
    return len(path) == len(parts) and all(part.matches(name) for part, name in zip(parts, path, strict=True))


def _layer(stage: Stage, root: Path, dockerfile: Path) -> bytes:
    content = {path.lstrip("/"): member for path, member in files(stage.copies, root, dockerfile)}
    folders = {parent for path in content for parent in _parents(path)} | set(_parents(f"{stage.folder.strip('/')}/x"))
    return archive.tarred({folder: archive.Member(None) for folder in folders} | content)


def _parents(path: str) -> list[str]:
    parts = [part for part in path.split("/")[:-1] if part]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _config(stage: Stage, platform: str, labels: dict[str, str], layer: str) -> dict[str, Any]:
    system, _, architecture = platform.partition("/")
    settings: dict[str, Any] = {
        "Env": [f"{key}={value}" for key, value in stage.environment.items()],
        "WorkingDir": stage.folder,
        "ExposedPorts": {port: {} for port in stage.ports},
        "Labels": stage.labels | labels,
        "Entrypoint": stage.entrypoint or None,
        "Cmd": stage.command or None,
        "User": stage.user,
        "StopSignal": stage.stop_signal,
    }
    return {
        "architecture": architecture,
        "os": system,
        "created": "1970-01-01T00:00:00Z",
        "config": {key: value for key, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "bundle", "comment": "the application layer"}],
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
