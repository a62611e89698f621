"""UPLOAD_ARTIFACTS: what a build leaves, in S3."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from emulator.control.codebuild.tables import Build, Json
from emulator.data.builds.artifacts import ArtifactError, chosen, zipped
from emulator.data.builds.buildspec import Artifact, Buildspec
from emulator.data.builds.shell import Shell


def upload(build: Build, spec: Buildspec, shell: Shell, s3: Any, source: Path) -> None:
    """Raises ArtifactError where there is nothing to upload, ClientError where S3 refuses."""
    if build.handoff:
        return _hand_over(build, spec, s3, source)
    wanted = [("", build.project["artifacts"], spec.artifact)]
    for configured in build.project["secondaryArtifacts"]:
        identifier = configured["artifactIdentifier"]
        wanted.append((identifier, configured, spec.secondary.get(identifier)))
    for identifier, configured, artifact in wanted:
        if configured["type"] == "S3":
            _put(build, identifier, configured, _declared(identifier, artifact), shell, s3, source)
    return None


def _declared(identifier: str, artifact: Artifact | None) -> Artifact:
    if artifact is None:
        raise ArtifactError(
            f"no definition for artifact {identifier}" if identifier else "no artifacts in the buildspec"
        )
    return artifact


def _hand_over(build: Build, spec: Buildspec, s3: Any, source: Path) -> None:
    """CodePipeline's output artifacts: by their names in secondary-artifacts; the only one may be the primary."""
    assert build.handoff is not None
    for name, (bucket, key) in build.handoff.outputs.items():
        artifact = spec.secondary.get(name) or (spec.artifact if len(build.handoff.outputs) == 1 else None)
        body = zipped(chosen(source, _declared(name, artifact)))
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/zip")
        identifier = name if name in spec.secondary else ""
        build.artifacts[identifier] = _location(f"arn:aws:s3:::{bucket}/{key}", body, identifier)


def _put(
    build: Build, identifier: str, configured: Json, artifact: Artifact, shell: Shell, s3: Any, source: Path
) -> None:  # fmt: skip
    files = chosen(source, artifact)
    name = configured.get("name") or ""
    if configured.get("overrideArtifactName") and artifact.name:
        name = shell.value(f'"{artifact.name}"')
    path = (configured.get("path") or "").strip("/")
    build_id = build.id.rpartition(":")[2] if configured.get("namespaceType") == "BUILD_ID" else ""
    prefix = "/".join(part for part in (path, build_id, name.strip("/")) if part)
    bucket = configured["location"]
    if configured.get("packaging") == "ZIP":
        body = zipped(files)
        s3.put_object(Bucket=bucket, Key=prefix, Body=body)
        build.artifacts[identifier] = _location(f"arn:aws:s3:::{bucket}/{prefix}", body, identifier)
        return
    for each, found in files.items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{each}".lstrip("/"), Body=found.read_bytes())
    build.artifacts[identifier] = _location(f"arn:aws:s3:::{bucket}/{prefix}", None, identifier)


def _location(arn: str, body: bytes | None, identifier: str) -> Json:
    found: Json = {"location": arn}
    if body is not None:
        found.update(sha256sum=hashlib.sha256(body).hexdigest(), md5sum=hashlib.md5(body).hexdigest())
    return {**found, "artifactIdentifier": identifier} if identifier else found
