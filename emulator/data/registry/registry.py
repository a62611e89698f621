"""The registry: repositories of images over shared blobs, for the WSGI endpoints and for the emulator itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.data.registry import names
from emulator.data.registry.blobs import Blobs, Upload
from emulator.data.registry.errors import (
    BlobUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameUnknown,
    TagImmutable,
    Unsupported,
)
from emulator.data.registry.manifests import Manifest, child_for, parse
from emulator.data.registry.repositories import Contents, Image, RepositoryFiles
from emulator.data.registry.unpack import unpack_layers

Authorize = Callable[[str, str, str], None]
OnPush = Callable[[str, str, str, str, bytes], None]

_ABANDONED = 3600.0  # seconds after which a blob that no manifest names is nobody's push in progress


@dataclass(frozen=True)
class Deletion:
    """What became of one digest or tag that was to be deleted; `failure` is ECR's failureCode, and None is success."""

    digest: str | None
    tag: str | None
    failure: str | None = None
    reason: str = ""


class Registry:
    """An OCI distribution registry in a folder; `Endpoints` serves it under `/v2/`.

    The callables decide what the registry itself cannot know, and are never called while it holds a lock:
    `authorize(authorization header, repository, action)` raises `Unauthorized` or `Denied`; actions are `login`,
    `catalog` (both with no repository), `pull`, `push` and `delete`. `on_push(repository, reference, digest, media
    type, manifest)` and `on_delete(repository, digest, tag or None)` run when the change is on the disk.
    """

    def __init__(
        self,
        folder: Path,
        authorize: Authorize,
        on_push: OnPush | None,
        repository_exists: Callable[[str], bool],
        *,
        immutable: Callable[[str], bool] = lambda repository: False,
        on_delete: Callable[[str, str, str | None], None] | None = None,
        account: str = "000000000000",
    ) -> None:
        self.blobs = Blobs(folder)
        self.authorize = authorize
        self._files = RepositoryFiles(folder, self.blobs)
        self._on_push = on_push
        self._on_delete = on_delete
        self._exists = repository_exists
        self._immutable = immutable
        self._account = account
        self._lock = threading.RLock()
        self.collect()

    # Reading

    def check_repository(self, repository: str) -> None:
        if not self._exists(names.checked_repository(repository)):
            raise NameUnknown(f"The repository with {self._named(repository)} does not exist")

    def repositories(self) -> list[str]:
        """Names of the repositories that exist and have been pushed to."""
        return [name for name in self._files.names() if self._exists(name)]

    def manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest of a tag or digest; ManifestUnknown when there is none."""
        contents = self._files.contents(repository)
        digest = reference if names.is_digest(reference) else contents.tags.get(reference, "")
        image = contents.images.get(digest)
        if image is None:
            raise ManifestUnknown("Requested image not found", {"reference": reference})
        return Manifest(digest, image.media_type, self.blobs.path(digest).read_bytes())

    def tags(self, repository: str) -> dict[str, str]:
        return dict(sorted(self._files.contents(repository).tags.items()))

    def images(self, repository: str) -> list[Image]:
        return self._files.contents(repository).listing()

    def referrers(self, repository: str, digest: str) -> list[Image]:
        """Images whose `subject` is the digest, which itself need not exist."""
        return [image for image in self.images(repository) if image.subject == digest]

    def blob_path(self, digest: str) -> Path:
        path = self.blobs.path(digest)
        if not path.exists():
            raise BlobUnknown("blob unknown to registry", {"digest": digest})
        return path

    def repository_blob(self, repository: str, digest: str) -> Path:
        if not self._files.has_blob(repository, digest):
            raise BlobUnknown("blob unknown to registry", {"digest": digest})
        return self.blobs.path(digest)

    def image_manifest(self, repository: str, reference: str, architecture: str | None = None) -> Manifest:
        """As `manifest`, and through an index to the image for Linux on an architecture (`amd64`; this machine's)."""
        manifest = self.manifest(repository, reference)
        while manifest.is_index:
            child = child_for(manifest, architecture)
            if child is None:
                raise ManifestUnknown(f"no image for linux/{architecture or 'this machine'} in {manifest.digest}")
            manifest = self.manifest(repository, child)
        return manifest

    def image_config(self, repository: str, reference: str) -> dict[str, Any]:
        """The image's configuration document (`architecture`, `config`, `rootfs`, …)."""
        manifest = self.image_manifest(repository, reference)
        config: dict[str, Any] = json.loads(self.blob_path(manifest.document["config"]["digest"]).read_bytes())
        return config

    def unpack(self, repository: str, reference: str, folder: Path) -> Path:
        """The image's file tree, below `folder` in a folder named after its layers; unpacked once and then reused."""
        layers = self.image_manifest(repository, reference).layers
        return unpack_layers([(self.blob_path(layer["digest"]), layer["digest"]) for layer in layers], folder)

    # Writing

    def commit(self, upload: Upload, digest: str) -> None:
        """Ends an upload: its bytes become a blob of its repository."""
        self.blobs.commit(upload, digest)
        with self._lock:
            self._files.link(upload.repository, digest)

    def mount(self, repository: str, source: str, digest: str) -> bool:
        """Lends a blob of one repository to another; False when the source does not have it."""
        if not self._files.has_blob(source, digest):
            return False
        with self._lock:
            self._files.link(repository, digest)
        return True

    def delete_blob(self, repository: str, digest: str) -> None:
        self.repository_blob(repository, digest)
        with self._lock:
            if any(digest in image.blobs for image in self._files.contents(repository).images.values()):
                raise Unsupported("a manifest of the repository names this blob", {"digest": digest})
            self._files.unlink(repository, digest)

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> Manifest:
        """Pushes a manifest under a tag or its digest, when all that it names has been pushed before."""
        self.check_repository(repository)
        algorithm = names.checked_digest(reference).partition(":")[0] if names.is_digest(reference) else "sha256"
        manifest = parse(names.digest_of(content, algorithm), media_type, content)
        immutable = self._immutable(repository)
        with self._lock:
            contents = self._files.contents(repository)
            self._check_parts(repository, manifest, contents)
            self._name(repository, reference, manifest, contents, immutable)
            self.blobs.put(manifest.digest, content)
            if manifest.digest not in contents.images:
                contents.images[manifest.digest] = Image.of(manifest)
            self._files.save(repository, contents)
        if self._on_push:
            self._on_push(repository, reference, manifest.digest, manifest.media_type, content)
        return manifest

    def untag(self, repository: str, tag: str) -> None:
        """Removes a tag and keeps its image (the specification's DELETE of a tag)."""
        with self._lock:
            contents = self._files.contents(repository)
            digest = contents.tags.pop(tag, None)
            if digest is None:
                raise ManifestUnknown("Requested image not found", {"reference": tag})
            self._files.save(repository, contents)
        self._deleted([Deletion(digest, tag)], repository)

    def delete(self, repository: str, digests: Iterable[str] = (), tags: Iterable[str] = ()) -> list[Deletion]:
        """ECR's BatchDeleteImage: a digest goes with all its tags, an image with its last tag. One answer for each
        tag and image deleted, or reason why not."""
        with self._lock:
            contents = self._files.contents(repository)
            results = [result for digest in digests for result in _delete_digest(contents, digest)]
            results += [result for tag in tags for result in _delete_tag(contents, tag)]
            self._files.save(repository, contents)
        self._deleted(results, repository)
        return results

    def delete_repository(self, repository: str) -> None:
        """Removes everything of a repository, so that a new one of that name starts empty."""
        with self._lock:
            self._files.delete(repository)
            self.collect()

    def collect(self) -> int:
        """Removes what no image names and no push in progress can want; answers how many blobs went."""
        before = time.time() - _ABANDONED
        self.blobs.forget(before)
        with self._lock:
            images = [image for name in self._files.names() for image in self._files.contents(name).images.values()]
            named = {digest for image in images for digest in (image.digest, *image.blobs)}
            for digest, link in list(self._files.links()):
                if digest in named or link.stat().st_mtime > before:
                    named.add(digest)
                else:
                    link.unlink()
            unused = [path for digest, path in self.blobs if digest not in named and path.stat().st_mtime < before]
            for path in unused:
                path.unlink()
        return len(unused)

    def _check_parts(self, repository: str, manifest: Manifest, contents: Contents) -> None:
        digests = [blob["digest"] for blob in manifest.blobs()]
        self._require(
            "Layers", repository, [digest for digest in digests if not self._files.has_blob(repository, digest)]
        )
        for blob in manifest.blobs():
            if self.blobs.path(blob["digest"]).stat().st_size != blob["size"]:
                raise ManifestInvalid(f"manifest invalid: {blob['digest']} is not {blob['size']} bytes")
        children = [child["digest"] for child in manifest.children()]
        self._require("Images", repository, [digest for digest in children if digest not in contents.images])

    def _require(self, what: str, repository: str, missing: list[str]) -> None:
        if missing:
            raise ManifestBlobUnknown(
                f"{what} with digests '[{', '.join(missing)}]' required for pushing image into repository with "
                f"{self._named(repository)} do not exist",
                {"digest": missing[0]},
            )

    @staticmethod
    def _name(repository: str, reference: str, manifest: Manifest, contents: Contents, immutable: bool) -> None:
        if names.is_digest(reference):
            if reference != manifest.digest:
                raise DigestInvalid("provided digest did not match uploaded content", {"digest": reference})
            return
        existing = contents.tags.get(names.checked_tag(reference))
        if immutable and existing not in (None, manifest.digest):
            raise TagImmutable(
                f"The image tag '{reference}' already exists in the '{repository}' repository and cannot be "
                "overwritten because the repository is immutable."
            )
        contents.tags[reference] = manifest.digest

    def _named(self, repository: str) -> str:
        return f"name '{repository}' in the registry with id '{self._account}'"

    def _deleted(self, results: list[Deletion], repository: str) -> None:
        for result in results:
            if self._on_delete and result.failure is None and result.digest is not None:
                self._on_delete(repository, result.digest, result.tag)


def _delete_digest(contents: Contents, digest: str) -> list[Deletion]:
    if digest not in contents.images:
        return [Deletion(digest, None, "ImageNotFound", "Requested image not found")]
    if parents := [image.digest for image in contents.images.values() if digest in image.children]:
        reason = f"Requested image referenced by manifest list: [{', '.join(parents)}]"
        return [Deletion(digest, None, "ImageReferencedByManifestList", reason)]
    tags = [tag for tag, tagged in contents.tags.items() if tagged == digest]
    for tag in tags:
        del contents.tags[tag]
    del contents.images[digest]
    return [Deletion(digest, tag) for tag in tags] or [Deletion(digest, None)]


def _delete_tag(contents: Contents, tag: str) -> list[Deletion]:
    digest = contents.tags.get(tag)
    if digest is None:
        return [Deletion(None, tag, "ImageNotFound", "Requested image not found")]
    if list(contents.tags.values()).count(digest) == 1:
        return [Deletion(digest, tag) if not result.failure else result for result in _delete_digest(contents, digest)]
    del contents.tags[tag]
    return [Deletion(digest, tag)]
