"""Whether a call was signed with the secret of its access key: in a header, in a presigned URL, in an upload's form.

The rules and the words are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList,
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
Signature Version 2 is S3's alone, as boto3 still presigns with it; its arithmetic is botocore's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from emulator import claims
from emulator.claims import Claim, Refused
from emulator.state import sigv4
from emulator.state.call import AwsError
from emulator.state.sigv4 import Secret

if TYPE_CHECKING:
    from moto.core.request import Request

_SKEW = timedelta(minutes=15)
_LONGEST = timedelta(days=7)
_ISO = "%Y%m%dT%H%M%SZ"
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})")
_DIGEST = re.compile("[0-9a-f]{64}")

SecretOf = Callable[[str], Secret | None]

_MISMATCH = "The request signature we calculated does not match the signature you provided. Check your "
_ELSEWHERE = f"{_MISMATCH}AWS Secret Access Key and signing method. Consult the service documentation for details."
_AUTH_FAILURE = ("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
_INVALID_TOKEN = "The security token included in the request is invalid."
_EXPIRED_TOKEN = "The security token included in the request is expired"

# By kind, then by whose words: code, HTTP status, message.
ERRORS: dict[str, dict[str, tuple[str, int, str]]] = {
    "unknown key": {
        "s3": ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
        "ec2": _AUTH_FAILURE,
        "query": ("InvalidClientTokenId", 403, _INVALID_TOKEN),
        "json": ("UnrecognizedClientException", 400, _INVALID_TOKEN),
    },
    "wrong token": {
        "s3": ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
        "ec2": _AUTH_FAILURE,
        "query": ("InvalidClientTokenId", 403, _INVALID_TOKEN),
        "json": ("UnrecognizedClientException", 400, _INVALID_TOKEN),
    },
    "expired token": {
        "s3": ("ExpiredToken", 400, "The provided token has expired."),
        "ec2": ("RequestExpired", 400, "Request has expired."),
        "query": ("ExpiredToken", 403, _EXPIRED_TOKEN),
        "json": ("ExpiredTokenException", 400, _EXPIRED_TOKEN),
    },
    "mismatch": {
        "s3": ("SignatureDoesNotMatch", 403, f"{_MISMATCH}key and signing method."),
        "ec2": _AUTH_FAILURE,
        "query": ("SignatureDoesNotMatch", 403, _ELSEWHERE),
        "json": ("InvalidSignatureException", 400, _ELSEWHERE),
    },
    "late": {
        "s3": (
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
        ),
        "ec2": ("RequestExpired", 400, "Request has expired."),
        "query": ("SignatureDoesNotMatch", 403, "Signature expired: {}"),
        "json": ("InvalidSignatureException", 400, "Signature expired: {}"),
    },
    "incomplete": {
        "s3": ("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; {}"),
        "ec2": _AUTH_FAILURE,
        "query": ("IncompleteSignature", 400, "{}"),
        "json": ("IncompleteSignatureException", 400, "{}"),
    },
}


def check(claim: Claim, request: Request, secret_of: SecretOf) -> None:
    """Raises Refused, or AwsError in S3's words, unless `request` was signed as its header or its query says."""
    named = dict(claims.query(request.environ))
    if claim.version == 2:
        _check_v2(claim, request, named, secret_of)
    elif claim.place == "query":
        _check_presigned(claim, request, named, secret_of)
    else:
        date = _date_of(request)
        _check_v4(claim, request, date, secret_of, request.headers.get("X-Amz-Security-Token"))
        now = datetime.now(UTC)
        if abs(now - date) > _SKEW:
            raise Refused("late", f"{date:{_ISO}} is now earlier than {now - _SKEW:{_ISO}} ({now:{_ISO}} - 15 min.)")


def check_form(request: Request, secret_of: SecretOf) -> Claim:
    """The same of a browser's upload to S3, whose policy is signed and says what may be uploaded; answers its claim.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    fields = {name.lower(): value for name, value in request.form.items()}
    policy, claim = fields.get("policy", ""), claims.of_form(fields)
    secret = _secret(secret_of, claim.access_key, fields.get("x-amz-security-token"))
    if claim.version == 2:
        right = base64.b64encode(hmac.digest(secret.key.encode(), policy.encode(), "sha1")).decode()
    else:
        right = sigv4.signature(secret.key, claim.scope, policy)
    _must_be(right, claim.signature)
    _check_policy(policy, fields, request)
    return claim


def _check_v4(claim: Claim, request: Request, date: datetime, secret_of: SecretOf, token: str | None) -> None:
    signed = claim.signed_headers.split(";")
    if "host" not in signed:
        raise Refused("incomplete", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if claim.day != f"{date:%Y%m%d}":
        raise Refused("incomplete", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
    secret = _secret(secret_of, claim.access_key, token)
    query = [pair for pair in claims.query(request.environ) if claim.place == "header" or pair[0] != "X-Amz-Signature"]
    canonical = "\n".join(
        [
            request.method,
            _path(request, claim.service),
            _canonical(query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed),
            "",
            claim.signed_headers,
            _payload(request, claim.service),
        ]
    )
    text = f"AWS4-HMAC-SHA256\n{date:{_ISO}}\n{claim.scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    _must_be(sigv4.signature(secret.key, claim.scope, text), claim.signature)
    headers = {name.lower() for name, _ in request.headers.items()}
    if claim.service == "s3" and any(map(_must_be_signed, headers.difference(signed))):
        raise AwsError("AccessDenied", "There were headers present in the request which were not signed")
    if request.headers.get("X-Amz-Content-Sha256", "").startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        check_chunks(request.get_data(), secret.key, claim.scope, f"{date:{_ISO}}", claim.signature)


def _must_be_signed(name: str) -> bool:
    """S3 asks that of all its headers but one: https://github.com/demarche-numerique/ds_proxy/pull/164.

    Other services do not, as Kinesis did not: https://github.com/soto-project/soto-core/pull/99.
    """
    return name.startswith("x-amz-") and name != "x-amz-content-sha256"


def check_chunks(body: bytes, secret: str, scope: str, date: str, seed: str) -> None:
    """Raises Refused unless each chunk of a streamed upload is signed after the one before it, and the trailer too.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, sigv4-streaming-trailers.html
    """
    before, rest, data = seed, body, b"-"
    while data:
        head, found, rest = rest.partition(b"\r\n")
        given = _CHUNK.fullmatch(head)
        if not found or not given:
            raise AwsError("IncompleteBody", "The request body terminated unexpectedly")
        size = int(given[1], 16)
        data, rest = rest[:size], rest[size:].removeprefix(b"\r\n")
        digests = f"{hashlib.sha256(b'').hexdigest()}\n{hashlib.sha256(data).hexdigest()}"
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{before}\n{digests}"
        before = sigv4.signature(secret, scope, text)
        _must_be(before, given[2].decode())
    headers, found, last = rest.partition(b"x-amz-trailer-signature:")
    if found:
        lines = b"".join(line.strip() + b"\n" for line in headers.splitlines() if line.strip())
        text = f"AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{before}\n{hashlib.sha256(lines).hexdigest()}"
        _must_be(sigv4.signature(secret, scope, text), last.strip().decode("latin-1"))
    elif headers.strip():
        raise Refused("mismatch", "a trailer that nobody signed")


def _must_be(right: str, given: str) -> None:
    if not hmac.compare_digest(right.encode(), given.encode()):
        raise Refused("mismatch")


def _check_presigned(claim: Claim, request: Request, named: Mapping[str, str], secret_of: SecretOf) -> None:
    try:
        began = datetime.strptime(named["X-Amz-Date"], _ISO).replace(tzinfo=UTC)
        # Other services than S3 may leave it out: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
        lasts = timedelta(seconds=int(named.get("X-Amz-Expires", "900")))
    except (ValueError, OverflowError) as error:
        raise AwsError("AuthorizationQueryParametersError", f"X-Amz-Date or X-Amz-Expires: {error}") from error
    if not timedelta() <= lasts <= _LONGEST:
        raise AwsError(
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            "604800 seconds",
        )
    _check_v4(claim, request, began, secret_of, named.get("X-Amz-Security-Token"))
    if not -_SKEW <= datetime.now(UTC) - began <= lasts:
        raise AwsError("AccessDenied", "Request has expired")


def _check_v2(claim: Claim, request: Request, named: Mapping[str, str], secret_of: SecretOf) -> None:
    presigned = claim.place == "query"
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        headers[name] = value
    if presigned:
        date = named["Expires"]
        token = named.get("x-amz-security-token")
        if token:  # botocore signs it as the header that it is elsewhere
            headers["x-amz-security-token"] = token
    else:
        date = "" if "X-Amz-Date" in headers else request.headers.get("Date", "")
        token = request.headers.get("X-Amz-Security-Token")
    secret = _secret(secret_of, claim.access_key, token)
    signer = (HmacV1QueryAuth if presigned else HmacV1Auth)(Credentials(claim.access_key, secret.key))
    signer._get_date = lambda: date  # which it takes for now
    raw = urlsplit(_raw(request))
    bucket = re.fullmatch(r"(.+?)\.(?:s3\.)?localhost", request.headers.get("Host", "").partition(":")[0])
    path = f"/{bucket[1]}{raw.path}" if bucket else raw.path
    if re.fullmatch("/[^/]+", path):  # a bucket's own, which is signed as its root
        path += "/"
    expires = date if presigned else None
    _must_be(signer.get_signature(request.method, raw, headers, expires=expires, auth_path=path), claim.signature)
    if presigned:
        if not date.isdigit() or int(date) < datetime.now(UTC).timestamp():
            raise AwsError("AccessDenied", "Request has expired")
    elif abs(datetime.now(UTC) - _date_of(request)) > _SKEW:
        raise Refused("late", date)


def _secret(secret_of: SecretOf, access_key: str, token: str | None) -> Secret:
    secret = secret_of(access_key)
    if secret is None:
        raise Refused("unknown key")
    if secret.token != token and secret.token is not None:
        raise Refused("wrong token")
    if secret.expires is not None and secret.expires < datetime.now(UTC):
        raise Refused("expired token")
    return secret


def _date_of(request: Request) -> datetime:
    """As version 4 writes it, or as HTTP does."""
    date = request.headers.get("X-Amz-Date") or request.headers.get("Date", "")
    with contextlib.suppress(ValueError):
        return datetime.strptime(date, _ISO).replace(tzinfo=UTC)
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, TypeError) as error:
        raise Refused(
            "incomplete", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ) from error


def _raw(request: Request) -> str:
    return str(request.environ.get("RAW_URI") or quote(request.path))


def _canonical(query: list[tuple[str, str]]) -> str:
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _path(request: Request, service: str) -> str:
    """As it was sent for S3; for all others normalised, and encoded once more."""
    raw = _raw(request).partition("?")[0]
    if service == "s3":
        return raw
    normal = posixpath.normpath(raw).replace("//", "/")
    return quote(normal + ("/" if raw.endswith("/") and normal != "/" else ""), safe="/~")


def _payload(request: Request, service: str) -> str:
    """What stands for the body in what is signed; of a body in signed chunks, each has a signature of its own."""
    declared = str(request.headers.get("X-Amz-Content-Sha256", ""))
    if not declared and service == "s3":  # presigned
        return "UNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.get_data()).hexdigest()
    if _DIGEST.fullmatch(declared) and declared != digest:
        raise AwsError(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    return declared or digest


def _check_policy(policy: str, fields: Mapping[str, str], request: Request) -> None:
    """Raises AccessDenied unless the form is what its policy says: in time, and each field as it was foreseen."""
    try:
        read = json.loads(base64.b64decode(policy))
        expires = datetime.fromisoformat(read["expiration"].replace("Z", "+00:00"))
        conditions = [_condition(each) for each in read["conditions"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AwsError("InvalidPolicyDocument", f"Invalid Policy: {error}") from error
    if expires < datetime.now(UTC):
        raise AwsError("AccessDenied", "Invalid according to Policy: Policy expired.")
    files = list(request.files.values())
    given = {"bucket": bucket_of(request), **fields}
    for operator, name, value in conditions:
        if operator == "content-length-range":
            size = len(files[0].read()) if files else len(fields.get("file", ""))
            if files:
                files[0].seek(0)
            if size < int(name):
                raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            if size > int(value):
                raise AwsError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        elif (operator == "eq" and given.get(name) != value) or not given.get(name, "").startswith(value):
            raise _outside(json.dumps([operator, f"${name}", value]))
    foreseen = {name for operator, name, _ in conditions if operator != "content-length-range"}
    free = {"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"}
    for name in sorted(fields.keys() - foreseen - free):
        if not name.startswith("x-ignore-"):
            raise AwsError("AccessDenied", f"Invalid according to Policy: Extra input fields: {name}")


def _condition(condition: Any) -> tuple[str, str, str]:
    """Operator, field, value: `{"acl": "private"}` is `["eq", "$acl", "private"]`."""
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return "eq", name.lower(), str(value)
    operator, name, value = condition
    if operator.lower() == "content-length-range":
        return "content-length-range", str(int(name)), str(int(value))
    if operator.lower() not in ("eq", "starts-with") or not name.startswith("$"):
        raise ValueError(f"{condition} is no condition")
    return operator.lower(), name[1:].lower(), str(value)


def bucket_of(request: Request) -> str:
    in_path = request.path.strip("/").partition("/")[0]
    return str(in_path or request.headers.get("Host", "").partition(".")[0])


def _outside(condition: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: Policy Condition failed: {condition}")
