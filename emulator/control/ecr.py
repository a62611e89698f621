"""Amazon ECR: moto keeps repositories and their settings, the registry keeps the images; here the two are one."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator.control.lifecycle import expired
from emulator.control.operation import Operation
from emulator.data.registry import Denied, Image, Manifest, Registry, RegistryError, Unauthorized
from emulator.state import moto
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_TOKEN_LIFE = timedelta(hours=12)
_OCI = "application/vnd.oci.image.manifest.v1+json"
# What ECR says of an image without an operating system's packages, as one from scratch; nothing is scanned here.
_NOT_SCANNED = {
    "status": "UNSUPPORTED_IMAGE",
    "description": "UnsupportedImageError: The operating system and/or package manager are not supported.",
}


@dataclass
class Tokens:
    """Passwords that GetAuthorizationToken gave out, and until when they hold."""

    until: dict[str, datetime] = field(default_factory=dict)


def registry(store: Store) -> Registry:
    """The one registry of the emulator: the application under /v2/, and what tasks pull from."""
    return store.once(_registry)


def _registry(store: Store) -> Registry:
    def authorize(header: str, repository: str, action: str) -> None:
        _authorize(store, header)

    def exists(repository: str) -> bool:
        return _find(store, repository) is not None

    def immutable(repository: str) -> bool:
        return bool((_find(store, repository) or {}).get("imageTagMutability") == "IMMUTABLE")

    def pushed(repository: str, *_: Any) -> None:
        expire(store, repository)
        store.changed()

    return Registry(store.folder / "registry", authorize, pushed, exists, immutable=immutable, account=moto.ACCOUNT)


def _authorize(store: Store, header: str) -> None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        raise Unauthorized("no basic auth credentials")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        raise Unauthorized("no basic auth credentials") from None
    until = store.table(Tokens).until.get(password)
    if user != "AWS" or until is None:
        raise Unauthorized("Your Authorization Token is invalid.")
    if until < datetime.now(UTC):
        raise Denied("Your authorization token has expired. Reauthenticate and try again.")


def get_authorization_token(store: Store, call: Call) -> Answer:
    password = secrets.token_urlsafe(64)
    until = datetime.now(UTC) + _TOKEN_LIFE
    with store.lock:
        store.table(Tokens).until[password] = until
    token = base64.b64encode(f"AWS:{password}".encode()).decode()
    return {"authorizationData": [{"authorizationToken": token, "expiresAt": until, "proxyEndpoint": store.config.url}]}


def create_repository(store: Store, call: Call) -> Answer:
    answer = call.moto()
    # What an earlier emulator left in the folder under this name is not this repository's.
    registry(store).delete_repository(call.parameters["repositoryName"])
    _address(store, answer["repository"])
    return answer


def describe_repositories(store: Store, call: Call) -> Answer:
    answer = call.moto()
    for repository in answer["repositories"]:
        _address(store, repository)
    return answer


def delete_repository(store: Store, call: Call) -> Answer:
    name = _require(store, call)
    if registry(store).images(name) and not call.parameters.get("force"):
        raise AwsError(
            "RepositoryNotEmptyException",
            f"The repository with name '{name}' in registry with id '{call.account}' "
            "cannot be deleted because it still contains images",
        )
    answer = call.moto()
    registry(store).delete_repository(name)
    _address(store, answer["repository"])
    return answer


def put_lifecycle_policy(store: Store, call: Call) -> Answer:
    answer = call.moto()
    expire(store, call.parameters["repositoryName"])
    return answer


def describe_images(store: Store, call: Call) -> Answer:
    name = _require(store, call)
    images = _wanted(store, call, name)
    scan = (_find(store, name) or {}).get("imageScanningConfiguration", {}).get("scanOnPush")
    page, token = _page(call, images, 100)
    details = [_detail(call, name, image) | ({"imageScanStatus": _NOT_SCANNED} if scan else {}) for image in page]
    return {"imageDetails": details} | token


def list_images(store: Store, call: Call) -> Answer:
    images = _filtered(call, registry(store).images(_require(store, call)))
    ids = [identity for image in images for identity in _ids(image)]
    page, token = _page(call, ids, 100)
    return {"imageIds": page} | token


def batch_get_image(store: Store, call: Call) -> Answer:
    name = _require(store, call)
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
    name = _require(store, call)
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
    name = _require(store, call)
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
    name = _require(store, call)
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
    name = _require(store, call)
    image = _one(store, call, name, call.parameters["imageId"])
    return {
        "registryId": call.account,
        "repositoryName": name,
        "imageId": _identity(image.digest, None),
        "imageScanStatus": _NOT_SCANNED,
    }


def expire(store: Store, repository: str) -> None:
    """Applies the repository's lifecycle policy now; AWS takes up to a day."""
    region = (_find(store, repository) or {}).get("region", store.config.region)
    client = store.clients("ecr", region)
    try:
        policy = client.get_lifecycle_policy(repositoryName=repository)["lifecyclePolicyText"]
    except client.exceptions.ClientError:
        return
    if digests := expired(policy, registry(store).images(repository), datetime.now(UTC)):
        registry(store).delete(repository, digests)


def _find(store: Store, name: str) -> dict[str, Any] | None:
    """The repository in whichever region it is: the registry has one address for all of them."""
    for region in moto.regions("ecr"):
        client = store.clients("ecr", region)
        try:
            found: dict[str, Any] = client.describe_repositories(repositoryNames=[name])["repositories"][0]
        except client.exceptions.RepositoryNotFoundException:
            continue
        return found | {"region": region}
    return None


def _require(store: Store, call: Call) -> str:
    name: str = call.parameters["repositoryName"]
    found = _find(store, name)
    if found is None or found["region"] != call.region:
        raise AwsError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{call.account}'",
        )
    return name


def _address(store: Store, repository: dict[str, Any]) -> None:
    """AWS's form is <account>.dkr.ecr.<region>.amazonaws.com/<name>; this one can be pushed to from here."""
    repository["repositoryUri"] = f"{store.config.url.partition('//')[2]}/{repository['repositoryName']}"


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
    "CreateRepository": create_repository,
    "DeleteRepository": delete_repository,
    "DescribeImages": describe_images,
    "DescribeRepositories": describe_repositories,
    "GetAuthorizationToken": get_authorization_token,
    "ListImages": list_images,
    "PutImage": put_image,
    "PutLifecyclePolicy": put_lifecycle_policy,
    "StartImageScan": start_image_scan,
}
