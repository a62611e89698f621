"""Deploy actions: CodeDeploy's blue/green on ECS, and files in S3.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-ECSbluegreen.html
"""

from __future__ import annotations

import io
import json
import mimetypes
import zipfile
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from emulator.loops.codepipeline.action import Action, ActionFailed, Steps


def codedeploy_to_ecs(action: Action) -> Steps:
    configuration = action.configuration
    task_definition = _task_definition(action, _images(action))
    arn = _register(action, task_definition)
    appspec = _template(action, "AppSpecTemplate", "appspec.yaml", "AppSpec").replace("<TASK_DEFINITION>", arn)
    yield 0
    client = action.client("codedeploy")
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec}}
    try:
        client.register_application_revision(applicationName=configuration["ApplicationName"], revision=revision)
        deployment = client.create_deployment(
            applicationName=configuration["ApplicationName"], revision=revision,
            deploymentGroupName=configuration["DeploymentGroupName"],
        )["deploymentId"]  # fmt: skip
    except ClientError as error:
        raise ActionFailed("JobFailed", error.response["Error"]["Message"]) from error
    yield from _followed(action, client, deployment)


def _followed(action: Action, client: Any, deployment: str) -> Steps:
    with action.store.change():
        action.run.external_id = deployment
        action.run.external_url = (
            f"https://console.aws.amazon.com/codedeploy/home?region={action.region}#/deployments/{deployment}"
        )
    while True:
        found = client.get_deployment(deploymentId=deployment)["deploymentInfo"]
        with action.store.lock:
            action.run.summary = f"Deployment {deployment} {found['status']}"
        if "completeTime" in found:
            break
        yield 0.5
    if found["status"] != "Succeeded":
        error = found.get("errorInformation") or {}
        raise ActionFailed(
            "JobFailed",
            f"Deployment {deployment} failed. Error code: {error.get('code')}; Error message: {error.get('message')}",
        )
    action.run.variables = {"DeploymentId": deployment}
    with action.store.change():
        action.run.summary = f"Deployment {deployment} succeeded"


def _images(action: Action) -> dict[str, str]:
    """Image URIs by placeholder, from the imageDetail.json of each artifact that the configuration names."""
    found: dict[str, str] = {}
    for number in range(1, 5):
        artifact = action.configuration.get(f"Image{number}ArtifactName")
        placeholder = action.configuration.get(f"Image{number}ContainerName")
        if artifact and placeholder:
            found[placeholder.strip("<>")] = _image(action, artifact)
    return found


def _image(action: Action, artifact: str) -> str:
    text = _read(action, artifact, "imageDetail.json", "image")
    try:
        uri = json.loads(text)["ImageURI"]
    except (ValueError, KeyError, TypeError) as error:
        raise ActionFailed(
            "ConfigurationError", "The image definition file imageDetail.json contains invalid JSON format"
        ) from error
    return str(uri)


def _read(action: Action, artifact: str, path: str, what: str) -> str:
    names = [each["name"] for each in action.run.declaration["inputArtifacts"]]
    body = action.file(artifact, path) if artifact in names else None
    if body is None:
        raise ActionFailed(
            "ConfigurationError",
            f"Exception while trying to read the {what} artifact file from the artifact: {artifact}. ({path})",
        )
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ActionFailed(
            "ConfigurationError", f"The {what} artifact file {path} of {artifact} is not in UTF-8"
        ) from error


def _template(action: Action, key: str, default: str, what: str) -> str:
    artifact = action.configuration[f"{key}Artifact"]
    return _read(action, artifact, action.configuration.get(f"{key}Path") or default, what)


def _task_definition(action: Action, images: dict[str, str]) -> dict[str, Any]:
    text = _template(action, "TaskDefinitionTemplate", "taskdef.json", "task definition")
    for placeholder, uri in images.items():
        text = text.replace(f"<{placeholder}>", uri)
    artifact = action.configuration["TaskDefinitionTemplateArtifact"]
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ActionFailed(
            "ConfigurationError",
            f"Exception while trying to parse the task definition artifact file from: {artifact}. {error}",
        ) from error
    if not isinstance(found, dict):
        raise ActionFailed("ConfigurationError", f"The task definition of {artifact} is not a JSON object")
    return found


def _register(action: Action, task_definition: dict[str, Any]) -> str:
    try:
        answer = action.client("ecs").register_task_definition(**task_definition)
    except ParamValidationError as error:
        reason = " ".join(str(error).split())
        raise ActionFailed("ConfigurationError", f"The task definition is not valid. {reason}") from error
    except ClientError as error:
        reason = error.response["Error"]["Message"]
        raise ActionFailed("ConfigurationError", f"The task definition could not be registered: {reason}") from error
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def s3(action: Action) -> Steps:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3Deploy.html"""
    (artifact,) = action.run.inputs
    bucket, key = action.configuration["BucketName"], action.configuration.get("ObjectKey") or ""
    client, body = action.client("s3"), action.fetch(artifact)
    options = _object_options(action.configuration)
    yield 0
    try:
        if action.configuration["Extract"] != "true":
            if not key:
                raise ActionFailed("ConfigurationError", "ObjectKey is required when Extract is false")
            client.put_object(Bucket=bucket, Key=key, Body=body, **options)
        else:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                for name in (each for each in archive.namelist() if not each.endswith("/")):
                    kind = {"ContentType": mimetypes.guess_type(name)[0] or "application/octet-stream"}
                    target = f"{key}/{name}".lstrip("/")
                    client.put_object(Bucket=bucket, Key=target, Body=archive.read(name), **kind, **options)
    except ClientError as error:
        raise ActionFailed("ConfigurationError", f"The bucket {bucket} could not be written: {error}") from error


def _object_options(configuration: dict[str, str]) -> dict[str, str]:
    """What the action says of every object that it writes, as PutObject takes it."""
    options = {
        name: configuration[key]
        for key, name in (("CannedACL", "ACL"), ("CacheControl", "CacheControl"))
        if configuration.get(key)
    }
    if key := configuration.get("KMSEncryptionKeyARN"):
        options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    return options
