"""The front door: our answer where we have one, else moto's; beside it the registry and the repositories."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from emulator import cbor, claims, malformed, signatures
from emulator.claims import Claim
from emulator.control import permissions
from emulator.control.table import SERVICES
from emulator.state import moto
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from moto.core.request import Request

log = logging.getLogger("emulator")

# What changes nothing need not wake the loops, which ask such questions themselves.
_QUESTION = re.compile(r"(Describe|List|Get|BatchGet|Filter|Head|Search|Lookup|PutMetricData|PutLogEvents)")


class FrontDoor:
    """A WSGI application. `mounts`: other applications by path prefix, for requests that AWS's SDKs did not sign."""

    def __init__(self, store: Store, mounts: dict[str, WSGIApplication] | None = None) -> None:
        self._store = store
        self._mounts = sorted((mounts or {}).items(), key=lambda mount: -len(mount[0]))
        self._moto = moto.application()
        store.serve_clients_with(self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        claim = claims.of(environ)
        if claim is None:
            for prefix, application in self._mounts:
                if environ["PATH_INFO"].startswith(prefix):
                    return application(environ, start_response)
        reply = self._reply(moto.read(environ), claim)
        status = HTTPStatus(reply.status)
        headers = [(name, value) for name, value in reply.headers.items() if name.lower() != "content-length"]
        if environ["REQUEST_METHOD"] == "HEAD":  # the length of what a GET would answer
            headers = list(reply.headers.items())
        elif status >= 200 and status not in (204, 304):
            headers.append(("Content-Length", str(len(reply.body))))
        start_response(f"{status.value} {status.phrase}", headers)
        return [reply.body]

    def _reply(self, request: Request, claim: Claim | None) -> moto.Reply:
        if claim is None:  # one of the few calls that need no signature: moto knows them
            service = "sts" if request.values.get("Action") else "s3"
            return self._answer(service, request, lambda routed: self._motos(service, routed, request))
        service = moto.SIGNING_NAMES.get(claim.service, claim.service)
        if cbor.is_spoken(request):
            return cbor.answer(service, request, lambda in_json: self._reply(in_json, claim))
        # moto reads headers for itself: four slashes in a signature of version 2 are a scope to it, and it asks no
        # service but S3 whether its URL was presigned.
        if claim.version == 2 and claim.place == "header":
            request.environ["HTTP_AUTHORIZATION"] = f"AWS {claim.access_key}:verified"
        elif claim.place == "query" and service != "s3":
            verified = f"Credential={claim.access_key}/{claim.scope}, SignedHeaders=host, Signature=verified"
            request.environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 {verified}"

        def answer(routed: moto.Routed | None) -> moto.Reply:
            if refused := self._refused(service, routed, request, claim):
                return refused
            if routed is None or routed[0] not in SERVICES.get(service, {}):
                return self._motos(service, routed, request)
            return self._ours(service, routed, request, claim)

        return self._answer(service, request, answer)

    def _answer(self, service: str, request: Request, answer: Callable[[moto.Routed | None], moto.Reply]) -> moto.Reply:
        """What `answer` says to the call, or the error that AWS has for one that it cannot understand."""
        request.get_data()  # whoever goes away in the midst of it has called nothing
        routed = moto.route(service, request)
        try:
            if routed and (error := malformed.refusal(service, *routed, request)):
                return moto.serialise(service, routed[0], request, error)
            return answer(routed)
        except NotImplementedError:
            return moto.unsupported(service, request) if routed else malformed.unknown(service, request)
        finally:
            if not _QUESTION.match(routed[0] if routed else moto.operation_named(request)):
                self._store.changed()

    def _motos(self, service: str, routed: moto.Routed | None, request: Request) -> moto.Reply:
        """moto's answer, which has no words of AWS for a call that its code or its routes did not expect."""
        if routed is None and malformed.is_unknown(service, request):
            return malformed.unknown(service, request)
        if routed and (error := malformed.incomplete(service, *routed, request)):
            return moto.serialise(service, routed[0], request, error)
        try:
            reply = moto.run(self._moto, request)
        except NotImplementedError:
            raise
        except Exception:
            return self._broken(service, routed, request)
        if request.method == "HEAD" or not malformed.is_no_answer(reply):
            return malformed.typed(service, reply)
        if reply.status == HTTPStatus.FORBIDDEN:  # an object that is not for anybody
            return moto.refuse(service, request, AwsError("AccessDenied", "Access Denied"), reply.status)
        if reply.status < 500:  # no route of moto's leads there
            raise NotImplementedError
        return self._broken(service, routed, request)

    def _broken(self, service: str, routed: moto.Routed | None, request: Request) -> moto.Reply:
        """The answer to a call that a handler, ours or moto's, has failed on; inside an `except`, it is logged.

        With 400, where AWS has 500: clients would only try it again, and it will never go better.
        """
        name = routed[0] if routed else moto.operation_named(request)
        if routed:
            with contextlib.suppress(Exception):
                if error := malformed.invalid(service, *routed, request):
                    return moto.serialise(service, name, request, error)
        log.error("%s %s", service, name, exc_info=sys.exc_info()[1])
        failure = malformed.failed(service, name)
        return moto.serialise(service, name, request, failure) if routed else moto.refuse(service, request, failure)

    def _refused(self, service: str, routed: moto.Routed | None, request: Request, claim: Claim) -> moto.Reply | None:
        """AccessDenied, when a role calls what its policies do not allow and the emulator is told to enforce them."""
        mode = self._store.config.iam
        session = moto.role_session(claim.access_key) if mode != "off" else None
        asked = _asked(service, routed, request, claim) if session else None
        if session is None or asked is None:
            return None
        operation, parameters = asked
        call = Call(service, operation, parameters, moto.ACCOUNT, claim.region, claim.access_key, dict)
        error = permissions.refusal(call, *session)
        if error is None:
            return None
        if mode == "log":
            permissions.warn(self._store, call, error)
            return None
        reply = moto.serialise(service, operation, request, error)
        return reply if error.code == "AccessDeniedException" else replace(reply, status=HTTPStatus.FORBIDDEN)

    def _ours(self, service: str, routed: moto.Routed, request: Request, claim: Claim) -> moto.Reply:
        operation, in_path = routed

        def forward() -> Answer:
            return moto.answer(service, operation, request, moto.run(self._moto, request))

        result: Answer | AwsError
        try:
            parameters = moto.parse(service, operation, in_path, request)
            account = moto.account_of(claim.access_key)
            call = Call(service, operation, parameters, account, claim.region, claim.access_key, forward)
            result = SERVICES[service][operation](self._store, call)
        except AwsError as error:
            result = error
        except NotImplementedError:  # moto's word for it, through call.moto()
            raise
        except Exception:
            return self._broken(service, routed, request)
        return moto.serialise(service, operation, request, result)


def _asked(service: str, routed: moto.Routed | None, request: Request, claim: Claim) -> moto.Routed | None:
    """What a policy is asked about: an operation and its parameters."""
    if claim.place == "form":
        # No operation of its own: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
        return "PutObject", {"Bucket": signatures.bucket_of(request), "Key": request.form.get("key", "")}
    if routed is None:
        return None
    try:
        return routed[0], moto.parse(service, *routed, request)
    except Exception:  # judged by its action and its path; what answers a call that cannot be read will say more
        return routed
