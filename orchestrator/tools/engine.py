"""The Docker engine of this machine: it builds an image, pushes it, forgets it. Asked by its own command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from orchestrator.errors import ImageFailed
from orchestrator.tools import process
from orchestrator.tools.cancel import Say
from orchestrator.tools.image_source import Source


class NoBase(ImageFailed):
    """The image that the Dockerfile starts from is neither here nor to be had."""


def answers() -> bool:
    """Whether an engine does."""
    answer = process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=15)
    return answer.code == 0 and bool(answer.out.strip())


def build(source: Source, reference: str, say: Say, layout: Path | None = None) -> None:
    """Builds ``reference``, or ``layout``, a tar of it (OCI image layout); raises NoBase where its base is not there.

    A build that is asked for anew pulls its bases again, and takes nothing from the cache. In a layout the files of the
    new layers have the commit's time instead of the clock's: two builds of the same files are the same image.
    """
    own, bases = source.bases()
    for base in bases:
        here = process.run(["docker", "image", "inspect", base]).code == 0
        if here and not source.rebuild:
            continue
        say(f"pulls {base.partition('@')[0]}")
        pulled = process.run(["docker", "pull", "--quiet", "--platform", source.platform, base], timeout=900)
        if pulled.code == 0:
            continue
        why = ((pulled.err or pulled.out).strip().splitlines()[-1:] or ["no answer"])[0][:200]
        what = f"the base image {base.partition('@')[0]} cannot be pulled ({why})"
        if base == own and not here:
            remedy = "check the network, or name another base: image.build_args = { BASE_IMAGE = … }"
            raise NoBase(what, remedy)
        # Of another stage: BuildKit may not need it at all.
        say(f"{what}: {'builds on the one that is here' if here else 'the build may do without'}")
    created = source.created()
    command = ["docker", "build", "--file", str(source.file), "--platform", source.platform, "--tag", reference]
    command += ["--output", f"type=oci,dest={layout},rewrite-timestamp=true"] if layout else []
    command += ["--target", source.target] if source.target else []
    command += ["--no-cache"] if source.rebuild else []
    for flag, pairs in (("--label", source.labels("docker")), ("--build-arg", source.arguments)):
        for key, value in pairs.items():
            command += [flag, f"{key}={value}"]
    say("builds with Docker")
    _run([*command, str(source.context)], timeout=3600, env=os.environ | _buildkit(created))


def writes_layouts() -> bool:
    """Whether this engine's own builder does: BuildKit with containerd's image store (Docker's default since 29)."""
    if os.environ.get("BUILDX_BUILDER", "default") != "default" or os.environ.get("DOCKER_BUILDKIT") == "0":
        return False
    store = process.run(["docker", "info", "--format", "{{.DriverStatus}}"], timeout=15)
    return "io.containerd.snapshotter" in store.out and process.run(["docker", "buildx", "version"]).code == 0


def _buildkit(created: str) -> dict[str, str]:
    """What makes BuildKit's image the same each time, and one manifest; the classic builder reads none of it.

    Its attestations would make an index of every image, and engines push one under a single tag piece by piece, which a
    repository of immutable tags refuses (docs/image.md).
    """
    epoch = {"SOURCE_DATE_EPOCH": str(int(datetime.fromisoformat(created).timestamp()))} if created else {}
    return {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", **epoch}


def push(reference: str, host: str, user: str, password: str) -> None:
    """What the registry has already is not sent again."""
    _run(["docker", "login", "--username", user, "--password-stdin", host], stdin=password)
    _run(["docker", "push", "--quiet", reference], timeout=3600)


def bases_here(source: Source) -> dict[str, list[str]]:
    """The bases that are named by a tag, which may move: the digests that this engine has each under."""
    found = {}
    for base in source.bases()[1]:
        if "@" not in base:
            shown = process.run(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}\n{{.Id}}", base])
            if shown.code == 0:
                digests, identity = shown.out.strip().splitlines()
                found[base] = [name.partition("@")[2] for name in json.loads(digests) or []] + [identity]
    return found


def moved(bases: Mapping[str, list[str]]) -> list[str]:
    """Those whose tag means another image now, in their registry or, where that cannot be asked, on this engine."""
    found = []
    for base, digests in bases.items():
        asked = process.run(
            ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", base], timeout=10
        )
        if asked.code:
            asked = process.run(["docker", "image", "inspect", "--format", "{{.Id}}", base], timeout=10)
        if asked.code == 0 and asked.out.strip() not in digests:
            found.append(base)
    return found


def forget(name: str) -> None:
    """Removes the copies of a repository's images, and the stage that they took their packages from."""
    listed = process.run(["docker", "image", "ls", "--no-trunc", "--quiet", name])
    if identifiers := sorted(set(listed.out.split())):
        process.run(["docker", "image", "rm", "--force", *identifiers])
    process.run(["docker", "image", "prune", "--force", "--filter", "label=dev.chatbot.stage=packages"])


def _run(
    command: list[str], *, stdin: str | None = None, timeout: float = 120, env: Mapping[str, str] | None = None
) -> None:
    done = process.run(command, stdin=stdin, timeout=timeout, env=env)
    if done.code:
        last = "\n  ".join((done.err or done.out).strip().splitlines()[-12:])
        raise ImageFailed(f"{' '.join(command[:2])} failed:\n  {last}", "mend the cause, then run the same command")
