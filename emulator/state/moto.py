"""The only file that touches moto's internals: its parsers and serialisers, its WSGI application and its tables."""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import re
import threading
import warnings
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

# Its own CORS answer would reflect any Origin.
os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")

import botocore.model
import botocore.parsers
import botocore.session
from botocore.exceptions import UnknownServiceError
from moto.backends import get_backend
from moto.core.model import OperationModel, ServiceModel
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException

from emulator.state import amendments
from emulator.state.call import Answer, AwsError
from emulator.state.sigv4 import Secret

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# An error that botocore's model does not list is answered all the same, as AWS does with its common errors.
warnings.filterwarnings("ignore", message=r"Exception\(.*\) with code .* does not match an error shape")

ACCOUNT = DEFAULT_ACCOUNT_ID
LOCK = threading.RLock()
_tables = functools.cache(get_backend)  # moto looks through its own folder every time

# The name in a signature's scope, where it is not the one that boto3 uses.
SIGNING_NAMES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}


_READ = "emulator.request"  # where an environment keeps it
Routed = tuple[str, Answer]  # an operation, and the parameters in the path of its call


@dataclass(frozen=True)
class Reply:
    """An HTTP response, whole."""

    status: int
    headers: dict[str, str]
    body: bytes


class _ServerRequest(Request):  # type: ignore[misc]  # werkzeug's, through moto: untyped
    """moto's request, told that it came from a real server."""

    from_wsgi_server = True


def read(environ: WSGIEnvironment) -> Request:
    """The request with its body in memory, so that it can be parsed here and still be handed on; read once."""
    if _READ not in environ:
        length = environ.get("CONTENT_LENGTH")
        stream = environ["wsgi.input"]
        body = stream.read(int(length)) if length else (stream.read() if environ.get("wsgi.input_terminated") else b"")
        if length and len(body) < int(length):
            raise ConnectionError("the client went away before the body of its request was complete")
        environ[_READ] = instead(environ, body)
    found: Request = environ[_READ]
    return found


def instead(environ: WSGIEnvironment, body: bytes, **changes: str) -> Request:
    """The request of an environment, with this body and these variables. Neither keeps the other alive in a circle."""
    own = {**environ, **changes, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    own.pop(_READ, None)
    request = _ServerRequest(own, populate_request=False)
    request.get_data(cache=True, parse_form_data=False)
    return request


def bucket_lets_in(bucket: str, origin: str, method: str, headers: list[str]) -> bool:
    """Whether a CORS rule of a bucket lets pages of this origin send such a request, with such headers.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
    """

    def allowed(patterns: Any, value: str) -> bool:
        each = [patterns] if isinstance(patterns, str) else patterns or []
        return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), value, re.IGNORECASE) for one in each)

    with LOCK:
        found = _tables("s3")[ACCOUNT]["aws"].buckets.get(bucket)
        rules = list(found.cors) if found else []
    return any(
        allowed(rule.allowed_origins, origin)
        and allowed(rule.allowed_methods, method)
        and all(allowed(rule.allowed_headers, header) for header in headers)
        for rule in rules
    )


def is_known(service: str) -> bool:
    """Whether the SDK has a model of it."""
    try:
        return bool(get_service_model(service))
    except UnknownServiceError:
        return False


def account_of(access_key: str) -> str:
    return amendments.account_of(access_key) if access_key else ACCOUNT


def route(service: str, request: Request) -> Routed | None:
    """The operation that `request` names, and the parameters in its path; None where there is no such operation."""
    try:
        operation, in_path = get_service_router(service).match(request)
    except (HTTPException, NotImplementedError, KeyError):
        named = _shortly_named(service, request)
        return (named, {}) if named else None
    except UnknownServiceError:
        return None
    return str(operation.name), in_path


def _shortly_named(service: str, request: Request) -> str | None:
    """The operation of a target that names its service by the last part alone, as Go's SDK does and AWS accepts.

    `CodeStar_connections_20191201.…` is `com.amazonaws.codestar.connections.CodeStar_connections_20191201.…`.
    """
    prefix, _, name = request.headers.get("X-Amz-Target", "").rpartition(".")
    model = get_service_model(service)
    known = str(model.metadata.get("targetPrefix", ""))
    return name if prefix and known.endswith(f".{prefix}") and name in model.operation_names else None


def operation_named(request: Request) -> str:
    """The operation as the request itself names it, known or not; in protocols of paths, the method: GET, PUT, …"""
    named = request.headers.get("X-Amz-Target", "").split(".")[-1] or request.values.get("Action")
    return str(named or request.method.title())


def parse(service: str, operation: str, in_path: Answer, request: Request) -> Answer:
    """The parameters of the call, as its input shape names and types them."""
    model = operation_model(service, operation)
    parser = PROTOCOL_PARSERS[protocol(service, request)](model)
    body = request.get_data()
    fields = {"method": request.method, "values": request.values, "headers": request.headers, "body": body,
              "url_path": request.path, "url_params": in_path}  # fmt: skip
    parsed: Answer = parser.parse(cast(Any, fields))
    return parsed


def serialise(service: str, operation: str, request: Request, result: Answer | AwsError) -> Reply:
    """`result` in the protocol that `request` came in."""
    done = _serializer(service, operation, request).serialize(result)
    status = done["status_code"]
    if not isinstance(result, AwsError):  # a member that *is* the status (Lambda's 202), which moto's serialiser skips
        shape = _botocore_model(service).operation_model(operation).output_shape
        for name, member in (shape.members if shape else {}).items():
            if member.serialization.get("location") == "statusCode":
                status = result.get(name, status)
    return _reply(status, done)


def _reply(status: int, done: Any) -> Reply:
    """What moto's serialiser has made; it has no type for JSON of services that have other protocols too."""
    headers = {key: str(value) for key, value in done["headers"].items()}
    if headers.get("Content-Type") == "text":
        headers["Content-Type"] = "application/x-amz-json-1.0"
    body = done["body"]
    return Reply(status, headers, body.encode() if isinstance(body, str) else bytes(body))


def refuse(service: str, request: Request, error: AwsError, status: int = 400) -> Reply:
    """An error of a call whose operation nobody knows, in the protocol that the call looks like."""
    try:
        names = get_service_model(service).operation_names
    except UnknownServiceError:
        # The SDK that moto was built with does not know it either: JSON suits every protocol that names it in a header.
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amzn-Errortype": error.code}
        return Reply(status, headers, body)
    return _reply(status, _serializer(service, names[0], request).serialize(error))


def answer(service: str, operation: str, request: Request, reply: Reply) -> Answer:
    """The output shape that the client would read from `reply`; raises the error that it would raise."""
    return output(service, operation, protocol(service, request), reply)


def output(service: str, operation: str, protocol: str, reply: Reply) -> Answer:
    """The same, of a reply in `protocol`."""
    shape = _botocore_model(service).operation_model(operation).output_shape
    parser: Any = botocore.parsers.create_parser(protocol)  # its stubs want a shape, which not every operation has
    fields = {
        "status_code": reply.status,
        "headers": _CaseInsensitive(reply.headers),
        "body": reply.body,
        "context": {},
    }
    parsed = cast(Answer, parser.parse(fields, shape))
    if reply.status >= 300:
        error = parsed.get("Error", {})
        raise AwsError(error.get("Code", "InternalFailure"), error.get("Message", ""))
    parsed.pop("ResponseMetadata", None)
    return parsed


class _CaseInsensitive(dict[str, str]):
    """Headers as botocore's parsers look them up: lower case."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__({key.lower(): value for key, value in headers.items()})

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())


def regions(service: str) -> list[str]:
    """Where the emulator's account has, or once had, something of `service`."""
    with LOCK:
        return sorted(_tables(service)[ACCOUNT])


def secret_of(access_key: str) -> Secret | None:
    """The secret of an IAM user's access key or of a role's session; None for a key that nobody was given."""
    account = account_of(access_key)
    with LOCK:
        iam, sts = (_tables(service)[account]["aws"] for service in ("iam", "sts"))
        if session := sts.get_assumed_role_from_access_key(access_key):
            expires = session.expiration.replace(tzinfo=UTC)
            return Secret(str(session.secret_access_key), str(session.session_token), expires)
        keys = [key for user in iam.list_users("/", None, None) for key in user.access_keys]
        active = (key for key in keys if key.access_key_id == access_key and key.status == "Active")
        return next((Secret(str(key.secret_access_key)) for key in active), None)


def listener_actions(account: str, region: str) -> list[tuple[str, dict[str, Any]]]:
    """Every action of every rule, default ones too, with the ARN of its load balancer."""
    with LOCK:
        return [
            (arn, copy.deepcopy(action.data))
            for arn, balancer in _tables("elbv2")[account][region].load_balancers.items()
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for action in rule.actions
        ]


def log_events(account: str, region: str, group: str) -> dict[str, list[dict[str, Any]]] | None:
    """Every event of a log group by stream, in the shape of FilterLogEvents; None when there is no such group."""
    with LOCK:
        found = _tables("logs")[account][region].groups.get(group)
        if found is None:
            return None
        return {
            name: [{**event.to_filter_dict(), "logStreamName": name} for event in stream.events]
            for name, stream in found.streams.items()
        }


def certificate(region: str, arn: str) -> tuple[bytes, bytes] | None:
    """Certificate and private key of ACM, both PEM; None when it has none of that ARN."""
    with LOCK:
        bundle = _tables("acm")[ACCOUNT][region]._certificates.get(arn)
        return (bytes(bundle.cert), bytes(bundle.key)) if bundle else None


def role_session(access_key: str) -> tuple[str, list[str]] | None:
    """The ARN of an assumed role's session and the role's policies as texts; None for any other key."""
    with LOCK:
        for session in _tables("sts")[ACCOUNT]["aws"].assumed_roles:
            if session.access_key_id != access_key:
                continue
            name = session.role_arn.rpartition("/")[2]
            arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session.session_name}"
            roles = _tables("iam")[ACCOUNT]["aws"].roles.values()
            role = next((each for each in roles if each.name == name), None)
            if role is None:  # deleted since: it may do nothing any more
                return arn, []
            versions = [version for policy in role.managed_policies.values() for version in policy.versions]
            return arn, [*role.policies.values(), *(each.document for each in versions if each.is_default)]
    return None


def reset() -> None:
    """Forgets everything: moto's tables belong to the process, and one emulator may follow another in it."""
    moto_api_backend.reset()


@functools.cache
def application() -> DomainDispatcherApplication:
    """moto's own server, all services, as a WSGI application: one for the process, as its tables are."""
    return DomainDispatcherApplication(_backend_application)


def _backend_application(service: str | None) -> Any:
    if service is None:  # moto found nobody for it, and would answer 500, which clients try again and again
        raise NotImplementedError
    return create_backend_app(service)


def run(app: DomainDispatcherApplication, request: Request) -> Reply:
    """moto's reply to `request`; what moto does not implement is raised as NotImplementedError.

    One at a time: moto's tables are plain dictionaries. It never calls us, so this lock is always the last one taken.
    """
    environ = dict(request.environ)
    environ["wsgi.input"] = io.BytesIO(request.get_data())
    # Flask re-raises what a handler raises, NotImplementedError included, instead of answering 500.
    head: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        head.update(status=int(status.split()[0]), headers=headers)

    with LOCK:
        chunks = app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
    return Reply(head["status"], dict(head["headers"]), body)


def unsupported(service: str, request: Request) -> Reply:
    """The error of an operation that neither we nor moto answer, with its name in the message."""
    routed = route(service, request)
    name: str = routed[0] if routed else operation_named(request)
    error = AwsError("UnknownOperationException", f"the emulator does not support {service}:{name}")
    return serialise(service, name, request, error) if routed else refuse(service, request, error)


def protocol(service: str, request: Request) -> str:
    """The protocol of a call: what its content type says, else the first that the service and moto both have."""
    model = get_service_model(service)
    try:
        spoken = str(determine_request_protocol(model, request.content_type))
    except NotImplementedError:
        spoken = ""
    if spoken in PROTOCOL_PARSERS:
        return spoken
    offered = model.metadata.get("protocols") or [model.metadata.get("protocol")]
    return next((str(protocol) for protocol in offered if protocol in PROTOCOL_PARSERS), "json")


def operation_model(service: str, operation: str) -> OperationModel:
    model: ServiceModel = get_service_model(service)
    return cast(OperationModel, model.operation_model(operation))


@functools.cache
def _botocore_model(service: str) -> botocore.model.ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def _serializer(service: str, operation: str, request: Request) -> Any:
    return get_serializer_class(service, protocol(service, request))(
        operation_model=operation_model(service, operation)
    )
