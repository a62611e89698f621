"""Reproducible archives: the same files give the same bytes on every machine."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.tools import git


def pack(folder: Path, target: Path) -> str:
    """Zips the Python files of ``folder`` to ``target``; the base64 of the zip's SHA-256, as Lambda counts it."""
    files = sorted(file for file in folder.rglob("*.py") if not {"tests", "__pycache__"}.intersection(file.parts[-2:]))
    if not files:
        raise Refused(f"{folder} holds no Python file for the release hook", "restore it, or set ecs.hook = false")
    content = _zipped({file.relative_to(folder).as_posix(): file for file in files})
    if not target.is_file() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def source(root: Path) -> bytes:
    """A zip of the files that git knows in ``root``, as they are now: nothing ignored, no history."""
    files = {name: root / name for name in git.tracked(root) if (root / name).is_file()}
    if not files:
        raise Refused(f"git knows no file in {root}", "a build elsewhere sends what git tracks: git init, git add")
    return _zipped(files)


def _zipped(files: Mapping[str, Path]) -> bytes:
    """Sorted, without times and without compression, whose bytes vary with zlib."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = (0o755 if file.stat().st_mode & 0o100 else 0o644) << 16
            bundle.writestr(entry, file.read_bytes())
    return buffer.getvalue()
