"""The interface of a task runtime: images, containers, and what can go wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

BUNDLE_LABEL = "dev.chatbot.builder"  # its value `bundle` marks an image that only the process runtime can run


class PullFailed(Exception):
    """The image is not there or cannot be run here; ECS shows the message after `CannotPullContainerError: `."""


class StartFailed(Exception):
    """The container could not be made or started; `code` is ECS's name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Image:
    """A pulled image. `root`: its unpacked files, where the runtime runs on the host; `digest`: of its manifest."""

    reference: str
    digest: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    entry_point: Sequence[str] = ()
    command: Sequence[str] = ()
    working_directory: str = "/"
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None
    python: Path | None = None  # of its containers, where the runtime runs them by one of this machine


def inside(root: Path, path: str) -> Path:
    """An absolute path of an image or container on the host; `..` stays inside."""
    return root / os.path.normpath("/" + path).lstrip("/")


@dataclass(frozen=True)
class Spec:
    """A container to start. What is None or empty is the image's; `cpu` in units (1024 a vCPU), `memory` in MiB."""

    task: str
    name: str
    image: Image
    environment: Mapping[str, str]
    entry_point: Sequence[str] | None = None
    command: Sequence[str] | None = None
    working_directory: str | None = None
    user: str | None = None
    ports: Sequence[int] = ()
    task_ports: Sequence[int] = ()  # of all containers of the task: one of them opens them for all
    shares_network: bool = True  # False: it ends before the others begin
    cpu: int = 0
    memory: int | None = None
    read_only: bool = False
    tmpfs: Sequence[tuple[str, int]] = ()  # (path, MiB)
    mounts: Sequence[tuple[str, str, bool]] = ()  # (volume of the task, path, read only)
    init: bool = False
    ulimits: Sequence[tuple[str, int, int]] = ()  # (name, soft, hard)
    essential: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """How a container ended: `code` as a shell says it (137 is SIGKILL); `reason` where there is more to say."""

    code: int
    reason: str | None = None


@dataclass(frozen=True)
class Usage:
    """Seconds of CPU since the start, and bytes of memory now."""

    cpu_seconds: float
    memory: int


class Handle(Protocol):
    """A container that was started."""

    runtime_id: str

    def address(self, port: int) -> str | None:
        """`host:port` where a container port really listens; None when it does not."""

    def poll(self) -> Exit | None:
        """How it ended; None while it runs."""

    def wait(self, timeout: float) -> Exit | None:
        """As `poll`, after at most `timeout` seconds."""

    def terminate(self) -> None:
        """SIGTERM to its first process; nothing when it has ended."""

    def kill(self) -> None:
        """SIGKILL to all of its processes."""

    def run(self, command: Sequence[str], timeout: float) -> int | None:
        """Runs a command in it, as a health check does; the exit code, None when it took longer than `timeout`."""

    def usage(self) -> Usage | None:
        """None when it has ended."""

    def remove(self) -> None:
        """Forgets it and what it wrote; it must have ended."""


class Runtime(Protocol):
    def host(self, image: Image) -> str:
        """The name by which a container of the image reaches this machine."""

    def pull(self, reference: str) -> Image:
        """Raises PullFailed."""

    def start(self, spec: Spec, on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> Handle:
        """Starts it; raises StartFailed.

        `on_output` gets each line of stdout and stderr, without its end; `on_exit` is called once, when it has ended
        and all of its output was given. Both are called from threads of the runtime.
        """

    def close(self) -> None:
        """Removes whatever still runs."""
