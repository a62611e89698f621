"""The files that a build leaves, chosen by the patterns of its buildspec."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

from emulator.data.builds.buildspec import Artifact


class ArtifactError(Exception):
    """CodeBuild's CLIENT_ERROR in UPLOAD_ARTIFACTS."""


def chosen(root: Path, artifact: Artifact) -> dict[str, Path]:
    """Files by the name that they have in the artifact."""
    found: dict[str, Path] = {}
    for base in _bases(root, artifact.base):
        wanted = [_pattern(each) for each in artifact.files]
        unwanted = [_pattern(each) for each in artifact.exclude]
        for path in _files(base):
            name = path.relative_to(base).as_posix()
            if any(each.fullmatch(name) for each in wanted) and not any(each.fullmatch(name) for each in unwanted):
                found[path.name if artifact.discard_paths else name] = path
    if not found:
        raise ArtifactError("no matching artifact paths found")
    return found


def zipped(files: dict[str, Path]) -> bytes:
    """A zip of `files`, permissions included."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for name, path in sorted(files.items()):
            archive.write(path, name)
    return buffer.getvalue()


def unzip(body: bytes, target: Path) -> None:
    """The opposite, permissions included; Python's own extractall drops them."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, target))
            if mode := member.external_attr >> 16 & 0o777:
                path.chmod(mode)


def _bases(root: Path, pattern: str) -> list[Path]:
    clean = pattern.removeprefix("./").rstrip("/")
    if not clean or clean == ".":
        return [root]
    if Path(clean).is_absolute():
        bases = [Path(clean)]
    elif re.search(r"[*?]", clean):
        wanted = _pattern(clean)
        folders = (Path(top) for top, _, _ in os.walk(root))
        bases = [folder for folder in folders if wanted.fullmatch(folder.relative_to(root).as_posix())]
    else:
        bases = [root / clean]
    bases = [base for base in bases if base.is_dir()]
    if not bases:
        raise ArtifactError(f"no matching base directory path found for {pattern}")
    return bases


def _files(base: Path) -> list[Path]:
    return [Path(top) / name for top, _, names in os.walk(base) for name in names]


def _pattern(glob: str) -> re.Pattern[str]:
    """`**/` is any number of folders, `*` anything but a slash."""
    regex = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./")):
        regex += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(regex)
