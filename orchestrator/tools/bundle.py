"""The bundle image: what the Dockerfile's last stage copies from the source, as one reproducible OCI layer.

It holds no Python and no packages, so only the emulator's ``process`` runtime runs it (docs/architecture.md). Same
source, same digest, everywhere: entries sorted, times 0, owner 0, and no compression (its bytes vary with zlib).
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadDocument
from orchestrator.tools.dockerfile import Copy, Stage
from orchestrator.tools.registry import MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
NEVER = ("__pycache__", "*.pyc", ".git", ".DS_Store")


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


def build(stage: Stage, context: Path, platform: str, labels: dict[str, str]) -> Bundle:
    layer = _layer(stage, context)
    config = _json(_config(stage, platform, labels, sha256(layer)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": sha256(layer), "size": len(layer)}],
        "annotations": labels,
    }
    return Bundle({sha256(layer): layer, sha256(config): config}, _json(manifest))


def files(copies: list[Copy], context: Path) -> Iterator[tuple[str, Path]]:
    """Every copied file: its absolute path in the image and where it lies, as COPY's rules say."""
    ignored = _ignored(context)
    for copy in copies:
        target = posixpath.normpath(posixpath.join(copy.folder, copy.target))
        into = copy.target.endswith("/") or copy.target in (".", "./") or len(copy.sources) > 1
        for source in copy.sources:
            for match in _matches(copy, source, context):
                if match.is_dir():
                    for file in sorted(match.rglob("*")):
                        inside = file.relative_to(match).as_posix()
                        if file.is_file() and not _skip(file.relative_to(context).as_posix(), ignored):
                            yield posixpath.join(target, inside), file
                elif not _skip(match.relative_to(context).as_posix(), ignored):
                    yield posixpath.join(target, match.name) if into else target, match


def _matches(copy: Copy, source: str, context: Path) -> list[Path]:
    pattern = posixpath.normpath(source.lstrip("/"))
    if pattern.startswith(".."):
        raise BadDocument(f"Dockerfile line {copy.line}: {source} lies outside the context", "copy from inside it")
    found = [context] if pattern == "." else sorted(context.glob(pattern))
    if not found:
        raise BadDocument(f"Dockerfile line {copy.line}: there is no {source} to copy", "mend the COPY or the source")
    return found


def _ignored(context: Path) -> list[str]:
    file = context / ".dockerignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")]


def _skip(path: str, ignored: list[str]) -> bool:
    parts = path.split("/")
    if any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in NEVER):
        return True
    skip = False
    for pattern in ignored:
        wanted = pattern.removeprefix("!").removeprefix("**/").strip("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        anywhere = pattern.removeprefix("!").startswith("**/")
        if any(fnmatch.fnmatch(prefix, wanted) for prefix in prefixes) or (
            anywhere and any(fnmatch.fnmatch(part, wanted) for part in parts)
        ):
            skip = not pattern.startswith("!")
    return skip


def _layer(stage: Stage, context: Path) -> bytes:
    content = {path.lstrip("/"): file for path, file in files(stage.copies, context)}
    folders = {parent for path in content for parent in _parents(path)} | set(_parents(f"{stage.folder.strip('/')}/x"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders | content.keys()):
            entry = tarfile.TarInfo(name)
            if name in content:
                data = content[name].read_bytes()
                entry.size, entry.mode = len(data), 0o755 if content[name].stat().st_mode & 0o100 else 0o644
                tar.addfile(entry, io.BytesIO(data))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
    return buffer.getvalue()


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
