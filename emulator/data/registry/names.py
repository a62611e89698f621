"""The grammar of repositories, tags and digests (OCI distribution specification, "Pulling manifests")."""

from __future__ import annotations

import hashlib
import re

from emulator.data.registry.errors import DigestInvalid, NameInvalid, TagInvalid

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = {"sha256": re.compile(r"[a-f0-9]{64}"), "sha512": re.compile(r"[a-f0-9]{128}")}


def checked_repository(name: str) -> str:
    if len(name) > 255 or not _REPOSITORY.fullmatch(name):
        raise NameInvalid(f"invalid repository name '{name}'")
    return name


def checked_tag(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise TagInvalid(f"invalid tag '{tag}'")
    return tag


def checked_digest(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    if algorithm not in _DIGEST or not _DIGEST[algorithm].fullmatch(encoded):
        raise DigestInvalid(f"invalid digest '{digest}': expected sha256 or sha512", {"digest": digest})
    return digest


def is_digest(reference: str) -> bool:
    return ":" in reference  # a tag has no colon


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
