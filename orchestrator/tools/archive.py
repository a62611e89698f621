"""Reproducible archives: the same files give the same bytes on every machine."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.errors import Refused
from orchestrator.tools import git


def pack(folder: Path, target: Path) -> str:
    """Zips the Python files of ``folder`` to ``target``; the base64 of the zip's SHA-256, as Lambda counts it."""
    files = sorted(file for file in folder.rglob("*.py") if not {"tests", "__pycache__"}.intersection(file.parts[-2:]))
    if not files:
        raise Refused(f"{folder} holds no Python file for the release hook", "restore it, or set ecs.hook = false")
    content = _zipped({file.relative_to(folder).as_posix(): file.read_bytes() for file in files})
    if not target.is_file() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def source(root: Path) -> bytes:
    """What a build elsewhere is sent: the files that git knows in ``root``, as they are now; no history.

    A zip, because CodeBuild takes no other; in it one tar, because only that is sure to keep links and modes.
    """
    names = [name for name in git.tracked(root) if (root / name).is_symlink() or (root / name).is_file()]
    if not names:
        raise Refused(f"git knows no file in {root}", "a build elsewhere sends what git tracks: git init, git add")
    members: dict[str, Member] = {}
    for name in names:
        for folder in [*reversed(PurePosixPath(name).parents)][1:]:
            members[str(folder)] = Member(None, mode=(root / folder).stat().st_mode & 0o7777)
        file = root / name
        if file.is_symlink():
            members[name] = Member(file, str(file.readlink()), 0o777)
        else:
            members[name] = Member(file, mode=file.stat().st_mode & 0o7777)
    return _zipped({".source-of-this-build.tar": tarred(members)})


@dataclass(frozen=True)
class Member:
    """A file of an archive, a link when it leads somewhere, or a folder where there is no file."""

    file: Path | None
    link: str = ""
    mode: int = 0o755


def tarred(members: Mapping[str, Member]) -> bytes:
    """Sorted, without times and owners, uncompressed: the same members give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, member in sorted(members.items()):
            entry = tarfile.TarInfo(name)
            entry.mode = member.mode
            if member.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, member.link
                tar.addfile(entry)
            elif member.file is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                data = member.file.read_bytes()
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Sorted, without times and without compression, whose bytes vary with zlib."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whose mode this is
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, content)
    return buffer.getvalue()
