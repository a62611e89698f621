from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from emulator.control.ecr import Tokens
from emulator.control.ecr.lifecycle import expired
from emulator.data.registry import Image
from emulator.emulator import Emulator

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Ecr:
    """boto3's client, and a push as any OCI client does it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.client = emulator.store.clients("ecr")
        token = self.client.get_authorization_token()["authorizationData"][0]
        self.endpoint: str = token["proxyEndpoint"]
        self.authorization = f"Basic {token['authorizationToken']}"

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        url = path if path.startswith("http") else f"{self.endpoint}{path}"
        given = {"Authorization": self.authorization} | {key.replace("_", "-"): each for key, each in headers.items()}
        request = urllib.request.Request(
            url, body or None, {key: each for key, each in given.items() if each}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def push(self, repository: str, tag: str, content: bytes = b"layer") -> str:
        layers = [self._blob(repository, each) for each in (b'{"architecture": "amd64", "os": "linux"}', content)]
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": layers[0], "layers": layers[1:]}
        body = json.dumps(manifest).encode()
        status, headers, text = self.request("PUT", f"/v2/{repository}/manifests/{tag}", body, Content_Type=_MANIFEST)
        assert status == 201, text
        return headers["Docker-Content-Digest"]

    def _blob(self, repository: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        _, headers, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        location = headers["Location"]
        status, _, text = self.request("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", content)
        assert status == 201, text
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}


@pytest.fixture
def ecr(emulator: Emulator) -> Ecr:
    return Ecr(emulator)


def test_a_repository_has_an_address_that_clients_on_this_machine_can_push_to(ecr: Ecr) -> None:
    made = ecr.client.create_repository(repositoryName="team/chatbot")["repository"]
    assert made["repositoryUri"] == f"localhost:{ecr.emulator.store.config.port}/team/chatbot"
    assert made["repositoryArn"] == "arn:aws:ecr:us-east-1:123456789012:repository/team/chatbot"


def test_what_is_pushed_is_in_the_api(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot", imageScanningConfiguration={"scanOnPush": True})
    digest = ecr.push("chatbot", "v1")
    image = ecr.client.describe_images(repositoryName="chatbot", imageIds=[{"imageTag": "v1"}])["imageDetails"][0]
    assert (image["imageDigest"], image["imageTags"], image["registryId"]) == (digest, ["v1"], "123456789012")
    assert image["imageSizeInBytes"] == len(b"layer") + len(b'{"architecture": "amd64", "os": "linux"}')
    assert image["imageScanStatus"]["status"] == "UNSUPPORTED_IMAGE"
    assert ecr.client.list_images(repositoryName="chatbot")["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    got = ecr.client.batch_get_image(repositoryName="chatbot", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])
    assert f"sha256:{hashlib.sha256(got['images'][0]['imageManifest'].encode()).hexdigest()}" == digest
    assert got["failures"][0]["failureCode"] == "ImageNotFound"


def test_put_image_gives_an_image_a_second_tag(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot")
    digest = ecr.push("chatbot", "v1")
    manifest = ecr.client.batch_get_image(repositoryName="chatbot", imageIds=[{"imageTag": "v1"}])["images"][0]
    ecr.client.put_image(repositoryName="chatbot", imageManifest=manifest["imageManifest"], imageTag="stable")
    assert ecr.request("HEAD", "/v2/chatbot/manifests/stable")[1]["Docker-Content-Digest"] == digest
    with pytest.raises(ecr.client.exceptions.ImageAlreadyExistsException):
        ecr.client.put_image(repositoryName="chatbot", imageManifest=manifest["imageManifest"], imageTag="stable")


def test_an_immutable_tag_is_not_overwritten(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot", imageTagMutability="IMMUTABLE")
    ecr.push("chatbot", "v1")
    with pytest.raises(AssertionError, match="cannot be overwritten because the repository is immutable"):
        ecr.push("chatbot", "v1", b"another layer")


def test_a_deleted_image_is_gone(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot")
    digest = ecr.push("chatbot", "v1")
    answer = ecr.client.batch_delete_image(repositoryName="chatbot", imageIds=[{"imageTag": "v1"}, {"imageTag": "v9"}])
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert answer["failures"][0]["failureCode"] == "ImageNotFound"
    with pytest.raises(ecr.client.exceptions.ImageNotFoundException, match="imageTag:'v1'"):
        ecr.client.describe_images(repositoryName="chatbot", imageIds=[{"imageTag": "v1"}])


def test_a_repository_with_images_is_deleted_only_by_force(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot")
    ecr.push("chatbot", "v1")
    with pytest.raises(ecr.client.exceptions.RepositoryNotEmptyException):
        ecr.client.delete_repository(repositoryName="chatbot")
    ecr.client.delete_repository(repositoryName="chatbot", force=True)
    ecr.client.create_repository(repositoryName="chatbot")
    assert ecr.client.list_images(repositoryName="chatbot")["imageIds"] == []


def test_a_lifecycle_policy_expires_the_oldest_images(ecr: Ecr) -> None:
    ecr.client.create_repository(repositoryName="chatbot")
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}
    policy = {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
    ecr.client.put_lifecycle_policy(repositoryName="chatbot", lifecyclePolicyText=json.dumps(policy))
    for version in ("v1", "v2", "v3"):
        ecr.push("chatbot", version, version.encode())
    tags = [image.get("imageTag") for image in ecr.client.list_images(repositoryName="chatbot")["imageIds"]]
    assert tags == ["v2", "v3"]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Bearer abc", 401),
        ("Basic " + base64.b64encode(b"AWS:guess").decode(), 401),
        ("Basic not base64", 401),
    ],
)
def test_the_registry_asks_for_a_token(ecr: Ecr, authorization: str, status: int) -> None:
    ecr.client.create_repository(repositoryName="chatbot")
    ecr.authorization = authorization
    assert ecr.request("GET", "/v2/chatbot/tags/list")[0] == status


def test_an_expired_token_is_refused(ecr: Ecr) -> None:
    tokens = ecr.emulator.store.table(Tokens).until
    tokens.update(dict.fromkeys(tokens, datetime(2020, 1, 1, tzinfo=UTC)))
    status, _, text = ecr.request("GET", "/v2/")
    assert (status, b"expired" in text) == (403, True)


def test_a_repository_that_does_not_exist_is_named(ecr: Ecr) -> None:
    with pytest.raises(ecr.client.exceptions.RepositoryNotFoundException, match="'nothing' does not exist"):
        ecr.client.list_images(repositoryName="nothing")
    assert ecr.request("POST", "/v2/nothing/blobs/uploads/")[0] == 404


def image(digest: str, days_old: float, *tags: str) -> Image:
    pushed = datetime(2026, 1, 31, tzinfo=UTC).timestamp() - days_old * 86_400
    return Image(digest, _MANIFEST, 1, 1, pushed, None, None, {}, (), (), tags)


def test_rules_apply_by_priority_and_an_image_belongs_to_the_first_that_selects_it() -> None:
    images = [image("a", 30, "prod-1"), image("b", 20, "dev-1"), image("c", 10), image("d", 1, "dev-2")]
    rules = [
        (2, {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}),
        (1, {"tagStatus": "tagged", "tagPrefixList": ["prod"], "countType": "imageCountMoreThan", "countNumber": 1}),
    ]
    policy = {"rules": [{"rulePriority": priority, "selection": selection} for priority, selection in rules]}
    assert expired(json.dumps(policy), images, datetime(2026, 1, 31, tzinfo=UTC)) == ["c", "b"]


def test_a_rule_of_age_expires_what_is_older() -> None:
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    policy = json.dumps({"rules": [{"rulePriority": 1, "selection": selection}]})
    images = [image("old", 15), image("new", 13), image("tagged", 99, "keep")]
    assert expired(policy, images, datetime(2026, 1, 31, tzinfo=UTC)) == ["old"]
