"""Images: what the registry keeps, in the words of ECR's API."""

from __future__ import annotations

import hashlib
from typing import Any

from emulator.control.ecr.registry import find, registry, require
from emulator.control.operation import Operation
from emulator.data.registry import Image, Manifest, RegistryError
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_OCI = "application/vnd.oci.image.manifest.v1+json"
# What ECR says of an image without an operating system's packages, as one from scratch; nothing is scanned here.
_NOT_SCANNED = {
    "status": "UNSUPPORTED_IMAGE",
    "description": "UnsupportedImageError: The operating system and/or package manager are not supported.",
}


def describe_images(store: Store, call: Call) -> Answer:
    name = require(store, call)
    images = _wanted(store, call, name)
    scan = (find(store, name) or {}).get("imageScanningConfiguration", {}).get("scanOnPush")
    page, token = _page(call, images, 100)
    details = [_detail(call, name, image) | ({"imageScanStatus": _NOT_SCANNED} if scan else {}) for image in page]
    return {"imageDetails": details} | token


def list_images(store: Store, call: Call) -> Answer:
    images = _filtered(call, registry(store).images(require(store, call)))
    ids = [identity for image in images for identity in _ids(image)]
    page, token = _page(call, ids, 100)
    return {"imageIds": page} | token


def batch_get_image(store: Store, call: Call) -> Answer:
    name = require(store, call)
    found: list[Answer] = []
    failures: list[Answer] = []
    for wanted in call.parameters["imageIds"]:
        try:
            image = registry(store).manifest(name, wanted.get("imageDigest") or wanted["imageTag"])
        except RegistryError:
            failures.append(_missing(wanted))
            continue
        found.append(_image(call, name, image, wanted.get("imageTag")))
    return {"images": found, "failures": failures}


def put_image(store: Store, call: Call) -> Answer:
    name = require(store, call)
    content = call.parameters["imageManifest"].encode()
    media_type = call.parameters.get("imageManifestMediaType") or ""
    manifest = Manifest("", media_type, content)
    media_type = media_type or manifest.document.get("mediaType") or _OCI
    tag = call.parameters.get("imageTag")
    reference = tag or call.parameters.get("imageDigest") or _digest(content)
    _refuse_a_double(store, name, tag, _digest(content))
    try:
        put = registry(store).put_manifest(name, reference, media_type, content)
    except RegistryError as error:
        raise AwsError(_PUT_ERRORS.get(type(error).__name__, "InvalidParameterException"), error.message) from error
    return {"image": _image(call, name, put, tag)}


_PUT_ERRORS = {
    "ManifestBlobUnknown": "LayersNotFoundException",
    "TagImmutable": "ImageTagAlreadyExistsException",
    "DigestInvalid": "ImageDigestDoesNotMatchException",
}


def batch_delete_image(store: Store, call: Call) -> Answer:
    name = require(store, call)
    deleted: list[Answer] = []
    failures: list[Answer] = []
    for wanted in call.parameters["imageIds"]:
        digests = [wanted["imageDigest"]] if wanted.get("imageDigest") else []
        tags = [wanted["imageTag"]] if wanted.get("imageTag") and not digests else []
        for result in registry(store).delete(name, digests, tags):
            if result.failure:
                failures.append({"imageId": wanted, "failureCode": result.failure, "failureReason": result.reason})
            else:
                deleted.append(_identity(result.digest or "", result.tag))
    return {"imageIds": deleted, "failures": failures}


def batch_check_layer_availability(store: Store, call: Call) -> Answer:
    name = require(store, call)
    layers, failures = [], []
    for digest in call.parameters["layerDigests"]:
        try:
            size = registry(store).repository_blob(name, digest).stat().st_size
        except RegistryError:
            failures.append(
                {"layerDigest": digest, "failureCode": "MissingLayerDigest", "failureReason": "Layer does not exist"}
            )
            continue
        layers.append({"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": size})
    return {"layers": layers, "failures": failures}


def start_image_scan(store: Store, call: Call) -> Answer:
    name = require(store, call)
    image = _one(store, call, name, call.parameters["imageId"])
    return {
        "registryId": call.account,
        "repositoryName": name,
        "imageId": _identity(image.digest, None),
        "imageScanStatus": _NOT_SCANNED,
    }


def _wanted(store: Store, call: Call, name: str) -> list[Image]:
    asked = call.parameters.get("imageIds")
    if asked:
        return [_one(store, call, name, identity) for identity in asked]
    return _filtered(call, registry(store).images(name))


def _filtered(call: Call, images: list[Image]) -> list[Image]:
    status = (call.parameters.get("filter") or {}).get("tagStatus", "ANY")
    return [image for image in images if status == "ANY" or bool(image.tags) == (status == "TAGGED")]


def _one(store: Store, call: Call, name: str, identity: dict[str, str]) -> Image:
    digest, tag = identity.get("imageDigest"), identity.get("imageTag")
    for image in registry(store).images(name):
        if digest in (None, image.digest) and (tag is None or tag in image.tags):
            return image
    raise AwsError(
        "ImageNotFoundException",
        f"The image with imageId {{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}} does not exist "
        f"within the repository with name '{name}' in the registry with id '{call.account}'",
    )


def _refuse_a_double(store: Store, name: str, tag: str | None, digest: str) -> None:
    for image in registry(store).images(name):
        if image.digest == digest and (tag is None or tag in image.tags):
            raise AwsError(
                "ImageAlreadyExistsException",
                f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}'",
            )


def _detail(call: Call, name: str, image: Image) -> Answer:
    detail = {
        "registryId": call.account,
        "repositoryName": name,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
    }
    if image.artifact_type:
        detail["artifactMediaType"] = image.artifact_type
    return detail | ({"imageTags": list(image.tags)} if image.tags else {})


def _image(call: Call, name: str, manifest: Manifest, tag: str | None) -> Answer:
    return {
        "registryId": call.account,
        "repositoryName": name,
        "imageId": _identity(manifest.digest, tag),
        "imageManifest": manifest.content.decode(),
        "imageManifestMediaType": manifest.media_type,
    }


def _missing(wanted: dict[str, str]) -> Answer:
    return {"imageId": wanted, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


def _ids(image: Image) -> list[Answer]:
    return [_identity(image.digest, tag) for tag in image.tags] or [_identity(image.digest, None)]


def _identity(digest: str, tag: str | None) -> Answer:
    return {"imageDigest": digest} | ({"imageTag": tag} if tag else {})


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _page(call: Call, items: list[Any], default: int) -> tuple[list[Any], Answer]:
    start = int(call.parameters.get("nextToken") or 0)
    end = start + int(call.parameters.get("maxResults") or default)
    return items[start:end], ({"nextToken": str(end)} if end < len(items) else {})


OPERATIONS: dict[str, Operation] = {
    "BatchCheckLayerAvailability": batch_check_layer_availability,
    "BatchDeleteImage": batch_delete_image,
    "BatchGetImage": batch_get_image,
    "DescribeImages": describe_images,
    "ListImages": list_images,
    "PutImage": put_image,
    "StartImageScan": start_image_scan,
}
