"""A pipeline whose source is a connection to GitHub: a stand-in on this machine, pushed to by the stock git."""

from __future__ import annotations

import io
import json
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emulator.emulator import Emulator
from tests.emulator.conftest import EmulatorProcess
from tests.emulator.release.house import Json
from tests.emulator.release.pipes import action
from tests.waiting import eventually

REPOSITORY = "ada/pages"


@dataclass
class Hub:
    """An emulator, a checkout, and a pipeline "pages" that puts the repository's files into a bucket."""

    emulator: Emulator
    checkout: Path
    arn: str = ""
    roles: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.emulator.store.clients(service)

    def git(self, *argv: str, check: bool = True) -> str:
        who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada",
               "GIT_COMMITTER_EMAIL": "ada@example.com", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+0200",
               "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}  # fmt: skip
        done = subprocess.run(
            ["git", *argv], cwd=self.checkout, env={**os.environ, **who}, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip() if check else done.stderr

    @property
    def url(self) -> str:
        return f"{self.emulator.url}/github.com/{REPOSITORY}.git"

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            path = self.checkout / name.replace("__", ".").replace("_slash_", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self, reference: str = "main") -> None:
        self.git("push", "--quiet", self.url, f"HEAD:refs/heads/{reference}")

    def accept(self, repository: str = REPOSITORY) -> Json:
        """The handshake, as `python -m emulator connect` does it."""
        body = json.dumps({"repository": repository}).encode()
        request = urllib.request.Request(
            f"{self.emulator.url}/_emulator/connections", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: Json = json.load(answer)
        return found

    def role(self, service: str) -> str:
        if service not in self.roles:
            principal = {"Service": f"{service}.amazonaws.com"}
            trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
            made = self.client("iam").create_role(
                RoleName=service, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
            )
            self.roles[service] = made["Role"]["Arn"]
        return self.roles[service]

    def declaration(self, stages: list[Json] | None = None, **settings: Any) -> Json:
        deploy = action(
            "Deploy", "S3", inputArtifacts=[{"name": "files"}],
            configuration={"BucketName": "target", "Extract": "true"},
        )  # fmt: skip
        stages = stages or [deploy]
        return {
            "name": "pages", "roleArn": self.role("codepipeline"), "pipelineType": "V2", "executionMode": "QUEUED",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [{"name": each["name"], "actions": [each]} for each in (self.source(), *stages)], **settings,
        }  # fmt: skip

    def source(self, **configuration: str) -> Json:
        return action(
            "Source", "CodeStarSourceConnection", outputArtifacts=[{"name": "files"}], namespace="Source",
            configuration={
                "ConnectionArn": self.arn, "FullRepositoryId": REPOSITORY, "BranchName": "main", **configuration
            },
        )  # fmt: skip

    def executions(self) -> list[Json]:
        found: list[Json] = self.client("codepipeline").list_pipeline_executions(pipelineName="pages")[
            "pipelineExecutionSummaries"
        ]
        return found

    def finished(self, number: int) -> Json:
        """The newest execution, once there are so many and it is over."""

        def over() -> Json | None:
            found = self.executions()
            done = len(found) == number and found[0]["status"] in ("Succeeded", "Failed")
            return found[0] if done else None

        found: Json = eventually(over, 60)
        return found

    def actions(self) -> dict[str, Json]:
        """Of the newest execution."""
        newest = self.executions()[0]["pipelineExecutionId"]
        listed = self.client("codepipeline").list_action_executions(
            pipelineName="pages", filter={"pipelineExecutionId": newest}
        )
        return {each["actionName"]: each for each in listed["actionExecutionDetails"]}

    def error(self) -> Json:
        found: Json = self.actions()["Source"]["output"]["executionResult"]["errorDetails"]
        return found


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")  # a thousand documents, parsed for every test


@pytest.fixture
def hub(emulator: Emulator, tmp_path: Path) -> Iterator[Hub]:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    hub = Hub(emulator, checkout)
    hub.git("init", "--quiet", "--initial-branch=main")
    made = hub.client("codestar-connections").create_connection(ConnectionName="hub", ProviderType="GitHub")
    hub.arn = made["ConnectionArn"]
    for name in ("artifacts", "target"):
        hub.client("s3").create_bucket(Bucket=name)
    yield hub


@pytest.fixture
def connected(hub: Hub) -> Hub:
    hub.accept()
    hub.commit("one", page="one")
    hub.push()
    return hub


def test_a_push_to_the_connected_repository_starts_the_pipeline(connected: Hub) -> None:
    connected.client("codepipeline").create_pipeline(pipeline=connected.declaration())
    assert connected.finished(1)["trigger"]["triggerType"] == "CreatePipeline"
    commit = connected.commit("two\n\nand why", page="two")
    connected.push()
    execution = connected.finished(2)
    assert execution["status"] == "Succeeded", connected.actions()
    assert execution["trigger"] == {"triggerType": "WebhookV2", "triggerDetail": connected.arn}
    (revision,) = execution["sourceRevisions"]
    assert revision["revisionId"] == commit
    assert json.loads(revision["revisionSummary"]) == {"ProviderType": "GitHub", "CommitMessage": "two\n\nand why"}
    assert f"FullRepositoryId={REPOSITORY}&Commit={commit}" in revision["revisionUrl"]
    assert connected.actions()["Source"]["output"]["outputVariables"] == {
        "AuthorDate": "2026-01-02T01:04:05Z", "BranchName": "main", "CommitId": commit,
        "CommitMessage": "two\n\nand why", "ConnectionArn": connected.arn, "FullRepositoryName": REPOSITORY,
    }  # fmt: skip
    assert connected.client("s3").get_object(Bucket="target", Key="page")["Body"].read() == b"two"


def test_of_two_pushes_in_a_row_each_is_released(connected: Hub) -> None:
    connected.client("codepipeline").create_pipeline(pipeline=connected.declaration())
    connected.finished(1)
    commits = []
    for text in ("two", "three"):
        commits.append(connected.commit(text, page=text))
        connected.push()
    connected.finished(3)
    newest = [each["sourceRevisions"][0]["revisionId"] for each in connected.executions()]
    assert newest[:2] == commits[::-1]


def test_a_pending_connection_fails_the_source_until_somebody_accepts_it(hub: Hub) -> None:
    hub.client("codepipeline").create_pipeline(pipeline=hub.declaration())
    assert hub.finished(1)["status"] == "Failed"
    assert "it is PENDING" in hub.error()["message"] and hub.arn in hub.error()["message"]
    assert hub.accept()["accepted"] == ["hub"]
    hub.client("codepipeline").start_pipeline_execution(name="pages")
    assert hub.finished(2)["status"] == "Failed"
    assert hub.error()["message"] == f"[GitHub] No Branch [main] found for FullRepositoryName [{REPOSITORY}]"
    hub.commit("one", page="one")
    hub.push()
    assert hub.finished(3)["status"] == "Succeeded", hub.actions()


def test_a_repository_that_nobody_connected_is_not_found(hub: Hub) -> None:
    assert f"repository '{hub.url}/' not found" in hub.git("ls-remote", hub.url, check=False)
    hub.accept("ada/other")
    hub.client("codepipeline").create_pipeline(pipeline=hub.declaration())
    hub.finished(1)
    assert hub.error()["message"] == f"[GitHub] No Branch [main] found for FullRepositoryName [{REPOSITORY}]"


def test_a_name_that_is_no_repository_is_refused(hub: Hub) -> None:
    for name in ("pages", "../pages", "ada/..", "ada/pages/more", "/etc/passwd", ""):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            hub.accept(name)
    connection = hub.client("codeconnections").get_connection(ConnectionArn=hub.arn)["Connection"]
    assert connection["ConnectionStatus"] == "PENDING"


def test_a_form_of_some_web_page_accepts_nothing(hub: Hub) -> None:
    request = urllib.request.Request(
        f"{hub.emulator.url}/_emulator/connections", b'{"repository": "ada/pages"}', {"Content-Type": "text/plain"}
    )
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=60)


def test_a_role_that_may_not_use_the_connection_is_refused_in_aws_s_words(connected: Hub) -> None:
    connected.emulator.store.config.iam = "enforce"
    policy = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    role = connected.role("codepipeline").rpartition("/")[2]

    def allow(*statements: Json) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        connected.client("iam").put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=document)

    allow(policy)
    connected.client("codepipeline").create_pipeline(pipeline=connected.declaration())
    assert connected.finished(1)["status"] == "Failed"
    assert connected.error()["message"] == (
        f"Unable to use Connection: {connected.arn}. The provided role does not have sufficient permissions."
    )
    allow(policy, {"Effect": "Allow", "Action": "codeconnections:UseConnection", "Resource": connected.arn})
    connected.client("codepipeline").start_pipeline_execution(name="pages")
    assert connected.finished(2)["status"] == "Succeeded", connected.actions()


def test_a_build_clones_what_a_reference_names_with_its_history(connected: Hub) -> None:
    connected.commit("two", page="two")
    connected.push()
    connected.client("codebuild").create_project(
        name="pages", serviceRole=connected.role("codebuild"), artifacts={"type": "CODEPIPELINE"},
        source={"type": "CODEPIPELINE", "buildspec": (
            "version: 0.2\nphases: {build: {commands: ['git log --format=%s > log', 'git status --short > status']}}\n"
            "artifacts: {files: [log, status]}"
        )},
        environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"},
    )  # fmt: skip
    build = action(
        "Build", "CodeBuild", inputArtifacts=[{"name": "files"}], outputArtifacts=[{"name": "built"}],
        configuration={"ProjectName": "pages"},
    )  # fmt: skip
    declaration = connected.declaration([build])
    declaration["stages"][0]["actions"] = [connected.source(OutputArtifactFormat="CODEBUILD_CLONE_REF")]
    connected.client("codepipeline").create_pipeline(pipeline=declaration)
    assert connected.finished(1)["status"] == "Succeeded", connected.actions()
    (place,) = connected.actions()["Build"]["output"]["outputArtifacts"]
    body = connected.client("s3").get_object(Bucket="artifacts", Key=place["s3location"]["key"])["Body"].read()
    archive = zipfile.ZipFile(io.BytesIO(body))
    assert archive.read("log") == b"two\none\n"
    assert archive.read("status") == b"?? log\n?? status\n"


def test_only_a_build_can_use_a_reference(connected: Hub) -> None:
    declaration = connected.declaration()
    declaration["stages"][0]["actions"] = [connected.source(OutputArtifactFormat="CODEBUILD_CLONE_REF")]
    connected.client("codepipeline").create_pipeline(pipeline=declaration)
    assert connected.finished(1)["status"] == "Failed"
    error = connected.actions()["Deploy"]["output"]["executionResult"]["errorDetails"]
    assert "only CodeBuild actions can use" in error["message"]


def test_a_trigger_takes_the_branches_paths_and_tags_of_its_filters(connected: Hub) -> None:
    push = [
        {"branches": {"includes": ["release/**"]}, "filePaths": {"includes": ["docs/*.md"]}},
        {"tags": {"includes": ["v*"], "excludes": ["*-rc"]}},
    ]
    trigger = {
        "providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Source", "push": push}
    }  # fmt: skip
    connected.client("codepipeline").create_pipeline(pipeline=connected.declaration(triggers=[trigger]))
    connected.finished(1)
    connected.commit("to main, which the filters leave out", page="two")
    connected.push()
    connected.push("release/1")  # all files are new here, but none is a page of the docs
    connected.git("tag", "v1-rc")
    connected.git("push", "--quiet", connected.url, "v1-rc")
    commit = connected.commit("the docs", docs_slash_a__md="a")
    connected.push("release/1")
    execution = connected.finished(2)
    assert execution["sourceRevisions"][0]["revisionId"] == commit
    assert connected.actions()["Source"]["output"]["outputVariables"]["BranchName"] == "release/1"
    connected.git("tag", "--annotate", "--message", "first", "v1")
    connected.git("push", "--quiet", connected.url, "v1")
    assert connected.finished(3)["sourceRevisions"][0]["revisionId"] == commit
    connected.git("push", "--quiet", connected.url, ":refs/heads/release/1")  # what is gone starts nothing
    connected.client("codepipeline").start_pipeline_execution(name="pages")  # by hand it is the branch of the action
    assert connected.finished(4)["trigger"]["triggerType"] == "StartPipelineExecution"
    assert connected.actions()["Source"]["output"]["outputVariables"]["CommitMessage"].startswith("to main")


def test_a_source_that_does_not_detect_changes_waits_for_a_start(connected: Hub) -> None:
    declaration = connected.declaration()
    declaration["stages"][0]["actions"] = [connected.source(DetectChanges="false")]
    client = connected.client("codepipeline")
    assert "triggers" not in client.create_pipeline(pipeline=declaration)["pipeline"]
    connected.finished(1)
    connected.commit("two", page="two")
    connected.push()
    client.start_pipeline_execution(name="pages")
    assert connected.finished(2)["trigger"]["triggerType"] == "StartPipelineExecution"
    client.update_pipeline(pipeline=connected.declaration())
    (trigger,) = client.get_pipeline(name="pages")["pipeline"]["triggers"]  # AWS adds it
    assert trigger["gitConfiguration"]["push"] == [{"branches": {"includes": ["main"]}}]
    connected.commit("three", page="three")
    connected.push()
    assert connected.finished(3)["trigger"]["triggerType"] == "WebhookV2"


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ({"sourceActionName": "Build"}, "Triggers for connection must reference a CodeStarSourceConnection action."),
        ({"push": [{"branches": {"includes": ["a"]}, "tags": {"includes": ["b"]}}]}, "valid filter combinations"),
        ({"push": [{"filePaths": {"includes": ["a"]}}]}, "valid filter combinations"),
        ({"push": [{"tags": {"includes": ["a"]}}] * 4}, "at most 3 filters"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(hub: Hub, trigger: Json, message: str) -> None:
    given = {"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Source", **trigger}}
    client = hub.client("codepipeline")
    with pytest.raises(client.exceptions.ClientError, match=message):
        client.create_pipeline(pipeline=hub.declaration(triggers=[given]))


def test_the_command_line_accepts_and_says_where_to_push(emulator_process: EmulatorProcess, tmp_path: Path) -> None:
    client = emulator_process.client("codestar-connections")
    arns = [
        client.create_connection(ConnectionName=name, ProviderType="GitHub")["ConnectionArn"] for name in ("a", "b")
    ]
    wrong = emulator_process.run("connect", "ada", check=False)
    assert wrong.returncode == 1 and "ada is no OWNER/REPOSITORY" in wrong.stderr
    assert "no connection c" in emulator_process.run("connect", REPOSITORY, "--connection", "c", check=False).stderr

    def statuses() -> list[str]:
        return [client.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] for arn in arns]

    assert "connection b" in emulator_process.run("connect", REPOSITORY, "--connection", "b").stdout
    assert statuses() == ["PENDING", "AVAILABLE"]
    said = emulator_process.run("connect", REPOSITORY).stdout
    assert statuses() == ["AVAILABLE", "AVAILABLE"]
    url = f"{emulator_process.url}/github.com/{REPOSITORY}"
    assert f"git push {url} HEAD:main" in said
    rewritten = f"url.{url}.insteadOf=https://github.com/{REPOSITORY}"
    asked = ["git", "-c", rewritten, "ls-remote", f"https://github.com/{REPOSITORY}.git"]
    assert subprocess.run(asked, cwd=tmp_path, check=False).returncode == 0


def test_both_names_of_the_service_know_every_connection(hub: Hub) -> None:
    old, new = hub.client("codestar-connections"), hub.client("codeconnections")
    tags = [{"Key": "team", "Value": "pages"}]
    made = new.create_connection(ConnectionName="bucket", ProviderType="Bitbucket", Tags=tags)["ConnectionArn"]
    assert made.split(":")[2] == "codeconnections" and hub.arn.split(":")[2] == "codestar-connections"
    for client in (old, new):
        assert [each["ConnectionName"] for each in client.list_connections()["Connections"]] == ["bucket", "hub"]
        (bitbucket,) = client.list_connections(ProviderTypeFilter="Bitbucket")["Connections"]
        assert (bitbucket["ConnectionArn"], bitbucket["ConnectionStatus"]) == (made, "PENDING")
    old.tag_resource(ResourceArn=made, Tags=[{"Key": "more", "Value": "1"}])
    new.untag_resource(ResourceArn=made, TagKeys=["team"])
    assert old.list_tags_for_resource(ResourceArn=made)["Tags"] == [{"Key": "more", "Value": "1"}]
    mapping = hub.client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "more"}])
    assert [each["ResourceARN"] for each in mapping["ResourceTagMappingList"]] == [made]
    old.delete_connection(ConnectionArn=made)
    with pytest.raises(new.exceptions.ResourceNotFoundException):
        new.get_connection(ConnectionArn=made)


def test_a_host_waits_as_a_connection_does(hub: Hub) -> None:
    client = hub.client("codeconnections")
    host = client.create_host(
        Name="ours", ProviderType="GitHubEnterpriseServer", ProviderEndpoint="https://git.example.com"
    )["HostArn"]
    assert client.get_host(HostArn=host)["Status"] == "PENDING"
    made = client.create_connection(ConnectionName="ours", HostArn=host)["ConnectionArn"]
    found = client.get_connection(ConnectionArn=made)["Connection"]
    assert (found["ProviderType"], found["HostArn"]) == ("GitHubEnterpriseServer", host)
    with pytest.raises(client.exceptions.ResourceUnavailableException):
        client.delete_host(HostArn=host)
    client.delete_connection(ConnectionArn=made)
    client.delete_host(HostArn=host)
    assert client.list_hosts()["Hosts"] == []
