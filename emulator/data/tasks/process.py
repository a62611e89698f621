"""The `process` runtime: a bundle image's application layer, with the packages that it names (docs/architecture.md).

Not a sandbox: a task has the rights of the user who runs the emulator, its memory is not limited, and the containers
of a task do not share a localhost. Each has a copy of the image's files, a home and a folder for temporary files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from emulator.data import certificates
from emulator.data.tasks import proc
from emulator.data.tasks.lines import read_lines
from emulator.data.tasks.packages import Packages
from emulator.data.tasks.ports import Ports
from emulator.data.tasks.runtime import BUNDLE_LABEL, Exit, Handle, Image, PullFailed, Spec, StartFailed, Usage, inside
from emulator.state.children import Child, Children

_PYTHONS = ("python", "python3")


class ProcessRuntime:
    """`pull` gets an image with a `root`; `folder` is where containers have their files."""

    def __init__(self, children: Children, folder: Path, pull: Callable[[str], Image], packages: Packages) -> None:
        self._children = children
        self._folder = folder
        self._pull = pull
        self._packages = packages
        self._ports = Ports()
        shutil.rmtree(folder, ignore_errors=True)  # of an emulator that was killed

    def pull(self, reference: str) -> Image:
        image = self._pull(reference)
        if image.labels.get(BUNDLE_LABEL) != "bundle" or image.root is None:
            raise PullFailed(
                f"{reference} is no bundle image (label {BUNDLE_LABEL}=bundle): the process runtime runs only those."
                " Build it with the orchestrator's bundle builder, or start the emulator where a Docker engine answers."
            )
        return replace(image, python=self._packages.python(image))

    def host(self, image: Image) -> str:
        return "localhost"

    def start(self, spec: Spec, on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> Handle:
        assert spec.image.root is not None and spec.image.python is not None
        folder = self._folder / spec.task / spec.name
        root = folder / "root"
        shutil.copytree(spec.image.root, root, symlinks=True)
        (folder / "tmp").mkdir()
        working_directory = inside(root, spec.working_directory or spec.image.working_directory)
        if not working_directory.is_dir():
            raise StartFailed(
                "CannotCreateContainerError", f"working directory {working_directory.name} is not in the image"
            )
        container = _Process(folder, root, spec.image.python, self._ports, spec)
        argv = container.argv([*_chosen(spec.entry_point, spec.image.entry_point), *_command(spec)])
        try:
            container.begin(self._children, argv, working_directory, on_output, on_exit)
        except OSError as error:
            container.remove()
            raise StartFailed(
                "CannotStartContainerError", f"exec: {argv[0] if argv else ''!r}: {error.strerror}"
            ) from error
        return container

    def close(self) -> None:
        """The children are stopped by who made them."""


def _chosen(given: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    return default if given is None else given


def _command(spec: Spec) -> Sequence[str]:
    """As Docker has it: another entry point leaves the image's command out."""
    if spec.command is not None:
        return spec.command
    return spec.image.command if spec.entry_point is None else ()


class _Process:
    """A container as a process group."""

    def __init__(self, folder: Path, root: Path, python: Path, ports: Ports, spec: Spec) -> None:
        self.runtime_id = uuid.uuid4().hex
        self._folder = folder
        self._root = root
        self._python = python
        self._ports = ports
        self._spec = spec
        self._port = ports.take()
        self._environment = self._environ()
        self._working_directory = root
        self._child: Child | None = None
        self._exit: Exit | None = None
        self._ended = threading.Event()

    def _environ(self) -> dict[str, str]:
        image = dict(self._spec.image.environment)
        if "PYTHONPATH" in image:
            image["PYTHONPATH"] = os.pathsep.join(self._mapped(entry) for entry in image["PYTHONPATH"].split(":"))
        return {
            "LANG": "C.UTF-8",
            **certificates.of_host(),
            **image,
            **self._spec.environment,
            "PATH": os.pathsep.join([str(self._python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder / "tmp"),
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
        }

    def _mapped(self, path: str) -> str:
        """A path of the image where it really is; anything else as it stands."""
        if not path.startswith("/"):
            return path
        mapped = inside(self._root, path)
        return str(mapped) if mapped.exists() else path

    def argv(self, argv: Sequence[str]) -> list[str]:
        if argv and Path(argv[0]).name in _PYTHONS:
            return [str(self._python), *argv[1:]]
        return [self._mapped(argv[0]), *argv[1:]] if argv else []

    def begin(
        self,
        children: Children,
        argv: Sequence[str],
        working_directory: Path,
        on_output: Callable[[bytes], None],
        on_exit: Callable[[], None],
    ) -> None:
        if not argv:
            raise FileNotFoundError(2, "no command specified")
        self._working_directory = working_directory
        reader: list[threading.Thread] = []
        reading = threading.Event()

        def ended(child: Child) -> None:
            reading.wait(10)
            for thread in reader:
                thread.join(5)  # a process that left the group may hold the pipe open for ever
            code = child.returncode or 0
            self._exit = Exit(code if code >= 0 else 128 - code)
            self._ended.set()
            self._ports.give_back(self._port)
            on_exit()

        child = children.spawn(
            argv, name=f"task {self._spec.task[:8]} {self._spec.name}", env=self._environment, cwd=working_directory,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, on_exit=ended,
        )  # fmt: skip
        self._child = child
        assert child.stdout is not None
        reader.append(_read(child.stdout, on_output, self._spec))
        reading.set()

    def address(self, port: int) -> str | None:
        """Only the first port mapping is `PORT`; an application has no way to learn of others."""
        return f"127.0.0.1:{self._port}" if self._spec.ports and port == self._spec.ports[0] else None

    def poll(self) -> Exit | None:
        return self._exit

    def wait(self, timeout: float) -> Exit | None:
        self._ended.wait(timeout)
        return self._exit

    def terminate(self) -> None:
        if self._child:
            self._child.signal(15)

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def run(self, command: Sequence[str], timeout: float) -> int | None:
        try:
            done = subprocess.run(
                self.argv(command), env=self._environment, cwd=self._working_directory, timeout=timeout, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
        except OSError:
            return 126
        return done.returncode

    def usage(self) -> Usage | None:
        if not self._child or self._ended.is_set():
            return None
        return proc.usage_of_group(self._child.pid)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.parent.is_dir() and not any(self._folder.parent.iterdir()):
            self._folder.parent.rmdir()
        if not self._child:
            self._ports.give_back(self._port)


def _read(stream: IO[bytes], on_output: Callable[[bytes], None], spec: Spec) -> threading.Thread:
    thread = threading.Thread(target=read_lines, args=(stream, on_output), name=f"output {spec.name}", daemon=True)
    thread.start()
    return thread


def image_from(reference: str, digest: str, config: Mapping[str, object], root: Path) -> Image:
    """An Image from an OCI image configuration (its `config` member) and its unpacked files."""
    inner = config.get("config") or {}
    assert isinstance(inner, dict)
    pairs = (entry.partition("=") for entry in inner.get("Env") or [])
    return Image(
        reference=reference,
        digest=digest,
        environment={name: value for name, _, value in pairs},
        entry_point=tuple(inner.get("Entrypoint") or ()),
        command=tuple(inner.get("Cmd") or ()),
        working_directory=inner.get("WorkingDir") or "/",
        user=inner.get("User") or "",
        labels=inner.get("Labels") or {},
        root=root,
    )
