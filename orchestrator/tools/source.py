"""Where releases come from: CodeCommit, or a repository on GitHub behind a connection that a person must accept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import NotNow
from orchestrator.tools import git, trust
from orchestrator.tools.aws import Aws, code, explained
from orchestrator.tools.git_credential import CREDENTIAL_HOST


def head(aws: Aws, root: Path, pipeline: Mapping[str, Any]) -> str:
    """The commit that the pipeline's branch is at; empty when there is no such branch yet."""
    from botocore.exceptions import ClientError

    if is_on_github(pipeline):
        return git.remote_head(root, _remote(aws, root, pipeline), pipeline["branch"])
    with explained("codecommit:GetBranch"):
        try:
            found = aws.client("codecommit").get_branch(
                repositoryName=pipeline["repository_name"], branchName=pipeline["branch"]
            )
        except ClientError as error:
            if code(error) == "BranchDoesNotExistException":
                return ""
            raise
    return str(found["branch"]["commitId"])


def push(aws: Aws, root: Path, pipeline: Mapping[str, Any]) -> str:
    """Pushes HEAD to the pipeline's branch; git's words when it was refused, else empty."""
    if is_on_github(pipeline):
        return git.push_remote(root, _remote(aws, root, pipeline), pipeline["branch"])
    url = pipeline["clone_url_http"]
    host = trust.codecommit(aws.config, url)
    return git.push(root, url, pipeline["branch"], aws.git_environment() | {CREDENTIAL_HOST: host})


def author(aws: Aws, root: Path, pipeline: Mapping[str, Any], commit: str) -> str:
    """Who wrote a commit; empty when nobody here knows: it was pushed over, or was never fetched from GitHub."""
    from botocore.exceptions import ClientError

    if is_on_github(pipeline):
        return git.author_of(root, commit)
    try:
        found = aws.client("codecommit").get_commit(repositoryName=pipeline["repository_name"], commitId=commit)
    except ClientError:
        return ""
    return str(found["commit"]["author"]["name"])


def is_on_github(pipeline: Mapping[str, Any]) -> bool:
    return bool(pipeline.get("connection_arn"))


def check_connection(aws: Aws, pipeline: Mapping[str, Any]) -> None:
    """Raises NotNow while nobody has accepted the connection."""
    if not is_on_github(pipeline):
        return
    status = status_of(aws, pipeline["connection_arn"])
    if status != "AVAILABLE":
        raise NotNow(f"the connection to GitHub is {status}", handshake(pipeline["repository_name"]))


def status_of(aws: Aws, arn: str) -> str:
    with explained("codeconnections:GetConnection"):
        found = aws.client("codeconnections").get_connection(ConnectionArn=arn)
    return str(found["Connection"]["ConnectionStatus"])


def named(aws: Aws, name: str) -> str:
    """The ARN of the connection of that name; empty when there is none."""
    options: dict[str, str] = {}
    with explained("codeconnections:ListConnections"):
        while True:  # boto3 has no paginator for it
            page = aws.client("codeconnections").list_connections(**options)
            for connection in page["Connections"]:
                if connection["ConnectionName"] == name:
                    return str(connection["ConnectionArn"])
            if not page.get("NextToken"):
                return ""
            options = {"NextToken": page["NextToken"]}


def handshake(repository: str) -> str:
    """What a person does about a connection that waits; no API can."""
    return (
        "accept it once in AWS's console (Developer Tools, Settings, Connections: Update pending connection; on the "
        f"emulator: python -m emulator connect {repository}), then release"
    )


def _remote(aws: Aws, root: Path, pipeline: Mapping[str, Any]) -> str:
    """The user's own remote, with the user's own way to log in, where there is one; else GitHub's URL."""
    remote, url = git.remote_of(root, pipeline["repository_name"]), str(pipeline["clone_url_http"])
    if not remote:
        trust.github(aws.config, url)
    return remote or url
