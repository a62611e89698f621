"""The emulator as a background process of its folder: start, stop, status, and proof that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emulator.state import guardian, sockets
from emulator.state.config import Config

_START = 60.0  # seconds until it must answer
_STOP = 40.0  # seconds after SIGTERM until SIGKILL; tasks have ten of them


class DaemonError(Exception):
    """What went wrong, and the command that helps."""


@dataclass(frozen=True)
class Options:
    """What `start` is told; `folder` is absolute."""

    folder: Path
    config: Config

    @property
    def log(self) -> Path:
        return self.folder / "emulator.log"

    @property
    def record(self) -> Path:
        return self.folder / "children"


@dataclass(frozen=True)
class Instance:
    """A running emulator, as it wrote itself down in its folder."""

    pid: int
    since: str  # the system's word for when the process started: a recycled pid has another
    port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"


@dataclass
class Leaks:
    """What a stopped emulator left behind: nothing, unless something is wrong."""

    processes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.processes or self.ports)


def running(folder: Path) -> Instance | None:
    """The emulator of this folder, None when there is none (a stale file is none)."""
    try:
        found = Instance(**json.loads(_file(folder).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return None if _ended(found) else found


def _ended(instance: Instance) -> bool:
    return guardian.started(instance.pid) != instance.since


def announce(folder: Path, port: int) -> None:
    """Writes this process down as the emulator of the folder."""
    instance = Instance(os.getpid(), guardian.started(os.getpid()) or "", port)
    draft = _file(folder).with_suffix(".new")
    with open(draft, "w", opener=_private) as file:
        json.dump(asdict(instance), file)
    draft.replace(_file(folder))


def withdraw(folder: Path) -> None:
    _file(folder).unlink(missing_ok=True)


def health(instance: Instance, timeout: float = 5) -> dict[str, Any] | None:
    """Its own account of itself, None when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance.port}/_emulator/health", timeout=timeout) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError):
        return None


def make_private(folder: Path) -> None:
    """Images, sources, secrets and logs lie there, which are nobody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def connect(instance: Instance, repository: str, connection: str | None, key: str = "") -> dict[str, Any]:
    """Accepts connections for a repository, as people do in AWS's console; raises DaemonError."""
    body = json.dumps({"repository": repository, "connection": connection}).encode()
    url = f"http://127.0.0.1:{instance.port}/_emulator/connections"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise DaemonError(json.load(error)["message"]) from error
    except OSError as error:
        raise DaemonError(f"the emulator does not answer ({error}); see: python -m emulator logs") from error


def start(options: Options) -> Instance:
    """Starts one in the background and waits until it answers; raises DaemonError."""
    make_private(options.folder)
    config = options.config
    if not sockets.is_free(config.port):
        raise DaemonError(port_is_taken(config.port))
    if options.log.exists():
        options.log.replace(options.log.with_suffix(".log.1"))
    argv = [sys.executable, "-m", "emulator", "start", "--foreground", "--port", str(config.port)]
    argv += ["--folder", str(options.folder), "--runtime", config.runtime, "--iam", config.iam]
    # Marked as its children are: the leak scan and the next start find it too. A secret goes by the environment:
    # every user of the machine sees a command line.
    environ = {
        **os.environ,
        guardian.MARK: str(options.record / "emulator"),
        "EMULATOR_ALLOW_HOST": " ".join(config.allow_hosts),
        "EMULATOR_ALLOW_ORIGIN": " ".join(config.allow_origins),
        "EMULATOR_KEY": config.key,
    }
    with open(options.log, "wb", opener=_private) as log:
        process = subprocess.Popen(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    ready = _wait(lambda: process.poll() is not None or _answering(options.folder), _START)
    found = _answering(options.folder)
    if found is None:
        process.kill()
        process.wait()
        reason = "did not answer in time" if not ready else "ended at once"
        raise DaemonError(f"the emulator {reason}; the end of {options.log}:\n{tail(options.log, 25)}")
    return found


def stop(options: Options, instance: Instance) -> Leaks:
    """Gracefully, then certainly; answers what is left, which is nothing unless something is wrong."""
    status = health(instance) or {}
    ports = [instance.port, *status.get("listeners", [])]
    os.kill(instance.pid, signal.SIGTERM)
    # Its file goes a moment before itself.
    if not _wait(lambda: _ended(instance), _STOP):
        os.kill(instance.pid, signal.SIGKILL)
        _wait(lambda: _ended(instance), 5)
    clean(options)
    return leaks(options, ports)


def clean(options: Options) -> list[str]:
    """Ends what a killed emulator left behind, and answers the names; without an emulator only."""
    withdraw(options.folder)
    return guardian.reap(options.record) if options.record.is_dir() else []


def leaks(options: Options, ports: list[int]) -> Leaks:
    """What of an emulator that has ended is still there."""
    processes = [f"{pid} {sockets.command(pid)}" for pid in guardian.marked(options.record)]
    busy = [f"{port} ({sockets.owner(port) or 'unknown'})" for port in ports if not sockets.is_free(port)]
    return Leaks(processes, busy)


def port_is_taken(port: int) -> str:
    owner = sockets.owner(port)
    by = f" by {owner}" if owner else ""
    other = health(Instance(0, "", port), timeout=1)
    if other and "folder" in other:
        by = f" by the emulator of {other['folder']} (pid {other['pid']})"
    return (
        f"port {port} is taken{by}; stop that, or take another port: "
        f"python -m emulator start --port {port + 1} (and set EMULATOR_PORT={port + 1})"
    )


def tail(file: Path, lines: int) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""


def _answering(folder: Path) -> Instance | None:
    found = running(folder)
    return found if found and health(found) else None


def _wait(done: Callable[[], object], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _file(folder: Path) -> Path:
    return folder / "emulator.json"
