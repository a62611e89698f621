"""The `docker` runtime: the task's own image on a Docker engine, with its cpu, memory, user and limits.

Containers are on one network of the emulator, their ports are published on 127.0.0.1, and they carry a label by which
the next start finds what a killed emulator left.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from emulator.data.tasks.docker_network import Network
from emulator.data.tasks.lines import Splitter
from emulator.data.tasks.runtime import BUNDLE_LABEL, Exit, Handle, Image, PullFailed, Spec, StartFailed, Usage

log = logging.getLogger("emulator.docker")

LABEL = "dev.chatbot.emulator"  # its value is the emulator's folder
_OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_PATIENCE = 5  # seconds in which an engine must answer
# Docker's least; a task definition cannot ask for less either.
_LEAST_MEMORY = 6


def engine() -> Any | None:
    """A client of the Docker engine; None where the package is missing or nothing answers."""
    try:
        import docker

        docker.from_env(timeout=_PATIENCE).ping()
        # Waiting for a container's end takes as long as it lives.
        client = docker.from_env(timeout=None)
    except Exception as error:  # every way in which there is no engine is the same to us
        log.debug("no Docker engine: %s", error)
        return None
    return client


class DockerRuntime:
    """`login(reference)`: user and password for a registry of the emulator's, None for any other.

    `called(address)` hears by which address of this machine containers reach the emulator.
    """

    def __init__(
        self,
        client: Any,
        folder: Path,
        port: Callable[[], int],
        login: Callable[[str], tuple[str, str] | None],
        called: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._owner = str(folder)
        self._login = login
        self._cores = int(client.info()["NCPU"])
        self._remove_all()
        self._port = port
        self._called = called
        self._made: Network | None = None
        self._holders: dict[str, str] = {}  # the container whose network the others of its task share
        self._lock = threading.Lock()

    @property
    def _network(self) -> Network:
        """Made for the first container: bundles need none."""
        with self._lock:
            if self._made is None:
                self._made = Network(self._client, {LABEL: self._owner}, self._port, self._called)
            return self._made

    def pull(self, reference: str) -> Image:
        login = self._login(reference)
        auth = {"username": login[0], "password": login[1]} if login else None
        try:
            self._client.api.pull(*_name_and_version(reference), auth_config=auth)
            found = self._client.images.get(reference)
        except _errors().APIError as error:
            found = None if login else self._local(reference)
            if found is None:
                raise PullFailed(f"pull image manifest has been retried 1 time(s): failed to resolve ref {reference}:"
                                 f" {error.explanation or error}") from error  # fmt: skip
        config = found.attrs["Config"]
        labels = config.get("Labels") or {}
        if labels.get(BUNDLE_LABEL) == "bundle":
            raise PullFailed(f"{reference} is a bundle image without an operating system or Python: only the process"
                             " runtime runs it")  # fmt: skip
        return Image(reference, _digest(reference, found.attrs.get("RepoDigests") or []), labels=labels)

    def _local(self, reference: str) -> Any | None:
        """An image that was made on this engine and is in no registry."""
        try:
            return self._client.images.get(reference)
        except _errors().ImageNotFound:
            return None

    def host(self, image: Image) -> str:
        return self._network.host

    def start(self, spec: Spec, on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> Handle:
        try:
            container = self._client.containers.create(spec.image.reference, **self._options(spec))
            handle = _Container(container, spec, lambda: self._forget(spec, container.id))
            handle.begin(on_output, on_exit)
        except _errors().APIError as error:
            code = "CannotStartContainerError" if "container" in locals() else "CannotCreateContainerError"
            if code == "CannotStartContainerError":
                container.remove(force=True)
            raise StartFailed(code, f"Error response from daemon: {error.explanation or error}") from error
        if spec.shares_network:
            with self._lock:
                self._holders.setdefault(spec.task, container.id)
        return handle

    def _options(self, spec: Spec) -> dict[str, Any]:
        options: dict[str, Any] = {
            "name": f"ecs-{spec.task[:12]}-{spec.name}",
            "labels": {**spec.labels, LABEL: self._owner},
            "environment": dict(spec.environment),
            "command": list(spec.command) if spec.command is not None else None,
            "entrypoint": list(spec.entry_point) if spec.entry_point is not None else None,
            "working_dir": spec.working_directory,
            "user": spec.user,
            # A laptop may have fewer cores than the task would have on Fargate; the engine refuses more than there are.
            "nano_cpus": int(min(spec.cpu / 1024, self._cores) * 1e9) or None,
            "read_only": spec.read_only,
            "tmpfs": {path: f"size={size}m" for path, size in spec.tmpfs},
            "init": spec.init,
            # ECS knows only the health check of the task definition, and runs that one itself.
            "healthcheck": {"test": ["NONE"]},
            "ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in spec.ulimits],
            "volumes": [
                f"ecs-{spec.task[:12]}-{volume}:{path}:{'ro' if read_only else 'rw'}"
                for volume, path, read_only in spec.mounts
            ],
        }
        if spec.memory:
            limit = f"{max(spec.memory, _LEAST_MEMORY)}m"
            options.update(mem_limit=limit, memswap_limit=limit)
        holder = self._holders.get(spec.task) if spec.shares_network else None
        if holder:
            return options | {"network_mode": f"container:{holder}"}
        ports = spec.task_ports if spec.shares_network else ()
        published = {f"{port}/tcp": ("127.0.0.1", None) for port in ports}
        return options | {"network": self._network.name, "ports": published, "extra_hosts": self._network.extra_hosts}

    def _forget(self, spec: Spec, identifier: str) -> None:
        with self._lock:
            if self._holders.get(spec.task) == identifier:
                del self._holders[spec.task]
        for volume, _, _ in spec.mounts:
            _unless_refused(lambda name: self._client.volumes.get(name).remove(), f"ecs-{spec.task[:12]}-{volume}")

    def close(self) -> None:
        self._remove_all()
        if self._made:
            self._made.close()

    def _remove_all(self) -> None:
        mine = {"label": f"{LABEL}={self._owner}"}
        for container in self._client.containers.list(all=True, filters=mine):
            _unless_refused(lambda found: found.remove(force=True, v=True), container)
        for network in self._client.networks.list(filters=mine):
            _unless_refused(lambda found: found.remove(), network)


class _Container:
    def __init__(self, container: Any, spec: Spec, forget: Callable[[], None]) -> None:
        self.runtime_id = str(container.id)
        self._container = container
        self._spec = spec
        self._forget = forget
        self._exit: Exit | None = None
        self._ended = threading.Event()
        self._addresses: dict[int, str] = {}

    def begin(self, on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> None:
        # Attached before it starts, so that not even the first line is missed.
        output = self._container.attach(stdout=True, stderr=True, stream=True)
        self._container.start()
        self._container.reload()
        for port, bindings in (self._container.attrs["NetworkSettings"]["Ports"] or {}).items():
            if bindings:
                self._addresses[int(port.partition("/")[0])] = f"127.0.0.1:{bindings[0]['HostPort']}"
        arguments = (output, on_output, on_exit)
        threading.Thread(target=self._watch, args=arguments, name=f"docker {self._spec.name}", daemon=True).start()

    def _watch(self, output: Iterable[bytes], on_output: Callable[[bytes], None], on_exit: Callable[[], None]) -> None:
        lines = Splitter(on_output)
        try:
            for chunk in output:
                lines.feed(chunk)
            lines.end()
            code = int(self._container.wait()["StatusCode"])
            self._container.reload()
            killed = self._container.attrs["State"].get("OOMKilled")
            self._exit = Exit(code, _OUT_OF_MEMORY if killed else None)
        except Exception as error:  # the engine went away, or somebody removed the container
            log.info("container %s: %s", self.runtime_id[:12], error)
            self._exit = Exit(137, f"the Docker engine lost the container: {error}")
        self._ended.set()
        on_exit()

    def address(self, port: int) -> str | None:
        return self._addresses.get(port)

    def poll(self) -> Exit | None:
        return self._exit

    def wait(self, timeout: float) -> Exit | None:
        self._ended.wait(timeout)
        return self._exit

    def terminate(self) -> None:
        """The image's own stop signal, SIGTERM when it names none."""
        stop_signal = self._container.attrs["Config"].get("StopSignal") or "SIGTERM"
        _unless_refused(lambda found: found.kill(stop_signal), self._container)

    def kill(self) -> None:
        _unless_refused(lambda found: found.kill("SIGKILL"), self._container)

    def run(self, command: Sequence[str], timeout: float) -> int | None:
        codes: list[int] = []

        def execute() -> None:
            codes.append(
                _unless_refused(lambda found: int(found.exec_run(list(command)).exit_code), self._container, 126)
            )

        thread = threading.Thread(target=execute, name="health command", daemon=True)
        thread.start()
        thread.join(timeout)
        return codes[0] if codes else None

    def usage(self) -> Usage | None:
        if self._ended.is_set():
            return None
        stats = _unless_refused(lambda found: found.stats(stream=False), self._container, {})
        if not stats.get("memory_stats", {}).get("usage"):
            return None
        memory = stats["memory_stats"]
        # As `docker stats`: without the page cache that can be given back.
        used = memory["usage"] - memory.get("stats", {}).get("inactive_file", 0)
        return Usage(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, used)

    def remove(self) -> None:
        _unless_refused(lambda found: found.remove(force=True, v=True), self._container)
        self._forget()


def _unless_refused(action: Callable[[Any], Any], thing: Any, otherwise: Any = None) -> Any:
    """What the engine answers; `otherwise` when it does not want to: the thing is gone already, or is in use."""
    try:
        return action(thing)
    except _errors().APIError as error:
        log.debug("%s", error)
        return otherwise


def _errors() -> Any:
    import docker.errors

    return docker.errors


_PARTS = re.compile(r"(?P<name>.+?)(?:@(?P<digest>sha256:[0-9a-f]+)|:(?P<tag>[\w][\w.-]*))?")


def _name_and_version(reference: str) -> tuple[str, str]:
    """The repository, and the tag or digest (`latest` when there is none)."""
    parts = _PARTS.fullmatch(reference)
    assert parts is not None  # everything matches
    return parts["name"].partition("@")[0], parts["digest"] or parts["tag"] or "latest"


def _digest(reference: str, known: Sequence[str]) -> str | None:
    """What the reference's own repository calls the image; another one may hold it compressed differently."""
    name, version = _name_and_version(reference)
    if version.startswith("sha256:"):
        return version
    return next((each.partition("@")[2] for each in known if each.partition("@")[0] == name), None)
