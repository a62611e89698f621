"""The credentials that AWS's helpers give to git: an access key, and a signature of the repository's URL as password.

`aws codecommit credential-helper` and `git-remote-codecommit` sign a canonical request with Signature Version 4:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from emulator.data.repositories.errors import Forbidden, Unauthenticated
from emulator.state import sigv4

_PASSWORD = re.compile(r"(\d{8}T\d{6})Z([0-9a-f]{64})")
_VALIDITY = timedelta(minutes=15)


@dataclass(frozen=True)
class Access:
    """One request of a git client: who says that he is who, and wants to `pull` or `push` which repository."""

    username: str | None
    password: str
    host: str
    path: str
    repository: str
    action: str

    @property
    def access_key(self) -> str:
        """The user name without the session token that temporary credentials append (`AKID%token`)."""
        return (self.username or "").partition("%")[0]


class SignatureCheck:
    """An `authorize` for Repositories: passes a request whose signature is right and at most 15 minutes old.

    `secret_for(access key)` is its secret, or None; `region_of(repository)` the region of the signature, which a URL on
    one machine does not tell. A host is signed as the client names it, with or without its port, or as AWS names it.
    """

    def __init__(
        self,
        secret_for: Callable[[str], str | None],
        region_of: Callable[[str], str] = lambda repository: "us-east-1",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secret_for = secret_for
        self._region_of = region_of
        self._now = now

    def __call__(self, access: Access) -> None:
        if access.username is None:
            raise Unauthenticated("no credentials")
        secret = self._secret_for(access.access_key)
        given = _PASSWORD.fullmatch(access.password)
        if secret is None or given is None:
            raise Forbidden("the security token included in the request is invalid")
        time, signature = given.groups()
        if abs(self._now() - datetime.strptime(time + "Z", "%Y%m%dT%H%M%S%z")) > _VALIDITY:
            raise Forbidden(f"signature expired: {time} is not within 15 minutes of now")
        if not any(hmac.compare_digest(signature, right) for right in self._signatures(access, secret, time)):
            raise Forbidden("the signature does not match")

    def _signatures(self, access: Access, secret: str, time: str) -> Iterable[str]:
        region = self._region_of(access.repository)
        for host in dict.fromkeys([access.host, access.host.partition(":")[0], aws_host(region)]):
            for path in (access.path, f"{access.path}/"):
                yield sign(secret, region, host, path, time)


def aws_host(region: str) -> str:
    return f"git-codecommit.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def sign(secret: str, region: str, host: str, path: str, time: str) -> str:
    """The hexadecimal signature of a repository's URL at a time (`20260131T235959`, UTC)."""
    request = f"GIT\n{path}\n\nhost:{host}\n\nhost\n"
    scope = f"{time[:8]}/{region}/codecommit/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return sigv4.signature(secret, scope, text)
