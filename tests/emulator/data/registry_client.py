"""A registry behind a listener, and the least of a client for it: raw HTTP, so that every byte of a test is its own."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from dataclasses import dataclass, field
from typing import Any

from emulator.data.registry import Denied, Registry, Unauthorized

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CREDENTIALS = "Basic " + base64.b64encode(b"AWS:password").decode()


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["errors"][0]["code"])

    @property
    def message(self) -> str:
        return str(self.json["errors"][0]["message"])


@dataclass
class Client:
    """A registry on a port, and the least of a client for it."""

    registry: Registry
    port: int
    pushes: list[tuple[str, str, str, str, bytes]] = field(default_factory=list)
    immutable: set[str] = field(default_factory=set)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"Authorization": CREDENTIALS, **named})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def push_blob(self, content: bytes, repository: str = "app") -> dict[str, Any]:
        answer = self("POST", f"/v2/{repository}/blobs/uploads/?digest={digest(content)}", content)
        assert answer.status == 201, answer.body
        return {"mediaType": "application/octet-stream", "digest": digest(content), "size": len(content)}

    def push_image(self, reference: str, content: bytes = b"layer", repository: str = "app", **extra: Any) -> str:
        document = self.manifest(content, repository, **extra)
        answer = self("PUT", f"/v2/{repository}/manifests/{reference}", document, Content_Type=OCI_MANIFEST)
        assert answer.status == 201, answer.body
        return digest(document)

    def manifest(self, content: bytes = b"layer", repository: str = "app", **extra: Any) -> bytes:
        config = {**self.push_blob(b"{}", repository), "mediaType": "application/vnd.oci.image.config.v1+json"}
        layers = [self.push_blob(content, repository)]
        return json.dumps({"schemaVersion": 2, "config": config, "layers": layers, **extra}).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def authorize(header: str, repository: str, action: str) -> None:
    if header != CREDENTIALS:
        raise Unauthorized("no basic auth credentials")
    if repository == "forbidden":
        raise Denied("User is not authorized")
