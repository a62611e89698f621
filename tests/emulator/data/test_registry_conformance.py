"""What the conformance suite of the OCI distribution specification 1.1 checks, workflow by workflow, in its order.

The suite itself is a Go program whose modules are not to be had on every machine; this walks the same requests. What
the specification leaves open (a refused deletion, a mount that becomes an upload) is pinned to what this registry does.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.data.registry_client import OCI_INDEX, OCI_MANIFEST, Answer, Client, digest

EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
NOWHERE = digest(b"in no repository")
KIND_A, KIND_B = "application/vnd.example.a", "application/vnd.example.b"


def put(client: Client, reference: str, document: dict[str, Any], kind: str = OCI_MANIFEST) -> Answer:
    content = json.dumps(document).encode()
    return client("PUT", f"/v2/app/manifests/{reference or digest(content)}", content, Content_Type=kind)


def upload(client: Client, content: bytes) -> dict[str, Any]:
    """By POST, then PUT: as the suite fills a registry."""
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    answer = client("PUT", f"{location}?digest={digest(content)}", content, Content_Type="application/octet-stream")
    assert answer.status == 201
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(content), "size": len(content)}


def image(client: Client, *layers: bytes, **more: Any) -> dict[str, Any]:
    config = upload(client, b'{"architecture": "amd64", "os": "linux"}')
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    found = [upload(client, layer) for layer in layers]
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": found} | more


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("what", ["blobs", "manifests"])
def test_pull(client: Client, method: str, what: str) -> None:
    assert client(method, f"/v2/app/{what}/{NOWHERE}").status == 404
    document = image(client, b"layer")
    assert put(client, "tagtest0", document).status == 201
    content = json.dumps(document).encode() if what == "manifests" else b"layer"
    for reference in (digest(content), "tagtest0") if what == "manifests" else (digest(content),):
        answer = client(method, f"/v2/app/{what}/{reference}", Accept=OCI_MANIFEST)
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, digest(content))
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.body == (content if method == "GET" else b"")


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE"])
def test_a_name_that_cannot_be_a_tag_is_that_of_no_manifest(client: Client, method: str) -> None:
    assert client(method, "/v2/app/manifests/.INVALID_MANIFEST_NAME").status == 404


def test_pull_of_a_broken_manifest_s_push_says_what_is_wrong_in_the_specification_s_codes(client: Client) -> None:
    refused = client("PUT", "/v2/app/manifests/x", b"blablabla", Content_Type=OCI_MANIFEST)
    assert refused.status == 400
    assert set(refused.json["errors"][0]) >= {"code", "message"} and refused.code == "MANIFEST_INVALID"


def test_push_streamed(client: Client) -> None:
    started = client("POST", "/v2/app/blobs/uploads/")
    streamed = client("PATCH", started.headers["Location"], b"NBA", Content_Type="application/octet-stream")
    assert streamed.status == 202
    done = client("PUT", f"{streamed.headers['Location']}?digest={digest(b'NBA')}", Content_Length="0")
    assert done.status == 201
    assert client("GET", done.headers["Location"]).body == b"NBA"


def test_push_monolithic(client: Client) -> None:
    assert client("GET", f"/v2/app/blobs/{NOWHERE}").status == 404
    once = client("POST", f"/v2/app/blobs/uploads/?digest={digest(b'once')}", b"once")
    assert once.status == 201 and client("GET", once.headers["Location"]).body == b"once"
    assert client("GET", f"/v2/app/blobs/{upload(client, b'twice')['digest']}").body == b"twice"


def test_push_chunked(client: Client) -> None:
    whole, stale = b"Hello, how are you today?", "0-2"
    location = client("POST", "/v2/app/blobs/uploads/", Content_Length="0").headers["Location"]
    assert client("PATCH", location, whole[3:], Content_Range=f"3-{len(whole) - 1}").status == 416
    location = client("POST", "/v2/app/blobs/uploads/", Content_Length="0").headers["Location"]
    first = client("PATCH", location, whole[:3], Content_Range="0-2")
    assert (first.status, first.headers["Range"]) == (202, stale)
    assert client("PATCH", first.headers["Location"], whole[:3], Content_Range=stale).status == 416
    where = client("GET", first.headers["Location"])
    assert (where.status, where.headers["Range"]) == (204, stale)
    second = client("PATCH", where.headers["Location"], whole[3:], Content_Range=f"3-{len(whole) - 1}")
    assert (second.status, second.headers["Range"]) == (202, f"0-{len(whole) - 1}")
    assert client("PUT", f"{second.headers['Location']}?digest={digest(whole)}", Content_Length="0").status == 201
    assert client("GET", f"/v2/app/blobs/{digest(whole)}").body == whole


def test_push_mounted_from_another_repository(client: Client) -> None:
    found = upload(client, b"shared")
    mounted = client("POST", f"/v2/other/blobs/uploads/?mount={found['digest']}&from=app")
    assert mounted.status == 201
    assert client("GET", mounted.headers["Location"]).body == b"shared"
    # Without `from`, the registry may look for itself; ECR and this one ask for an upload.
    unnamed = client("POST", f"/v2/deep/er/app/blobs/uploads/?mount={found['digest']}")
    assert (unnamed.status, "/blobs/uploads/" in unnamed.headers["Location"]) == (202, True)


def test_push_of_manifests(client: Client) -> None:
    document = image(client, b"layer")
    for number in range(4):
        answer = put(client, f"test{number}", document)
        assert answer.status == 201 and answer.headers["Location"]
    bare = put(client, "emptylayer", image(client))  # an image of no layers
    assert bare.status == 201
    by_digest = client("GET", f"/v2/app/manifests/{bare.headers['Docker-Content-Digest']}", Accept=OCI_MANIFEST)
    assert (by_digest.status, by_digest.json["layers"]) == (200, [])


def test_discovery_of_tags(client: Client) -> None:
    document = image(client, b"layer")
    for tag in ("test0", "test1", "test2", "test3"):
        put(client, tag, document)
    every = client("GET", "/v2/app/tags/list").json["tags"]
    assert every == sorted(every) and len(every) == 4
    half = client("GET", "/v2/app/tags/list?n=2").json["tags"]
    assert half == every[:2]
    assert client("GET", f"/v2/app/tags/list?n=2&last={half[-1]}").json["tags"] == every[2:]


def referrers(client: Client, subject: str, query: str = "") -> dict[str, dict[str, Any]]:
    answer = client("GET", f"/v2/app/referrers/{subject}{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, OCI_INDEX)
    assert answer.headers["OCI-Filters-Applied"] == ("artifactType" if query else None)
    return {each["digest"]: each for each in answer.json["manifests"]}


def test_discovery_of_referrers(client: Client) -> None:
    assert referrers(client, NOWHERE) == {}
    upload(client, b"{}")
    subject = json.dumps(image(client, b"layer")).encode()
    about = {"mediaType": OCI_MANIFEST, "digest": digest(subject), "size": len(subject)}
    # By artifactType, by the config's media type, and an index: each before what it is about is there.
    with_type = image(client, b"sbom", artifactType=KIND_A, config=EMPTY)
    with_config = image(client, b"sbom", config=EMPTY | {"mediaType": KIND_B})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "artifactType": KIND_A}
    made: dict[str, str] = {}
    for name, document in (("type", with_type), ("config", with_config), ("index", index)):
        full = document | {"subject": about, "annotations": {"test": name}}
        answer = put(client, "", full, document["mediaType"])
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, digest(subject)), name
        made[answer.headers["Docker-Content-Digest"]] = name
    assert client("PUT", "/v2/app/manifests/subject", subject, Content_Type=OCI_MANIFEST).status == 201
    found = referrers(client, digest(subject))
    assert {each: entry["annotations"]["test"] for each, entry in found.items()} == made
    assert {made[each]: entry["artifactType"] for each, entry in found.items()} == {
        "type": KIND_A,
        "config": KIND_B,
        "index": KIND_A,
    }
    assert {made[each] for each in referrers(client, digest(subject), f"?artifactType={KIND_A}")} == {"type", "index"}


def test_management(client: Client) -> None:
    answer = put(client, "tagtest0", image(client, b"layer"))
    put(client, "tagtest1", image(client, b"layer"))
    manifest = f"/v2/app/manifests/{answer.headers['Docker-Content-Digest']}"
    assert client("DELETE", "/v2/app/manifests/tagtest0").status == 202
    assert client("GET", "/v2/app/manifests/tagtest0").status == 404
    assert client("DELETE", manifest).status == 202
    assert client("GET", manifest).status == 404
    assert client("GET", "/v2/app/tags/list").json["tags"] == []
    blob = f"/v2/app/blobs/{digest(b'layer')}"
    assert client("DELETE", blob).status == 202
    assert client("GET", blob).status == 404
    upload_at = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    assert client("DELETE", upload_at).status == 204
    assert client("GET", upload_at).code == "BLOB_UPLOAD_UNKNOWN"
