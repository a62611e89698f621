"""What lies in the image's layers above its base: no tool, no stub, no secret; and how large they are."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker_base import docker
from tests.image.registry import CountingRegistry

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="images")]

# A Python slim image is 45 MB: 130 MB without and 260 MB with the model are what is left above it.
LARGEST = {"lean": 85_000_000, "model": 215_000_000}
UNWANTED = re.compile(
    r"""(^|/)(
      \.git | \.env | \.aws | \.ssh | \.netrc | \.pypirc | \.npmrc | \.docker | \.[a-z]*_history | pip\.conf
    | pip | pip-[\d.]+\.dist-info | setuptools | wheel | ensurepip/_bundled | hf_xet
    | gcc | g\+\+ | cc | cc1 | make | ld | rustc | cargo | apt-get
    | tests? | conftest\.py | [^/]*\.pyi | [^/]*\.egg-link
    | node | ffmpeg | bokeh | f2py
    )(/|$)""",
    re.VERBOSE,
)
SECRET = re.compile(
    rb"\bhf_[A-Za-z]{34}\b|(?:AKIA|ASIA)[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abpr]-[0-9A-Za-z-]{20}"
    rb"|-----BEGIN (?:RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    rb"|(?i:aws_secret_access_key|password|api_key)\s*=\s*[\"'](?!your)[^\"'\s{}<>%]{16,}[\"']"
)


@pytest.fixture(scope="module", params=["lean", "model"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def reference(kind: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(kind))


@pytest.fixture(scope="module")
def saved(reference: str, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The layers above the base, unpacked from `docker save`."""
    folder = tmp_path_factory.mktemp("saved")
    docker("save", "--output", str(folder / "image.tar"), reference)
    with tarfile.open(folder / "image.tar") as archive:
        archive.extractall(folder, filter="data")
    (folder / "image.tar").unlink()
    layers = json.loads((folder / "manifest.json").read_text())[0]["Layers"]
    yield [folder / layer for layer in layers[_layers(base) :]]


def _layers(image: str) -> int:
    return len(json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image).stdout))


def _files(layers: list[Path]) -> Iterator[tuple[str, bytes]]:
    for layer in layers:
        with tarfile.open(layer) as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isfile() else None
                yield entry.name, content.read() if content else b""


def test_no_tool_stub_test_or_history_is_in_any_layer(saved: list[Path]) -> None:
    names = [name for name, _ in _files(saved)]
    assert any(name.endswith("site-packages/gradio/blocks.py") for name in names)
    assert not [name for name in names if UNWANTED.search(name)]


def test_no_secret_is_in_any_layer_or_in_the_image_s_own_record(saved: list[Path], reference: str) -> None:
    found = {name: match[0] for name, content in _files(saved) if (match := SECRET.search(content))}
    assert not found
    assert not SECRET.search(docker("history", "--no-trunc", reference).stdout.encode())


def test_the_search_for_secrets_finds_one() -> None:
    for secret in (b"token = hf_" + b"a" * 34, b"AKIA" + b"A" * 16, b'password = "correct-horse-battery"'):
        assert SECRET.search(secret)
    for name in ("usr/bin/gcc", "venv/lib/python3.12/site-packages/pip/__init__.py", "root/.bash_history", "a/b.pyi"):
        assert UNWANTED.search(name)


def test_every_module_is_compiled_and_never_checked_against_its_source(saved: list[Path]) -> None:
    sources, compiled = set(), {}
    for name, content in _files(saved):
        if (name.endswith(".py") and "/gradio/" in name) or (name.startswith("app/chatbot/") and name.endswith(".py")):
            sources.add(name)
        elif name.endswith(".pyc"):
            folder, _, file = name.rpartition("/__pycache__/")
            compiled[f"{folder}/{file.partition('.')[0]}.py"] = content[4:8]
    assert len(sources) > 100
    assert not sources - compiled.keys()
    # PEP 552: bit 0, a hash instead of a time; bit 1 not set, nobody compares it.
    assert {compiled[name] for name in sources} == {b"\x01\0\0\0"}


def test_it_is_small_above_its_base(kind: str, reference: str, base: str, registry: CountingRegistry) -> None:
    registry.push(reference)
    above = sum(layer["size"] for layer in registry.layers(reference)[_layers(base) :])
    assert above <= LARGEST[kind], f"{above / 1e6:.1f} MB above the base"
