"""Revisions: what is deployed (for ECS an AppSpec), registered with an application or given to a deployment."""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.codedeploy.tables import Application, Json, application, now
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_TYPES = {"S3": "s3Location", "GitHub": "gitHubLocation", "String": "string", "AppSpecContent": "appSpecContent"}


def checked(revision: Json | None) -> Json:
    """`revision` as it is remembered: with its content's SHA-256; raises when it is none."""
    if not revision:
        raise AwsError("RevisionRequiredException", "The revision is missing.")
    kind = revision.get("revisionType")
    member = _TYPES.get(str(kind))
    if not member or not revision.get(member):
        raise AwsError("InvalidRevisionException", f"The revision of type {kind} is not valid or has no content.")
    if kind in ("String", "AppSpecContent"):
        return {"revisionType": kind, member: _hashed(revision[member])}
    if kind == "S3":
        location = revision[member]
        if not location.get("bucket") or not location.get("key"):
            raise AwsError("InvalidRevisionException", "The S3 location of the revision has no bucket or no key.")
    return {"revisionType": kind, member: revision[member]}


def _hashed(content: Json) -> Json:
    text = content.get("content") or ""
    if not text:
        raise AwsError("InvalidRevisionException", "The content of the revision is empty.")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if content.get("sha256") and content["sha256"].lower() != digest:
        raise AwsError("InvalidRevisionException", "The SHA-256 of the revision does not match its content.")
    return {"content": text, "sha256": digest}


def text(store: Store, revision: Json, s3: Any) -> str:
    """The AppSpec of an ECS revision; `s3`: a client with the credentials of whoever deploys."""
    kind = revision["revisionType"]
    if kind in ("String", "AppSpecContent"):
        return str(revision[_TYPES[kind]]["content"])
    if kind == "GitHub":
        raise AwsError("InvalidRevisionException", "An ECS deployment takes its AppSpec from S3 or from its content.")
    location = revision["s3Location"]
    if str(location.get("bundleType", "")).upper() not in ("YAML", "JSON"):
        raise AwsError("InvalidRevisionException", "BundleType must be either YAML or JSON")
    version = {"VersionId": location["version"]} if location.get("version") else {}
    try:
        body: bytes = s3.get_object(Bucket=location["bucket"], Key=location["key"], **version)["Body"].read()
    except ClientError as error:
        raise AwsError("RevisionDoesNotExistException", f"The revision could not be read: {error}") from error
    return body.decode()


def remember(app: Application, revision: Json, group: str | None = None, description: str = "") -> None:
    """Registers it with the application, or marks that `group` used it; hold the lock."""
    entry = next((known for known in app.revisions if known["revision"] == revision), None)
    if entry is None:
        info = {"registerTime": now(), "deploymentGroups": [], "description": description}
        entry = {"revision": revision, "revisionInfo": info}
        app.revisions.append(entry)
    if group:
        info = entry["revisionInfo"]
        info.setdefault("firstUsedTime", now())
        info["lastUsedTime"] = now()
        if group not in info["deploymentGroups"]:
            info["deploymentGroups"].append(group)


def _register(store: Store, call: Call) -> Answer:
    with store.change():
        revision = checked(call.parameters.get("revision"))
        remember(application(store, call), revision, description=call.parameters.get("description") or "")
    return {}


def _find(app: Application, revision: Json | None) -> Json:
    wanted = checked(revision)
    for entry in app.revisions:
        if entry["revision"] == wanted or _same_hash(entry["revision"], revision or {}):
            return entry
    raise AwsError("RevisionDoesNotExistException", "The revision is not registered with the application.")


def _same_hash(known: Json, wanted: Json) -> bool:
    member = _TYPES[known["revisionType"]]
    return bool(wanted.get(member, {}).get("sha256")) and known[member].get("sha256") == wanted[member]["sha256"]


def _get(store: Store, call: Call) -> Answer:
    app = application(store, call)
    return {"applicationName": app.name, **_find(app, call.parameters.get("revision"))}


def _batch_get(store: Store, call: Call) -> Answer:
    app = application(store, call)
    return {"applicationName": app.name, "revisions": [_find(app, each) for each in call.parameters["revisions"]]}


def _list(store: Store, call: Call) -> Answer:
    entries = application(store, call).revisions
    key = call.parameters.get("sortBy") or "registerTime"
    backwards = call.parameters.get("sortOrder") == "descending"
    used = call.parameters.get("deployed") or "ignore"
    wanted = [each for each in entries if used == "ignore" or bool(_groups(each)) == (used == "include")]
    ordered = sorted(wanted, key=lambda each: str(each["revisionInfo"].get(key, "")), reverse=backwards)
    return {"revisions": [each["revision"] for each in ordered]}


def _groups(entry: Json) -> list[str]:
    found: list[str] = entry["revisionInfo"]["deploymentGroups"]
    return found


OPERATIONS: dict[str, Operation] = {
    "BatchGetApplicationRevisions": _batch_get,
    "GetApplicationRevision": _get,
    "ListApplicationRevisions": _list,
    "RegisterApplicationRevision": _register,
}
