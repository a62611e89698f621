"""Image manifests and indexes, OCI's and Docker's: what one names, and which one a client can read."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from typing import Any

from emulator.data.registry.errors import ManifestInvalid, RegistryError, TooLarge, UnsupportedMediaType
from emulator.data.registry.names import checked_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
LIMIT = 4 << 20  # the size that the specification asks a registry to take, and ECR's own limit

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was pushed: `content` is what `digest` is the digest of."""

    digest: str
    media_type: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.content)
        return document

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def layers(self) -> list[dict[str, Any]]:
        return list(self.document.get("layers", []))

    def blobs(self) -> list[dict[str, Any]]:
        """Descriptors of the blobs that must be there; layers that live elsewhere (`urls`) need not."""
        document = self.document
        config = [document["config"]] if "config" in document else []
        return config + [layer for layer in self.layers if not layer.get("urls")]

    def children(self) -> list[dict[str, Any]]:
        return list(self.document.get("manifests", []))

    @property
    def subject(self) -> str | None:
        subject = self.document.get("subject")
        return str(subject["digest"]) if subject else None

    @property
    def artifact_type(self) -> str | None:
        document = self.document
        kind: str | None = document.get("artifactType") or document.get("config", {}).get("mediaType")
        return kind


def parse(digest: str, media_type: str, content: bytes) -> Manifest:
    """A checked manifest, or the reason why it is none."""
    if len(content) > LIMIT:
        raise TooLarge(f"manifest is larger than {LIMIT} bytes")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ManifestInvalid(f"manifest is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise ManifestInvalid("manifest invalid: schemaVersion must be 2")
    media_type = media_type.partition(";")[0].strip() or str(document.get("mediaType", ""))
    if document.get("mediaType", media_type) != media_type:
        raise ManifestInvalid(f"manifest's mediaType '{document['mediaType']}' is not its Content-Type '{media_type}'")
    if media_type not in MANIFESTS + INDEXES:
        raise UnsupportedMediaType(f"manifest media type '{media_type}' is not supported")
    _check_shape(document, media_type)
    return Manifest(digest, media_type, content)


def _check_shape(document: dict[str, Any], media_type: str) -> None:
    lists = "manifests" if media_type in INDEXES else "layers"
    descriptors = document.get(lists)
    if not isinstance(descriptors, list):
        raise ManifestInvalid(f"manifest invalid: '{lists}' is missing or no list")
    singles = [document.get("subject")] if document.get("subject") is not None else []
    if media_type in MANIFESTS:
        singles.append(document.get("config"))
    for descriptor in [*singles, *descriptors]:
        if not isinstance(descriptor, dict) or not isinstance(descriptor.get("size"), int):
            raise ManifestInvalid("manifest invalid: a descriptor has no size")
        try:
            checked_digest(str(descriptor.get("digest")))
        except RegistryError as error:
            raise ManifestInvalid(f"manifest invalid: {error.message}") from None


def accepts(accept: str, media_type: str) -> bool:
    """Whether an `Accept` header takes the media type; none takes everything (RFC 9110, 12.5.1)."""
    ranges = [part.strip() for part in accept.split(",") if part.strip()]
    for entry in ranges:
        name, *parameters = [field.strip() for field in entry.split(";")]
        if name in (media_type, "*/*", "application/*") and "q=0" not in parameters:
            return True
    return not ranges


def child_for(index: Manifest, architecture: str | None = None) -> str | None:
    """The digest of an index's Linux image of an architecture (this machine's when not given)."""
    machine = platform.machine()
    architecture = architecture or _ARCHITECTURES.get(machine, machine)
    for child in index.children():
        wanted = child.get("platform") or {}
        if wanted.get("os") == "linux" and wanted.get("architecture") == architecture:
            return str(child["digest"])
    # An index made of one image without a platform is that image.
    plain = [child for child in index.children() if not child.get("platform")]
    return str(plain[0]["digest"]) if len(plain) == 1 else None
