"""Builds the chatbot's image and pushes it to ECR, by a Docker engine or as a bundle; answers its digest.

CodeBuild runs it as it lies in the source, with the standard library and boto3 alone::

    python3 -m orchestrator.tools.image --repository-url "$REPOSITORY_URL" --output imageDetail.json

The tag is the builder and a hash of everything that the build reads, so the same source is built and pushed once.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import DeployError, ImageFailed, MissingTool
from orchestrator.tools import bundle, engine
from orchestrator.tools.cancel import Say
from orchestrator.tools.engine import NoBase
from orchestrator.tools.image_source import Source
from orchestrator.tools.registry import Access, Registry, access

NO_ENGINE = "start a Docker engine"
PACKAGES = "dev.chatbot.requirements"  # docs/image.md
REBUILD = "%Y%m%dT%H%M%SZ"  # how a build that was asked for anew is named


@dataclass(frozen=True)
class Built:
    """A pushed image; ``because``: why it is not by the builder that was asked for; ``bases``: what it was built on, as
    far as that may move (engine.bases_here)."""

    uri: str
    digest: str
    tag: str
    builder: str
    pushed: bool
    because: str = ""
    bases: Mapping[str, list[str]] = field(default_factory=dict)


def choose(wanted: str, endpoint_url: str) -> str:
    """``docker``, ``bundle`` or ``codebuild``; refused when what is wanted cannot be had."""
    if wanted == "bundle" and not endpoint_url:
        raise MissingTool("a bundle image runs only on the emulator, not on AWS", f"{NO_ENGINE}, builder docker")
    if wanted in ("bundle", "codebuild"):
        return wanted
    if engine.answers():
        return "docker"
    if wanted == "docker":
        remedy = f'{NO_ENGINE}, or set image.builder = "{"bundle" if endpoint_url else "codebuild"}"'
        raise MissingTool("no Docker engine answers, and image.builder is docker", remedy)
    return "bundle" if endpoint_url else "codebuild"


def instead_of_docker(wanted: str, endpoint_url: str) -> str:
    """The builder to fall back to when the engine is there and the base image is not."""
    return "bundle" if wanted == "auto" and endpoint_url else ""


def tag_of(source: Source, builder: str) -> str:
    return "-".join(filter(None, (builder, source.fingerprint()[:16], source.rebuild)))


def rebuild_name() -> str:
    """The name of a build that is asked for anew: a time, because a later one must come later by its letters."""
    return f"{datetime.now(UTC):{REBUILD}}"


def find(ecr: Any, repository: str, source: Source, builders: Sequence[str]) -> tuple[str, str, str]:
    """Tag, digest and builder of the image of this source, of several that which was built anew last; else empty."""
    wanted = {tag_of(source, builder): builder for builder in builders}
    found = []
    for page in ecr.get_paginator("list_images").paginate(repositoryName=repository, filter={"tagStatus": "TAGGED"}):
        for each in page["imageIds"]:
            tag = each["imageTag"]
            name = tag if source.rebuild else "-".join(tag.split("-")[:2])
            if name in wanted:
                found.append((tag.partition("-")[2], tag, each["imageDigest"], wanted[name]))
    return max(found)[1:] if found else ("", "", "")


def push(source: Source, repository_url: str, ecr: Any, builder: str, say: Say, instead: str = "") -> Built:
    """Builds and pushes, unless the registry has an image of the same source already.

    ``instead``: the builder to fall back to when the base image cannot be had.
    """
    source = source.taken()
    # ECR answers repository URLs in AWS's form; the registry itself is where the authorization says.
    repository = repository_url.partition("/")[2]
    tag, digest, _ = find(ecr, repository, source, [builder])
    if digest:
        say(f"{tag} is in the registry already")
        return Built(f"{repository_url}@{digest}", digest, tag, builder, False)
    tag, where = tag_of(source, builder), access(ecr)
    registry = Registry(where, repository)
    if builder == "bundle":
        digest = _push_bundle(source, registry, tag, say)
        return Built(f"{repository_url}@{digest}", digest, tag, builder, True)
    try:
        digest = _push_docker(source, registry, where, f"{repository}:{tag}", say)
    except NoBase as error:
        if not instead:
            raise
        say(f"{error.what}: builds a {instead} instead")
        return replace(push(source, repository_url, ecr, instead, say), because=error.what)
    return Built(f"{repository_url}@{digest}", digest, tag, builder, True, bases=engine.bases_here(source))


def name(built: Built, tag: str, ecr: Any, say: Say) -> None:
    """Gives an image another name, a person's; raises ImageFailed where that is another image's already."""
    registry = Registry(access(ecr), built.uri.partition("/")[2].partition("@")[0])
    there = registry.digest_of(tag)
    if there and there != built.digest:
        raise ImageFailed(
            f"the tag {tag} is there already, for another image: {there}; this one is {built.digest}",
            "name another; tags are not moved, because what was released under one must stay what it was",
        )
    if not there:
        registry.push_manifest(tag, *registry.manifest_as_it_is(built.digest))
        say(f"named {tag}")


def _push_bundle(source: Source, registry: Registry, tag: str, say: Say) -> str:
    if source.rebuild:
        say("a bundle is what its files are: built anew it is the same")
    stage = source.stage()
    if PACKAGES not in stage.labels:
        say(f"a bundle does not RUN anything: tasks have the packages that LABEL {PACKAGES} names, so none")
    image = bundle.build(stage, source.context, source.platform, source.labels("bundle"), source.file)
    for digest, blob in image.blobs.items():
        sent = registry.push_blob(digest, blob)
        say(f"{'pushed' if sent else 'has'} {digest[7:19]} ({len(blob):,} bytes)")
    registry.push_manifest(tag, image.manifest)
    return image.digest


def _push_docker(source: Source, registry: Registry, where: Access, name: str, say: Say) -> str:
    reference, tag = f"{where.host}/{name}", name.rpartition(":")[2]
    user, _, password = base64.b64decode(where.token).decode().partition(":")
    with tempfile.TemporaryDirectory(prefix="chatbot-image-") as folder:
        layout = Path(folder) / "image.tar" if source.created() and engine.writes_layouts() else None
        engine.build(source, reference, say, layout)
        say("pushes")
        try:
            if layout:
                registry.push_layout(layout, tag)
            else:
                engine.push(reference, where.host, user, password)
        except ImageFailed:
            # Tags are immutable: another build of the same source may have been the first, and its image will do.
            if not registry.digest_of(tag):
                raise
            say(f"{tag} was pushed by another build meanwhile")
    digest = registry.digest_of(tag)
    if not digest:
        raise ImageFailed(f"the registry does not know {reference} after the push", "try again")
    return digest


def forget(repository_url: str, ecr: Any) -> None:
    """Removes this engine's copies of the repository's images."""
    engine.forget(f"{access(ecr).host}/{repository_url.partition('/')[2]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of CodeBuild: pushes the image of the current folder, writes ``imageDetail.json``."""
    parser = argparse.ArgumentParser(prog="python3 -m orchestrator.tools.image", description=__doc__.split("\n")[0])
    parser.add_argument("--repository-url", required=True, help="the repository as ECR names it")
    parser.add_argument("--builder", choices=("auto", "docker", "bundle", "codebuild"), default="auto")
    parser.add_argument("--context", type=Path, default=Path(), help="folder of the source (default: here)")
    parser.add_argument("--dockerfile", default="Dockerfile")
    parser.add_argument("--platform", default="linux/amd64")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--target", default="", help="the stage to build (default: the last)")
    parser.add_argument(
        "--rebuild", type=_rebuild, default="", metavar="TIME",
        help="build anew, even where there is an image of this source, under its tag and this time; 'no': as without",
    )  # fmt: skip
    parser.add_argument("--tag", default="", help="another name for the image; refused where it is another's already")
    parser.add_argument("--revision", default="", help="the commit that is built (default: what git says)")
    parser.add_argument("--created", type=_moment, default="", help="its author's date, ISO 8601 (default: git's)")
    parser.add_argument("--fingerprint", default="", help="of the source, where it was taken before it was sent")
    parser.add_argument("--output", type=Path, default=Path("imageDetail.json"))
    options = parser.parse_args(arguments)
    build_arguments = dict(pair.partition("=")[::2] for pair in options.build_arg)
    source = Source(
        options.context.resolve(),
        options.dockerfile,
        options.platform,
        build_arguments,
        options.target,
        options.rebuild,
        options.revision,
        options.created,
        options.fingerprint,
    )
    try:
        built = _push_from_here(source, options)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    options.output.write_text(json.dumps({"ImageURI": built.uri}), encoding="utf-8")
    print(f"{built.builder} {built.uri}")
    return 0


def _rebuild(text: str) -> str:
    """Part of a tag. A pipeline's variable is never empty (CodePipeline's PipelineVariableValue): ``no`` is nothing."""
    if text in ("", "no"):
        return ""
    try:
        datetime.strptime(text, REBUILD)
    except ValueError:
        like = f"{datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC):{REBUILD}}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like {like}: the newest build counts") from None
    return text


def _moment(text: str) -> str:
    """An ISO 8601 time as it was given; empty, with a word about it, for anything else: no release fails of a label."""
    try:
        known = bool(text) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if text and not known:
        print(f"the commit's time {text!r} is not ISO 8601 with an offset: the image gets none")
    return text if known else ""


def _push_from_here(source: Source, options: argparse.Namespace) -> Built:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint = os.environ.get("AWS_ENDPOINT_URL_ECR") or os.environ.get("AWS_ENDPOINT_URL", "")
    # Whoever chose CodeBuild is there now.
    wanted = "auto" if options.builder == "codebuild" else options.builder
    builder = choose(wanted, endpoint)
    if builder == "codebuild":
        raise MissingTool("no Docker engine answers in this build", "give the CodeBuild project privileged mode")
    instead = instead_of_docker(wanted, endpoint)
    try:
        ecr = boto3.client("ecr")
        built = push(source, options.repository_url, ecr, builder, lambda line: print(line), instead)
        if options.tag:
            name(built, options.tag, ecr, lambda line: print(line))
        return built
    except (BotoCoreError, ClientError) as error:
        raise ImageFailed(f"ECR refused: {error}", "check the role's permissions") from None


if __name__ == "__main__":
    sys.exit(main())
