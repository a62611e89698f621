"""Clients that no one here wrote, against the registry: skopeo and Docker."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.data.registry import Endpoints, Registry, Unauthorized
from emulator.listener import Listener

CREDENTIALS = "Basic " + base64.b64encode(b"AWS:password").decode()

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


def authorize(header: str, repository: str, action: str) -> None:
    if header != CREDENTIALS:
        raise Unauthorized("no basic auth credentials")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Registry, str]]:
    registry = Registry(
        tmp_path / "registry",
        authorize,
        None,
        lambda repository: repository in ("app", "other"),
        immutable=lambda repository: repository == "other",
    )
    listener = Listener(Endpoints(registry), 0)
    yield registry, f"localhost:{listener.port}"
    listener.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image as a docker-archive, which skopeo compresses while it copies."""
    return archive(tmp_path / "image.tar", "first", 3_000_000)


def archive(path: Path, text: str, size: int) -> Path:
    work = path.parent / f"{text}-work"
    work.mkdir()
    (work / "hello.txt").write_text(text)
    with (work / "big").open("wb") as file, Path("/dev/urandom").open("rb") as random:
        file.write(random.read(size))
    with tarfile.open(work / "layer.tar", "w") as layer:
        layer.add(work / "hello.txt", "app/hello.txt")
        layer.add(work / "big", "app/big")
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["cat", "/app/hello.txt"]}}
    # skopeo checks the layers that it packs against these
    checked = subprocess.run(["sha256sum", work / "layer.tar"], capture_output=True, text=True, check=True)
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{checked.stdout.split()[0]}"]}
    (work / "config.json").write_text(json.dumps(config))
    entry = {"Config": "config.json", "RepoTags": [f"app:{text}"], "Layers": ["layer.tar"]}
    (work / "manifest.json").write_text(json.dumps([entry]))
    with tarfile.open(path, "w") as image:
        for name in ("manifest.json", "config.json", "layer.tar"):
            image.add(work / name, name)
    return path


def skopeo(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["skopeo", "--insecure-policy", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


def push(source: str, target: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return skopeo("copy", "--dest-tls-verify=false", "--dest-creds=AWS:password", *options, source, target, check=check)


@needs_skopeo
@pytest.mark.parametrize("media", ["oci", "v2s2"])
def test_skopeo_copies_an_image_in_and_out(
    registry: tuple[Registry, str], image: Path, tmp_path: Path, media: str
) -> None:
    at, host = registry
    push(f"docker-archive:{image}", f"docker://{host}/app:v1", f"--format={media}")
    out = tmp_path / "out"
    skopeo("copy", "--src-tls-verify=false", "--src-creds=AWS:password", f"docker://{host}/app:v1", f"oci:{out}:v1")
    assert json.loads((out / "index.json").read_bytes())["manifests"]
    unpacked = at.unpack("app", "v1", tmp_path / "images")
    assert (unpacked / "app/hello.txt").read_text() == "first"
    assert (unpacked / "app/big").stat().st_size == 3_000_000
    assert at.image_config("app", "v1")["config"]["Cmd"] == ["cat", "/app/hello.txt"]


@needs_skopeo
def test_skopeo_lists_inspects_and_deletes(registry: tuple[Registry, str], image: Path) -> None:
    at, host = registry
    for tag in ("v1", "v2"):
        push(f"docker-archive:{image}", f"docker://{host}/app:{tag}")
    options = ("--tls-verify=false", "--creds=AWS:password")
    assert json.loads(skopeo("list-tags", *options, f"docker://{host}/app").stdout)["Tags"] == ["v1", "v2"]
    inspected = json.loads(skopeo("inspect", *options, f"docker://{host}/app:v1").stdout)
    assert inspected["Digest"] == at.tags("app")["v1"]
    skopeo("delete", *options, f"docker://{host}/app:v1")
    assert at.tags("app") == {}


@needs_skopeo
def test_skopeo_copies_between_repositories_by_mounting(registry: tuple[Registry, str], image: Path) -> None:
    at, host = registry
    push(f"docker-archive:{image}", f"docker://{host}/app:v1")
    between = ("--src-tls-verify=false", "--src-creds=AWS:password")
    push(f"docker://{host}/app:v1", f"docker://{host}/other:v1", *between)
    assert at.tags("other") == at.tags("app")


@needs_skopeo
def test_skopeo_is_told_why_it_may_not(registry: tuple[Registry, str], image: Path, tmp_path: Path) -> None:
    _, host = registry
    push(f"docker-archive:{image}", f"docker://{host}/other:v1")
    second = archive(tmp_path / "second.tar", "second", 1000)
    overwritten = push(f"docker-archive:{second}", f"docker://{host}/other:v1", check=False)
    assert "cannot be overwritten because the repository is immutable" in overwritten.stderr
    unknown = push(f"docker-archive:{image}", f"docker://{host}/missing:v1", check=False)
    assert "The repository with name 'missing' in the registry" in unknown.stderr
    stranger = push(f"docker-archive:{image}", f"docker://{host}/app:v1", "--dest-creds=AWS:wrong", check=False)
    assert stranger.returncode != 0 and "unauthorized" in stranger.stderr


@needs_skopeo
def test_a_push_killed_half_way_leaves_nothing_wrong_and_succeeds_when_repeated(
    registry: tuple[Registry, str], tmp_path: Path
) -> None:
    at, host = registry
    big = archive(tmp_path / "big.tar", "big", 60_000_000)
    command = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-creds=AWS:password"]
    pushing = subprocess.Popen([*command, f"docker-archive:{big}", f"docker://{host}/app:v1"], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not any(upload.size > 1_000_000 for upload in list(at.blobs._uploads.values())):
        assert time.monotonic() < deadline and pushing.poll() is None, "the push never got half way"
        time.sleep(0.01)
    pushing.send_signal(signal.SIGKILL)
    pushing.wait()
    assert (at.tags("app"), list(at.blobs)) == ({}, [])
    push(f"docker-archive:{big}", f"docker://{host}/app:v1")
    assert (at.unpack("app", "v1", tmp_path / "images") / "app/hello.txt").read_text() == "big"


def docker(*arguments: str | Path, config: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["docker", "--config", str(config), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.mark.docker
def test_docker_logs_in_pushes_is_refused_and_pulls(
    registry: tuple[Registry, str], image: Path, tmp_path: Path
) -> None:
    at, host = registry
    config = tmp_path / "docker"
    if shutil.which("docker") is None or docker("version", config=config, check=False).returncode:
        pytest.skip("no Docker engine answers")
    docker("login", "--username=AWS", "--password=password", host, config=config)
    docker("load", "--input", image, config=config)
    names = [f"{host}/app:v1", f"{host}/missing:v1"]
    try:
        for name in names:
            docker("tag", "app:first", name, config=config)
        docker("push", names[0], config=config)
        unknown = docker("push", names[1], config=config, check=False)
        assert "The repository with name 'missing' in the registry" in unknown.stderr
        by_digest = f"{host}/app@{at.tags('app')['v1']}"
        docker("rmi", "--force", "app:first", *names, config=config)
        docker("pull", by_digest, config=config)
        names.append(by_digest)
        pulled = json.loads(docker("inspect", by_digest, config=config).stdout)[0]
        assert pulled["Config"]["Cmd"] == ["cat", "/app/hello.txt"]
        assert (at.unpack("app", "v1", tmp_path / "images") / "app/hello.txt").read_text() == "first"
    finally:
        docker("rmi", "--force", "app:first", *names, config=config, check=False)
