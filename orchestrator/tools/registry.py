"""Pushes to a container registry by the OCI distribution API (github.com/opencontainers/distribution-spec).

Uses urllib3, which comes with boto3. What the registry has already is not sent again.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import urllib3

from orchestrator.errors import ImageFailed, NotOurs
from orchestrator.tools import trust

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPTED = ", ".join(
    (
        MANIFEST,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


@dataclass(frozen=True)
class Access:
    """Where the registry is, and its Basic credentials as ECR's GetAuthorizationToken gives them (base64)."""

    url: str
    token: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def __repr__(self) -> str:
        return f"Access({self.url})"


def access(ecr: Any) -> Access:
    """The registry of the account, by ECR's API; the token lives 12 hours. Raises NotOurs for a foreign host."""
    data = ecr.get_authorization_token()["authorizationData"][0]
    url = data["proxyEndpoint"].rstrip("/")
    trust.registry(ecr.meta.endpoint_url, ecr.meta.region_name, url)
    return Access(url, data["authorizationToken"])


class Registry:
    """One repository of a registry."""

    def __init__(self, access: Access, repository: str) -> None:
        self._access = access
        self._repository = repository
        retries = urllib3.Retry(
            total=5, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None,
            raise_on_status=False, redirect=3,
        )  # fmt: skip
        self._pool = urllib3.PoolManager(
            retries=retries,
            timeout=urllib3.Timeout(connect=5, read=120),
            headers={"Authorization": f"Basic {access.token}"},
        )

    def digest_of(self, reference: str) -> str:
        """The digest that a tag points at; empty when there is no such tag."""
        answer = self._ask("HEAD", f"manifests/{reference}", headers={"Accept": ACCEPTED}, good=(200, 404))
        return str(answer.headers.get("Docker-Content-Digest", "")) if answer.status == 200 else ""

    def manifest_as_it_is(self, reference: str) -> tuple[bytes, str]:
        """A manifest's very bytes, of which its digest is made, and their media type."""
        answer = self._ask("GET", f"manifests/{reference}", headers={"Accept": ACCEPTED}, good=(200,))
        return answer.data, str(answer.headers["Content-Type"])

    def has_blob(self, digest: str) -> bool:
        return bool(self._ask("HEAD", f"blobs/{digest}", good=(200, 404)).status == 200)

    def push_layout(self, file: Path, tag: str) -> str:
        """Uploads the image of a tar with an OCI image layout (github.com/opencontainers/image-spec); its digest."""
        with tarfile.open(file) as tar:

            def member(name: str) -> IO[bytes]:
                found = tar.extractfile(name)
                if found is None:
                    raise ImageFailed(f"{file} has no {name}", "try again")
                return found

            digest = json.load(member("index.json"))["manifests"][0]["digest"]
            manifest = member(_blob(digest)).read()
            document = json.loads(manifest)
            for part in (*document["layers"], document["config"]):
                self.push_blob(part["digest"], member(_blob(part["digest"])))
            self.push_manifest(tag, manifest, document["mediaType"])
        return str(digest)

    def push_blob(self, digest: str, content: bytes | IO[bytes]) -> bool:
        """Uploads the blob in one piece; False when it was there already."""
        if self.has_blob(digest):
            return False
        begun = self._ask("POST", "blobs/uploads/", good=(202,))
        location = urljoin(f"{self._access.url}/", begun.headers["Location"])
        if urlsplit(location).netloc != self._access.host:
            raise NotOurs(f"the registry {self._access.url} would have the image sent to {urlsplit(location).netloc}")
        parts = urlsplit(location)
        query = "&".join(part for part in (parts.query, urlencode({"digest": digest})) if part)
        self._ask(
            "PUT",
            urlunsplit(parts._replace(query=query)),
            body=content,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(_length(content))},
            good=(201,),
        )
        return True

    def push_manifest(self, reference: str, content: bytes, kind: str = MANIFEST) -> None:
        self._ask("PUT", f"manifests/{reference}", body=content, headers={"Content-Type": kind}, good=(201,))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        good: tuple[int, ...],
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        url = path if "://" in path else f"{self._access.url}/v2/{self._repository}/{path}"
        merged = {**self._pool.headers, **(headers or {})}
        try:
            answer = self._pool.request(method, url, body=body, headers=merged)
        except urllib3.exceptions.HTTPError as error:
            raise ImageFailed(f"the registry {self._access.url} does not answer: {error}", "try again") from None
        if answer.status not in good:
            raise ImageFailed(f"the registry refused {method} {urlsplit(url).path}: {_reason(answer)}", "try again")
        return answer


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _length(content: bytes | IO[bytes]) -> int:
    if isinstance(content, bytes):
        return len(content)
    length = content.seek(0, io.SEEK_END)
    content.seek(0)
    return length


def _reason(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        first = json.loads(answer.data)["errors"][0]
        return f"{answer.status} {first.get('code')}: {first.get('message')}"
    except (ValueError, LookupError, TypeError):
        return str(answer.status)
