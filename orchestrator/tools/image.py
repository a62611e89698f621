"""Builds the chatbot's image and pushes it to ECR, by a Docker engine or as a bundle; answers its digest.

CodeBuild runs it as it lies in the source, with the standard library and boto3 alone::

    python3 -m orchestrator.tools.image --repository-url "$REPOSITORY_URL" --output imageDetail.json

The tag is the builder and a hash of everything that the build reads, so the same source is built and pushed once.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import BadDocument, DeployError, ImageFailed, MissingTool
from orchestrator.tools import bundle, context, dockerfile, git, process
from orchestrator.tools.registry import Access, Registry, access

Say = Callable[[str], None]
NO_ENGINE = "start a Docker engine"


@dataclass(frozen=True)
class Source:
    """What an image is built from; ``commit`` and ``written``, its author's date, where git cannot be asked."""

    context: Path
    file_name: str = "Dockerfile"
    platform: str = "linux/amd64"
    arguments: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    written: str = ""
    known: str = ""  # the fingerprint, where somebody else has taken it

    @property
    def file(self) -> Path:
        return self.context / self.file_name

    def stages(self) -> list[dockerfile.Stage]:
        text = self._text().decode("utf-8", "replace")
        return dockerfile.parse(text, self.arguments, self.file_name)

    def _text(self) -> bytes:
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise BadDocument(f"{self.file} cannot be read: {error.strerror}", "set image.dockerfile") from None

    def inputs(self) -> list[str]:
        """The files and links of the context, by their paths in it."""
        self._text()
        with self._readable():
            found = context.entries(self.context, context.ignores(self.context, self.file))
            return [entry.path for entry in found if not entry.is_folder]

    def fingerprint(self, tracked: Sequence[str] = ()) -> str:
        """Of all that a builder may see: the Dockerfile, the context, arguments and platform (docs/image.md).

        ``tracked``: the names of which a build elsewhere is sent no more than these.
        """
        if self.known:
            return self.known
        more = [
            self.platform,
            sorted(self.arguments.items()),
            self.file_name,
            hashlib.sha256(self._text()).hexdigest(),
            sorted(tracked),
        ]
        with self._readable():
            return context.fingerprint(self.context, context.ignores(self.context, self.file), more)

    def tracked(self) -> list[str]:
        """What a build elsewhere is sent of the context: the files that git knows."""
        rules = context.ignores(self.context, self.file)
        return sorted(name for name in git.tracked(self.context) if context.holds(name, rules))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "make it readable, or leave it out by .dockerignore"
            raise BadDocument(f"{error.filename} cannot be read: {error.strerror}", remedy) from None

    def revision(self) -> str:
        """The commit that is built: what a pipeline knows too, whose zip has no history."""
        if self.commit:
            return self.commit
        rules = context.ignores(self.context, self.file)
        always = {self.file_name, *(file.name for file in context.ignore_files(self.context, self.file))}
        return git.revision_of(self.context, lambda path: path in always or context.holds(path, rules))

    def created(self) -> str:
        """When that commit was written, in UTC as RFC 3339 says, so that a build can be repeated; empty where nobody
        knows it. The author's date, because it is the only one that CodePipeline hands on for GitHub too."""
        written = self.written or git.author_date(self.context, self.revision())
        return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if written else ""

    def bases(self) -> list[str]:
        """The images that the stages start from."""
        return dockerfile.bases(self._text().decode("utf-8", "replace"), self.arguments)


@dataclass(frozen=True)
class Built:
    """A pushed image; ``because``: why it is not by the builder that was asked for."""

    uri: str
    digest: str
    tag: str
    builder: str
    pushed: bool
    because: str = ""


def engine_answers() -> bool:
    """Whether a Docker engine answers."""
    answer = process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=15)
    return answer.code == 0 and bool(answer.out.strip())


def choose(wanted: str, endpoint_url: str) -> str:
    """``docker``, ``bundle`` or ``codebuild``; refused when what is wanted cannot be had."""
    if wanted == "bundle" and not endpoint_url:
        raise MissingTool("a bundle image runs only on the emulator, not on AWS", f"{NO_ENGINE}, builder docker")
    if wanted in ("bundle", "codebuild"):
        return wanted
    if engine_answers():
        return "docker"
    if wanted == "docker":
        remedy = f'{NO_ENGINE}, or set image.builder = "{"bundle" if endpoint_url else "codebuild"}"'
        raise MissingTool("no Docker engine answers, and image.builder is docker", remedy)
    return "bundle" if endpoint_url else "codebuild"


def instead_of_docker(wanted: str, endpoint_url: str) -> str:
    """The builder to fall back to when the engine is there and the base image is not."""
    return "bundle" if wanted == "auto" and endpoint_url else ""


class NoBase(ImageFailed):
    """The image that the Dockerfile starts from is neither here nor to be had."""


def tag_of(source: Source, builder: str, tracked: Sequence[str] = ()) -> str:
    return f"{builder}-{source.fingerprint(tracked)[:16]}"


def push(source: Source, repository_url: str, ecr: Any, builder: str, say: Say, instead: str = "") -> Built:
    """Builds and pushes, unless the registry has an image of the same source already.

    ``instead``: the builder to fall back to when the base image cannot be had.
    """
    tag = tag_of(source, builder)
    registry_access = access(ecr)
    # ECR answers repository URLs in AWS's form; the registry itself is where the authorization says.
    repository = repository_url.partition("/")[2]
    registry = Registry(registry_access, repository)
    digest = registry.digest_of(tag)
    pushed = not digest
    if not pushed:
        say(f"{tag} is in the registry already")
    elif builder == "bundle":
        digest = _push_bundle(source, registry, tag, labels(source, builder), say)
    else:
        try:
            digest = _push_docker(source, registry, registry_access, f"{repository}:{tag}", say)
        except NoBase as error:
            if not instead:
                raise
            say(f"{error.what}: builds a {instead} instead")
            return replace(push(source, repository_url, ecr, instead, say), because=error.what)
    return Built(f"{repository_url}@{digest}", digest, tag, builder, pushed)


def labels(source: Source, builder: str) -> dict[str, str]:
    """What both builders write on the image."""
    found = {"dev.chatbot.builder": builder, "org.opencontainers.image.revision": source.revision()}
    return found | ({"org.opencontainers.image.created": created} if (created := source.created()) else {})


def _push_bundle(source: Source, registry: Registry, tag: str, labels: dict[str, str], say: Say) -> str:
    image = bundle.build(source.stages()[-1], source.context, source.platform, labels, source.file)
    for digest, blob in image.blobs.items():
        sent = registry.push_blob(digest, blob)
        say(f"{'pushed' if sent else 'has'} {digest[7:19]} ({len(blob):,} bytes)")
    registry.push_manifest(tag, image.manifest)
    return image.digest


def _push_docker(source: Source, registry: Registry, where: Access, name: str, say: Say) -> str:
    reference = f"{where.host}/{name}"
    build_with_docker(source, reference, say)
    user, _, password = base64.b64decode(where.token).decode().partition(":")
    _docker(["docker", "login", "--username", user, "--password-stdin", where.host], stdin=password)
    say("pushes")
    _docker(["docker", "push", "--quiet", reference], timeout=3600)
    digest = registry.digest_of(name.rpartition(":")[2])
    if not digest:
        raise ImageFailed(f"the registry does not know {reference} after the push", "try again")
    return digest


def build_with_docker(source: Source, reference: str, say: Say) -> None:
    """Builds ``reference`` on the engine; raises NoBase when what it starts from is not to be had."""
    for base in source.bases():
        if process.run(["docker", "image", "inspect", base]).code:
            say(f"pulls {base.partition('@')[0]}")
            pulled = process.run(["docker", "pull", "--quiet", "--platform", source.platform, base], timeout=900)
            if pulled.code:
                why = (pulled.err or pulled.out).strip().splitlines()[-1:] or ["no answer"]
                remedy = "check the network, or name another base: image.build_args = { BASE_IMAGE = … }"
                raise NoBase(f"the base image {base.partition('@')[0]} cannot be pulled ({why[0][:200]})", remedy)
    command = ["docker", "build", "--file", str(source.file), "--platform", source.platform, "--tag", reference]
    for flag, pairs in (("--label", labels(source, "docker")), ("--build-arg", source.arguments)):
        for key, value in pairs.items():
            command += [flag, f"{key}={value}"]
    say("builds with Docker")
    _docker([*command, str(source.context)], timeout=3600, env=os.environ | _buildkit(source.created()))


def _buildkit(created: str) -> dict[str, str]:
    """What makes BuildKit's image the same each time, and one manifest; the classic builder reads none of it.

    Its attestations would make an index of every image, and engines push one under a single tag piece by piece, which a
    repository of immutable tags refuses (docs/image.md).
    """
    epoch = {"SOURCE_DATE_EPOCH": str(int(datetime.fromisoformat(created).timestamp()))} if created else {}
    return {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", **epoch}


def forget(repository_url: str, ecr: Any) -> None:
    """Removes this engine's copies of the repository's images, and the stage that they took their packages from."""
    name = f"{access(ecr).host}/{repository_url.partition('/')[2]}"
    listed = process.run(["docker", "image", "ls", "--no-trunc", "--quiet", name])
    if identifiers := sorted(set(listed.out.split())):
        process.run(["docker", "image", "rm", "--force", *identifiers])
    process.run(["docker", "image", "prune", "--force", "--filter", "label=dev.chatbot.stage=packages"])


def _docker(
    command: list[str], *, stdin: str | None = None, timeout: float = 120, env: Mapping[str, str] | None = None
) -> None:
    done = process.run(command, stdin=stdin, timeout=timeout, env=env)
    if done.code:
        last = "\n  ".join((done.err or done.out).strip().splitlines()[-12:])
        raise ImageFailed(f"{' '.join(command[:2])} failed:\n  {last}", "mend the cause, then run the same command")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of CodeBuild: pushes the image of the current folder, writes ``imageDetail.json``."""
    parser = argparse.ArgumentParser(prog="python3 -m orchestrator.tools.image", description=__doc__.split("\n")[0])
    parser.add_argument("--repository-url", required=True, help="the repository as ECR names it")
    parser.add_argument("--builder", choices=("auto", "docker", "bundle", "codebuild"), default="auto")
    parser.add_argument("--context", type=Path, default=Path(), help="folder of the source (default: here)")
    parser.add_argument("--dockerfile", default="Dockerfile")
    parser.add_argument("--platform", default="linux/amd64")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
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
        return push(source, options.repository_url, boto3.client("ecr"), builder, lambda line: print(line), instead)
    except (BotoCoreError, ClientError) as error:
        raise ImageFailed(f"ECR refused: {error}", "check the role's permissions") from None


if __name__ == "__main__":
    sys.exit(main())
