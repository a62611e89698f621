"""What AWS answers to a call that it cannot read: an error in the protocol of the service, whatever was sent.

The words are AWS's own as clients have recorded them. JSON: https://github.com/mhart/dynalite (validations, which
was compared with the service), https://github.com/aws/aws-cdk/pull/27087,
https://github.com/aarondfrancis/sidecar/issues/148. Forms: https://github.com/brendanhay/amazonka/issues/209,
https://github.com/aws/aws-cli/issues/37. S3:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.parsers import expat

from botocore.model import ListShape, MapShape, StructureShape

from emulator.state import moto
from emulator.state.call import Answer, AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import OperationModel, Shape
    from moto.core.request import Request

_A_LIST = "Start of list found where not expected"
_A_MAP = "Start of structure or map found where not expected."
_INSTEAD = {"structure": "Expected null", "map": "Expected map or null", "list": "Expected list or null"}
_CALLED = {
    "string": "a String",
    "character": "a String",
    "boolean": "a Boolean",
    "blob": "a Blob",
    "integer": "an Integer",
    "short": "a Short",
    "byte": "a Byte",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "bigdecimal": "a BigDecimal",
    "biginteger": "a BigInteger",
    "timestamp": "milliseconds since epoch",
}
_REQUIRED = "Member must not be null"
_NUMBERS = ("integer", "short", "byte", "long", "float", "double", "bigdecimal", "biginteger", "timestamp")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; those made before 2018 may be longer
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def unknown(service: str, request: Request) -> moto.Reply:
    """The answer to a call that names no operation of its service."""
    protocol = moto.protocol(service, request) if moto.is_known(service) else "json"
    error = _unknown(service, protocol, request)
    return moto.refuse(service, request, error, {"rest-xml": 405, "rest-json": 404}.get(protocol, 400))


def _unknown(service: str, protocol: str, request: Request) -> AwsError:
    named = request.values.get("Action")
    if protocol == "ec2" and named:
        return AwsError("InvalidAction", f"The action {named} is not valid for this web service.")
    if protocol in ("query", "ec2"):
        if not named:
            return AwsError("MissingAction", "The request must contain the parameter Action")
        version = request.values.get("Version", "")
        return AwsError("InvalidAction", f"Could not find operation {named} for version {version}")
    if protocol == "rest-xml":
        return AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.")
    name = moto.operation_named(request)
    return AwsError("UnknownOperationException", f"the emulator does not support {service}:{name}")


def is_unknown(service: str, request: Request) -> bool:
    """Whether a call that was not routed names no operation for sure: paths may be moto's to know."""
    return moto.is_known(service) and moto.protocol(service, request) in ("json", "query", "ec2")


def is_no_answer(reply: moto.Reply) -> bool:
    """Whether a refusal has no words for a client: a page of the framework below, or nothing."""
    if reply.status < 400:
        return False
    kind = next((value for name, value in reply.headers.items() if name.lower() == "content-type"), "")
    return reply.body[:20].lstrip().lower().startswith((b"<!doctype html", b"<html")) or (
        not reply.body and (reply.status >= 500 or kind.startswith("text/html"))
    )


def typed(service: str, reply: moto.Reply) -> moto.Reply:
    """The reply with its type, where moto has none for it, or the framework below has called it HTML."""
    name = next((name for name in reply.headers if name.lower() == "content-type"), "")
    if service == "s3" or not (
        reply.headers.get(name) == "text" or reply.headers.get(name, "").startswith("text/html")
    ):
        return reply
    kind = "application/json" if reply.body[:1] in (b"{", b"[") else "text/xml"
    return dataclasses.replace(reply, headers={**reply.headers, name: kind})


def failed(service: str, operation: str) -> AwsError:
    return AwsError(
        "InternalError" if service == "s3" else "InternalFailure",
        f"the emulator failed on {service}:{operation}; see its log (python -m emulator logs)",
    )


def refusal(service: str, name: str, in_path: Answer, request: Request) -> AwsError | None:
    """The error for parameters that are not what the operation's shapes say; None where they can be read."""
    operation = moto.operation_model(service, name)
    protocol = moto.protocol(service, request)
    try:
        if protocol in ("json", "rest-json"):
            _check_json(operation, request, rest=protocol == "rest-json")
        elif protocol == "rest-xml":
            if service == "s3" and not _is_bucket(in_path.get("Bucket")):
                raise AwsError("InvalidBucketName", "The specified bucket is not valid.")
            _check_xml(operation, request.get_data())
        else:
            _check_form(service, operation, in_path, request)
    except AwsError as error:
        return error
    except RecursionError:
        return AwsError("SerializationException", "the request is nested too deeply")
    return None


def incomplete(service: str, name: str, in_path: Answer, request: Request) -> AwsError | None:
    """The error for a form or JSON without what the shapes of the call require, which moto does not always ask for."""
    if moto.protocol(service, request) not in ("json", "query", "ec2"):
        return None
    return invalid(service, name, in_path, request, lambda violation: violation.constraint == _REQUIRED)


def invalid(
    service: str, name: str, in_path: Answer, request: Request, counts: Callable[[_Violation], bool] = bool
) -> AwsError | None:
    """The error for values that the shapes of the call forbid, as far as the SDK's model knows them."""
    shape, protocol = moto.operation_model(service, name).input_shape, moto.protocol(service, request)
    if shape is None:
        return None
    if protocol == "rest-xml" and shape.serialization.get("payload") and not request.get_data():
        return AwsError("MissingRequestBodyError", "Request Body is empty")
    try:
        parameters = moto.parse(service, name, in_path, request)
    except Exception as error:  # a time without end, or none at all
        return AwsError("SerializationException", f"a value cannot be read: {error}")
    violations = list(filter(counts, _violations(shape, parameters, "")))
    if not violations:
        return None
    if protocol == "ec2":
        return AwsError("MissingParameter", f"The request must contain the parameter {violations[0].at}")
    words = "; ".join(
        f"Value {violation.value} at '{violation.at}' failed to satisfy constraint: {violation.constraint}"
        for violation in violations[:10]
    )
    errors = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected"
    return AwsError("ValidationError" if protocol == "query" else "ValidationException", f"{errors}: {words}")


class _Violation(NamedTuple):
    at: str  # a path as AWS writes it: tags.1.member.key
    value: str
    constraint: str


def _violations(shape: Shape, value: Any, at: str) -> Iterator[_Violation]:
    """What is wrong with a value that has been read; the words are those of dynalite's tests, and of AWS."""
    if isinstance(value, dict) and isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            where = f"{at}.{name[:1].lower()}{name[1:]}".removeprefix(".")
            if value.get(name) is not None:
                yield from _violations(member, value[name], where)
            elif name in shape.required_members:
                yield _Violation(where, "null", _REQUIRED)
        return
    if isinstance(value, list) and isinstance(shape, ListShape):
        for number, item in enumerate(value, 1):
            where = f"{at}.{number}.member"
            if item is None:
                yield _Violation(where, "null", _REQUIRED)
            else:
                yield from _violations(shape.member, item, where)
    said, metadata = f"'{value}'", shape.metadata
    if isinstance(value, (str, list, bytes)):
        if len(value) < metadata.get("min", 0):
            least = metadata["min"]
            yield _Violation(at, said, f"Member must have length greater than or equal to {least}")
        if len(value) > metadata.get("max", len(value)):
            yield _Violation(at, said, f"Member must have length less than or equal to {metadata['max']}")
    if isinstance(value, str):
        enum, pattern = metadata.get("enum"), metadata.get("pattern")
        if enum and value not in enum:
            yield _Violation(at, said, f"Member must satisfy enum value set: [{', '.join(enum)}]")
        if pattern and not _matches(pattern, value):
            yield _Violation(at, said, f"Member must satisfy regular expression pattern: {pattern}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return bool(re.fullmatch(pattern, value))
    except re.error:  # one of Java's
        return True


def _check_json(operation: OperationModel, request: Request, *, rest: bool) -> None:
    shape: Shape | None = operation.input_shape
    body = request.get_data()
    if not isinstance(shape, StructureShape) or not body.strip():
        return
    payload = shape.serialization.get("payload") if rest else None
    if payload:
        shape = shape.members[payload]
        if not isinstance(shape, StructureShape):  # the bytes themselves, as of a function's event
            return
    elif rest and all(member.serialization.get("location") for member in shape.members.values()):
        return
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        if operation.service_model.service_name == "lambda":
            raise AwsError(
                "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from None
        raise AwsError("SerializationException", f"the body of the request is not JSON: {error}") from None
    if value is not None:
        _check(shape, value)


def _check(shape: Shape, value: Any) -> None:
    """Raises SerializationException, in AWS's words, when a JSON value cannot be one of `shape`."""
    kind = shape.type_name
    if value is None or getattr(shape, "is_document_type", False):
        return
    if isinstance(value, list):
        if not isinstance(shape, ListShape):
            raise AwsError("SerializationException", _A_LIST)
        for item in value:
            _check(shape.member, item)
    elif isinstance(value, dict):
        if isinstance(shape, StructureShape):
            if shape.is_tagged_union and sum(item is not None for item in value.values()) != 1:
                raise AwsError("SerializationException", "a union has one member, and one alone")
            for name, member in shape.members.items():
                _check(member, value.get(member.serialization.get("name", name)))
        elif isinstance(shape, MapShape):
            for item in value.values():
                _check(shape.value, item)
        else:
            raise AwsError("SerializationException", _A_MAP)
    elif kind in _INSTEAD:
        raise AwsError("SerializationException", _INSTEAD[kind])
    elif not _is_scalar(kind, value):
        token = f"{value}_VALUE".upper() if isinstance(value, bool) else "NUMBER_VALUE"
        token = "STRING_VALUE" if isinstance(value, str) else token
        raise AwsError("SerializationException", f"{token} can not be converted to {_CALLED.get(kind, kind)}")


def _is_scalar(kind: str, value: Any) -> bool:
    if kind == "boolean":
        # dynalite: 'true', 'false', '1', '0', 'no' and 'yes' seem to convert fine
        return isinstance(value, bool) or str(value).lower() in ("true", "false", "1", "0", "no", "yes")
    if kind in _NUMBERS:
        if isinstance(value, str):  # of which some services take a date, and none another one
            return kind == "timestamp" or value in ("NaN", "Infinity", "-Infinity")
        return not isinstance(value, bool)
    if kind == "blob":
        try:
            return isinstance(value, str) and base64.b64decode(value, validate=True) is not None
        except (binascii.Error, ValueError):
            return False
    return isinstance(value, str)


def _is_bucket(name: Any) -> bool:
    return name is None or bool(_BUCKET.fullmatch(str(name))) or str(name).startswith("arn:")


def _check_xml(operation: OperationModel, body: bytes) -> None:
    """S3 takes no document that is not well-formed, nor one with a document type."""
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    if not body or not shape or not payload or not isinstance(shape.members[payload], StructureShape):
        return

    def refuse(*_: Any) -> None:
        raise malformed

    malformed = AwsError(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise malformed from None


def _check_form(service: str, operation: OperationModel, in_path: Answer, request: Request) -> None:
    try:
        moto.parse(service, operation.name, in_path, request)
    except RecursionError:
        raise
    except Exception as error:
        code = "InvalidParameterValue" if moto.protocol(service, request) == "ec2" else "MalformedInput"
        raise AwsError(code, f"a value cannot be read: {error}") from None
