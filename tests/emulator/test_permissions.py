from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError

from emulator.control.permissions import refusal
from emulator.emulator import Emulator
from emulator.state.call import Call
from emulator.state.clients import Credentials
from tests.emulator.signing import asked, client, signed

_SESSION = "arn:aws:sts::123456789012:assumed-role/task/me"


def call(service: str, operation: str, **parameters: Any) -> Call:
    return Call(service, operation, parameters, "123456789012", "us-east-1", "ASIA", dict)


def policy(effect: str, actions: str | list[str], resources: str | list[str] = "*", **more: Any) -> str:
    statement = {"Effect": effect, "Action": actions, "Resource": resources, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


_GET = call("s3", "GetObject", Bucket="data", Key="a/b.txt")


@pytest.mark.parametrize(
    ("asked", "policies", "allowed"),
    [
        (_GET, [], False),
        (_GET, [policy("Allow", "s3:GetObject", "arn:aws:s3:::data/*")], True),
        (_GET, [policy("Allow", "s3:get*", "arn:aws:s3:::data/a/?.txt")], True),
        (_GET, [policy("Allow", "s3:GetObject", "arn:aws:s3:::other/*")], False),
        (_GET, [policy("Allow", "s3:PutObject")], False),
        (_GET, [policy("Allow", "*"), policy("Deny", "s3:*", "arn:aws:s3:::data/*")], False),
        (
            _GET,
            [policy("Allow", "*"), policy("Deny", "s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})],
            True,
        ),
        (_GET, [json.dumps({"Statement": [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]})], True),
        (call("s3", "ListObjectsV2", Bucket="data"), [policy("Allow", "s3:ListBucket", "arn:aws:s3:::data")], True),
        (call("elbv2", "ModifyListener"), [policy("Allow", "elasticloadbalancing:ModifyListener")], True),
        (
            call("logs", "PutLogEvents", logGroupName="/ecs/a", logStreamName="s"),
            [policy("Allow", "logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/a:*")],
            True,
        ),
        (
            call("ecr", "PutImage", repositoryName="a"),
            [policy("Allow", "ecr:*", "arn:aws:ecr:*:*:repository/b")],
            False,
        ),
        (call("sts", "GetCallerIdentity"), [], True),
    ],
)
def test_what_policies_allow(asked: Call, policies: list[str], allowed: bool) -> None:
    assert (refusal(asked, _SESSION, policies) is None) is allowed


def test_a_refusal_speaks_as_aws_does() -> None:
    error = refusal(_GET, _SESSION, [])
    assert error is not None and error.code == "AccessDenied"
    assert error.message == (
        f"User: {_SESSION} is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::data/a/b.txt "
        "because no identity-based policy allows the s3:GetObject action"
    )


def test_a_role_may_do_what_its_policies_allow_and_nothing_else(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    logs, session = emulator.store.clients("logs"), _role(emulator, policy("Allow", "logs:CreateLogGroup"))
    limited = emulator.store.clients("logs", credentials=session)
    emulator.store.config.iam = "enforce"
    limited.create_log_group(logGroupName="mine")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*logs:DescribeLogGroups") as refused:
        limited.describe_log_groups()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == ["mine"]
    emulator.store.config.iam = "log"
    with caplog.at_level(logging.WARNING, "emulator.iam"):
        assert limited.describe_log_groups()["logGroups"]
        assert limited.describe_log_groups()["logGroups"]
    assert [record.message for record in caplog.records if "logs:DescribeLogGroups" in record.message] != []
    assert len([record for record in caplog.records if record.name == "emulator.iam"]) == 1


def test_attached_policies_count_aws_managed_ones_too(emulator: Emulator) -> None:
    session, iam = _role(emulator, policy("Deny", "logs:*")), emulator.store.clients("iam")
    own = iam.create_policy(PolicyName="own", PolicyDocument=policy("Allow", "ecr:DescribeRepositories"))["Policy"][
        "Arn"
    ]
    for arn in (own, "arn:aws:iam::aws:policy/AWSCodeDeployRoleForECS"):
        iam.attach_role_policy(RoleName="task", PolicyArn=arn)
    emulator.store.config.iam = "enforce"
    emulator.store.clients("ecr", credentials=session).describe_repositories()
    emulator.store.clients("elbv2", credentials=session).describe_target_groups()
    with pytest.raises(ClientError, match="logs:DescribeLogGroups"):
        emulator.store.clients("logs", credentials=session).describe_log_groups()


def test_a_deleted_role_may_do_nothing(emulator: Emulator) -> None:
    session, iam = _role(emulator, policy("Allow", "*")), emulator.store.clients("iam")
    iam.delete_role_policy(RoleName="task", PolicyName="inline")
    iam.delete_role(RoleName="task")
    emulator.store.config.iam = "enforce"
    with pytest.raises(ClientError, match="AccessDenied"):
        emulator.store.clients("ecr", credentials=session).describe_repositories()


def _role(emulator: Emulator, text: str) -> Credentials:
    iam, sts = emulator.store.clients("iam"), emulator.store.clients("sts")
    arn = iam.create_role(RoleName="task", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.put_role_policy(RoleName="task", PolicyName="inline", PolicyDocument=text)
    given = sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def test_a_role_is_held_to_its_policies_however_it_signs(emulator: Emulator) -> None:
    """In the header, a presigned URL, an upload's form, of either version; and he acts as nobody else."""
    session, s3 = _role(emulator, policy("Allow", "s3:GetObject", "arn:aws:s3:::open/*")), emulator.store.clients("s3")
    for bucket in ("open", "closed"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="x", Body=b"kept")
    emulator.store.config.iam = "enforce"
    keys = (session.access_key, session.secret_key, session.token)

    def fetched(bucket: str, version: str, operation: str, method: str) -> int:
        own = client(emulator, "s3", *keys, version=version)
        url = urlsplit(own.generate_presigned_url(operation, {"Bucket": bucket, "Key": "x"}))
        return asked(emulator, method, f"{url.path}?{url.query}", Host=url.netloc).status

    for version in ("s3v4", "s3"):
        own = client(emulator, "s3", *keys, version=version)
        assert own.get_object(Bucket="open", Key="x")["Body"].read() == b"kept"
        with pytest.raises(ClientError, match="AccessDenied"):
            own.get_object(Bucket="closed", Key="x")
        assert fetched("open", version, "get_object", "GET") == 200
        assert (
            fetched("closed", version, "get_object", "GET")
            == fetched("open", version, "delete_object", "DELETE")
            == 403
        )
        fields = own.generate_presigned_post("open", "x")["fields"]
        parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in
                 {**fields, "file": "changed"}.items()]  # fmt: skip
        kind = "multipart/form-data; boundary=edge"
        answered = asked(emulator, "POST", "/open", "".join(parts) + "--edge--\r\n", Content_Type=kind)
        assert answered.status == 403 and "s3:PutObject" in answered.text
    host = urlsplit(emulator.url).netloc
    credentials = BotoCredentials(*keys)
    right = signed("DELETE", f"{emulator.url}/open/x", b"", "s3", {"Host": host}, credentials)
    theirs = f"Credential=test/{right['X-Amz-Date'][:8]}/us-east-1/s3/aws4_request"
    kind, _, rest = right["Authorization"].partition(" ")
    for forged in (f"{kind} {theirs}, {rest}", f"{kind} {rest}, {theirs}", f"{kind} X{theirs}, {rest}"):
        assert asked(emulator, "DELETE", "/open/x", **{**right, "Authorization": forged}).status in (400, 403)
    assert s3.get_object(Bucket="open", Key="x")["Body"].read() == b"kept"
