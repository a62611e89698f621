"""Builds: what a change of code costs, what both builders agree on, and what happens when the base cannot be had."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import CHECKOUT
from orchestrator.tools import bundle, engine
from orchestrator.tools.image_source import Source
from tests.docker_base import docker
from tests.image.conftest import build
from tests.image.registry import CountingRegistry

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="images")]


def _inspect(reference: str) -> dict[str, Any]:
    return dict(json.loads(docker("image", "inspect", reference).stdout)[0])


def test_a_change_of_code_sends_its_own_layers_and_no_more(
    lean: str, base: str, registry: CountingRegistry, tmp_path: Path
) -> None:
    registry.push(lean)
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / "chatbot", tmp_path / "chatbot", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "chatbot/limits.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    began = time.monotonic()
    changed = build(registry, base, "changed", tmp_path)
    try:
        sent = registry.push(changed)
        seconds = time.monotonic() - began
        before, after = registry.layers(lean), registry.layers(changed)
        different = [layer for layer in after if layer not in before]
        assert len(after) == len(before)
        assert different and after[: -len(different)] == before[: -len(different)]
        assert len(different) <= 2  # the code, and its bytecode
        assert sent < 1_000_000
        assert seconds < 60  # 5 s is the goal (bench/image.py); this is a loaded machine's bound
    finally:
        docker("image", "rm", "--force", changed)


def test_both_builders_agree(lean: str, base: str) -> None:
    source = Source(CHECKOUT, arguments={"BASE_IMAGE": base})
    made = bundle.build(source.stage(), CHECKOUT, source.platform, source.labels("bundle"), source.file)
    manifest = json.loads(made.manifest)
    theirs, ours = _inspect(lean)["Config"], json.loads(made.blobs[manifest["config"]["digest"]])["config"]
    for key in ("Entrypoint", "User", "ExposedPorts", "WorkingDir", "StopSignal"):
        assert theirs[key] == ours[key], key
    assert (theirs.get("Cmd") or []) == (ours.get("Cmd") or [])
    inherited = _inspect(base)["Config"]
    of_base = {entry.partition("=")[0] for entry in inherited["Env"]} - {"PATH"}
    assert {entry for entry in theirs["Env"] if entry.partition("=")[0] not in of_base} == set(ours["Env"])
    built_by, of_base = "dev.chatbot.builder", set(inherited["Labels"] or {})
    assert (theirs["Labels"][built_by], ours["Labels"][built_by]) == ("docker", "bundle")
    assert {k: v for k, v in theirs["Labels"].items() if k not in of_base | {built_by}} == {
        k: v for k, v in ours["Labels"].items() if k != built_by
    }
    layer = made.blobs[manifest["layers"][0]["digest"]]
    assert _files(io.BytesIO(layer)) == _files(_application(lean))


def _application(reference: str) -> io.BytesIO:
    container = docker("create", "--label=dev.chatbot.test=image", reference).stdout.strip()
    try:
        copied = subprocess.run(["docker", "cp", f"{container}:/app", "-"], capture_output=True, check=True, timeout=60)
        return io.BytesIO(copied.stdout)
    finally:
        docker("rm", container)


def _files(archive: io.BytesIO) -> dict[str, tuple[bytes, bool]]:
    """Content of the application's files, and whether each may be executed."""
    with tarfile.open(fileobj=archive) as tar:
        found = {}
        for entry in tar:
            if entry.isfile() and "__pycache__" not in entry.name:
                content = tar.extractfile(entry)
                assert content is not None
                found[entry.name.lstrip("./")] = (content.read(), bool(entry.mode & 0o100))
        return found


def test_what_is_built_anew_is_not_from_the_cache_and_knows_its_base(base: str, tmp_path: Path) -> None:
    moving, said = "chatbot-test:moving", list[str]()
    (tmp_path / "Dockerfile").write_text(f"FROM {moving}\nRUN cat /proc/sys/kernel/random/uuid > /id\n")
    source = Source(tmp_path)
    try:
        docker("tag", base, moving)
        ids = []
        for each in (source, source, replace(source, rebuild="1")):
            engine.build(each, "chatbot-test:anew", said.append)
            ids.append(docker("image", "inspect", "--format", "{{.Id}}", "chatbot-test:anew").stdout)
        assert ids[0] == ids[1] != ids[2]
        assert any(line.endswith("builds on the one that is here") for line in said), "it is in no registry"
        bases = engine.bases_here(source)
        assert list(bases) == [moving] and engine.moved(bases) == []
        docker("tag", "chatbot-test:anew", moving)
        assert engine.moved(bases) == [moving]
    finally:
        docker("image", "rm", "--force", moving, "chatbot-test:anew", check=False)


def test_a_base_that_no_stage_needs_is_not_missed(base: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM localhost:9/no/tools:1 AS tools\nFROM {base}\nUSER 1\n")
    said: list[str] = []
    try:
        engine.build(Source(tmp_path), "chatbot-test:without", said.append)
    finally:
        docker("image", "rm", "--force", "chatbot-test:without", check=False)
    assert any("tools:1 cannot be pulled" in line and line.endswith("may do without") for line in said)


def test_a_base_that_cannot_be_had_is_named_before_anything_is_built(base: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM localhost:9/nothing/here:1\nRUN false\n")
    said: list[str] = []
    with pytest.raises(engine.NoBase, match="localhost:9/nothing/here:1 cannot be pulled"):
        engine.build(Source(tmp_path), "chatbot-test:never", said.append)
    assert said == ["pulls localhost:9/nothing/here:1"]
