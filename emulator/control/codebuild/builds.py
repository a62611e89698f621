"""CodeBuild's builds: started, read, stopped and retried; emulator/loops/codebuild runs them."""

from __future__ import annotations

import copy
from urllib.parse import quote

from emulator.control.codebuild import projects
from emulator.control.codebuild.tables import (
    Build,
    Handoff,
    Json,
    Phase,
    build,
    new_build_id,
    now,
    project,
    tables,
)  # fmt: skip
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

# StartBuild's overrides, by the project's member that they replace.
_OVERRIDES = {
    "artifactsOverride": "artifacts", "secondaryArtifactsOverride": "secondaryArtifacts",
    "secondarySourcesOverride": "secondarySources", "cacheOverride": "cache", "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes", "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey", "logsConfigOverride": "logsConfig",
    "secondarySourcesVersionOverride": "secondarySourceVersions",
}  # fmt: skip
_SOURCE = {"sourceTypeOverride": "type", "sourceLocationOverride": "location", "buildspecOverride": "buildspec"}
_ENVIRONMENT = {
    "environmentTypeOverride": "type", "imageOverride": "image", "computeTypeOverride": "computeType",
    "privilegedModeOverride": "privilegedMode",
}  # fmt: skip


def _start(store: Store, call: Call) -> Answer:
    given = call.parameters
    token = given.get("idempotencyToken") or ""
    scope = (call.account, call.region)
    known = tables(store).by_token.get((scope, token)) if token else None
    if known:
        return {"build": info(tables(store).builds[known])}
    wanted = _overridden(project(store, call, given["projectName"]), given)
    handoff = tables(store).handoffs.pop(token, None)
    if wanted["source"]["type"] == "CODEPIPELINE" and handoff is None:
        raise AwsError(
            "InvalidInputException", "Build must be started by CodePipeline: the project's source type is CODEPIPELINE"
        )
    projects.check(store, wanted)
    made = begin(store, scope, wanted, given, handoff)
    if token:
        with store.change():
            tables(store).by_token[scope, token] = made.id
    return {"build": info(made)}


def begin(store: Store, scope: tuple[str, str], wanted: Json, given: Json, handoff: Handoff | None) -> Build:
    """A build of `wanted`, a project with the overrides of `given` in it."""
    name = wanted["name"]
    with store.change():
        number = tables(store).numbers.get((scope, name), 0) + 1
        tables(store).numbers[scope, name] = number
        made = Build(
            new_build_id(name), number, scope, wanted, handoff.initiator if handoff else "test",
            _version(wanted, given, handoff),
            given.get("environmentVariablesOverride") or [], handoff, copy.deepcopy(given),
        )  # fmt: skip
        submitted = Phase("SUBMITTED", status="SUCCEEDED", ended=now())
        made.phases = [submitted, Phase("QUEUED")]
        made.log = _log(made)
        tables(store).builds[made.id] = made
    return made


def _version(wanted: Json, given: Json, handoff: Handoff | None) -> str | None:
    """Of a pipeline's build, the place of its source."""
    if handoff:
        return "arn:aws:s3:::" + "/".join(handoff.sources[handoff.primary])
    return given.get("sourceVersion") or wanted.get("sourceVersion")


def _overridden(found: Json, given: Json) -> Json:
    wanted = copy.deepcopy(found)
    for key, member in _OVERRIDES.items():
        if given.get(key) is not None:
            wanted[member] = given[key]
    for overrides, member in ((_SOURCE, "source"), (_ENVIRONMENT, "environment")):
        for key, inner in overrides.items():
            if given.get(key) is not None:
                wanted[member][inner] = given[key]
    return wanted


def _log(made: Build) -> tuple[str, str] | None:
    configured = made.project["logsConfig"]["cloudWatchLogs"]
    if configured["status"] != "ENABLED":
        return None
    number = made.id.rpartition(":")[2]
    prefix = configured.get("streamName")
    group = configured.get("groupName") or f"/aws/codebuild/{made.project['name']}"
    return group, f"{prefix}/{number}" if prefix else number


def info(made: Build) -> Json:
    """The API's Build."""
    wanted = made.project
    environment = copy.deepcopy(wanted["environment"])
    names = {each["name"] for each in made.overrides}
    kept = [each for each in environment["environmentVariables"] if each["name"] not in names]
    environment["environmentVariables"] = kept + [{"type": "PLAINTEXT", **each} for each in made.overrides]
    optional = {
        "endTime": made.ended, "sourceVersion": made.source_version, "resolvedSourceVersion": made.resolved,
        "vpcConfig": wanted.get("vpcConfig"),
    }  # fmt: skip
    return {
        "id": made.id, "arn": made.arn, "buildNumber": made.number, "startTime": made.started,
        "currentPhase": made.phases[-1].name, "buildStatus": made.status, "projectName": wanted["name"],
        "phases": [_phase(each) for each in made.phases], "source": wanted["source"],
        "secondarySources": wanted["secondarySources"], "secondarySourceVersions": wanted["secondarySourceVersions"],
        "artifacts": made.artifacts.get("", {"location": ""}), "cache": wanted["cache"],
        "secondaryArtifacts": [each for name, each in made.artifacts.items() if name], "environment": environment,
        "serviceRole": wanted["serviceRole"], "logs": _logs(made), "timeoutInMinutes": wanted["timeoutInMinutes"],
        "queuedTimeoutInMinutes": wanted["queuedTimeoutInMinutes"], "buildComplete": made.over,
        "initiator": made.initiator, "encryptionKey": wanted["encryptionKey"], "reportArns": [],
        "exportedEnvironmentVariables": [{"name": name, "value": value} for name, value in made.exported.items()],
        **{key: value for key, value in optional.items() if value is not None},
    }  # fmt: skip


def _phase(phase: Phase) -> Json:
    found: Json = {"phaseType": phase.name, "startTime": phase.started}
    if phase.ended:
        found.update(
            phaseStatus=phase.status, endTime=phase.ended,
            durationInSeconds=int((phase.ended - phase.started).total_seconds()), contexts=phase.contexts,
        )  # fmt: skip
    return found


def _logs(made: Build) -> Json:
    logs: Json = dict(made.project["logsConfig"])
    if made.log is None:
        return logs
    account, region = made.scope
    if not made.logs:  # as AWS has it until there is one: https://github.com/dark-mechanicum/aws-codebuild/issues/39
        console = f"https://console.aws.amazon.com/cloudwatch/home?region={region}"
        none = f"arn:aws:logs:{region}:{account}:log-group:null:log-stream:null"
        return logs | {"deepLink": f"{console}#logEvent:group=null;stream=null", "cloudWatchLogsArn": none}
    group, stream = made.log
    console = f"https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group"
    logs.update(
        groupName=group, streamName=stream,
        deepLink=f"{console}/{quote(quote(group, safe=''), safe='')}/log-events/{quote(stream, safe='')}",
        cloudWatchLogsArn=f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}",
    )  # fmt: skip
    return logs


def _batch_get(store: Store, call: Call) -> Answer:
    known = tables(store).builds
    ids = [each.rpartition("build/")[2] for each in call.parameters["ids"]]
    here = [each for each in ids if each in known and known[each].scope == (call.account, call.region)]
    return {
        "builds": [info(known[each]) for each in here],
        "buildsNotFound": [each for each in ids if each not in here],
    }


def _list(store: Store, call: Call) -> Answer:
    """Newest first, unless sortOrder says otherwise."""
    found = [
        each.id for each in list(tables(store).builds.values())
        if each.scope == (call.account, call.region)
        and call.parameters.get("projectName") in (None, each.project["name"])
    ]  # fmt: skip
    return {"ids": found if call.parameters.get("sortOrder") == "ASCENDING" else found[::-1]}


def _list_for_project(store: Store, call: Call) -> Answer:
    project(store, call, call.parameters["projectName"])
    return _list(store, call)


def _stop(store: Store, call: Call) -> Answer:
    with store.change():
        found = build(store, call, call.parameters["id"])
        if not found.over:
            found.stop = True
    return {"build": info(found)}


def _retry(store: Store, call: Call) -> Answer:
    found = build(store, call, call.parameters.get("id", ""))
    if not found.over:
        raise AwsError("InvalidInputException", f"Build {found.id} has not ended")
    made = begin(store, found.scope, copy.deepcopy(found.project), found.parameters, found.handoff)
    return {"build": info(made)}


def _batch_delete(store: Store, call: Call) -> Answer:
    deleted, kept = [], []
    with store.change():
        for wanted in call.parameters["ids"]:
            found = tables(store).builds.get(wanted.rpartition("build/")[2])
            if found and found.over:
                deleted.append(tables(store).builds.pop(found.id).arn)
            else:
                kept.append({"id": wanted, "statusCode": "BUILD_IN_PROGRESS" if found else "BUILD_NOT_FOUND"})
    return {"buildsDeleted": deleted, "buildsNotDeleted": kept}


OPERATIONS: dict[str, Operation] = {
    "BatchDeleteBuilds": _batch_delete,
    "BatchGetBuilds": _batch_get,
    "ListBuilds": _list,
    "ListBuildsForProject": _list_for_project,
    "RetryBuild": _retry,
    "StartBuild": _start,
    "StopBuild": _stop,
}
