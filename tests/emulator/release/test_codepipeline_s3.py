"""A pipeline of files alone, over the socket: boto3 makes it and AWS's own command line reads it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.emulator import Emulator
from tests.emulator.release.pipes import action
from tests.waiting import eventually


def zipped(**files: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return body.getvalue()


@pytest.fixture
def pages(emulator: Emulator) -> Iterator[Emulator]:
    """A pipeline "pages" that unpacks source.zip of a versioned bucket into another bucket."""
    clients = emulator.store.clients
    s3 = clients("s3")
    for name in ("source", "target", "artifacts"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="source", Key="source.zip", Body=zipped(page="one", **{"style.css": "a {}"}))
    trust = {"Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = clients("iam").create_role(RoleName="pages", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    source = action(
        "Source", "S3", outputArtifacts=[{"name": "files"}],
        configuration={"S3Bucket": "source", "S3ObjectKey": "source.zip"},
    )  # fmt: skip
    deploy = action(
        "Deploy", "S3", inputArtifacts=[{"name": "files"}],
        configuration={
            "BucketName": "target", "Extract": "true", "ObjectKey": "site", "CacheControl": "max-age=60",
            "CannedACL": "public-read",
        },
    )  # fmt: skip
    clients("codepipeline").create_pipeline(
        pipeline={
            "name": "pages", "roleArn": role["Role"]["Arn"], "pipelineType": "V2", "executionMode": "QUEUED",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [{"name": each["name"], "actions": [each]} for each in (source, deploy)],
        }
    )  # fmt: skip
    yield emulator


def _over(client: Any) -> Any:
    """The newest execution, once it is over."""
    (newest, *_) = client.list_pipeline_executions(pipelineName="pages")["pipelineExecutionSummaries"]
    return newest if newest["status"] in ("Succeeded", "Failed") else None


def test_files_go_from_one_bucket_to_another(pages: Emulator) -> None:
    client, s3 = pages.store.clients("codepipeline"), pages.store.clients("s3")
    assert eventually(lambda: _over(client), 20)["status"] == "Succeeded"
    assert s3.get_object(Bucket="target", Key="site/page")["Body"].read() == b"one"
    sheet = s3.get_object(Bucket="target", Key="site/style.css")
    assert (sheet["CacheControl"], sheet["ContentType"]) == ("max-age=60", "text/css")
    readers = [each["Grantee"].get("URI", "") for each in s3.get_object_acl(Bucket="target", Key="site/page")["Grants"]]
    assert any(uri.endswith("/AllUsers") for uri in readers)
    old = s3.head_object(Bucket="source", Key="source.zip")["VersionId"]
    s3.put_object(Bucket="source", Key="source.zip", Body=zipped(page="two"))
    revision = {"actionName": "Source", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": old}
    for revisions, page in (([], b"two"), ([revision], b"one")):
        client.start_pipeline_execution(name="pages", sourceRevisions=revisions)
        assert eventually(lambda: _over(client), 20)["status"] == "Succeeded"
        assert s3.get_object(Bucket="target", Key="site/page")["Body"].read() == page


@pytest.mark.skipif(not shutil.which("aws"), reason="needs AWS's command line")
def test_aws_s_command_line_reads_the_pipeline(pages: Emulator) -> None:
    eventually(lambda: _over(pages.store.clients("codepipeline")), 20)
    found = aws(pages, "codepipeline", "get-pipeline-state", "--name", "pages")
    assert [(each["stageName"], each["latestExecution"]["status"]) for each in found["stageStates"]] == [
        ("Source", "Succeeded"), ("Deploy", "Succeeded"),
    ]  # fmt: skip
    (execution,) = aws(pages, "codepipeline", "list-pipeline-executions", "--pipeline-name", "pages")[
        "pipelineExecutionSummaries"
    ]
    assert execution["trigger"]["triggerType"] == "CreatePipeline"


def aws(emulator: Emulator, *command: str) -> Any:
    """What `aws <command>` prints."""
    given = {
        "AWS_ENDPOINT_URL": emulator.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_PAGER": "",
    }  # fmt: skip
    done = subprocess.run(
        ["aws", *command, "--output", "json"], env={**os.environ, **given}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None
