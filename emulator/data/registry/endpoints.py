"""The endpoints of the OCI distribution specification 1.1, over a Registry."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from emulator.data.registry import names
from emulator.data.registry.blobs import Upload
from emulator.data.registry.errors import (
    Denied,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    RangeInvalid,
    RegistryError,
    SizeInvalid,
    Unauthorized,
    Unsupported,
)
from emulator.data.registry.http import (
    Headers,
    Request,
    Response,
    StartResponse,
    chunk_start,
    file_response,
    json_response,
)
from emulator.data.registry.manifests import LIMIT, MANIFESTS, OCI_INDEX, Manifest, accepts, child_for
from emulator.data.registry.registry import Registry

_log = logging.getLogger(__name__)

Endpoint = Callable[["Endpoints", Request, str, str], Response]


class Endpoints:
    """The WSGI application: finds the endpoint, asks who may, and turns errors into answers."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._respond(request)
        except RegistryError as error:
            response = _refusal(error, request)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = _refusal(RegistryError("internal error"), request)
        request.drain()
        return response.send(start_response, with_body=request.method != "HEAD")

    def _respond(self, request: Request) -> Response:
        if request.path in ("/v2", "/v2/"):
            self._registry.authorize(request.authorization, "", "login")
            return json_response(200, {})
        if request.path == "/v2/_catalog":
            self._registry.authorize(request.authorization, "", "catalog")
            return _page(request, "repositories", self._registry.repositories(), {})
        for pattern, methods in _ROUTES:
            if found := pattern.fullmatch(request.path):
                if request.method not in methods:
                    raise Unsupported(f"{request.method} is not supported here", {"allow": sorted(methods)})
                action, endpoint = methods[request.method]
                repository = names.checked_repository(found["name"])
                self._registry.authorize(request.authorization, repository, action)
                self._registry.check_repository(repository)
                return endpoint(self, request, repository, found.groupdict().get("reference", ""))
        raise NameUnknown(f"no such endpoint: {request.path}")

    # Blobs

    def get_blob(self, request: Request, repository: str, digest: str) -> Response:
        path = self._registry.repository_blob(repository, digest)
        headers = [("Content-Type", "application/octet-stream"), ("Docker-Content-Digest", digest)]
        return file_response(path, request.header("Range"), headers)

    def delete_blob(self, request: Request, repository: str, digest: str) -> Response:
        self._registry.delete_blob(repository, digest)
        return Response(202)

    # Uploads

    def start_upload(self, request: Request, repository: str, _: str) -> Response:
        if mount := request.query.get("mount"):
            names.checked_digest(mount)
            if self._mount(request, repository, mount):
                return _created(f"/v2/{repository}/blobs/{mount}", mount)
        upload = self._registry.blobs.begin(repository)
        digest = request.query.get("digest")
        if digest is None:
            return _progress(202, upload)
        try:
            return self._finish(request, upload, digest)
        finally:
            self._registry.blobs.cancel(upload)  # nobody has learnt where to go on

    def upload_status(self, request: Request, repository: str, identifier: str) -> Response:
        return _progress(204, self._registry.blobs.upload(repository, identifier))

    def append(self, request: Request, repository: str, identifier: str) -> Response:
        upload = self._registry.blobs.upload(repository, identifier)
        self._append(request, upload)
        return _progress(202, upload)

    def finish_upload(self, request: Request, repository: str, identifier: str) -> Response:
        upload = self._registry.blobs.upload(repository, identifier)
        return self._finish(request, upload, request.query.get("digest", ""))

    def cancel_upload(self, request: Request, repository: str, identifier: str) -> Response:
        self._registry.blobs.cancel(self._registry.blobs.upload(repository, identifier))
        return Response(204)

    def _mount(self, request: Request, repository: str, digest: str) -> bool:
        source = request.query.get("from", "")
        if not source:
            return False
        try:
            self._registry.authorize(request.authorization, names.checked_repository(source), "pull")
            self._registry.check_repository(source)
        except (NameInvalid, NameUnknown, Unauthorized, Denied):
            return False
        return self._registry.mount(repository, source, digest)

    def _append(self, request: Request, upload: Upload) -> None:
        start = chunk_start(request.header("Content-Range"), request.length)
        try:
            self._registry.blobs.append(upload, request.blocks(), start)
        except RangeInvalid as error:
            raise RangeInvalid(error.message, _progress(416, upload).headers) from None

    def _finish(self, request: Request, upload: Upload, digest: str) -> Response:
        names.checked_digest(digest)
        self._append(request, upload)
        self._registry.commit(upload, digest)
        return _created(f"/v2/{upload.repository}/blobs/{digest}", digest)

    # Manifests

    def get_manifest(self, request: Request, repository: str, reference: str) -> Response:
        manifest = self._acceptable(self._registry.manifest(repository, reference), repository, request)
        headers = [("Content-Type", manifest.media_type), ("Docker-Content-Digest", manifest.digest)]
        return Response(200, [*headers, ("ETag", f'"{manifest.digest}"')], manifest.content)

    def put_manifest(self, request: Request, repository: str, reference: str) -> Response:
        content = request.body(LIMIT)
        manifest = self._registry.put_manifest(repository, reference, request.header("Content-Type"), content)
        response = _created(f"/v2/{repository}/manifests/{reference}", manifest.digest)
        if manifest.subject:
            response.headers.append(("OCI-Subject", manifest.subject))
        return response

    def delete_manifest(self, request: Request, repository: str, reference: str) -> Response:
        if not names.is_digest(reference):
            self._registry.untag(repository, reference)
            return Response(202)
        failed = [result for result in self._registry.delete(repository, [reference]) if result.failure]
        if failed and failed[0].failure == "ImageNotFound":
            raise ManifestUnknown(failed[0].reason, {"reference": reference})
        if failed:
            raise Unsupported(failed[0].reason, {"reference": reference})
        return Response(202)

    def _acceptable(self, manifest: Manifest, repository: str, request: Request) -> Manifest:
        """What is stored, if the client reads it; a client without indexes gets linux/amd64, as from Docker's Hub."""
        accept = request.header("Accept")
        if accepts(accept, manifest.media_type):
            return manifest
        child = child_for(manifest, "amd64") if manifest.is_index else None
        if child and any(accepts(accept, media_type) for media_type in MANIFESTS):
            return self._acceptable(self._registry.manifest(repository, child), repository, request)
        raise ManifestUnknown(f"the manifest is {manifest.media_type}, which the Accept header leaves out")

    # Listings

    def list_tags(self, request: Request, repository: str, _: str) -> Response:
        return _page(request, "tags", list(self._registry.tags(repository)), {"name": repository})

    def list_referrers(self, request: Request, repository: str, digest: str) -> Response:
        wanted = request.query.get("artifactType")
        descriptors = [
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": image.manifest_size,
                **({"artifactType": image.artifact_type} if image.artifact_type else {}),
                **({"annotations": image.annotations} if image.annotations else {}),
            }
            for image in self._registry.referrers(repository, names.checked_digest(digest))
            if wanted in (None, image.artifact_type)
        ]
        headers = [("Content-Type", OCI_INDEX)] + ([("OCI-Filters-Applied", "artifactType")] if wanted else [])
        return json_response(200, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}, headers)


def _page(request: Request, key: str, values: list[str], document: dict[str, Any]) -> Response:
    """One page of a sorted list: at most `n` after `last`, and a Link to the next."""
    values = [value for value in sorted(values) if value > request.query.get("last", "")]
    count = request.query.get("n", "")
    if count and not count.isdecimal():
        raise SizeInvalid(f"n must be a number, not '{count}'")
    page = values[: int(count)] if count else values
    headers: Headers = []
    if page and len(page) < len(values):
        headers = [("Link", f'<{quote(request.path)}?n={count}&last={quote(page[-1])}>; rel="next"')]
    return json_response(200, {**document, key: page}, headers)


def _created(location: str, digest: str) -> Response:
    return Response(201, [("Location", location), ("Docker-Content-Digest", digest)])


def _progress(status: int, upload: Upload) -> Response:
    location = f"/v2/{upload.repository}/blobs/uploads/{upload.identifier}"
    received = ("Range", f"0-{max(0, upload.size - 1)}")
    return Response(status, [("Location", location), received, ("Docker-Upload-UUID", upload.identifier)])


def _refusal(error: RegistryError, request: Request) -> Response:
    headers: Headers = list(error.headers) if isinstance(error, RangeInvalid) else []
    if isinstance(error, Unauthorized):
        headers.append(("WWW-Authenticate", f'Basic realm="{request.base_url}",service="ecr.amazonaws.com"'))
    return json_response(error.status, error.document(), headers)


_READ = {"GET", "HEAD"}
_ROUTES: list[tuple[re.Pattern[str], dict[str, tuple[str, Endpoint]]]] = [
    (re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?"), {"POST": ("push", Endpoints.start_upload)}),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)"),
        {
            "GET": ("push", Endpoints.upload_status),
            "PATCH": ("push", Endpoints.append),
            "PUT": ("push", Endpoints.finish_upload),
            "DELETE": ("push", Endpoints.cancel_upload),
        },
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/(?P<reference>[^/]+)"),
        {**dict.fromkeys(_READ, ("pull", Endpoints.get_blob)), "DELETE": ("delete", Endpoints.delete_blob)},
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)"),
        {
            **dict.fromkeys(_READ, ("pull", Endpoints.get_manifest)),
            "PUT": ("push", Endpoints.put_manifest),
            "DELETE": ("delete", Endpoints.delete_manifest),
        },
    ),
    (re.compile(r"/v2/(?P<name>.+)/tags/list"), {"GET": ("pull", Endpoints.list_tags)}),
    (re.compile(r"/v2/(?P<name>.+)/referrers/(?P<reference>[^/]+)"), {"GET": ("pull", Endpoints.list_referrers)}),
]
