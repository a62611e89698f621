"""Source actions: a revision, and its files as a zip."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.codebuild.references import Reference
from emulator.control.codecommit.house import repositories
from emulator.loops.codepipeline.action import Action, ActionFailed, Steps


def codecommit(action: Action) -> Steps:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodeCommit.html"""
    name, branch = action.configuration["RepositoryName"], action.configuration["BranchName"]
    client = action.client("codecommit")
    commit = _given(action) or _tip(client, name, branch)
    try:
        found = client.get_commit(repositoryName=name, commitId=commit)["commit"]
    except ClientError as error:
        raise ActionFailed(
            "JobFailed", f"The commit {commit} of the repository {name} could not be read: {error}"
        ) from error
    message = str(found.get("message", "")).strip()
    _revision(action, commit, message, _console(action, f"codecommit/repositories/{name}/commit/{commit}"))
    action.run.variables = {
        "CommitId": commit, "CommitMessage": message, "BranchName": branch, "RepositoryName": name,
        "AuthorDate": _moment(found.get("author", {})), "CommitterDate": _moment(found.get("committer", {})),
    }  # fmt: skip
    yield 0
    reference = Reference("", name, commit, branch)
    action.put_source(reference, lambda: repositories(action.store).archive(name, commit))


def _given(action: Action) -> str | None:
    """The revision that StartPipelineExecution was given for this action."""
    given = action.execution.source_revisions.get(action.run.name)
    return str(given["revisionValue"]) if given else None


def _tip(client: Any, name: str, branch: str) -> str:
    try:
        return str(client.get_branch(repositoryName=name, branchName=branch)["branch"]["commitId"])
    except client.exceptions.BranchDoesNotExistException as error:
        raise ActionFailed(
            "JobFailed",
            f"The action failed because no branch named {branch} was found in the selected AWS CodeCommit repository "
            f"{name}. Make sure you are using the correct branch name, and then try again. Error: null",
        ) from error
    except client.exceptions.RepositoryDoesNotExistException as error:
        raise ActionFailed(
            "JobFailed",
            f"The action failed because the AWS CodeCommit repository {name} does not exist. Make sure you are using "
            "the correct repository name, and then try again. Error: null",
        ) from error


def _moment(person: dict[str, Any]) -> str:
    """CodeCommit's "1484167798 -0800" as the variables have it."""
    seconds = str(person.get("date", "")).split(" ")[0]
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds.isdigit() else ""


def _console(action: Action, path: str) -> str:
    return f"https://{action.region}.console.aws.amazon.com/codesuite/{path}?region={action.region}"


def _revision(action: Action, identifier: str, summary: str, url: str | None = None) -> None:
    with action.store.change():
        revision = {"revisionId": identifier, "revisionSummary": summary, "created": datetime.now(UTC)}
        action.run.revision = {**revision, "revisionUrl": url} if url else revision
        action.run.external_id = identifier
        action.run.external_url = url


def s3(action: Action) -> Steps:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3.html"""
    bucket, key = action.configuration["S3Bucket"], action.configuration["S3ObjectKey"]
    given = action.execution.source_revisions.get(action.run.name, {})
    if given.get("revisionType") == "S3_OBJECT_KEY":
        key = given["revisionValue"]
    version = {"VersionId": given["revisionValue"]} if given.get("revisionType") == "S3_OBJECT_VERSION_ID" else {}
    try:
        found = action.client("s3").get_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        raise ActionFailed(
            "ConfigurationError", f"The object with key '{key}' in bucket '{bucket}' could not be read: {error}"
        ) from error
    identifier = found.get("VersionId")
    if not identifier or identifier == "null":
        raise ActionFailed("ConfigurationError", f"Versioning is not enabled for the bucket '{bucket}'")
    _revision(action, identifier, f"Amazon S3 version id: {identifier}")
    action.run.variables = {"BucketName": bucket, "ObjectKey": key, "VersionId": identifier, "ETag": found["ETag"]}
    yield 0
    action.put(action.only_output(), found["Body"].read())


def ecr(action: Action) -> Steps:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-ECR.html"""
    name, tag = action.configuration["RepositoryName"], action.configuration.get("ImageTag") or "latest"
    client = action.client("ecr")
    given = _given(action)
    try:
        image = {"imageDigest": given} if given else {"imageTag": tag}
        (found,) = client.describe_images(repositoryName=name, imageIds=[image])["imageDetails"]
        # The registry's address is the emulator's own knowledge: AWS asks the role for ecr:DescribeImages alone.
        registry = action.store.clients("ecr", action.region)
        (repository,) = registry.describe_repositories(repositoryNames=[name])["repositories"]
    except ClientError as error:
        raise ActionFailed("JobFailed", f"The image {name}:{tag} could not be found: {error}") from error
    uri = f"{repository['repositoryUri']}@{found['imageDigest']}"
    _revision(action, found["imageDigest"], uri)
    action.run.variables = {
        "RepositoryName": name, "RegistryId": found["registryId"], "ImageTag": tag, "ImageDigest": found["imageDigest"],
        "ImageURI": uri,
    }  # fmt: skip
    yield 0
    detail = {
        "ImageSizeInBytes": str(found.get("imageSizeInBytes", "")), "ImageDigest": found["imageDigest"],
        "Version": "1.0", "RegistryId": found["registryId"], "RepositoryName": name, "ImageURI": uri,
        "ImageTags": [tag],
    }  # fmt: skip
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("imageDetail.json", json.dumps(detail))
    action.put(action.only_output(), body.getvalue())
