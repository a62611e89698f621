"""Who may call: what stands before everything that the emulator serves at its port (docs/decisions/0044).

It runs code as the user who started it, and everybody knows its credentials. So a call must come from a process of that
user, or of root; by a name of this machine; not out of a web page of somebody else; and signed where AWS wants that
(emulator.signatures), with the emulator's key if it has one.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from emulator import claims, signatures
from emulator.control import sessions
from emulator.state import moto, peers
from emulator.state.call import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from emulator.state.sigv4 import Secret
    from emulator.state.store import Store

# This machine as its programs call it, and as Docker's containers do. A browser resolves every *.localhost to it:
# https://datatracker.ietf.org/doc/html/rfc6761#section-6.3
_NAMES = re.compile(r"(?:[a-z0-9_-]+\.)*localhost|127\.0\.0\.1|\[::1\]|host\.docker\.internal", re.IGNORECASE)
_PORT = re.compile(r":\d{1,5}$")
# What AWS serves to whom it does not know; their `authtype` in botocore's model of STS is `none`.
_UNSIGNED = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)(?:&|$)")
HEALTH = "/_emulator/health"
# Mounts whose calls have no secret: the registry has its tokens, git its passwords, a task's metadata its name.
_OPEN = ("/_emulator/", "/github.com/")
_FORM = re.compile(rb'name="?(?:x-amz-signature|signature)"?\r\n', re.IGNORECASE)


class Door:
    """A WSGI application: `application` for those who may, a refusal without any effect for the others.

    `mounts` are the prefixes of what has credentials of its own (git, the registry, tasks' metadata) or tells nothing.
    """

    def __init__(self, application: WSGIApplication, store: Store, mounts: Iterable[str]) -> None:
        self._application = application
        self._store = store
        self._config = store.config
        self._mounts = tuple(mounts)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        reply = _stranger(environ) or self._elsewhere(environ) or self._unsigned(environ)
        if reply is None:
            return self._application(environ, self._readable(environ, start_response))
        status = HTTPStatus(reply.status)
        length = ("Content-Length", str(len(reply.body)))
        start_response(f"{status.value} {status.phrase}", [*reply.headers.items(), length])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else reply.body]

    def _elsewhere(self, environ: WSGIEnvironment) -> moto.Reply | None:
        """A refusal of what names another host (a name that was made to point here), and of what another page sends."""
        host = environ.get("HTTP_HOST", "")
        name = _PORT.sub("", host).removesuffix(".")
        if not _NAMES.fullmatch(name) and name.lower() not in {*self._config.allow_hosts, *self._config.relays}:
            return _plain(
                f"'{host[:100]}' is no name of the emulator: call it localhost, or start it with --allow-host"
            )
        origin, asks = environ.get("HTTP_ORIGIN"), environ["REQUEST_METHOD"] == "OPTIONS"
        if origin is not None and (origin in self._config.allow_origins or _bucket_lets_in(environ, name, origin)):
            return _preflight(environ) if asks else None
        if asks:
            return _plain(f"{_PAGES}: a preflight is answered to those alone")
        own = (f"http://{host}", f"https://{host}")
        referer = environ.get("HTTP_REFERER")
        if origin is not None and origin not in own:
            return _plain(f"a page of {origin[:100]} may not call the emulator; {_PAGES}")
        if referer is not None and urlsplit(referer).netloc != host:
            return _plain(f"a link on another page leads nowhere here; {_PAGES}")
        # An address that is typed, or clicked on in a mail, is of no site; what changes something is not called so.
        site = environ.get("HTTP_SEC_FETCH_SITE")
        reads = environ["REQUEST_METHOD"] in ("GET", "HEAD") and "Action=" not in environ.get("QUERY_STRING", "")
        if site in (None, "same-origin") or (site == "none" and reads):
            return None
        return _plain(f"a page of another site may not call the emulator; {_PAGES}")

    def _readable(self, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """For a page of --allow-origin the answer says that it may be read."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or origin not in self._config.allow_origins:
            return start_response

        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            kept = [header for header in headers if not header[0].lower().startswith("access-control-")]
            allowed = [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Expose-Headers", "*"),
                ("Vary", "Origin"),
            ]
            return start_response(status, [*kept, *allowed], *rest)  # type: ignore[arg-type]

        return start  # type: ignore[return-value]

    def _unsigned(self, environ: WSGIEnvironment) -> moto.Reply | None:
        """A refusal of what AWS, or the part of the emulator that it is for, would not take unsigned."""
        path = environ["PATH_INFO"]
        if path.startswith("/moto-api"):
            return _plain("the control API of moto is not served here")
        try:
            if claim := claims.of(environ):
                signatures.check(claim, moto.read(environ), self._secret_of)
            elif path.startswith(self._mounts):
                return self._without_key(path, environ.get("HTTP_AUTHORIZATION", ""))
            elif _is_upload(environ):
                claims.keep(environ, signatures.check_form(moto.read(environ), self._secret_of))
            elif not _is_public(environ):
                return _refused(environ, AwsError("MissingAuthenticationToken", "Missing Authentication Token"))
        except claims.Refused as refused:
            code, status, message = signatures.ERRORS[refused.kind][_family(environ)]
            return _refused(environ, AwsError(code, message.replace("{}", refused.detail)), status)
        except AwsError as error:
            return _refused(environ, error, 403 if error.code == "AccessDenied" else 400)
        return None

    def _without_key(self, path: str, authorization: str) -> moto.Reply | None:
        """With a key, whoever does not show it is kept from what has no secret of its own."""
        key = self._config.key
        if not key or path == HEALTH or not path.startswith(_OPEN) or _shows(authorization, key):
            return None
        return _plain("the emulator's key, please", 401, {"WWW-Authenticate": 'Basic realm="emulator"'})

    def _secret_of(self, access_key: str) -> Secret | None:
        return sessions.secret_of(self._store, access_key)


def _stranger(environ: WSGIEnvironment) -> moto.Reply | None:
    """A refusal of another user of this machine, where the system tells whose a connection is."""
    client = (environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0))
    user = peers.user_of(client, (environ["SERVER_NAME"], int(environ["SERVER_PORT"])))
    if user is None or peers.is_mine(user):
        return None
    who = "a process that is gone" if user == peers.GONE else f"user {user}"
    return _plain(f"this emulator is not {who}'s; start your own: python -m emulator start --port … --folder …")


def _shows(authorization: str, key: str) -> bool:
    """Whether an Authorization header, Bearer or the password of Basic, is the key."""
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    return hmac.compare_digest(given.strip().encode(), key.encode())


_PAGES = "a page may that the emulator was started for, with --allow-origin, or that a bucket's CORS rules name"


def _bucket_lets_in(environ: WSGIEnvironment, name: str, origin: str) -> bool:
    """Whether it is for a bucket of S3, by its path or its host's name, whose CORS rules let the page in."""
    if "HTTP_X_AMZ_TARGET" in environ or _signed_for(environ) not in (None, "s3"):
        return False
    method, headers = environ["REQUEST_METHOD"], ""
    if method == "OPTIONS":
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "")
        headers = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    named = [header.strip() for header in headers.split(",") if header.strip()]
    buckets = (*environ["PATH_INFO"].split("/")[1:2], name.partition(".")[0])
    return any(moto.bucket_lets_in(bucket, origin, method, named) for bucket in buckets)


def _is_upload(environ: WSGIEnvironment) -> bool:
    """A browser's upload to S3, whose form is signed."""
    is_form = environ.get("CONTENT_TYPE", "").lower().startswith("multipart/form-data")
    return environ["REQUEST_METHOD"] == "POST" and is_form and bool(_FORM.search(moto.read(environ).get_data()))


def _is_public(environ: WSGIEnvironment) -> bool:
    """Whether AWS serves it to anybody; what S3 lets anonymous visitors read is for S3 to judge."""
    method, kind = environ["REQUEST_METHOD"], environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if method == "POST" and kind == "application/x-www-form-urlencoded":
        action = _ACTION.search(moto.read(environ).get_data())
        return bool(action and action[1].decode() in _UNSIGNED)
    if method not in ("GET", "HEAD"):
        return False
    query = dict(reversed(claims.query(environ)))
    if "Action" in query:
        return query["Action"] in _UNSIGNED
    return not query.keys() - {"versionId", "partNumber"} and bool(re.match(r"/[^/]+/.", environ["PATH_INFO"]))


def _preflight(environ: WSGIEnvironment) -> moto.Reply:
    """Yes. https://fetch.spec.whatwg.org/#cors-preflight-fetch"""
    headers = {
        "Access-Control-Allow-Origin": environ["HTTP_ORIGIN"],
        "Access-Control-Allow-Methods": environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "GET"),
        "Access-Control-Allow-Headers": environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""),
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
    return moto.Reply(200, headers, b"")


def _plain(sentence: str, status: int = 403, headers: dict[str, str] | None = None) -> moto.Reply:
    kind = {"Content-Type": "text/plain; charset=utf-8"}
    return moto.Reply(status, {**kind, **(headers or {})}, f"{sentence}\n".encode())


def _family(environ: WSGIEnvironment) -> str:
    """In whose words: "json", "query", "ec2" or "s3"."""
    service = _signed_for(environ)
    if environ.get("HTTP_X_AMZ_TARGET") or re.match(r"/\d{4}-\d{2}-\d{2}/", environ["PATH_INFO"]):
        return "json"
    if service == "ec2":
        return "ec2"
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    asks = form or "Action=" in environ.get("QUERY_STRING", "")
    return "query" if asks and service != "s3" else "s3"


def _signed_for(environ: WSGIEnvironment) -> str | None:
    """The service; "" when that cannot be told, None when it is not signed."""
    try:
        claim = claims.of(environ)
    except (claims.Refused, AwsError):
        return ""
    return claim.service if claim else None


def _refused(environ: WSGIEnvironment, error: AwsError, status: int = 403) -> moto.Reply:
    """The error as the services answer it before they know who calls: in the protocol that the request looks like."""
    family = _family(environ)
    if family == "json":
        code = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
        body = json.dumps({"__type": code, "message": error.message}).encode()
        status = 400 if environ.get("HTTP_X_AMZ_TARGET") else 403
        return moto.Reply(status, {"Content-Type": "application/x-amz-json-1.1", "X-Amzn-Errortype": code}, body)
    code, message = escape(error.code), escape(error.message)
    if family == "query":
        inner = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
        text = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
    elif family == "ec2":
        inner = f"<Code>{code}</Code><Message>{message}</Message>"
        text = f"<Response><Errors><Error>{inner}</Error></Errors></Response>"
    elif error.code == "MissingAuthenticationToken":  # S3 knows an anonymous caller, who may do little
        text = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    else:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return moto.Reply(status, {"Content-Type": "text/xml"}, xml)
