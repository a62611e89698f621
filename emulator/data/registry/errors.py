"""What a registry refuses: the OCI distribution specification's codes, and Amazon ECR's sentences where it has its own.

RegistryError
├── Unauthorized, Denied          who asks (raised by the `authorize` that a Registry is given)
├── NameInvalid, NameUnknown      which repository
├── Blob…, Digest…, Range…, Size… uploads and blobs
├── Manifest…, Tag…               images
└── Unsupported, TooLarge
"""

from __future__ import annotations

from typing import Any, ClassVar


class RegistryError(Exception):
    """An answer of the form `{"errors": [{"code", "message", "detail"}]}` with an HTTP status."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def document(self) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return {"errors": [error]}


class Unauthorized(RegistryError):
    code, status = "UNAUTHORIZED", 401


class Denied(RegistryError):
    code, status = "DENIED", 403


class NameInvalid(RegistryError):
    code, status = "NAME_INVALID", 400


class NameUnknown(RegistryError):
    code, status = "NAME_UNKNOWN", 404


class BlobUnknown(RegistryError):
    code, status = "BLOB_UNKNOWN", 404


class BlobUploadUnknown(RegistryError):
    code, status = "BLOB_UPLOAD_UNKNOWN", 404


class BlobUploadInvalid(RegistryError):
    code, status = "BLOB_UPLOAD_INVALID", 400


class RangeInvalid(RegistryError):
    """A chunk out of order, or a part of a blob that it does not have; `headers` say what would be right."""

    code, status = "RANGE_INVALID", 416

    def __init__(self, message: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or []


class DigestInvalid(RegistryError):
    code, status = "DIGEST_INVALID", 400


class SizeInvalid(RegistryError):
    code, status = "SIZE_INVALID", 400


class ManifestUnknown(RegistryError):
    code, status = "MANIFEST_UNKNOWN", 404


class ManifestInvalid(RegistryError):
    code, status = "MANIFEST_INVALID", 400


class ManifestBlobUnknown(RegistryError):
    code, status = "MANIFEST_BLOB_UNKNOWN", 404


class TagInvalid(RegistryError):
    code, status = "TAG_INVALID", 400


class TagImmutable(TagInvalid):
    """ECR's ImageTagAlreadyExistsException, as a push sees it."""


class Unsupported(RegistryError):
    code, status = "UNSUPPORTED", 405


class UnsupportedMediaType(RegistryError):
    code, status = "UNSUPPORTED", 415


class TooLarge(RegistryError):
    code, status = "MANIFEST_INVALID", 413


class LayerInvalid(RegistryError):
    """A layer that cannot be unpacked safely, or at all."""

    code, status = "MANIFEST_INVALID", 400
