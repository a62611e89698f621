"""The Python of a bundle's containers: a virtual environment with the packages that its image names, and no others.

A bundle has no packages of its own, because nothing runs its Dockerfile's RUN. A label of the image says which of its
files list them: ``dev.chatbot.requirements="/app/requirements.txt /app/more.txt?1"``, absolute paths; one with a ``?``
counts where a 1 follows, the value of a build argument. An environment is made once for all images with the same lists
(docs/decisions/0051).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from emulator.data.tasks.runtime import Image, PullFailed, inside
from emulator.state.children import Children

log = logging.getLogger("emulator.ecs")

LABEL = "dev.chatbot.requirements"
_FORGOTTEN = 30 * 86_400  # seconds after which an environment that no image asked for is removed


class Packages:
    """Environments in ``folder``, which emulators on one machine may share."""

    def __init__(self, children: Children, folder: Path) -> None:
        self._children = children
        self._folder = folder

    def python(self, image: Image) -> Path:
        """The interpreter for containers of an image; made first where there is none. Raises PullFailed."""
        lists = list(_lists(image))
        try:
            texts = [file.read_bytes() for file in lists]
        except OSError as error:
            raise PullFailed(f"label {LABEL}: {error.filename} is not in the image") from None
        base = f"{getattr(sys, '_base_executable', sys.executable)} {sys.version}".encode()
        name = hashlib.sha256(b"\0".join((base, *texts))).hexdigest()[:16]
        made = self._folder / name
        if not (made / "made").exists():
            with self._alone(name):
                if not (made / "made").exists():
                    self._make(made, lists)
        os.utime(made / "made")
        return made / "bin/python"

    def _make(self, made: Path, lists: Sequence[Path]) -> None:
        began = time.monotonic()
        shutil.rmtree(made, ignore_errors=True)  # of one that was killed
        self._run(f"the environment {made}", [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(made)])
        for file in lists:
            self._install(made, file)
        (made / "made").touch()
        if lists:
            log.info("packages for containers in %s: %.1f s", made, time.monotonic() - began)
        for other in self._folder.glob("*/made"):
            if time.time() - other.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(other.parent, ignore_errors=True)

    def _install(self, made: Path, file: Path) -> None:
        """A list with hashes is a lock, and all that it means to have (`Dockerfile`)."""
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:"] if b"--hash=" in file.read_bytes() else []
        python, what = str(made / "bin/python"), f"the packages of {file.name}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet"]
        beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        if uv := shutil.which("uv", path=beside):
            # Compiled once, here: a task that may write no bytecode would compile Gradio at each start, for 6 seconds.
            command = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
            try:
                return self._run(what, [*command, *options, "--requirement", str(file)])
            except PullFailed as error:
                log.info("%s; tries pip", error)  # a machine whose pip alone knows the way to its packages
        return self._run(what, [*pip, *options, "--requirement", str(file)])

    def _run(self, what: str, command: Sequence[str]) -> None:
        """As a child of the emulator's, so that it cannot outlive it; it does not matter more than what runs."""
        environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        child = self._children.spawn(
            [*(("nice",) if shutil.which("nice") else ()), *command], name=what, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert child.stdout is not None
        said = child.stdout.read().decode("utf-8", "replace")
        if child.wait():
            raise PullFailed(f"{what} cannot be installed: {said.strip()[-600:]}")

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """For this environment no other thread or emulator at a time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _lists(image: Image) -> Iterator[Path]:
    assert image.root is not None
    for entry in image.labels.get(LABEL, "").split():
        path, asks, value = entry.partition("?")
        if not asks or value == "1":
            yield inside(image.root, path)


def folder_of(state: Path) -> Path:
    """Beside the emulator's own packages, which go with the checkout; where nobody may write there, in its state."""
    beside = Path(sys.prefix)
    own = sys.prefix != sys.base_prefix and os.access(beside, os.W_OK)
    return (beside if own else state) / "containers"
