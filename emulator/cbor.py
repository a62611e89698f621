"""Calls in CBOR, which newer SDKs prefer where a service offers it, answered as the same call in JSON is.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import cbor2

from emulator.state import moto
from emulator.state.call import AwsError

if TYPE_CHECKING:
    from moto.core.request import Request

_PATH = re.compile(r"/service/([A-Za-z0-9_.]+)/operation/([A-Za-z0-9_]+)")
_HEADERS = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


def is_spoken(request: Request) -> bool:
    """Whether a call is in CBOR."""
    return bool(request.headers.get("Smithy-Protocol") == "rpc-v2-cbor" and _PATH.fullmatch(request.path))


def answer(service: str, request: Request, call: Callable[[Request], moto.Reply]) -> moto.Reply:
    """The answer of `call` to the same call in JSON, in CBOR."""
    matched = _PATH.fullmatch(request.path)
    assert matched, "is_spoken() was not asked"
    prefix, operation = matched.groups()
    try:
        parameters = _read(request.get_data())
    except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError):
        return _error("SerializationException", "the body of the request is not CBOR")
    in_json = {"CONTENT_TYPE": "application/x-amz-json-1.0", "HTTP_X_AMZ_TARGET": f"{prefix}.{operation}"}
    text = json.dumps(parameters, default=_as_json).encode()
    reply = call(moto.instead(request.environ, text, PATH_INFO="/", RAW_URI="/", HTTP_SMITHY_PROTOCOL="", **in_json))
    if reply.status >= 300:
        said = json.loads(reply.body)
        error = _error(said["__type"], said.get("message", said.get("Message", "")), reply.status)
        # What the error was called when the service spoke the query protocol, by which SDKs go on to call it.
        legacy = {name: value for name, value in reply.headers.items() if name.lower() == "x-amzn-query-error"}
        return replace(error, headers={**error.headers, **legacy})
    try:
        result = moto.output(service, operation, "json", reply)
    except AwsError as error:
        return _error(error.code, error.message)
    return moto.Reply(200, dict(_HEADERS), cbor2.dumps(result, datetime_as_timestamp=True))


def _read(body: bytes) -> Mapping[str, Any]:
    read = cbor2.loads(body) if body else {}
    if not isinstance(read, Mapping):
        raise ValueError("no map")
    return read


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise ValueError(f"{type(value).__name__} is not of Smithy's types")


def _error(code: str, message: str, status: int = 400) -> moto.Reply:
    return moto.Reply(status, dict(_HEADERS), cbor2.dumps({"__type": code.rpartition("#")[2], "message": message}))
