"""Builds the image in AWS CodeBuild, where this machine has no Docker: sends the source, follows the log.

The project is the stack ecr's (terraform/modules/image_build), because an image is needed before there is a pipeline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadDocument, ImageFailed
from orchestrator.tools import archive, image
from orchestrator.tools.aws import Aws, code, explained
from orchestrator.tools.cancel import Cancel, Say
from orchestrator.tools.image_source import Source

# CodeBuild refuses a curated image of another architecture than the machine's: aws/aws-cdk#35368.
CURATED_IMAGES = {
    "linux/amd64": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
    "linux/arm64": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
}


@dataclass(frozen=True)
class Place:
    """Where a build runs: the CodeBuild project, the folder of a bucket that its source goes through, the machine."""

    project: str
    bucket: str
    folder: str
    build_image: str
    compute_type: str


def build(
    aws: Aws, place: Place, root: Path, source: Source, repository_url: str, say: Say, cancel: Cancel
) -> image.Built:
    """Builds what git tracks in ``root``, unless the registry has an image of the same source already."""
    source = source.taken().sent(source.tracked())
    found = _pushed(aws, source, repository_url)
    if found:
        say(f"{found.tag} is in the registry already")
        return found
    location = _send(aws, place, root, say)
    client = aws.client("codebuild")
    request = _request(place, root, source, location, repository_url)
    with explained("codebuild:StartBuild"):
        running = _running(client, place, request)
        started = running or client.start_build(**request)["build"]
    say(f"{'follows' if running else 'started'} build {started['id']}")
    _follow(aws, started["id"], say, cancel)
    found = _pushed(aws, source, repository_url, pushed=True)
    if not found:
        raise ImageFailed(f"build {started['id']} ended well, but its image is not in the registry", "try again")
    return found


def _pushed(aws: Aws, source: Source, repository_url: str, *, pushed: bool = False) -> image.Built | None:
    """The build machine's engine decides which builder it is; on AWS it is always Docker."""
    repository = repository_url.partition("/")[2]
    with explained("ecr:ListImages"):
        tag, digest, builder = image.find(aws.client("ecr"), repository, source, ["docker", "bundle"])
    return image.Built(f"{repository_url}@{digest}", digest, tag, builder, pushed) if digest else None


def _send(aws: Aws, place: Place, root: Path, say: Say) -> str:
    """Uploads the source, named by its content; where it is."""
    from botocore.exceptions import ClientError

    content = archive.source(root)
    key, s3 = f"{place.folder}/{hashlib.sha256(content).hexdigest()}.zip", aws.client("s3")
    with explained(f"s3:PutObject {key}"):
        try:
            s3.head_object(Bucket=place.bucket, Key=key)
        except ClientError as error:
            if code(error) not in ("404", "NoSuchKey"):
                raise
            say(f"sends the source ({len(content):,} bytes)")
            s3.put_object(Bucket=place.bucket, Key=key, Body=content)
    return f"{place.bucket}/{key}"


def _running(client: Any, place: Place, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same build, which an earlier run, killed since, has started."""
    identifiers = client.list_builds_for_project(projectName=place.project, sortOrder="DESCENDING")["ids"][:10]
    builds = client.batch_get_builds(ids=identifiers)["builds"] if identifiers else []
    wanted = _named(request["environmentVariablesOverride"])
    for build in builds:
        has = _named(build.get("environment", {}).get("environmentVariables", []))
        if not build["buildComplete"] and all(has.get(name) == value for name, value in wanted.items()):
            return dict(build)
    return None


def _named(variables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in variables}


def _request(
    place: Place, root: Path, source: Source, location: str, repository_url: str
) -> dict[str, Any]:  # fmt: skip
    if not source.context.is_relative_to(root.resolve()):
        raise BadDocument(f"{source.context} lies outside {root}, which is what a build elsewhere gets", "move it in")
    variables = {
        "REPOSITORY_URL": repository_url,
        "IMAGE_CONTEXT": source.context.relative_to(root.resolve()).as_posix(),
        "IMAGE_DOCKERFILE": source.file_name,
        "IMAGE_PLATFORM": source.platform,
        "IMAGE_BUILD_ARGS": " ".join(f"--build-arg {name}={value}" for name, value in source.arguments.items()),
        "IMAGE_TARGET": source.target,
        "IMAGE_REBUILD": source.rebuild,
        "IMAGE_REVISION": source.revision(),
        "IMAGE_CREATED": source.created(),
        # Taken here: what unpacks a zip gives its files other modes, and leaves no empty folder.
        "IMAGE_FINGERPRINT": source.fingerprint(),
    }
    return {
        "projectName": place.project,
        "sourceTypeOverride": "S3",
        "sourceLocationOverride": location,
        "environmentTypeOverride": "ARM_CONTAINER" if source.platform == "linux/arm64" else "LINUX_CONTAINER",
        "imageOverride": place.build_image or CURATED_IMAGES[source.platform],
        "computeTypeOverride": place.compute_type,
        "environmentVariablesOverride": [{"name": name, "value": value} for name, value in variables.items()],
    }


def _follow(aws: Aws, identifier: str, say: Say, cancel: Cancel, pause: float = 2.0) -> None:
    """Says every line of the build's log as it comes; raises ImageFailed when the build does not succeed."""
    client, log = aws.client("codebuild"), _Log(aws)
    while True:
        with explained("codebuild:BatchGetBuilds"):
            found = client.batch_get_builds(ids=[identifier])["builds"][0]
        for line in log.more(found.get("logs", {})):
            say(line)
        if found["buildComplete"]:
            break
        cancel.wait(pause, f"build {identifier} goes on by itself; the same command follows it")
    if found["buildStatus"] != "SUCCEEDED":
        failed = [phase for phase in found["phases"] if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"]
        why = [context.get("message", "") for phase in failed for context in phase.get("contexts", [])]
        where = f" in {failed[0]['phaseType']}" if failed else ""
        last = "\n  ".join(log.last)
        raise ImageFailed(
            f"build {identifier} ended {found['buildStatus']}{where}: {'; '.join(filter(None, why))}\n  {last}",
            f"mend the cause, then run the same command; all that it said: {aws.config.command('logs --build')}",
        )


def newest(aws: Aws, projects: Iterable[str]) -> dict[str, Any] | None:
    """The build of these projects that began last; None before the first."""
    client, found = aws.client("codebuild"), []
    with explained("codebuild:ListBuildsForProject"):
        for project in projects:
            found += client.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:1]
        builds = client.batch_get_builds(ids=found)["builds"] if found else []
    return max(builds, key=lambda build: build["startTime"], default=None)


def log_of(aws: Aws, build: dict[str, Any]) -> list[str]:
    """Every line that a build has written so far; none before it has a log."""
    return _Log(aws).more(build.get("logs", {}))


class _Log:
    """A build's log stream, read on from where it was left."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._token = ""
        self.last: list[str] = []

    def more(self, logs: dict[str, Any]) -> list[str]:
        from botocore.exceptions import ClientError

        if not logs.get("streamName"):
            return []
        lines: list[str] = []
        with explained("logs:GetLogEvents"):
            while True:
                token = {"nextToken": self._token} if self._token else {}
                try:
                    page = self._aws.client("logs").get_log_events(
                        logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True, **token
                    )
                except ClientError as error:
                    if code(error) == "ResourceNotFoundException":  # named before its first line is written
                        break
                    raise
                lines += [event["message"].rstrip() for event in page["events"]]
                if page["nextForwardToken"] == self._token:
                    break
                self._token = page["nextForwardToken"]
        self.last = (self.last + lines)[-12:]
        return lines
