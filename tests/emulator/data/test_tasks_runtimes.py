"""The promises that both task runtimes keep, each test on both; Docker's only where an engine and busybox are there."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from emulator.data.tasks.docker import LABEL, DockerRuntime, engine
from emulator.data.tasks.docker import _digest as docker_digest
from emulator.data.tasks.packages import Packages, folder_of
from emulator.data.tasks.process import ProcessRuntime
from emulator.data.tasks.runtime import Exit, Handle, Image, PullFailed, Runtime, Spec, StartFailed
from emulator.state.children import Children
from tests.waiting import eventually


def static_busybox() -> str | None:
    """Debian's busybox-static; another busybox needs libraries that an image of it alone does not have."""
    found = shutil.which("busybox")
    dynamic = found and subprocess.run(["ldd", found], capture_output=True, check=False).returncode == 0
    return None if dynamic else found


BUSYBOX = static_busybox()


@dataclass
class Bench:
    """A runtime, an image with a shell, and what containers said."""

    runtime: Runtime
    image: Image
    said: list[bytes] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    handles: list[Handle] = field(default_factory=list)

    def run(self, script: str, name: str = "web", **changes: Any) -> Handle:
        spec = Spec(
            task="0123456789abcdef" * 2, name=name, image=self.image, environment={},
            entry_point=["/bin/sh", "-c"], command=[script],
        )  # fmt: skip
        handle = self.runtime.start(replace(spec, **changes), self.said.append, self.ended.set)
        self.handles.append(handle)
        return handle

    def finish(self, script: str, **changes: Any) -> Exit:
        """Runs to the end."""
        handle = self.run(script, **changes)
        assert self.ended.wait(60)
        found = handle.poll()
        assert found is not None
        return found


def process_runtime(children: Children, folder: Path, image: Image) -> ProcessRuntime:
    return ProcessRuntime(children, folder / "tasks", lambda _: image, Packages(children, folder_of(folder)))


def process_bench(folder: Path) -> Iterator[Bench]:
    root = folder / "image"
    (root / "app").mkdir(parents=True)
    (root / "app/note").write_text("from the image\n")
    image = Image("tiny", None, {"WHO": "image"}, working_directory="/app", labels={"dev.chatbot.builder": "bundle"},
                  root=root)  # fmt: skip
    children = Children(folder / "children")
    runtime = process_runtime(children, folder, image)
    yield Bench(runtime, runtime.pull("tiny"))
    children.close(1)


def docker_bench(folder: Path) -> Iterator[Bench]:
    client = engine()
    if client is None:
        pytest.skip("no Docker engine answers")
    if BUSYBOX is None:
        pytest.skip("no static busybox to make an image of (apt install busybox-static)")
    name = make_image(client)
    runtime = DockerRuntime(client, folder, lambda: 1, lambda _: None)
    yield Bench(runtime, runtime.pull(name))
    runtime.close()
    assert not client.containers.list(all=True, filters={"label": f"{LABEL}={folder}"})


def make_image(client: Any) -> str:
    assert BUSYBOX is not None
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for applet in ("sh", "cat", "sleep", "env", "pwd", "kill", "id", "httpd", "wget", "seq", "touch", "ls"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for folder in ("tmp", "data"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(made)
        note = tarfile.TarInfo("app/note")
        note.size = len(b"from the image\n")
        archive.addfile(note, io.BytesIO(b"from the image\n"))
    changes = ["WORKDIR /app", "ENV WHO=image"]
    name = f"emulator-test:{hashlib.sha256(raw.getvalue()).hexdigest()[:12]}"
    # Made once for every run on this engine: a tag that moved would leave an image without a name each time.
    if not client.images.list(name):
        repository, _, tag = name.partition(":")
        client.api.import_image_from_data(raw.getvalue(), repository=repository, tag=tag, changes=changes)
    return name


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = process_bench(tmp_path) if request.param == "process" else docker_bench(tmp_path)
    for found in made:
        yield found
        for handle in found.handles:
            handle.kill()
            handle.wait(60)
            handle.remove()


def test_output_of_both_streams_comes_in_lines_and_in_order(bench: Bench) -> None:
    assert bench.finish("echo one; echo two; printf three").code == 0
    assert bench.said == [b"one", b"two", b"three"]


def test_the_exit_code_is_the_programs(bench: Bench) -> None:
    assert bench.finish("exit 7") == Exit(7)


def test_a_container_works_in_its_images_files_and_environment(bench: Bench) -> None:
    bench.finish('cat note; echo "$WHO $EXTRA"', environment={"EXTRA": "given"})
    assert bench.said == [b"from the image", b"image given"]


def test_the_definition_wins_over_the_image(bench: Bench) -> None:
    bench.finish('echo "$WHO"', environment={"WHO": "definition"})
    assert bench.said == [b"definition"]


def test_nothing_of_the_hosts_environment_is_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "no")
    bench.finish("env")
    assert not [line for line in bench.said if line.startswith(b"HOST_SECRET")]


def test_sigterm_reaches_the_program(bench: Bench) -> None:
    handle = bench.run("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: bench.said == [b"ready"])
    handle.terminate()
    assert handle.wait(60) == Exit(5)
    assert bench.said == [b"ready", b"bye"]


def test_a_kill_ends_everything_with_137(bench: Bench) -> None:
    handle = bench.run("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: bench.said == [b"ready"])
    handle.terminate()
    assert handle.wait(0.5) is None
    handle.kill()
    found = handle.wait(60)
    assert found is not None
    assert found.code == 137


def test_the_end_comes_after_the_last_line(bench: Bench) -> None:
    bench.finish("seq 1 5000")
    assert bench.said == [str(n).encode() for n in range(1, 5001)]


def test_a_command_runs_beside_the_program(bench: Bench) -> None:
    handle = bench.run("echo ready; sleep 30")
    eventually(lambda: bench.said == [b"ready"])
    assert handle.run(["/bin/sh", "-c", "exit 0"], 10) == 0
    assert handle.run(["/bin/sh", "-c", "exit 3"], 10) == 3
    assert handle.run(["/bin/sh", "-c", "sleep 20"], 0.5) is None


def test_what_it_uses_can_be_measured(bench: Bench) -> None:
    handle = bench.run("while :; do :; done")
    eventually(lambda: (usage := handle.usage()) and usage.cpu_seconds > 0.1)
    usage = handle.usage()
    assert usage is not None
    assert usage.memory > 1000


def test_a_program_that_is_not_there_is_an_error_of_the_start(bench: Bench) -> None:
    with pytest.raises(StartFailed) as failed:
        bench.run("", entry_point=["/no/such/program"])
    assert failed.value.code == "CannotStartContainerError"


def test_ports_are_addresses_of_this_machine(bench: Bench) -> None:
    handle = bench.run("sleep 30", ports=(8080,), task_ports=(8080,))
    address = handle.address(8080)
    assert address is not None
    assert address.startswith("127.0.0.1:")
    assert handle.address(9) is None


def test_twenty_containers_at_once_have_ports_of_their_own(bench: Bench) -> None:
    addresses = set()
    for number in range(20):
        handle = bench.run("sleep 30", name=f"n{number}", task=f"{number:032x}", ports=(80,), task_ports=(80,))
        addresses.add(handle.address(80))
    assert len(addresses) == 20
    assert None not in addresses


# --- the process runtime alone


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Bench]:
    yield from process_bench(tmp_path)


def test_a_process_is_told_its_port_and_python_is_the_emulators(processes: Bench) -> None:
    code = "import os, sys; print(os.environ['PORT'], os.environ['HOST'], sys.executable)"
    handle = processes.run("", entry_point=["python3", "-c"], command=[code], ports=(7860,))
    assert processes.ended.wait(60)
    port, host, executable = processes.said[0].decode().split()
    assert f"{host}:{port}" == handle.address(7860)
    assert os.path.samefile(executable, shutil.which("python3", path=str(Path(executable).parent)) or "")  # noqa: PTH121


def test_an_image_without_the_label_is_no_bundle(tmp_path: Path) -> None:
    runtime = process_runtime(Children(tmp_path / "c"), tmp_path, Image("x", None, root=tmp_path))
    with pytest.raises(PullFailed, match="is no bundle image"):
        runtime.pull("x")


def test_containers_do_not_see_each_others_files(processes: Bench) -> None:
    processes.finish("echo changed > note", name="one")
    processes.ended.clear()
    processes.finish("cat note", name="two")
    assert processes.said == [b"from the image"]


def test_children_of_a_process_end_with_it(processes: Bench) -> None:
    handle = processes.run("sleep 300 & echo $!; wait")
    child = int(eventually(lambda: processes.said and processes.said[0]))
    handle.kill()
    handle.wait(60)
    eventually(lambda: not Path(f"/proc/{child}").exists())


# --- the Docker runtime alone


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Bench]:
    for found in docker_bench(tmp_path):
        yield found
        for handle in found.handles:
            handle.remove()


@pytest.mark.docker
def test_a_container_over_its_memory_is_told_as_out_of_memory(docker: Bench) -> None:
    found = docker.finish("x=a; while :; do x=$x$x; done", memory=16)
    assert found == Exit(137, "OutOfMemoryError: Container killed due to memory usage")


@pytest.mark.docker
def test_a_task_larger_than_the_machine_starts_all_the_same(docker: Bench) -> None:
    assert docker.finish("exit 0", cpu=1024 * 1024) == Exit(0)


@pytest.mark.docker
def test_user_read_only_and_tmpfs_are_as_the_definition_says(docker: Bench) -> None:
    docker.finish(
        "id -u; touch /app/x 2>/tmp/e || echo read-only; touch /tmp/x && echo temporary",
        user="1234", read_only=True, tmpfs=[("/tmp", 16)],
    )  # fmt: skip
    assert docker.said[0] == b"1234"
    assert docker.said[-2:] == [b"read-only", b"temporary"]


@pytest.mark.docker
def test_containers_of_a_task_share_localhost_and_volumes(docker: Bench) -> None:
    shared: dict[str, Any] = {"task_ports": (8080,), "mounts": [("box", "/data", False)]}
    server = docker.run("echo hello > /data/page; httpd -f -p 8080 -h /data", ports=(8080,), **shared)
    assert server.address(8080)
    docker.ended.clear()
    script = "until wget -q -O - http://127.0.0.1:8080/page; do sleep 0.2; done; cat /data/page"
    second = docker.run(script, name="second", **shared)
    assert second.wait(60) == Exit(0)
    eventually(lambda: docker.said.count(b"hello") == 2)


@pytest.mark.docker
def test_a_published_port_answers(docker: Bench) -> None:
    handle = docker.run("httpd -f -p 8080 -h /app", ports=(8080,), task_ports=(8080,))
    host, _, port = (handle.address(8080) or "").partition(":")

    def page() -> bytes:
        try:
            with socket.create_connection((host, int(port)), timeout=2) as connection:
                connection.sendall(b"GET /note HTTP/1.0\r\n\r\n")
                return connection.makefile("rb").read()
        except OSError:  # Docker's own proxy takes connections before the server listens
            return b""

    eventually(lambda: b"from the image" in page())


@pytest.mark.docker
def test_the_next_start_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    for found in docker_bench(tmp_path):
        left = found.run("sleep 300")
        client = engine()
        assert client is not None
        second = DockerRuntime(client, tmp_path, lambda: 2, lambda _: None)
        assert left.wait(60) is not None
        assert not client.containers.list(all=True, filters={"label": f"{LABEL}={tmp_path}"})
        second.close()


@pytest.mark.docker
def test_a_bundle_is_not_for_docker(docker: Bench) -> None:
    client = engine()
    assert client is not None
    container = client.containers.create(docker.image.reference, "true")
    made = container.commit("emulator-test", "bundle", changes="LABEL dev.chatbot.builder=bundle")
    container.remove()
    try:
        with pytest.raises(PullFailed, match="only the process runtime runs it"):
            docker.runtime.pull("emulator-test:bundle")
    finally:
        client.images.remove(made.id, force=True)


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        ("localhost:4566/chatbot:1", "sha256:bbb"),
        ("localhost:4566/chatbot@sha256:ccc", "sha256:ccc"),
        ("localhost:4566/made-here:1", None),
    ],
)
def test_an_images_digest_is_its_own_repositorys(reference: str, digest: str | None) -> None:
    known = ["localhost:4566/other@sha256:aaa", "localhost:4566/chatbot@sha256:bbb"]
    assert docker_digest(reference, known) == digest
