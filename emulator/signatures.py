"""Whether a call was signed with the secret of its access key: in a header, in a presigned URL, in an upload's form.

The rules and the words are AWS's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList,
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
Signature Version 2 is S3's alone, as boto3 still presigns with it; its arithmetic is botocore's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from emulator.state import sigv4
from emulator.state.call import AwsError
from emulator.state.sigv4 import Secret

if TYPE_CHECKING:
    from moto.core.request import Request

_HEADER = re.compile(r"AWS4-HMAC-SHA256\s+(.*)", re.DOTALL)
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_HEADER_V2 = re.compile(r"AWS ([^:\s]+):(\S+)")
_SCOPE = re.compile(r"([^/]+)/((\d{8})/[^/]+/([^/]+)/aws4_request)")
_SKEW = timedelta(minutes=15)
_LONGEST = timedelta(days=7)
_ISO = "%Y%m%dT%H%M%SZ"
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})")
_DIGEST = re.compile("[0-9a-f]{64}")


SecretOf = Callable[[str], Secret | None]


class Refused(Exception):
    """`kind` is a key of ERRORS."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


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


def check(request: Request, secret_of: SecretOf) -> None:
    """Raises Refused, or AwsError in S3's words, unless the header or the presigned URL of `request` is right."""
    authorization = request.headers.get("Authorization", "")
    query = _query(request)
    named = dict(query)
    if given := _HEADER.match(authorization):
        fields = dict(_FIELD.findall(given[1]))
        for name in ("Credential", "SignedHeaders", "Signature"):
            if name not in fields:
                raise Refused("incomplete", f"Authorization header requires '{name}' parameter.")
        date = _date_of(request)
        _check_v4(request, query, fields, date, secret_of, request.headers.get("X-Amz-Security-Token"))
        if abs(datetime.now(UTC) - date) > _SKEW:
            now = datetime.now(UTC)
            edge = f"is now earlier than {now - _SKEW:{_ISO}} ({now:{_ISO}} - 15 min.)"
            raise Refused("late", f"{date:{_ISO}} {edge}")
    elif given := _HEADER_V2.fullmatch(authorization):
        _check_v2(request, HmacV1Auth, given[1], given[2], secret_of, request.headers.get("X-Amz-Security-Token"))
    elif "X-Amz-Signature" in named:
        _check_presigned(request, query, named, secret_of)
    elif "Signature" in named:
        _check_presigned_v2(request, named, secret_of)
    else:
        raise Refused("incomplete", f"'{authorization[:60]}' is no signature")


def check_form(request: Request, secret_of: SecretOf) -> None:
    """The same of a browser's upload to S3, whose policy is signed and says what may be uploaded.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
    """
    fields = {name.lower(): value for name, value in request.form.items()}
    policy = fields.get("policy", "")
    if "x-amz-signature" in fields:
        given = _SCOPE.fullmatch(fields.get("x-amz-credential", ""))
        if not given:
            raise AwsError("InvalidArgument", "X-Amz-Credential is no credential of this form")
        secret = _secret(secret_of, given[1], fields.get("x-amz-security-token"))
        right = sigv4.signature(secret.key, given[2], policy)
        signature = fields["x-amz-signature"]
    else:
        secret = _secret(secret_of, fields.get("awsaccesskeyid", ""), fields.get("x-amz-security-token"))
        right = base64.b64encode(hmac.digest(secret.key.encode(), policy.encode(), "sha1")).decode()
        signature = fields.get("signature", "")
    if not hmac.compare_digest(right.encode(), signature.encode()):
        raise Refused("mismatch")
    _check_policy(policy, fields, request)


def _check_v4(
    request: Request,
    query: list[tuple[str, str]],
    fields: Mapping[str, str],
    date: datetime,
    secret_of: SecretOf,
    token: str | None,
) -> None:
    given = _SCOPE.fullmatch(fields["Credential"])
    if not given:
        raise Refused("incomplete", "Credential must have at least 5 slash-delimited elements")
    access_key, scope, day, service = given.groups()
    signed = fields["SignedHeaders"].split(";")
    if "host" not in signed:
        raise Refused("incomplete", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if day != f"{date:%Y%m%d}":
        raise Refused("incomplete", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
    secret = _secret(secret_of, access_key, token)
    canonical = "\n".join(
        [
            request.method,
            _path(request, service),
            _canonical(query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed),
            "",
            fields["SignedHeaders"],
            _payload(request, service),
        ]
    )
    text = f"AWS4-HMAC-SHA256\n{date:{_ISO}}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    if not hmac.compare_digest(sigv4.signature(secret.key, scope, text).encode(), fields["Signature"].encode()):
        raise Refused("mismatch")
    if request.headers.get("X-Amz-Content-Sha256", "").startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        check_chunks(request.get_data(), secret.key, scope, f"{date:{_ISO}}", fields["Signature"])


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
        before = _signed_as(given[2], sigv4.signature(secret, scope, text))
    headers, found, last = rest.partition(b"x-amz-trailer-signature:")
    if found:
        lines = b"".join(line.strip() + b"\n" for line in headers.splitlines() if line.strip())
        text = f"AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{before}\n{hashlib.sha256(lines).hexdigest()}"
        _signed_as(last.strip(), sigv4.signature(secret, scope, text))
    elif headers.strip():
        raise Refused("mismatch", "a trailer that nobody signed")


def _signed_as(given: bytes, right: str) -> str:
    if not hmac.compare_digest(given, right.encode()):
        raise Refused("mismatch")
    return right


def _check_presigned(
    request: Request, query: list[tuple[str, str]], named: Mapping[str, str], secret_of: SecretOf
) -> None:
    try:
        began = datetime.strptime(named["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
        # Other services than S3 may leave it out: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
        lasts = timedelta(seconds=int(named.get("X-Amz-Expires", "900")))
        fields = {name: named[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
        if named["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or not _SCOPE.fullmatch(fields["Credential"]):
            raise ValueError
    except (KeyError, ValueError, OverflowError) as error:
        raise AwsError(
            "AuthorizationQueryParametersError",
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ) from error
    if not timedelta() <= lasts <= _LONGEST:
        raise AwsError(
            "AuthorizationQueryParametersError",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            "604800 seconds",
        )
    rest = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    _check_v4(request, rest, fields, began, secret_of, named.get("X-Amz-Security-Token"))
    if not -_SKEW <= datetime.now(UTC) - began <= lasts:
        raise AwsError("AccessDenied", "Request has expired")


def _check_presigned_v2(request: Request, named: Mapping[str, str], secret_of: SecretOf) -> None:
    if not {"AWSAccessKeyId", "Expires"} <= named.keys():
        raise AwsError(
            "AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    token = named.get("x-amz-security-token")
    _check_v2(request, HmacV1QueryAuth, named["AWSAccessKeyId"], named["Signature"], secret_of, token, named["Expires"])
    if not named["Expires"].isdigit() or int(named["Expires"]) < datetime.now(UTC).timestamp():
        raise AwsError("AccessDenied", "Request has expired")


def _check_v2(
    request: Request,
    kind: type[HmacV1Auth],
    access_key: str,
    signature: str,
    secret_of: SecretOf,
    token: str | None,
    expires: str | None = None,
) -> None:
    secret = _secret(secret_of, access_key, token)
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        headers[name] = value
    if token and expires:  # botocore signs it as the header that it is elsewhere
        headers["x-amz-security-token"] = token
    date = expires
    if date is None:
        date = "" if "X-Amz-Date" in headers else request.headers.get("Date", "")
        if abs(datetime.now(UTC) - _date_of(request)) > _SKEW:
            raise Refused("late", date)
    signer = kind(Credentials(access_key, secret.key))
    signer._get_date = lambda: date  # which it takes for now
    host = request.headers.get("Host", "").partition(":")[0]
    raw = urlsplit(_raw(request))
    bucket = re.fullmatch(r"(.+?)\.(?:s3\.)?localhost", host)
    path = f"/{bucket[1]}{raw.path}" if bucket else raw.path
    if re.fullmatch("/[^/]+", path):  # a bucket's own, which is signed as its root
        path += "/"
    right = signer.get_signature(request.method, raw, headers, expires=expires, auth_path=path)
    if not hmac.compare_digest(right.encode(), signature.encode()):
        raise Refused("mismatch")


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
    try:
        if date := request.headers.get("X-Amz-Date", ""):
            return datetime.strptime(date, "%Y%m%dT%H%M%S%z") if "," not in date else parsedate_to_datetime(date)
        return parsedate_to_datetime(request.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError) as error:
        raise Refused(
            "incomplete", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ) from error


def _raw(request: Request) -> str:
    return str(request.environ.get("RAW_URI") or quote(request.path))


def _query(request: Request) -> list[tuple[str, str]]:
    pairs = [pair.partition("=")[::2] for pair in request.environ.get("QUERY_STRING", "").split("&") if pair]
    return [(unquote(name.replace("+", " ")), unquote(value.replace("+", " "))) for name, value in pairs]


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
    given = {"bucket": _bucket(request), **fields}
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


def _bucket(request: Request) -> str:
    in_path = request.path.strip("/").partition("/")[0]
    return str(in_path or request.headers.get("Host", "").partition(".")[0])


def _outside(condition: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: Policy Condition failed: {condition}")
