"""The OCI distribution specification's endpoints, spoken as raw HTTP to a registry behind a listener."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.emulator.data.registry_client import CREDENTIALS, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Client, digest

# Who asks, and for what


def test_the_base_answers_200_to_credentials_and_asks_for_basic_ones_as_ecr_does(client: Client) -> None:
    assert client("GET", "/v2/").status == 200
    refused = client("GET", "/v2/", Authorization="Basic d3Jvbmc6d3Jvbmc=")
    assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
    realm = f'Basic realm="http://127.0.0.1:{client.port}/",service="ecr.amazonaws.com"'
    assert refused.headers["WWW-Authenticate"] == realm
    assert refused.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_what_a_caller_may_not_do_is_403(client: Client) -> None:
    refused = client("POST", "/v2/forbidden/blobs/uploads/")
    assert (refused.status, refused.code) == (403, "DENIED")


@pytest.mark.parametrize("path", ["blobs/uploads/", "manifests/latest", "tags/list"])
def test_a_repository_that_nobody_created_is_unknown_in_ecrs_words(client: Client, path: str) -> None:
    method = "POST" if path.startswith("blobs") else "GET"
    answer = client(method, f"/v2/missing/{path}")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    wanted = "The repository with name 'missing' in the registry with id '000000000000' does not exist"
    assert answer.message == wanted


def test_a_name_or_digest_that_breaks_the_grammar_is_refused(client: Client) -> None:
    assert client("GET", "/v2/UPPER/tags/list").code == "NAME_INVALID"
    assert client("GET", "/v2/app/../../etc/tags/list").code == "NAME_INVALID"
    assert client("GET", "/v2/app/blobs/sha256:short").code == "DIGEST_INVALID"
    assert client("GET", "/v2/app/blobs/md5:" + "0" * 32).code == "DIGEST_INVALID"
    assert client("PUT", "/v2/app/manifests/-tag", b"{}").status == 400
    assert client("PUT", "/v2/app/tags/list", b"{}").status == 405


# Blobs


def test_a_blob_is_pushed_in_one_post(client: Client) -> None:
    answer = client("POST", f"/v2/app/blobs/uploads/?digest={digest(b'one')}", b"one")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/app/blobs/{digest(b'one')}")
    assert client("GET", answer.headers["Location"]).body == b"one"


def test_a_blob_is_pushed_by_post_then_put(client: Client) -> None:
    started = client("POST", "/v2/deep/er/app/blobs/uploads/")
    assert (started.status, started.headers["Range"]) == (202, "0-0")
    answer = client("PUT", f"{started.headers['Location']}?digest={digest(b'two')}", b"two")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest(b"two"))
    head = client("HEAD", f"/v2/deep/er/app/blobs/{digest(b'two')}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "3", b"")


def test_chunks_are_taken_in_order_only_and_the_upload_says_where_it_is(client: Client) -> None:
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    first = client("PATCH", location, b"0123", Content_Range="0-3")
    assert (first.status, first.headers["Range"]) == (202, "0-3")
    early = client("PATCH", location, b"89", Content_Range="8-9")
    assert (early.status, early.headers["Range"]) == (416, "0-3")
    assert client("PATCH", location, b"0123", Content_Range="0-3").status == 416
    assert client("PATCH", location, b"45", Content_Range="4-9").code == "BLOB_UPLOAD_INVALID"
    status = client("GET", location)
    assert (status.status, status.headers["Range"], status.headers["Location"]) == (204, "0-3", location)
    assert client("PATCH", location, b"45", Content_Range="4-5").status == 202
    last = client("PUT", f"{location}?digest={digest(b'01234567')}", b"67", Content_Range="6-7")
    assert last.status == 201
    assert client("GET", f"/v2/app/blobs/{digest(b'01234567')}").body == b"01234567"
    assert client("GET", location).code == "BLOB_UPLOAD_UNKNOWN"


def test_a_stream_of_unknown_length_is_taken_as_docker_sends_it(client: Client) -> None:
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    patched = client("PATCH", location, iter([b"a" * 70_000, b"b" * 3_000_000]))  # an iterator: chunked
    assert (patched.status, patched.headers["Range"]) == (202, "0-3069999")
    whole = b"a" * 70_000 + b"b" * 3_000_000
    assert client("PUT", f"{location}?digest={digest(whole)}").status == 201


def test_content_that_is_not_its_digest_is_refused_and_the_upload_gone(client: Client) -> None:
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    refused = client("PUT", f"{location}?digest={digest(b'other')}", b"this")
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert client("GET", location).status == 404
    assert client("HEAD", f"/v2/app/blobs/{digest(b'this')}").status == 404
    assert client("PUT", client("POST", "/v2/app/blobs/uploads/").headers["Location"], b"x").code == "DIGEST_INVALID"


def test_a_sha512_digest_is_as_good(client: Client) -> None:
    name = f"sha512:{hashlib.sha512(b'long').hexdigest()}"
    assert client("POST", f"/v2/app/blobs/uploads/?digest={name}", b"long").status == 201
    assert client("GET", f"/v2/app/blobs/{name}").body == b"long"


def test_an_upload_is_cancelled(client: Client) -> None:
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    client("PATCH", location, b"half")
    assert client("DELETE", location).status == 204
    assert client("PATCH", location, b"more").code == "BLOB_UPLOAD_UNKNOWN"
    assert not list((client.registry.blobs._scratch).iterdir())


def test_a_blob_is_mounted_from_another_repository_and_else_uploaded(client: Client) -> None:
    client.push_blob(b"shared", "app")
    assert client("HEAD", f"/v2/other/blobs/{digest(b'shared')}").status == 404
    mounted = client("POST", f"/v2/other/blobs/uploads/?mount={digest(b'shared')}&from=app")
    assert (mounted.status, mounted.headers["Location"]) == (201, f"/v2/other/blobs/{digest(b'shared')}")
    assert client("GET", mounted.headers["Location"]).body == b"shared"
    client.registry.mount("forbidden", "app", digest(b"shared"))
    stolen = client("POST", f"/v2/deep/er/app/blobs/uploads/?mount={digest(b'shared')}&from=forbidden")
    assert stolen.status == 202
    for source in ("&from=missing", "&from=deep/er/app", "&from=forbidden", ""):
        answer = client("POST", f"/v2/other/blobs/uploads/?mount={digest(b'absent')}{source}")
        assert (answer.status, "/blobs/uploads/" in answer.headers["Location"]) == (202, True)


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_blob_is_read(
    client: Client, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    client.push_blob(b"0123456789")
    answer = client("GET", f"/v2/app/blobs/{digest(b'0123456789')}", Range=asked)
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (status, body, content_range)


def test_a_part_beyond_the_blobs_end_is_416(client: Client) -> None:
    client.push_blob(b"0123456789")
    answer = client("GET", f"/v2/app/blobs/{digest(b'0123456789')}", Range="bytes=10-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")


def test_a_blob_is_deleted_from_its_repository_alone_and_never_under_an_image(client: Client) -> None:
    client.push_blob(b"shared", "app")
    client.push_blob(b"shared", "other")
    assert client("DELETE", f"/v2/app/blobs/{digest(b'shared')}").status == 202
    assert client("DELETE", f"/v2/app/blobs/{digest(b'shared')}").code == "BLOB_UNKNOWN"
    assert client("GET", f"/v2/other/blobs/{digest(b'shared')}").body == b"shared"
    client.push_image("v1", b"layer")
    assert client("DELETE", f"/v2/app/blobs/{digest(b'layer')}").status == 405


# Manifests


def test_a_manifest_is_read_by_tag_and_digest_as_it_was_pushed(client: Client) -> None:
    document = client.manifest()
    pushed = client("PUT", "/v2/app/manifests/v1", document, Content_Type=OCI_MANIFEST)
    assert (pushed.status, pushed.headers["Location"]) == (201, "/v2/app/manifests/v1")
    assert pushed.headers["Docker-Content-Digest"] == digest(document)
    for reference in ("v1", digest(document)):
        answer = client("GET", f"/v2/app/manifests/{reference}", Accept=OCI_MANIFEST)
        assert (answer.body, answer.headers["Content-Type"]) == (document, OCI_MANIFEST)
        head = client("HEAD", f"/v2/app/manifests/{reference}")
        assert (head.headers["Docker-Content-Digest"], head.body) == (digest(document), b"")
        assert head.headers["Content-Length"] == str(len(document))
    assert client.pushes == [("app", "v1", digest(document), OCI_MANIFEST, document)]


def test_a_manifest_that_names_what_was_not_pushed_is_refused_in_ecrs_words(client: Client) -> None:
    document = json.loads(client.manifest())
    document["layers"][0]["digest"] = digest(b"never pushed")
    answer = client("PUT", "/v2/app/manifests/v1", json.dumps(document), Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert answer.message == (
        f"Layers with digests '[{digest(b'never pushed')}]' required for pushing image into repository with name "
        "'app' in the registry with id '000000000000' do not exist"
    )
    assert (client.pushes, client("GET", "/v2/app/manifests/v1").code) == ([], "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"no json", OCI_MANIFEST, 400),
        (b'{"schemaVersion": 1}', OCI_MANIFEST, 400),
        (b'{"schemaVersion": 2}', OCI_MANIFEST, 400),
        (b'{"schemaVersion": 2, "layers": []}', OCI_MANIFEST, 400),
        (b'{"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:x", "size": 1}}', OCI_MANIFEST, 400),
        (b'{"schemaVersion": 2, "mediaType": "%s", "manifests": []}' % OCI_INDEX.encode(), OCI_MANIFEST, 400),
        (b'{"schemaVersion": 2, "layers": []}', "application/json", 415),
        (b" " * (4 * 1024 * 1024 + 1), OCI_MANIFEST, 413),
    ],
)
def test_a_broken_manifest_is_refused(client: Client, content: bytes, media_type: str, status: int) -> None:
    answer = client("PUT", "/v2/app/manifests/v1", content, Content_Type=media_type)
    assert answer.status == status
    assert client.registry.images("app") == []


def test_a_manifest_under_another_digest_is_refused(client: Client) -> None:
    document = client.manifest()
    answer = client("PUT", f"/v2/app/manifests/{digest(b'no')}", document, Content_Type=OCI_MANIFEST)
    assert answer.code == "DIGEST_INVALID"


def test_an_index_needs_its_images_and_serves_one_to_a_client_that_reads_no_index(client: Client) -> None:
    image = client.push_image(digest(client.manifest()))
    child = {"mediaType": OCI_MANIFEST, "digest": image, "size": len(client.manifest())}
    child["platform"] = {"os": "linux", "architecture": "amd64"}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).encode()
    assert client("PUT", "/v2/app/manifests/multi", index, Content_Type=OCI_INDEX).status == 201
    assert client("GET", "/v2/app/manifests/multi").headers["Content-Type"] == OCI_INDEX
    assert client("GET", "/v2/app/manifests/multi", Accept=OCI_MANIFEST).headers["Docker-Content-Digest"] == image
    neither = client("GET", "/v2/app/manifests/multi", Accept=DOCKER_MANIFEST)
    assert (neither.status, neither.code) == (404, "MANIFEST_UNKNOWN")
    missing = index.replace(image.encode(), digest(b"absent").encode())
    refused = client("PUT", "/v2/app/manifests/multi", missing, Content_Type=OCI_INDEX)
    assert refused.message.startswith(f"Images with digests '[{digest(b'absent')}]' required for pushing image")
    assert client("DELETE", f"/v2/app/manifests/{image}").status == 405


def test_an_image_with_its_attestation_is_pushed_as_buildx_does(client: Client) -> None:
    """Blobs with a HEAD before each, manifests by digest with a HEAD before each, the index last, by its tag."""
    image, statement = client.manifest(b"layer"), client.manifest(b'{"_type": "https://in-toto.io/Statement/v0.1"}')
    children = []
    for document, architecture, system in ((image, "amd64", "linux"), (statement, "unknown", "unknown")):
        path = f"/v2/app/manifests/{digest(document)}"
        assert client("HEAD", path, Accept=f"{OCI_MANIFEST}, */*").status == 404
        assert client("PUT", path, document, Content_Type=OCI_MANIFEST).status == 201
        descriptor = {"mediaType": OCI_MANIFEST, "digest": digest(document), "size": len(document)}
        children.append(descriptor | {"platform": {"architecture": architecture, "os": system}})
    children[1]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    client.immutable.add("app")
    assert client("PUT", "/v2/app/manifests/v1", index, Content_Type=OCI_INDEX).status == 201
    assert client.registry.image_manifest("app", "v1", "amd64").digest == digest(image)
    # containerd's image store pushes the parts under the index's tag: not where tags do not move.
    again = client("PUT", "/v2/app/manifests/v1", statement, Content_Type=OCI_MANIFEST)
    assert (again.status, again.code) == (400, "TAG_INVALID")
    assert client.registry.tags("app") == {"v1": digest(index)}


def test_a_tag_moves_unless_the_repository_is_immutable(client: Client) -> None:
    client.push_image("latest", b"first")
    second = client.push_image("latest", b"second")
    client.immutable.add("app")
    third = client("PUT", "/v2/app/manifests/latest", client.manifest(b"third"), Content_Type=OCI_MANIFEST)
    assert (third.status, third.code) == (400, "TAG_INVALID")
    assert third.message == (
        "The image tag 'latest' already exists in the 'app' repository and cannot be overwritten because the "
        "repository is immutable."
    )
    assert client("HEAD", "/v2/app/manifests/latest").headers["Docker-Content-Digest"] == second
    assert client.push_image("latest", b"second") == second  # the same image again overwrites nothing
    assert len(client.registry.images("app")) == 2


def test_a_tag_is_deleted_alone_and_a_digest_with_its_tags(client: Client) -> None:
    image = client.push_image("a")
    client.push_image("b")
    assert client("DELETE", "/v2/app/manifests/a").status == 202
    assert client("DELETE", "/v2/app/manifests/a").code == "MANIFEST_UNKNOWN"
    assert client("GET", f"/v2/app/manifests/{image}").status == 200
    assert client("DELETE", f"/v2/app/manifests/{image}").status == 202
    assert client("GET", "/v2/app/manifests/b").status == 404
    assert client("DELETE", f"/v2/app/manifests/{image}").code == "MANIFEST_UNKNOWN"


# Listings


def test_tags_come_in_pages_with_a_link_to_the_next(client: Client) -> None:
    for tag in ("c", "a", "d", "b"):
        client.push_image(tag)
    assert client("GET", "/v2/app/tags/list").json == {"name": "app", "tags": ["a", "b", "c", "d"]}
    page = client("GET", "/v2/app/tags/list?n=3")
    assert (page.json["tags"], page.headers["Link"]) == (["a", "b", "c"], '</v2/app/tags/list?n=3&last=c>; rel="next"')
    rest = client("GET", "/v2/app/tags/list?n=3&last=c")
    assert (rest.json["tags"], rest.headers["Link"]) == (["d"], None)
    assert client("GET", "/v2/app/tags/list?n=0").json["tags"] == []
    assert client("GET", "/v2/app/tags/list?n=x").status == 400


def test_the_catalog_lists_what_was_pushed_to(client: Client) -> None:
    client.push_image("v1", repository="deep/er/app")
    client.push_image("v1")
    assert client("GET", "/v2/_catalog").json == {"repositories": ["app", "deep/er/app"]}
    assert client("GET", "/v2/_catalog?n=1").headers["Link"] == '</v2/_catalog?n=1&last=app>; rel="next"'


def test_referrers_are_found_by_their_subject_even_before_it_exists(client: Client) -> None:
    subject_document = client.manifest(b"subject")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest(subject_document), "size": len(subject_document)}
    signature = client.manifest(
        b"signature", subject=subject, artifactType="application/signature", annotations={"by": "us"}
    )
    pushed = client("PUT", f"/v2/app/manifests/{digest(signature)}", signature, Content_Type=OCI_MANIFEST)
    assert pushed.headers["OCI-Subject"] == digest(subject_document)
    client.push_image("sbom", b"sbom", subject=subject)
    answer = client("GET", f"/v2/app/referrers/{digest(subject_document)}")
    assert answer.headers["Content-Type"] == OCI_INDEX
    kinds = [entry["artifactType"] for entry in answer.json["manifests"]]
    assert kinds == ["application/signature", "application/vnd.oci.image.config.v1+json"]
    some = client("GET", f"/v2/app/referrers/{digest(subject_document)}?artifactType=application/signature")
    assert some.headers["OCI-Filters-Applied"] == "artifactType"
    assert some.json["manifests"] == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest(signature),
            "size": len(signature),
            "artifactType": "application/signature",
            "annotations": {"by": "us"},
        }
    ]
    assert client("GET", f"/v2/app/referrers/{digest(b'none')}").json["manifests"] == []
    assert client("GET", "/v2/app/referrers/nonsense").status == 400


# What goes wrong in between


def test_an_error_leaves_the_connection_at_the_next_request(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    for _ in range(2):
        headers = {"Authorization": CREDENTIALS}
        connection.request("PATCH", "/v2/app/blobs/uploads/none", iter([b"x" * 100_000] * 3), headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
    connection.close()


def test_a_client_killed_in_the_middle_leaves_an_upload_to_resume_and_no_blob(client: Client) -> None:
    content = b"0123456789" * 100_000
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    url = f"{location}?digest={digest(content)}"
    with socket.create_connection(("127.0.0.1", client.port)) as killed:
        head = (
            f"PUT {url} HTTP/1.1\r\nHost: x\r\nAuthorization: {CREDENTIALS}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        killed.sendall(head.encode() + content[:300_000])
    received = ""
    for _ in range(100):
        received = client("GET", location).headers["Range"]
        if received == "0-299999":
            break
        time.sleep(0.05)
    assert received == "0-299999"
    assert client("HEAD", f"/v2/app/blobs/{digest(content)}").status == 404
    assert client("PUT", url, content[300_000:], Content_Range="300000-999999").status == 201
    assert client("GET", f"/v2/app/blobs/{digest(content)}").body == content


def test_what_was_pushed_outlives_the_registry_and_half_uploads_do_not(
    client: Client, serve: Callable[[], Client]
) -> None:
    image = client.push_image("v1")
    location = client("POST", "/v2/app/blobs/uploads/").headers["Location"]
    client("PATCH", location, b"half")
    again = serve()
    assert again("HEAD", "/v2/app/manifests/v1").headers["Docker-Content-Digest"] == image
    assert again("GET", location).code == "BLOB_UPLOAD_UNKNOWN"
    assert list(again.registry.blobs._scratch.iterdir()) == []


def test_pushes_at_once_lose_nothing(client: Client) -> None:
    def push(number: int) -> None:
        client.push_image(f"v{number}", b"layer %d" % number)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.registry.tags("app")) == len(client.registry.images("app")) == 12
