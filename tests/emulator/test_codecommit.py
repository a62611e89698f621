"""CodeCommit by boto3 and git, unmodified, against the emulator."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.data.repositories.signature import sign
from emulator.emulator import Emulator
from tests.emulator.signing import client


@pytest.fixture
def codecommit(emulator: Emulator) -> Any:
    return client(emulator, "codecommit")


@pytest.fixture
def app(codecommit: Any) -> Any:
    return codecommit.create_repository(repositoryName="app", repositoryDescription="the app", tags={"team": "a"})


def refused(code: str, operation: Any, **parameters: Any) -> None:
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"]


def git(emulator: Emulator, *arguments: str | Path, key: str = "test", secret: str = "test") -> str:
    """git in a home of its own, with a password signed by a key; `URL` stands for the URL of `app`."""
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    password = f"{at}Z{sign(secret, 'us-east-1', 'localhost', '/v1/repos/app', at)}"
    url = f"http://{key.replace('%', '%25')}:{password}@localhost:{emulator.store.config.port}/v1/repos/app"
    who = {f"GIT_{role}_{part}": "tester" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    home = {"PATH": os.environ["PATH"], "HOME": str(emulator.store.folder), "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *(url if argument == "URL" else str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**home, **who}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_repository_is_described_with_numbers_for_dates_and_a_url_that_git_can_clone(
    emulator: Emulator, codecommit: Any, app: Any, tmp_path: Path
) -> None:
    described = codecommit.get_repository(repositoryName="app")["repositoryMetadata"]
    assert described == app["repositoryMetadata"]
    assert abs(datetime.now(UTC) - described["creationDate"]).total_seconds() < 60
    assert described["repositoryDescription"] == "the app"
    assert described["Arn"].endswith(":app") and described["accountId"] in described["Arn"]
    assert described["cloneUrlHttp"] == f"http://localhost:{emulator.store.config.port}/v1/repos/app"
    assert "defaultBranch" not in described
    git(emulator, "clone", "URL", tmp_path / "copy")


def test_what_the_api_commits_git_clones_and_what_git_pushes_the_api_reads(
    emulator: Emulator, codecommit: Any, app: Any, tmp_path: Path
) -> None:
    first = codecommit.create_commit(
        repositoryName="app",
        branchName="main",
        authorName="Ada",
        email="ada@example.com",
        commitMessage="first",
        putFiles=[
            {"filePath": "taskdef.json", "fileContent": b"{}"},
            {"filePath": "bin/run", "fileContent": b"#!", "fileMode": "EXECUTABLE"},
        ],
    )
    assert {file["absolutePath"]: file["fileMode"] for file in first["filesAdded"]} == {
        "taskdef.json": "NORMAL",
        "bin/run": "EXECUTABLE",
    }
    copy = tmp_path / "copy"
    git(emulator, "clone", "URL", copy)
    assert os.access(copy / "bin/run", os.X_OK)
    (copy / "taskdef.json").write_text('{"family": "app"}')
    git(emulator, "-C", copy, "commit", "--all", "--quiet", "--message", "second")
    git(emulator, "-C", copy, "push", "URL", "main")
    head = git(emulator, "-C", copy, "rev-parse", "HEAD")
    assert codecommit.get_branch(repositoryName="app", branchName="main")["branch"]["commitId"] == head
    file = codecommit.get_file(repositoryName="app", filePath="taskdef.json")
    assert (file["fileContent"], file["fileSize"], file["commitId"]) == (b'{"family": "app"}', 17, head)
    assert codecommit.get_blob(repositoryName="app", blobId=file["blobId"])["content"] == file["fileContent"]
    commit = codecommit.get_commit(repositoryName="app", commitId=head)["commit"]
    assert (commit["parents"], commit["message"], commit["author"]["name"]) == (
        [first["commitId"]],
        "second\n",
        "tester",
    )
    batch = codecommit.batch_get_commits(repositoryName="app", commitIds=[head, "0" * 40])
    assert [one["commitId"] for one in batch["commits"]] == [head]
    assert batch["errors"][0]["errorCode"] == "CommitIdDoesNotExistException"
    folder = codecommit.get_folder(repositoryName="app", folderPath="/")
    assert [one["absolutePath"] for one in folder["files"]] == ["taskdef.json"]
    assert [one["relativePath"] for one in folder["subFolders"]] == ["bin"]
    pages = codecommit.get_paginator("get_differences").paginate(
        repositoryName="app", afterCommitSpecifier="main", PaginationConfig={"PageSize": 1}
    )
    found = [one for page in pages for one in page["differences"]]
    assert [(one["changeType"], one["afterBlob"]["path"]) for one in found] == [("A", "bin/run"), ("A", "taskdef.json")]
    described = codecommit.get_repository(repositoryName="app")["repositoryMetadata"]
    assert described["defaultBranch"] == "main"


def test_every_change_of_a_reference_is_an_event_on_the_default_bus(
    emulator: Emulator, codecommit: Any, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("emulator.control.codecommit.house.emit", lambda store, scope, *rest: told.append({
        "scope": scope, "source": rest[0], "detail-type": rest[1], "detail": rest[2], "resources": rest[3],
    }))  # fmt: skip
    arn, identifier = app["repositoryMetadata"]["Arn"], app["repositoryMetadata"]["repositoryId"]
    put = {"repositoryName": "app", "branchName": "main", "filePath": "a"}
    first = codecommit.put_file(**put, fileContent=b"1")["commitId"]
    second = codecommit.put_file(**put, fileContent=b"2", parentCommitId=first)["commitId"]
    codecommit.create_branch(repositoryName="app", branchName="old/one", commitId=first)
    codecommit.delete_branch(repositoryName="app", branchName="old/one")
    details = [event["detail"] for event in told]
    changes = [(one["event"], one["referenceFullName"], one.get("oldCommitId"), one.get("commitId")) for one in details]
    assert changes == [
        ("referenceCreated", "refs/heads/main", None, first),
        ("referenceUpdated", "refs/heads/main", first, second),
        ("referenceCreated", "refs/heads/old/one", None, first),
        ("referenceDeleted", "refs/heads/old/one", first, None),
    ]
    assert {(one["referenceType"], one["repositoryName"], one["repositoryId"]) for one in details} == {
        ("branch", "app", identifier)
    }
    assert details[2]["referenceName"] == "old/one"
    envelopes = {(event["source"], event["detail-type"], *event["resources"], event["scope"][1]) for event in told}
    assert envelopes == {("aws.codecommit", "CodeCommit Repository State Change", arn, "us-east-1")}


def test_an_iam_users_key_and_a_roles_session_sign_for_git_and_others_do_not(
    emulator: Emulator, codecommit: Any, app: Any
) -> None:
    iam = client(emulator, "iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    git(emulator, "ls-remote", "URL", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    role = iam.create_role(RoleName="builder", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    session = client(emulator, "sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    git(emulator, "ls-remote", "URL", key=session["AccessKeyId"], secret=session["SecretAccessKey"])
    for wrong in ({"secret": "wrong"}, {"key": "AKIANOBODY0000000000"}, {"key": key["AccessKeyId"]}):
        with pytest.raises(AssertionError, match="403"):
            git(emulator, "ls-remote", "URL", **wrong)


def test_repositories_are_listed_renamed_tagged_and_deleted(codecommit: Any, app: Any) -> None:
    arn = app["repositoryMetadata"]["Arn"]
    codecommit.create_repository(repositoryName="zoo")
    listed = codecommit.list_repositories(sortBy="repositoryName", order="descending")["repositories"]
    assert [one["repositoryName"] for one in listed] == ["zoo", "app"]
    codecommit.tag_resource(resourceArn=arn, tags={"stage": "b"})
    codecommit.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert codecommit.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "b"}
    codecommit.update_repository_description(repositoryName="app", repositoryDescription="changed")
    codecommit.update_repository_name(oldName="app", newName="renamed")
    batch = codecommit.batch_get_repositories(repositoryNames=["renamed", "app"])
    assert [one["repositoryDescription"] for one in batch["repositories"]] == ["changed"]
    assert batch["repositoriesNotFound"] == ["app"]
    identifier = app["repositoryMetadata"]["repositoryId"]
    assert codecommit.delete_repository(repositoryName="renamed")["repositoryId"] == identifier
    assert "repositoryId" not in codecommit.delete_repository(repositoryName="renamed")


def test_branches_are_listed_and_the_default_one_is_kept(codecommit: Any, app: Any) -> None:
    put = {"repositoryName": "app", "filePath": "a", "fileContent": b"1"}
    commit = codecommit.put_file(**put, branchName="main")["commitId"]
    codecommit.create_branch(repositoryName="app", branchName="dev", commitId=commit)
    assert codecommit.list_branches(repositoryName="app")["branches"] == ["dev", "main"]
    refused("DefaultBranchCannotBeDeletedException", codecommit.delete_branch, repositoryName="app", branchName="main")
    codecommit.update_default_branch(repositoryName="app", defaultBranchName="dev")
    deleted = codecommit.delete_branch(repositoryName="app", branchName="main")["deletedBranch"]
    assert deleted == {"branchName": "main", "commitId": commit}


def test_files_are_put_and_deleted_one_at_a_time(codecommit: Any, app: Any) -> None:
    put = {"repositoryName": "app", "branchName": "main", "filePath": "a"}
    first = codecommit.put_file(**put, fileContent=b"1")
    refused("SameFileContentException", codecommit.put_file, **put, fileContent=b"1", parentCommitId=first["commitId"])
    refused("ParentCommitIdRequiredException", codecommit.put_file, **put, fileContent=b"2")
    refused("FileContentRequiredException", codecommit.put_file, **put, fileContent=b"")
    second = codecommit.put_file(**{**put, "filePath": "b"}, fileContent=b"2", parentCommitId=first["commitId"])
    gone = codecommit.delete_file(**put, parentCommitId=second["commitId"])
    assert (gone["filePath"], gone["blobId"]) == ("a", first["blobId"])
    refused("FileDoesNotExistException", codecommit.get_file, repositoryName="app", filePath="a")


def test_what_is_wrong_is_refused_by_its_name_on_aws(codecommit: Any, app: Any) -> None:
    arn = app["repositoryMetadata"]["Arn"]
    refused("RepositoryNameExistsException", codecommit.create_repository, repositoryName="app")
    refused("InvalidRepositoryNameException", codecommit.create_repository, repositoryName="app.git")
    refused("RepositoryDoesNotExistException", codecommit.get_repository, repositoryName="nope")
    refused("BranchDoesNotExistException", codecommit.get_branch, repositoryName="app", branchName="nope")
    refused("InvalidResourceArnException", codecommit.list_tags_for_resource, resourceArn="arn:nonsense")
    refused("RepositoryDoesNotExistException", codecommit.list_tags_for_resource, resourceArn=f"{arn}x")
    refused("CommitIdDoesNotExistException", codecommit.get_commit, repositoryName="app", commitId="0" * 40)
    refused("InvalidSystemTagUsageException", codecommit.create_repository, repositoryName="x", tags={"aws:x": "y"})


def test_a_repository_belongs_to_its_region(emulator: Emulator, app: Any) -> None:
    elsewhere = client(emulator, "codecommit", region="eu-west-1")
    assert elsewhere.list_repositories()["repositories"] == []
    refused("RepositoryDoesNotExistException", elsewhere.get_repository, repositoryName="app")


def test_an_operation_that_is_not_there_is_refused_by_name(codecommit: Any, app: Any) -> None:
    with pytest.raises(ClientError, match="CreatePullRequest"):
        target = {"repositoryName": "app", "sourceReference": "a"}
        codecommit.create_pull_request(title="x", targets=[target])
