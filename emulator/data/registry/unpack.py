"""Image layers into a folder (OCI image specification, "Image Layer Filesystem Changeset"), without a way out of it."""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import shutil
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from emulator.data.registry.errors import LayerInvalid

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS = 40  # as many symbolic links on one path as Linux follows


def unpack_layers(layers: Sequence[tuple[Path, str]], folder: Path) -> Path:
    """Applies layers (file, digest), lowest first, to a new folder below `folder` that is named after their digests.

    The folder appears when it is complete, so one that is there is answered at once, whoever unpacked it. Owners and
    devices are left out: the files belong to the caller. `..`, absolute links and links through links are resolved as
    if the folder were the root of the file system, so nothing is written outside, nor points there.
    """
    chain = hashlib.sha256("\n".join(digest for _, digest in layers).encode()).hexdigest()
    target = folder / chain
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{chain}.{uuid.uuid4().hex}"
    partial.mkdir()
    try:
        for path, _ in layers:
            _Layer(partial).apply(path)
        partial.rename(target)
    except OSError:
        if not target.exists():  # else someone else unpacked the same layers meanwhile
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


class _Layer:
    """One layer on top of what is in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mine: set[Path] = set()
        self._folders: list[tuple[Path, tarfile.TarInfo]] = []

    def apply(self, path: Path) -> None:
        try:
            with _decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    self._member(archive, member)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
            raise LayerInvalid(f"layer sha256:{path.name} is no tar archive: {error}") from None
        for folder, member in reversed(self._folders):  # at last: a folder's mode may forbid to write in it
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o700 | member.mode & 0o777)
                os.utime(folder, (member.mtime, member.mtime))

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = _inside(member.name)
        if not name:
            return
        parent = self._folder(posixpath.dirname(name))
        base = posixpath.basename(name)
        if base == _OPAQUE:
            self._clear(parent)
        elif base.startswith(_WHITEOUT):
            _remove(parent / _plain(base.removeprefix(_WHITEOUT)))
        else:
            self._create(archive, member, parent / base)

    def _create(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if not member.isdir() or path.is_symlink() or not path.is_dir():
            source = self._hard_link_source(member) if member.islnk() else None
            if source == path:
                return
            _remove(path)
            if source is not None and source.is_symlink():
                path.symlink_to(self._link_target(str(source.readlink()), path, source.parent))
            elif source is not None:
                os.link(source, path)
            elif member.issym():
                path.symlink_to(self._link_target(member.linkname, path))
            elif member.isdir():
                path.mkdir()
            elif member.isfile():
                _write(archive, member, path)
            else:
                return  # devices and pipes: a task on the host has the host's
        self._mine.add(path)
        if member.isdir():
            self._folders.append((path, member))

    def _clear(self, folder: Path) -> None:
        """An opaque folder shows nothing of the layers below, and all that this layer put in it, before or after."""
        for entry in list(folder.iterdir()):
            if entry in self._mine:
                if entry.is_dir() and not entry.is_symlink():
                    self._clear(entry)
            elif not any(entry in path.parents for path in self._mine):
                _remove(entry)
            else:
                self._clear(entry)

    def _folder(self, name: str) -> Path:
        """The real folder of a path, through links as for a process whose root this is; made if need be."""
        path, parts, links = self._root, [part for part in name.split("/") if part], 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                path = path if path == self._root else path.parent
                continue
            path = path / part
            if path.is_symlink():
                links += 1
                if links > _LINKS:
                    raise LayerInvalid(f"too many symbolic links on the way to '{name}'")
                target = str(path.readlink())  # relative, as `_link_target` made it
                path = path.parent
                parts = [piece for piece in target.split("/") if piece not in ("", ".")] + parts
            elif not path.is_dir():
                _remove(path)
                path.mkdir()
        return path

    def _hard_link_source(self, member: tarfile.TarInfo) -> Path:
        name = _inside(member.linkname)
        source = self._folder(posixpath.dirname(name)) / posixpath.basename(name)
        if not name or not (source.is_file() or source.is_symlink()):
            raise LayerInvalid(f"'{member.name}' is a link to '{member.linkname}', which is no file of the image")
        return source

    def _link_target(self, target: str, link: Path, seen_from: Path | None = None) -> str:
        """The same place, told relatively and without a `..` after a name: then it cannot leave the root."""
        here = "/" + link.parent.relative_to(self._root).as_posix()
        origin = "/" + (seen_from or link.parent).relative_to(self._root).as_posix()
        place = posixpath.normpath(posixpath.join(origin, target))
        return posixpath.relpath("/" + place.lstrip("/"), here)


def _inside(name: str) -> str:
    """A member's name from the root; one with `..` has no honest use."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LayerInvalid(f"'{name}' would leave the image's folder")
    return "/".join(parts)


def _plain(name: str) -> str:
    if name in ("", ".", ".."):
        raise LayerInvalid(f"a whiteout of '{name}' names no file")
    return name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    assert content is not None  # a regular file has content
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
    path.chmod(member.mode & 0o777)
    os.utime(path, (member.mtime, member.mtime))


@contextmanager
def _decompressed(path: Path) -> Iterator[IO[bytes]]:
    """The tar stream of a layer, by what its first bytes say: gzip, zstd or plain."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        magic = file.read(4)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            yield stack.enter_context(gzip.open(file, "rb"))  # type: ignore[arg-type]
        elif magic == b"\x28\xb5\x2f\xfd":
            yield stack.enter_context(_zstandard().ZstdDecompressor().stream_reader(file))
        else:
            yield file


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise LayerInvalid("this layer is compressed with zstd; run: pip install zstandard") from None
    return zstandard
