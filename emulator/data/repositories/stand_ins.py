"""Stand-ins for repositories that live elsewhere (`owner/name` on GitHub): bare ones, served to git clients here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from emulator.data.repositories.git import EMPTY_TREE, ZERO, Git
from emulator.data.repositories.smart_http import Change, Refused, SmartHttp, StartResponse

PREFIX = "/github.com/"

_NAME = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,100}/(?!\.)[A-Za-z0-9_.-]{1,100}")
_ROUTE = re.compile(
    re.escape(PREFIX.rstrip("/"))
    + r"/(?P<name>[^/]+/[^/]+?)(?:\.git)?/(?P<call>info/refs|git-upload-pack|git-receive-pack)"
)


class UnknownRepository(Refused):
    """What GitHub says of a repository that is not there, or that nobody let you see."""

    def __init__(self) -> None:
        super().__init__(404, "Repository not found.")


class StandIns:
    """The WSGI application under `PREFIX`, and the same repositories as objects. Names are GitHub's: case is no matter.

    Whoever reaches this machine's loopback may read and push; credentials are not asked for. `pushed(name, reference,
    old, new)` hears of each reference that a push changed, once the change is on the disk.
    """

    def __init__(self, folder: Path, pushed: Callable[[str, str, str, str], None]) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # of an emulator before this one, whose connections are gone
        self._folder = folder / "repositories"
        self._folder.mkdir(parents=True)
        self._pushed = pushed
        self._http = SmartHttp(folder, lambda _: None, self.git, self._changed, _ROUTE)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return self._http(environ, start_response)

    def create(self, name: str) -> bool:
        """An empty repository; False when there is one already. Raises ValueError for what can be no name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name} is no OWNER/REPOSITORY")
        path = self._path(name)
        if path.is_dir():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        Git(path)("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(path))
        return True

    def git(self, name: str) -> Git:
        """The bare repository; raises UnknownRepository."""
        path = self._path(name)
        if not _NAME.fullmatch(name) or not path.is_dir():
            raise UnknownRepository
        return Git(path)

    def has(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name)) and self._path(name).is_dir()

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self._folder)).removesuffix(".git") for path in self._folder.glob("*/*.git"))

    def changed_files(self, name: str, old: str, new: str) -> list[str]:
        """The paths that a push changed; of a branch that is new, all that its commit has."""
        before = EMPTY_TREE if old == ZERO else old
        listed = self.git(name)("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, new)
        return listed.decode("utf-8", "surrogateescape").split("\0")[:-1]

    def archive(self, name: str, commit: str) -> bytes:
        """The files of a commit as a zip."""
        return self.git(name)("archive", "--format=zip", commit)

    def _changed(self, name: str, changes: Iterable[Change]) -> None:
        for reference, old, new in changes:
            self._pushed(name, reference, old, new)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.lower()}.git"
