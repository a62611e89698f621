"""buildx against the emulator's ECR, on an engine with containerd's image store: attestations, indexes, copies, caches.

That store is what new installations of Docker have, so the orchestrator's own build is held against it too.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.control.ecr import registry
from emulator.data.registry import Registry
from emulator.data.tasks.docker import DockerRuntime, engine
from emulator.emulator import Emulator
from emulator.state.config import Config
from orchestrator.config import CHECKOUT
from orchestrator.tools import image
from orchestrator.tools.image_source import Source
from tests.emulator.data.test_tasks_runtimes import BUSYBOX
from tests.engines import own_engine

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="images")]
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Shop:
    """Docker's client, logged in to the emulator's ECR; `host` is the registry's, `engine` the modern engine's."""

    engine: str
    host: str
    folder: Path
    ecr: Any
    registry: Registry

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_CONFIG": str(self.folder / "docker"), "DOCKER_HOST": self.engine}

    def docker(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | variables
        done = subprocess.run(
            ["docker", *arguments], env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr[-4000:]}"
        return done

    def login(self) -> tuple[str, str]:
        """As `aws ecr get-login-password | docker login` does; user and password."""
        token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        self.docker("login", "--username", user, "--password", password, self.host)
        return user, password

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        return self.registry.manifest(repository, reference).document


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"{'network: ' if os.environ.get('BUILDX_OUT_OF_REACH') else ''}buildx is not installed")
    folder = tmp_path_factory.mktemp("buildx")
    emulator = Emulator(folder / "emulator", Config(port=0, runtime="process"))
    try:
        ecr = emulator.store.clients("ecr")
        for name in ("base", "chatbot", "copies", "tiny"):
            ecr.create_repository(repositoryName=name)
        ecr.create_repository(repositoryName="immutable", imageTagMutability="IMMUTABLE")
        endpoint = ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
        with own_engine(**{"containerd-snapshotter": True}) as own:
            shop = Shop(own.host, endpoint.partition("//")[2], folder, ecr, registry(emulator.store))
            shop.login()
            yield shop
    finally:
        emulator.close()


@pytest.fixture(scope="module")
def built(shop: Shop, base: str) -> str:
    """The project's own Dockerfile, its base pulled from the emulator's ECR; the digest that buildx says it pushed."""
    local = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "")}
    reference = f"{shop.host}/base:1"
    shop.docker("tag", base, reference, **local)
    try:
        shop.docker("push", "--quiet", reference, **local)
    finally:
        shop.docker("image", "rm", reference, **local)
    said = shop.folder / "built.json"
    shop.docker(
        "buildx", "build", "--push", "--provenance=mode=max", "--network=host", f"--metadata-file={said}",
        f"--build-arg=BASE_IMAGE={reference}", f"--tag={shop.host}/chatbot:buildx", str(CHECKOUT),
    )  # fmt: skip
    return str(json.loads(said.read_text())["containerimage.digest"])


def test_buildx_pushes_the_dockerfile_s_image_with_its_provenance(shop: Shop, built: str) -> None:
    [pushed] = shop.ecr.describe_images(repositoryName="chatbot", imageIds=[{"imageTag": "buildx"}])["imageDetails"]
    assert (pushed["imageDigest"], pushed["imageManifestMediaType"]) == (built, INDEX)
    made, attestation = shop.manifest("chatbot", built)["manifests"]
    assert made["platform"] == {"architecture": "amd64", "os": "linux"}
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"]["vnd.docker.reference.digest"] == made["digest"]
    asked = f"{shop.host}/chatbot@{built}"
    inspected = shop.docker("buildx", "imagetools", "inspect", asked, "--format", "{{json .Provenance}}").stdout
    assert "buildkit" in json.loads(inspected)["SLSA"]["buildType"]
    # An ECS task is given the image, not the attestation beside it.
    assert shop.registry.image_config("chatbot", built)["config"]["Entrypoint"] == ["python", "-m", "chatbot"]
    unpacked = shop.registry.unpack("chatbot", built, shop.folder / "unpacked")
    assert (unpacked / "app/chatbot/__main__.py").read_bytes() == (CHECKOUT / "chatbot/__main__.py").read_bytes()


def test_what_buildx_pushed_is_pulled_by_digest_and_read_by_skopeo(shop: Shop, built: str) -> None:
    reference = f"{shop.host}/chatbot@{built}"
    local = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "")}
    try:
        shop.docker("pull", "--quiet", reference, **local)
        config = json.loads(shop.docker("image", "inspect", reference, **local).stdout)[0]["Config"]
        assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    finally:
        shop.docker("image", "rm", "--force", reference, check=False, **local)
    command = ["skopeo", "inspect", "--tls-verify=false", f"--creds={':'.join(shop.login())}", f"docker://{reference}"]
    inspected = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert inspected["Labels"]["org.opencontainers.image.title"] == "chatbot"
    assert inspected["Digest"] == built


def _tiny(folder: Path, text: str) -> Path:
    """A context that builds in a second: a stage that runs something, and one that takes what it made."""
    if BUSYBOX is None:
        pytest.skip("no static busybox to make an image of")
    folder.mkdir()
    (folder / "sh").write_bytes(Path(BUSYBOX).read_bytes())
    (folder / "sh").chmod(0o755)
    (folder / "text").write_text(text)
    (folder / "Dockerfile").write_text(
        'FROM scratch AS made\nCOPY sh /bin/sh\nCOPY text /text\nRUN ["/bin/sh", "-c", "wc -c < /text > /count"]\n'
        'FROM scratch\nCOPY --from=made /count /count\nENTRYPOINT ["/count"]\n'
    )
    return folder


def test_imagetools_copies_between_repositories_and_makes_an_index_of_several(shop: Shop, tmp_path: Path) -> None:
    for name in ("one", "two"):
        context = str(_tiny(tmp_path / name, name))
        shop.docker("buildx", "build", "--push", "--provenance=true", f"--tag={shop.host}/tiny:{name}", context)
    create = ("buildx", "imagetools", "create")
    shop.docker(*create, f"--tag={shop.host}/copies:one", f"{shop.host}/tiny:one")
    assert shop.registry.tags("copies")["one"] == shop.registry.tags("tiny")["one"]
    assert shop.registry.image_config("copies", "one") == shop.registry.image_config("tiny", "one")
    shop.docker(*create, f"--tag={shop.host}/tiny:both", f"{shop.host}/tiny:one", f"{shop.host}/tiny:two")
    both = shop.manifest("tiny", "both")
    parts = [each for name in ("one", "two") for each in shop.manifest("tiny", name)["manifests"]]
    assert both["mediaType"] == INDEX
    assert {each["digest"] for each in both["manifests"]} == {each["digest"] for each in parts}


@pytest.mark.parametrize("modern", [False, True], ids=["docker's image store", "containerd's image store"])
def test_a_tasks_image_may_be_an_index(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modern: bool
) -> None:
    context = str(_tiny(tmp_path / "index", f"index {modern}"))
    shop.docker("buildx", "build", "--push", "--provenance=true", f"--tag={shop.host}/tiny:index{modern}", context)
    digest = shop.registry.tags("tiny")[f"index{modern}"]
    if modern:
        monkeypatch.setenv("DOCKER_HOST", shop.engine)
        shop.docker("image", "rm", "--force", f"{shop.host}/tiny:index{modern}")
    client = engine()
    assert client is not None
    runtime = DockerRuntime(client, tmp_path / "emulator", lambda: 1, lambda _: shop.login())
    reference = f"{shop.host}/tiny@{digest}"
    try:
        pulled = runtime.pull(reference)
        assert pulled.digest == digest
        assert client.images.get(reference).attrs["Config"]["Entrypoint"] == ["/count"]
    finally:
        client.images.remove(reference, force=True)


def test_the_build_cache_is_kept_in_ecr_as_an_image_and_comes_back(shop: Shop, tmp_path: Path) -> None:
    context, cache = str(_tiny(tmp_path / "cached", "cached")), f"type=registry,ref={shop.host}/tiny:cache"
    # ECR takes a cache as an image manifest alone ("remote cache support in Amazon ECR for BuildKit clients").
    kept = f"{cache},mode=max,image-manifest=true,oci-mediatypes=true"
    build = ("buildx", "build", "--progress=plain", f"--tag={shop.host}/tiny:cached", "--push")
    shop.docker(*build, f"--cache-to={kept}", context)
    assert shop.manifest("tiny", "cache")["config"]["mediaType"] == "application/vnd.buildkit.cacheconfig.v0"
    shop.docker("buildx", "prune", "--all", "--force")
    again = shop.docker(*build, f"--cache-from={cache}", context).stderr
    steps = [line.split()[0] for line in again.splitlines() if "RUN [" in line]
    assert f"{steps[0]} CACHED" in again.splitlines()


def test_the_orchestrators_build_is_one_manifest_that_immutable_tags_take(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, shop.environment[name])
    source = Source(_tiny(tmp_path / "ours", "ours"), written="2026-01-02T03:04:05+02:00", commit="abc")
    made = image.push(source, f"{shop.host}/immutable", shop.ecr, "docker", lambda _: None)
    [pushed] = shop.ecr.describe_images(repositoryName="immutable")["imageDetails"]
    assert (pushed["imageTags"], pushed["imageDigest"]) == ([made.tag], made.digest)
    config = shop.registry.image_config("immutable", made.tag)
    assert config["created"] == "2026-01-02T01:04:05Z"
    assert config["config"]["Labels"]["org.opencontainers.image.created"] == "2026-01-02T01:04:05Z"


def test_two_builds_without_a_cache_have_equal_layers(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its steps make the same files each time: neither the clock's time nor the checkout's is there."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, shop.environment[name])
    made = []
    for number in (1, 2):
        source = Source(
            _tiny(tmp_path / str(number), "same"), rebuild=str(number), written="2026-01-02T03:04:05Z", commit="abc"
        )
        os.utime(source.context / "text", (number, number))
        made.append(image.push(source, f"{shop.host}/immutable", shop.ecr, "docker", lambda _: None))
    first, second = (shop.manifest("immutable", each.digest)["layers"] for each in made)
    assert first == second and made[0].tag != made[1].tag
    assert made[0].digest == made[1].digest, "labels, times and all"


def test_the_projects_dockerfile_makes_the_same_image_twice(shop: Shop, built: str, tmp_path: Path) -> None:
    """Packages, bytecode and all: what pip and the compiler write is the same each time."""
    assert built, "its base is in the registry"
    arguments = ["build", "--no-cache", "--network=host", f"--build-arg=BASE_IMAGE={shop.host}/base:1"]
    digests = []
    for number in (1, 2):
        layout = tmp_path / f"{number}.tar"
        output = f"--output=type=oci,dest={layout},rewrite-timestamp=true"
        variables = {"SOURCE_DATE_EPOCH": "1767323045", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        shop.docker(*arguments, output, str(CHECKOUT), **variables)
        with tarfile.open(layout) as tar:
            index = tar.extractfile("index.json")
            assert index is not None
            digests.append(json.load(index)["manifests"][0]["digest"])
        layout.unlink()
    assert digests[0] == digests[1]
