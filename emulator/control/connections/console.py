"""What AWS lets people do in its console alone: accept a connection, and choose the repositories that it may see.

`python -m emulator connect` is its client. `POST {"repository": "owner/name", "connection": "name or ARN"}` accepts;
without a connection, all that wait. `GET` answers what there is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.control.connections.stand_ins import stand_ins, url
from emulator.control.connections.tables import AVAILABLE, PENDING, Connection, tables
from emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/_emulator/connections"

_LIMIT = 64 * 1024  # bytes of a request


class Refused(Exception):
    """A request that asks for what cannot be."""


def console(store: Store) -> WSGIApplication:
    """What is mounted at `PREFIX`."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, found = "200 OK", _answered(store, environ)
        except Refused as error:
            status, found = "400 Bad Request", {"message": str(error)}
        body = json.dumps(found).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _answered(store: Store, environ: WSGIEnvironment) -> dict[str, Any]:
    if environ["REQUEST_METHOD"] == "GET":
        return {"connections": [_shown(each) for each in _all(store)], "repositories": stand_ins(store).names()}
    # A page of some site may post a form to this machine, but not JSON: a browser asks first, and nobody allows it.
    if environ["REQUEST_METHOD"] != "POST" or environ.get("CONTENT_TYPE") != "application/json":
        raise Refused("POST application/json accepts a connection, GET shows them")
    try:
        given = json.loads(environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), _LIMIT)))
        repository, wanted = str(given["repository"]), given.get("connection")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f'{{"repository": "owner/name"}} is what it takes: {error!r}') from error
    return accept(store, repository, wanted)


def accept(store: Store, repository: str, wanted: str | None = None) -> dict[str, Any]:
    """Makes the stand-in of a repository and accepts the connections that wait, or the one that is named."""
    if wanted and not any(wanted in (each.name, each.arn) for each in _all(store)):
        raise Refused(f"there is no connection {wanted}")
    try:
        made = stand_ins(store).create(repository)
    except ValueError as error:
        raise Refused(str(error)) from error
    with store.change():
        waiting = [each for each in _all(store) if each.status == PENDING and wanted in (None, each.name, each.arn)]
        for each in waiting:
            each.status = AVAILABLE
    return {
        "url": url(store, repository), "created": made, "accepted": [each.name for each in waiting],
        "available": [each.name for each in _all(store) if each.status == AVAILABLE],
    }  # fmt: skip


def _all(store: Store) -> list[Connection]:
    return sorted(tables(store).connections.values(), key=lambda each: each.name)


def _shown(each: Connection) -> dict[str, str]:
    return {"name": each.name, "arn": each.arn, "provider": each.provider, "status": each.status}
