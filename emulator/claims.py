"""What a call says of itself: whose it is, for which service, and by which signature.

Read at one place, for whoever proves it (emulator.signatures) and for whoever acts by it (emulator.server): if each
read the header for itself, a call could be signed as one and act as another.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from emulator.state.call import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment

_READ = "emulator.claim"  # where an environment keeps it
_HEADER = re.compile(r"AWS4-HMAC-SHA256\s+(.*)", re.DOTALL)
_HEADER_V2 = re.compile(r"AWS ([^:\s]+):(\S+)")
_CREDENTIAL = re.compile(r"([^/]+)/((\d{8})/([^/]+)/([^/]+)/aws4_request)")
_NAMES = ("Credential", "SignedHeaders", "Signature")
_OF_QUERIES = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")
_OF_QUERIES_V2 = ("Signature", "Expires", "AWSAccessKeyId")


class Refused(Exception):
    """`kind` is a key of emulator.signatures.ERRORS."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Claim:
    """Version 2 is S3's alone, and names no region."""

    access_key: str
    signature: str
    version: int = 4
    place: str = "header"  # or "query", "form"
    scope: str = ""  # 20260131/us-east-1/sts/aws4_request
    day: str = ""
    region: str = "us-east-1"
    service: str = "s3"  # by the name that it is signed with
    signed_headers: str = ""


def of(environ: WSGIEnvironment) -> Claim | None:
    """None for a call that is not signed; raises Refused, or AwsError in S3's words, for one that says two things.

    A form that is uploaded has its own in its fields: `keep` it.
    """
    if _READ not in environ:
        environ[_READ] = _read(environ.get("HTTP_AUTHORIZATION", ""), query(environ))
    found: Claim | None = environ[_READ]
    return found


def keep(environ: WSGIEnvironment, claim: Claim) -> None:
    environ[_READ] = claim


def of_form(fields: Mapping[str, str]) -> Claim:
    """Of the fields, with small letters, of a browser's upload to S3; raises AwsError."""
    if "x-amz-signature" not in fields:
        return Claim(fields.get("awsaccesskeyid", ""), fields.get("signature", ""), version=2, place="form")
    given = _CREDENTIAL.fullmatch(fields.get("x-amz-credential", ""))
    if not given:
        raise AwsError("InvalidArgument", "X-Amz-Credential is no credential of this form")
    return _claim(given, fields["x-amz-signature"], "form", "")


def query(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """Names and values in their order, those without a value too."""
    pairs = [pair.partition("=")[::2] for pair in environ.get("QUERY_STRING", "").split("&") if pair]
    return [(unquote(name.replace("+", " ")), unquote(value.replace("+", " "))) for name, value in pairs]


def _read(authorization: str, pairs: list[tuple[str, str]]) -> Claim | None:
    counted, named = Counter(name for name, _ in pairs), dict(pairs)
    presigned = "X-Amz-Signature" in named or "Signature" in named
    if authorization.startswith("AWS"):
        if presigned or "X-Amz-Algorithm" in named:
            raise AwsError(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
            )
        return _of_header(authorization)
    if not presigned:
        return None
    if "X-Amz-Signature" in named:
        given = _CREDENTIAL.fullmatch(named.get("X-Amz-Credential", ""))
        right = given and named.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256"
        if not given or not right or any(counted[name] != 1 for name in _OF_QUERIES):
            raise AwsError(
                "AuthorizationQueryParametersError",
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            )
        return _claim(given, named["X-Amz-Signature"], "query", named["X-Amz-SignedHeaders"])
    if any(counted[name] != 1 for name in _OF_QUERIES_V2):
        raise AwsError(
            "AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    return Claim(named["AWSAccessKeyId"], named["Signature"], version=2, place="query")


def _of_header(authorization: str) -> Claim:
    if given := _HEADER_V2.fullmatch(authorization):
        return Claim(given[1], given[2], version=2)
    matched = _HEADER.fullmatch(authorization)
    if not matched:
        raise Refused("incomplete", f"'{authorization[:60]}' is no signature")
    fields: dict[str, str] = {}
    for part in matched[1].split(","):
        name, _, value = part.strip().partition("=")
        if name in fields:
            raise Refused("incomplete", f"Authorization header has '{name}' twice.")
        fields[name] = value
    for name in _NAMES:
        if not fields.get(name):
            raise Refused("incomplete", f"Authorization header requires '{name}' parameter.")
    credential = _CREDENTIAL.fullmatch(fields["Credential"])
    if not credential:
        raise Refused("incomplete", "Credential must have at least 5 slash-delimited elements")
    return _claim(credential, fields["Signature"], "header", fields["SignedHeaders"])


def _claim(credential: re.Match[str], signature: str, place: str, signed_headers: str) -> Claim:
    access_key, scope, day, region, service = credential.groups()
    return Claim(access_key, signature, 4, place, scope, day, region, service, signed_headers)
