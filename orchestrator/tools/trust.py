"""Which hosts are the environment's own. Credentials go to no other, whatever a state or an answer says.

A Terraform state is a file in a bucket: who may write there must not learn with what we sign.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from orchestrator.config import Config, is_loopback
from orchestrator.errors import NotOurs

_AWS = re.compile(r"\.amazonaws\.com(\.cn)?$")


def codecommit(config: Config, url: str) -> str:
    """The host (and port) of a CodeCommit repository's URL; raises NotOurs unless it is this environment's."""
    parts = urlsplit(url)
    if config.endpoint_url:
        return _checked(url, _is_at(config.endpoint_url, url), config.endpoint_url)
    suffix = ".cn" if config.region.startswith("cn-") else ""
    own = f"git-codecommit.{config.region}.amazonaws.com{suffix}"
    return _checked(url, parts.scheme == "https" and parts.netloc == own, f"https://{own}")


def github(config: Config, url: str) -> str:
    """The same of a repository behind a connection: GitHub's, or the emulator's stand-in. A folder is nobody's host."""
    if url.startswith("/"):
        return ""
    own = url.startswith("https://github.com/") or bool(config.endpoint_url and _is_at(config.endpoint_url, url))
    return _checked(url, own, "https://github.com")


def registry(endpoint: str, region: str, url: str) -> str:
    """The same of the registry that ECR at ``endpoint`` names."""
    host = urlsplit(endpoint).hostname or ""
    if not _AWS.search(host):
        return _checked(url, _is_at(endpoint, url, any_port=True), endpoint)
    own = re.fullmatch(rf"https://\d{{12}}\.dkr\.ecr(-fips)?\.{re.escape(region)}\.amazonaws\.com(\.cn)?", url)
    return _checked(url, bool(own), f"ECR's of {region}")


def _is_at(endpoint: str, url: str, *, any_port: bool = False) -> bool:
    ours, theirs = urlsplit(endpoint), urlsplit(url)
    if theirs.scheme not in ("http", "https") or theirs.username is not None:
        return False
    same_port = any_port or (theirs.scheme, theirs.port) == (ours.scheme, ours.port)
    names = (ours.hostname or "", theirs.hostname or "")
    here = all(is_loopback(f"http://{f'[{name}]' if ':' in name else name}") or name in _HOST for name in names)
    return same_port and (names[0] == names[1] or here or names[1].endswith(f".{names[0]}"))


# This machine as a container on it calls it.
_HOST = ("host.docker.internal",)


def _checked(url: str, ours: bool, own: str) -> str:
    if not ours:
        raise NotOurs(
            f"{urlsplit(url).netloc or repr(url)} is no host of this environment (its own: {own}): no password for it",
            "somebody changed what a stack answers: look who, then put it right with `deploy --refresh`",
        )
    return urlsplit(url).netloc
