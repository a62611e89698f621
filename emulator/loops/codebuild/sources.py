"""DOWNLOAD_SOURCE: the files of a build and its buildspec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.codebuild import references
from emulator.control.codebuild.tables import Build, Json
from emulator.control.codecommit.house import pull_refusal, repositories
from emulator.control.connections import use
from emulator.control.connections.stand_ins import stand_ins
from emulator.data.builds.artifacts import unzip
from emulator.data.builds.buildspec import Buildspec, BuildspecError, parse
from emulator.data.repositories import CodeCommitError
from emulator.state.clients import Credentials
from emulator.state.store import Store


class SourceError(Exception):
    """CodeBuild's CLIENT_ERROR in DOWNLOAD_SOURCE."""


def download(store: Store, build: Build, s3: Any, credentials: Credentials, folder: Path) -> dict[str, Path]:
    """Every source in a folder of its own, by identifier; "" is the primary one."""
    places = {"": folder / "src"}
    places[""].mkdir(parents=True)
    if build.handoff:
        for name, (bucket, key) in build.handoff.sources.items():
            identifier = "" if name == build.handoff.primary else name
            places[identifier] = folder / "src" if not identifier else folder / f"src-{name}"
            _handed(store, s3, credentials, (bucket, key), places[identifier])
        build.resolved = build.handoff.revision
        return places
    build.resolved = _fetch(store, build.project["source"], build.source_version, s3, places[""])
    versions = {each["sourceIdentifier"]: each["sourceVersion"] for each in build.project["secondarySourceVersions"]}
    for source in build.project["secondarySources"]:
        identifier = source["sourceIdentifier"]
        places[identifier] = folder / f"src-{identifier}"
        places[identifier].mkdir()
        _fetch(store, source, versions.get(identifier), s3, places[identifier])
    return places


def _handed(store: Store, s3: Any, credentials: Credentials, place: tuple[str, str], target: Path) -> None:
    """An artifact of the pipeline: files, or where to clone from."""
    bucket, key = place
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise SourceError(f"s3://{bucket}/{key}: {error}") from error
    reference = references.read(body)
    if reference is None:
        target.mkdir(parents=True, exist_ok=True)
        return unzip(body, target)
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/troubleshooting.html#codebuild-role-connections
    if reference.connection:
        refused = use.refusal(store, credentials, reference.connection)
        git = stand_ins(store).git(reference.repository)
    else:
        refused = pull_refusal(store, credentials, reference.repository)
        git = repositories(store).git(reference.repository)
    if refused:
        raise SourceError(f"authorization failed for primary source and source version {reference.commit}")
    git.clone(reference.commit, target)
    return None


def _fetch(store: Store, source: Json, version: str | None, s3: Any, target: Path) -> str | None:
    """The version that was fetched."""
    kind = source["type"]
    if kind == "NO_SOURCE":
        return None
    if kind == "S3":
        bucket, _, key = source["location"].removeprefix("arn:aws:s3:::").partition("/")
        _unzip(s3, bucket, key, target, version)
        return version
    if kind == "CODECOMMIT":
        name = source["location"].rstrip("/").rpartition("/")[2].removesuffix(".git")
        try:
            commit = repositories(store).resolve(name, (version or "HEAD").removeprefix("refs/heads/"))
            unzip(repositories(store).archive(name, commit), target)
        except CodeCommitError as error:
            raise SourceError(f"repository {name}: {error}") from error
        return commit
    raise SourceError(f"the emulator has no sources of the type {kind}")


def _unzip(s3: Any, bucket: str, key: str, target: Path, version: str | None = None) -> None:
    target.mkdir(parents=True, exist_ok=True)
    wanted = {"VersionId": version} if version else {}
    try:
        if key.endswith("/"):
            return _folder(s3, bucket, key, target)
        unzip(s3.get_object(Bucket=bucket, Key=key, **wanted)["Body"].read(), target)
    except ClientError as error:
        raise SourceError(f"s3://{bucket}/{key}: {error}") from error
    return None


def _folder(s3: Any, bucket: str, prefix: str, target: Path) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", []):
            path = target / each["Key"].removeprefix(prefix)
            if path.resolve().is_relative_to(target.resolve()) and not each["Key"].endswith("/"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())


def buildspec(build: Build, s3: Any, source: Path) -> Buildspec:
    """The project's own text, a file of the source, or an object of S3; raises BuildspecError."""
    given = build.project["source"].get("buildspec") or "buildspec.yml"
    if "\n" in given or given.lstrip().startswith(("{", "version:")):
        return parse(given)
    if given.startswith("arn:aws:s3:::"):
        bucket, _, key = given.removeprefix("arn:aws:s3:::").partition("/")
        try:
            return parse(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except ClientError as error:
            raise BuildspecError(f"{given}: {error}") from error
    path = source / given
    if not path.is_file():
        raise BuildspecError(f"YAML file does not exist: {given}")
    return parse(path.read_text())
