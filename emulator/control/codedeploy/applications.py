"""Applications, their registered revisions and the tags of everything in CodeDeploy."""

from __future__ import annotations

import re

from emulator.control.codedeploy import revisions
from emulator.control.codedeploy.tables import Application, Json, application, applications, scope, tables
from emulator.control.operation import Operation
from emulator.control.tags import tag_map, tag_pairs
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_PLATFORMS = ("Server", "Lambda", "ECS")


def _create(store: Store, call: Call) -> Answer:
    name = _valid_name(call, "applicationName")
    platform = call.parameters.get("computePlatform") or "Server"
    if platform not in _PLATFORMS:
        raise AwsError("InvalidComputePlatformException", f"The compute platform {platform} is not valid.")
    with store.change():
        if name in applications(store, call):
            raise AwsError("ApplicationAlreadyExistsException", f"An application with the name {name} already exists")
        made = Application(name, platform, tags=tag_map(call.parameters.get("tags")))
        applications(store, call)[name] = made
    return {"applicationId": made.id}


def _valid_name(call: Call, member: str) -> str:
    name = call.parameters.get(member)
    if not name:
        raise AwsError("ApplicationNameRequiredException", "Application name is missing")
    if not re.fullmatch(r"[\w+=,.@-]{1,100}", name):
        raise AwsError("InvalidApplicationNameException", f"The application name {name} is not valid.")
    return str(name)


def _update(store: Store, call: Call) -> Answer:
    with store.change():
        app = application(store, call)
        new = call.parameters.get("newApplicationName") or app.name
        if new != app.name:
            _valid_name(call, "newApplicationName")
            if new in applications(store, call):
                raise AwsError(
                    "ApplicationAlreadyExistsException", f"An application with the name {new} already exists"
                )
            applications(store, call)[new] = applications(store, call).pop(app.name)
            for deployment in tables(store).deployments.values():
                if deployment.scope == scope(call) and deployment.application == app.name:
                    deployment.application = new
            app.name = new
    return {}


def _delete(store: Store, call: Call) -> Answer:
    """Deletes its groups and its deployments' history with it, and says nothing when there is none."""
    name = _valid_name(call, "applicationName")
    with store.change():
        applications(store, call).pop(name, None)
    return {}


def _get(store: Store, call: Call) -> Answer:
    return {"application": _info(application(store, call))}


def _batch_get(store: Store, call: Call) -> Answer:
    found = applications(store, call)
    return {"applicationsInfo": [_info(found[name]) for name in call.parameters["applicationNames"] if name in found]}


def _list(store: Store, call: Call) -> Answer:
    return {"applications": sorted(applications(store, call))}


def _info(app: Application) -> Json:
    return {
        "applicationId": app.id, "applicationName": app.name, "createTime": app.created,
        "linkedToGitHub": False, "computePlatform": app.platform,
    }  # fmt: skip


# Tags: arn:aws:codedeploy:<region>:<account>:application:<name>, …:deploymentgroup:<application>/<group>


def _tagged(store: Store, call: Call) -> dict[str, str]:
    arn = call.parameters.get("ResourceArn")
    if not arn:
        raise AwsError("ResourceArnRequiredException", "The resource ARN is missing.")
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[2] != "codedeploy":
        raise AwsError("InvalidArnException", f"The ARN {arn} is not valid.")
    kind, name = parts[5], parts[6]
    if kind not in ("application", "deploymentgroup"):
        raise AwsError("ArnNotSupportedException", f"The ARN {arn} is not of a resource that can have tags.")
    app = applications(store, call).get(name.split("/")[0])
    if app is None:
        raise AwsError("ApplicationDoesNotExistException", f"No application found for name: {name.split('/')[0]}")
    if kind == "application":
        return app.tags
    group = app.groups.get(name.partition("/")[2])
    if group is None:
        raise AwsError(
            "DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name.partition('/')[2]}"
        )
    return group.tags


def _tag(store: Store, call: Call) -> Answer:
    with store.change():
        _tagged(store, call).update(tag_map(call.parameters["Tags"]))
    return {}


def _untag(store: Store, call: Call) -> Answer:
    with store.change():
        tags = _tagged(store, call)
        for key in call.parameters["TagKeys"]:
            tags.pop(key, None)
    return {}


def _tags(store: Store, call: Call) -> Answer:
    return {"Tags": tag_pairs(_tagged(store, call))}


OPERATIONS: dict[str, Operation] = {
    "BatchGetApplications": _batch_get,
    "CreateApplication": _create,
    "DeleteApplication": _delete,
    "GetApplication": _get,
    "ListApplications": _list,
    "ListTagsForResource": _tags,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateApplication": _update,
    **revisions.OPERATIONS,
}
