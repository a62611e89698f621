"""CodeBuild's projects."""

from __future__ import annotations

import copy
import re

from emulator.control import roles
from emulator.control.codebuild.tables import Json, now, project, projects
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

PRINCIPAL = "codebuild.amazonaws.com"

_SETTINGS = (
    "description", "source", "secondarySources", "sourceVersion", "secondarySourceVersions", "artifacts",
    "secondaryArtifacts", "cache", "environment", "serviceRole", "timeoutInMinutes", "queuedTimeoutInMinutes",
    "encryptionKey", "tags", "vpcConfig", "logsConfig", "fileSystemLocations", "buildBatchConfig",
    "concurrentBuildLimit", "autoRetryLimit",
)  # fmt: skip


def _create(store: Store, call: Call) -> Answer:
    name = call.parameters["name"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,254}", name):
        raise AwsError(
            "InvalidInputException",
            "Project names must be between 2 and 255 characters. Valid characters: letters, numbers, hyphens and "
            "underscores.",
        )
    made = _with_defaults(call, name, _given(call))
    check(store, made)
    with store.change():
        if name in projects(store, call):
            raise AwsError("ResourceAlreadyExistsException", f"Project already exists: {call.arn(f'project/{name}')}")
        projects(store, call)[name] = made
    return {"project": made}


def _given(call: Call) -> Json:
    given = {key: copy.deepcopy(call.parameters[key]) for key in _SETTINGS if call.parameters.get(key) is not None}
    if call.parameters.get("badgeEnabled") is not None:
        given["badge"] = {"badgeEnabled": call.parameters["badgeEnabled"]}
    return given


def _with_defaults(call: Call, name: str, given: Json) -> Json:
    base: Json = {
        "name": name, "arn": call.arn(f"project/{name}"), "created": now(), "lastModified": now(), "tags": [],
        "timeoutInMinutes": 60, "queuedTimeoutInMinutes": 480, "cache": {"type": "NO_CACHE"}, "secondarySources": [],
        "encryptionKey": f"arn:aws:kms:{call.region}:{call.account}:alias/aws/s3", "badge": {"badgeEnabled": False},
        "projectVisibility": "PRIVATE", "secondaryArtifacts": [], "secondarySourceVersions": [],
    }  # fmt: skip
    return _filled({**base, **given})


def _filled(made: Json) -> Json:
    """What AWS adds to the members that a user gave."""
    environment = made["environment"]
    environment.setdefault("privilegedMode", False)
    environment.setdefault("imagePullCredentialsType", "CODEBUILD")
    environment.setdefault("environmentVariables", [])
    for variable in environment["environmentVariables"]:
        variable.setdefault("type", "PLAINTEXT")
    made["source"].setdefault("insecureSsl", False)
    artifacts = made["artifacts"]
    if artifacts["type"] != "NO_ARTIFACTS":
        artifacts.setdefault("name", made["name"])
        artifacts.setdefault("packaging", "NONE")
        artifacts.setdefault("encryptionDisabled", False)
    logs = made.setdefault("logsConfig", {})
    logs.setdefault("cloudWatchLogs", {"status": "ENABLED"})
    logs.setdefault("s3Logs", {"status": "DISABLED", "encryptionDisabled": False})
    return made


def check(store: Store, made: Json) -> None:
    """Raises InvalidInputException where a build of it could not begin."""
    source, artifacts = made["source"], made["artifacts"]
    if (source["type"] == "CODEPIPELINE") != (artifacts["type"] == "CODEPIPELINE"):
        raise _invalid("source type and artifacts type must both be CODEPIPELINE, or neither")
    if source["type"] not in ("CODEPIPELINE", "NO_SOURCE") and not source.get("location"):
        raise _invalid("Project source location is required")
    if source["type"] == "NO_SOURCE" and not source.get("buildspec"):
        raise _invalid("If a project's source type is NO_SOURCE, a buildspec must be provided")
    if artifacts["type"] == "S3" and not artifacts.get("location"):
        raise _invalid("Invalid artifacts: location is required")
    if not 5 <= made["timeoutInMinutes"] <= 2160:
        raise _invalid("Invalid timeout: it must be between 5 and 2160 minutes")
    try:
        roles.check(store, made["serviceRole"], PRINCIPAL)
    except roles.RoleRefused as error:
        raise _invalid(
            f"CodeBuild is not authorized to perform: sts:AssumeRole on service role. {error}. Please verify that: 1) "
            "The provided service role exists, 2) The role name is case-sensitive and matches exactly, and 3) The role "
            "has the necessary trust policy configured."
        ) from error


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)


def _update(store: Store, call: Call) -> Answer:
    found = project(store, call, call.parameters["name"])
    changed = _filled({**copy.deepcopy(found), **_given(call), "lastModified": now()})
    check(store, changed)
    with store.change():
        found.clear()
        found.update(changed)
    return {"project": found}


def _delete(store: Store, call: Call) -> Answer:
    with store.change():
        projects(store, call).pop(call.parameters["name"].rpartition("project/")[2], None)
    return {}


def _batch_get(store: Store, call: Call) -> Answer:
    known = projects(store, call)
    names = [each.rpartition("project/")[2] for each in call.parameters["names"]]
    return {
        "projects": [known[name] for name in names if name in known],
        "projectsNotFound": [name for name in names if name not in known],
    }


def _list(store: Store, call: Call) -> Answer:
    known = projects(store, call)
    by = call.parameters.get("sortBy") or "NAME"
    key = {"NAME": "name", "CREATED_TIME": "created", "LAST_MODIFIED_TIME": "lastModified"}[by]
    backwards = call.parameters.get("sortOrder") == "DESCENDING"
    return {"projects": sorted(known, key=lambda name: str(known[name][key]), reverse=backwards)}


OPERATIONS: dict[str, Operation] = {
    "BatchGetProjects": _batch_get,
    "CreateProject": _create,
    "DeleteProject": _delete,
    "ListProjects": _list,
    "UpdateProject": _update,
}
