"""What the image weighs and what a change of it costs, next to a plain `pip install gradio huggingface_hub` image.

    python -m bench.image [--json] [--only NAME…]

Needs a Docker engine; makes a base image of its own (tests/docker_base.py). The images are built on the same base from
nothing, with nothing changed and after a change of one line of code, and are pushed to a registry of the emulator's
that counts bytes. Then each is started with 0.25, 0.5 and 1 vCPU until it is healthy. Ratios, not seconds, are what
can be compared between machines.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from orchestrator.tools import engine
from orchestrator.tools.image_source import Source
from tests import docker_base
from tests.docker_base import docker
from tests.image.containers import Containers
from tests.image.registry import CountingRegistry

PROJECT = Path(__file__).resolve().parents[1]
SIZES = (0.25, 0.5, 1.0)
NAMES = ("plain", "lean", "model")
# What a first attempt looks like: one stage, everything pip brings, no bytecode of the app's own.
PLAIN = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir gradio==6.31.0 huggingface_hub==2.4.0
WORKDIR /app
COPY app.py .
EXPOSE 7860
CMD ["/venv/bin/python", "app.py"]
"""
PLAIN_APP = """\
import gradio

gradio.ChatInterface(lambda message, history: message).launch(server_name="0.0.0.0", server_port=7860)
"""


@dataclass
class Measured:
    """Seconds and bytes of one image; `layers` are compressed, the base's aside."""

    name: str
    layers: list[int] = field(default_factory=list)
    base: int = 0
    cold: float = 0
    cached: float = 0
    code_only: float = 0
    code_push: float = 0
    code_bytes: int = 0
    healthy: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One image to measure: its context, the file that a change of code touches, and where it answers."""

    name: str
    context: Path
    code: str
    path: str
    arguments: dict[str, str] = field(default_factory=dict)


def measure(subject: Subject, base: str, registry: CountingRegistry) -> Measured:
    found = Measured(subject.name)
    reference = f"{registry.host}/bench-{subject.name}"
    source = Source(subject.context, arguments={"BASE_IMAGE": base, **subject.arguments}, commit="bench")
    with removed(reference):
        found.cold = _timed(lambda: _without_cache(source, f"{reference}:1"))
        found.cached = _timed(lambda: engine.build(source, f"{reference}:1", lambda _: None))
        registry.push(f"{reference}:1")
        sizes = [int(layer["size"]) for layer in registry.layers(f"{reference}:1")]
        of_base = len(json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", base).stdout))
        found.base, found.layers = sum(sizes[:of_base]), sizes[of_base:]
        with (subject.context / subject.code).open("a") as file:
            file.write(f"\n# {uuid.uuid4()}\n")
        found.code_only = _timed(lambda: engine.build(source, f"{reference}:2", lambda _: None))
        began = time.monotonic()
        found.code_bytes = registry.push(f"{reference}:2")
        found.code_push = time.monotonic() - began
        found.healthy = {size: _start(f"{reference}:2", size, subject.path) for size in SIZES}
    return found


def _without_cache(source: Source, reference: str) -> None:
    flags = [f"--build-arg={name}={value}" for name, value in source.arguments.items()]
    docker("build", "--no-cache", "--quiet", f"--tag={reference}", *flags, str(source.context), timeout=3600)


def _start(reference: str, cpus: float, path: str) -> float:
    with Containers() as containers:
        began = time.monotonic()
        containers.run(reference, f"--cpus={cpus}", "--memory=1g").until_ready(path, seconds=180)
        return time.monotonic() - began


def _timed(action: object) -> float:
    assert callable(action)
    began = time.monotonic()
    action()
    return time.monotonic() - began


@contextmanager
def removed(reference: str) -> Iterator[None]:
    """Takes the images of this name away at the end."""
    try:
        yield
    finally:
        for tag in ("1", "2"):
            docker("image", "rm", "--force", f"{reference}:{tag}", check=False)


def _subjects(folder: Path, names: Sequence[str]) -> Iterator[Subject]:
    if "plain" in names:
        plain = folder / "plain"
        plain.mkdir()
        (plain / "Dockerfile").write_text(PLAIN)
        (plain / "app.py").write_text(PLAIN_APP)
        yield Subject("plain", plain, "app.py", "/")
    for name in sorted({"lean", "model"}.intersection(names)):
        ours = folder / name
        shutil.copytree(PROJECT / "chatbot", ours / "chatbot", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("Dockerfile", ".dockerignore"):
            shutil.copy(PROJECT / file, ours)
        arguments = {"WITH_MODEL": "1" if name == "model" else "0"}
        yield Subject(name, ours, "chatbot/limits.py", "/healthz", arguments)


def table(all_measured: list[Measured]) -> str:
    def row(title: str, cell: object) -> str:
        assert callable(cell)
        return f"| {title} | {' | '.join(cell(each) for each in all_measured)} |"

    lines = [
        row("", lambda each: each.name),
        row("---", lambda each: "---"),
        row("compressed above the base, MB", lambda each: f"{sum(each.layers) / 1e6:.1f}"),
        row("its layers, MB", lambda each: ", ".join(f"{size / 1e6:.2f}" for size in each.layers)),
        row("base, MB", lambda each: f"{each.base / 1e6:.1f}"),
        row("build from nothing, s", lambda each: f"{each.cold:.1f}"),
        row("build, nothing changed, s", lambda each: f"{each.cached:.1f}"),
        row("build, code changed, s", lambda each: f"{each.code_only:.1f}"),
        row("push, code changed, s", lambda each: f"{each.code_push:.1f}"),
        row("push, code changed, KB", lambda each: f"{each.code_bytes / 1e3:.0f}"),
    ]
    for size in SIZES:
        lines.append(row(f"start to healthy at {size} vCPU, s", lambda each, size=size: f"{each.healthy[size]:.1f}"))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.image", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="the figures alone")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these images alone")
    options = parser.parse_args()
    base = docker_base.ensure()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="bench-image-") as name:
        folder = Path(name)
        registry = CountingRegistry(folder / "registry")
        registry.start()
        try:
            subjects = list(_subjects(folder, options.only))
            for subject in subjects:
                found.append(measure(subject, base, registry))
                print(f"measured {subject.name}: {asdict(found[-1])}", file=sys.stderr, flush=True)
        finally:
            registry.stop()
    print(json.dumps([asdict(each) for each in found], indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
