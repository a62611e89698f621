"""Calls are signed with the secret of their access key; in whatever way, what is signed otherwise is refused."""

from __future__ import annotations

import itertools
import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1Auth
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from emulator import claims, signatures
from emulator.control import sessions
from emulator.emulator import Emulator
from emulator.state.call import AwsError
from emulator.state.sigv4 import Secret
from tests.emulator.signing import TEST, Answered, asked, client, signed

ROLE = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"},
]})  # fmt: skip
# S3's, those that speak forms, EC2, those that speak JSON, those that speak paths: a call of each.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("list_buckets", {}),
    "sts": ("get_caller_identity", {}),
    "iam": ("list_roles", {}),
    "elbv2": ("describe_load_balancers", {}),
    "ec2": ("describe_vpcs", {}),
    "ecs": ("list_clusters", {}),
    "logs": ("describe_log_groups", {}),
    "lambda": ("list_functions", {}),
}


def fetched(emulator: Emulator, url: str, body: bytes = b"", method: str = "GET", **headers: str) -> Answered:
    parts = urlsplit(url)
    return asked(emulator, method, f"{parts.path}?{parts.query}", body, Host=parts.netloc, **headers)


def refusal(client: Any, service: str) -> tuple[str, int]:
    operation, parameters = CALLS[service]
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**parameters)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    "service, mismatch, unknown",
    [
        ("s3", ("SignatureDoesNotMatch", 403), ("InvalidAccessKeyId", 403)),
        ("sts", ("SignatureDoesNotMatch", 403), ("InvalidClientTokenId", 403)),
        ("iam", ("SignatureDoesNotMatch", 403), ("InvalidClientTokenId", 403)),
        ("elbv2", ("SignatureDoesNotMatch", 403), ("InvalidClientTokenId", 403)),
        ("ec2", ("AuthFailure", 401), ("AuthFailure", 401)),
        ("ecs", ("InvalidSignatureException", 400), ("UnrecognizedClientException", 400)),
        ("logs", ("InvalidSignatureException", 400), ("UnrecognizedClientException", 400)),
        ("lambda", ("InvalidSignatureException", 403), ("UnrecognizedClientException", 403)),
    ],
)
def test_another_secret_and_an_unknown_key_are_refused_in_the_services_words(
    emulator: Emulator, service: str, mismatch: tuple[str, int], unknown: tuple[str, int]
) -> None:
    operation, parameters = CALLS[service]
    getattr(client(emulator, service), operation)(**parameters)
    assert refusal(client(emulator, service, secret="guessed"), service) == mismatch
    assert refusal(client(emulator, service, key="AKIAIOSFODNN7EXAMPLE"), service) == unknown


@pytest.mark.parametrize("service", CALLS)
def test_the_keys_of_users_and_sessions_are_theirs_for_as_long_as_they_last(emulator: Emulator, service: str) -> None:
    operation, parameters = CALLS[service]
    iam, sts = client(emulator, "iam"), client(emulator, "sts")
    iam.create_user(UserName="ada")
    pair = iam.create_access_key(UserName="ada")["AccessKey"]
    own = client(emulator, service, pair["AccessKeyId"], pair["SecretAccessKey"])
    getattr(own, operation)(**parameters)
    iam.update_access_key(UserName="ada", AccessKeyId=pair["AccessKeyId"], Status="Inactive")
    assert refusal(own, service)[1] >= 400
    role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=ROLE)["Role"]["Arn"]
    for given in (
        sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"],
        sts.get_session_token()["Credentials"],
        sts.get_federation_token(Name="guest")["Credentials"],
    ):
        pair, token = (given["AccessKeyId"], given["SecretAccessKey"]), given["SessionToken"]
        getattr(client(emulator, service, *pair, token=token), operation)(**parameters)
        assert refusal(client(emulator, service, *pair), service)[1] >= 400
        assert refusal(client(emulator, service, *pair, token="another"), service)[1] >= 400
    past = datetime.now(UTC) - timedelta(seconds=1)
    emulator.store.table(sessions.Sessions).of[pair[0]] = Secret(pair[1], token, past)
    code, status = refusal(client(emulator, service, *pair, token=token), service)
    assert status >= 400 and "Expired" in code


def test_an_old_call_and_one_that_was_changed_on_its_way_are_refused(emulator: Emulator) -> None:
    host = f"127.0.0.1:{emulator.store.config.port}"
    target = {"Host": host, "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters",
              "Content-Type": "application/x-amz-json-1.1"}  # fmt: skip
    right = signed("POST", f"http://{host}/", b"{}", "ecs", target)

    def sent(headers: dict[str, str], body: bytes = b"{}", path: str = "/", method: str = "POST") -> tuple[int, str]:
        return asked(emulator, method, path, body, **headers)[:2]

    assert sent(right)[0] == 200
    assert "InvalidSignatureException" in sent(right, b'{"maxResults": 1}')[1]
    assert "InvalidSignatureException" in sent(right, path="/?a=b")[1]
    assert "InvalidSignatureException" in sent({**right, "X-Amz-Target": target["X-Amz-Target"] + "s"})[1]
    signature = right["Authorization"].rpartition("=")[2]
    for forged in ("0", "", "é", signature.upper(), signature[:-1], signature[::-1]):
        changed = right["Authorization"].replace(signature, forged)
        assert sent({**right, "Authorization": changed.encode().decode("latin-1")})[0] == 400
    for lacking in ("host;", "SignedHeaders=", "Credential="):
        assert sent({**right, "Authorization": right["Authorization"].replace(lacking, "")})[0] == 400
    no_date = {name: value for name, value in right.items() if name != "X-Amz-Date"}
    assert "'X-Amz-Date' or a 'Date'" in sent(no_date)[1]


@pytest.mark.parametrize("service, code", [
    ("s3", "RequestTimeTooSkewed"), ("sts", "SignatureDoesNotMatch"), ("ec2", "RequestExpired"),
    ("ecs", "InvalidSignatureException"), ("lambda", "InvalidSignatureException"),
])  # fmt: skip
@pytest.mark.parametrize("minutes", [-16, 16])
def test_the_clocks_may_differ_by_fifteen_minutes(
    emulator: Emulator, service: str, code: str, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: other)
    assert refusal(client(emulator, service), service)[0] == code


KEYS = ["plain", "a b", "a+b", "a%2Fb", "ä/ö", "a//b", "a/../b", "~!*'()", "a=b&c?d#e", "日本", ".", "a/./b/"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_every_key_of_an_object_can_be_signed_in_every_way(emulator: Emulator, key: str, version: str) -> None:
    s3 = client(emulator, "s3", version=version)
    s3.create_bucket(Bucket="objects")
    s3.put_object(Bucket="objects", Key=key, Body=b"kept", Metadata={"a": "  two   words "})
    assert s3.get_object(Bucket="objects", Key=key)["Body"].read() == b"kept"
    assert s3.list_objects_v2(Bucket="objects", Prefix=key)["KeyCount"] == 1
    url = s3.generate_presigned_url("get_object", {"Bucket": "objects", "Key": key, "ResponseContentType": "a/b; c"})
    with urllib.request.urlopen(url) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"kept", "a/b; c")
    for changed in (url.replace("/objects/", "/objects2/"), url.replace("a%2Fb%3B", "b%2Fb%3B"), f"{url[:-3]}abc"):
        assert fetched(emulator, changed).status == 403


def test_a_signature_of_version_2_is_read_as_one_whatever_its_letters(emulator: Emulator) -> None:
    """Its base64 may have four slashes, as a scope of version 4 has."""
    client(emulator, "s3").create_bucket(Bucket="objects")
    for number in itertools.count():
        path, headers = f"/objects/{number}", HTTPHeaders()
        right = HmacV1Auth(TEST).get_signature("PUT", urlsplit(path), headers)
        if right.count("/") == 4:
            break
    answered = asked(emulator, "PUT", path, Date=headers["Date"], Authorization=f"AWS test:{right}")
    assert answered.status == 200


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_a_presigned_url_is_for_one_thing_and_a_while(emulator: Emulator, version: str, style: str) -> None:
    s3 = client(emulator, "s3", version=version)
    s3.create_bucket(Bucket="objects")
    named = client(emulator, "s3", version=version, style=style)
    put = named.generate_presigned_url("put_object", {"Bucket": "objects", "Key": "x"}, ExpiresIn=60)
    assert fetched(emulator, put, b"kept", "PUT").status == 200
    assert fetched(emulator, put, method="DELETE").status == 403
    get = named.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "x"}, ExpiresIn=60)
    assert fetched(emulator, get).status == 200
    parts = urlsplit(get)
    assert (
        fetched(emulator, f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('x')}y?{parts.query}").status == 403
    )
    over = named.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "x"}, ExpiresIn=-1)
    assert fetched(emulator, over).status in (400, 403)
    strange = client(emulator, "s3", secret="guessed", version=version)
    assert (
        fetched(emulator, strange.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "x"})).status == 403
    )


def test_a_presigned_url_of_another_service_too(emulator: Emulator) -> None:
    """As `aws eks get-token` makes one."""
    url = client(emulator, "sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    assert fetched(emulator, url).status == 200
    assert fetched(emulator, url.replace("GetCallerIdentity", "GetSessionToken")).status == 403


def test_a_presigned_url_reaches_what_is_ours_as_the_region_and_the_key_that_it_names(emulator: Emulator) -> None:
    elsewhere = client(emulator, "elbv2", region="eu-west-1")
    vpc = client(emulator, "ec2", region="eu-west-1").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    elsewhere.create_target_group(Name="blue", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
    for region, status, words in (("eu-west-1", 200, ":eu-west-1:"), ("us-east-1", 400, "TargetGroupNotFound")):
        there = client(emulator, "elbv2", region=region)
        url = there.generate_presigned_url("describe_target_groups", {"Names": ["blue"]}, HttpMethod="GET")
        answered = fetched(emulator, url)
        assert answered.status == status and words in answered.text
    assert fetched(emulator, url.replace("blue", "blau")).status == 403
    assert "AuthFailure" in fetched(emulator, url.replace("elasticloadbalancing", "ec2")).text


def test_s3_wants_each_of_its_headers_signed_and_one_signature_alone(emulator: Emulator) -> None:
    """https://github.com/soto-project/soto/issues/374, https://github.com/catalyst/moodle-tool_objectfs/issues/303"""
    s3 = client(emulator, "s3", version="s3v4")
    s3.create_bucket(Bucket="objects")
    put = s3.generate_presigned_url("put_object", {"Bucket": "objects", "Key": "x"})
    answered = fetched(emulator, put, b"kept", "PUT", X_Amz_Acl="public-read")
    assert answered.status == 403 and "There were headers present in the request which were not signed" in answered.text
    for more in ({"X_Amz_Content_Sha256": "UNSIGNED-PAYLOAD"}, {"X_Amzn_Trace_Id": "Root=1"}, {"User_Agent": "me"}):
        assert fetched(emulator, put, b"kept", "PUT", **more).status == 200
    host = {"Host": urlsplit(emulator.url).netloc}
    right = signed("GET", f"{emulator.url}/objects/x", b"", "s3", host)
    assert asked(emulator, path="/objects/x", **right).status == 200
    assert asked(emulator, path="/objects/x", X_Amz_Request_Payer="requester", **right).status == 403
    get = s3.generate_presigned_url("get_object", {"Bucket": "objects", "Key": "x"})
    twice = fetched(emulator, get, Authorization=right["Authorization"])
    assert twice.status == 400 and "<Code>InvalidArgument" in twice.text and "Only one auth mechanism" in twice.text
    for name in ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Algorithm"):
        value = next(part.partition("=")[2] for part in urlsplit(get).query.split("&") if part.startswith(name))
        assert "AuthorizationQueryParametersError" in fetched(emulator, f"{get}&{name}={value}").text


class TestForm:
    """A browser's upload: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html"""

    def upload(self, emulator: Emulator, fields: dict[str, str], content: bytes = b"a picture") -> tuple[int, str]:
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        file = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        body = b"".join([*parts, file, content, b"\r\n--edge--\r\n"])
        return asked(emulator, "POST", "/objects", body, Content_Type="multipart/form-data; boundary=edge")[:2]

    @pytest.mark.parametrize("version", ["s3v4", "s3"])
    def test_what_its_policy_foresees_is_taken_and_nothing_else(self, emulator: Emulator, version: str) -> None:
        s3 = client(emulator, "s3", version=version)
        s3.create_bucket(Bucket="objects")
        fields = s3.generate_presigned_post(
            "objects", "pictures/${filename}", {"acl": "private"},
            [{"acl": "private"}, ["content-length-range", 2, 20]],
        )["fields"]  # fmt: skip
        status, _ = self.upload(emulator, {**fields, "key": "pictures/a.png"})
        assert status == 204
        assert s3.get_object(Bucket="objects", Key="pictures/a.png")["Body"].read() == b"a picture"
        for changed, words in (
            ({"key": "state"}, "Policy Condition failed"),
            ({"acl": "public-read"}, "Policy Condition failed"),
            ({"x-amz-meta-a": "b"}, "Extra input fields"),
            ({"policy": fields["policy"][::-1]}, "SignatureDoesNotMatch"),
            ({"x-amz-signature" if version == "s3v4" else "signature": "0"}, "SignatureDoesNotMatch"),
        ):
            status, said = self.upload(emulator, {**fields, "key": "pictures/b.png", **changed})
            assert status in (400, 403) and words in said, (changed, said)
        for content, code in ((b"a", "EntityTooSmall"), (b"a" * 21, "EntityTooLarge")):
            status, said = self.upload(emulator, {**fields, "key": "pictures/b.png"}, content)
            assert status == 400 and code in said
        over = s3.generate_presigned_post("objects", "pictures/b.png", ExpiresIn=-1)["fields"]
        assert "Policy expired" in self.upload(emulator, over)[1]
        strange = client(emulator, "s3", secret="guessed", version=version)
        assert self.upload(emulator, strange.generate_presigned_post("objects", "pictures/b.png")["fields"])[0] == 403
        assert s3.list_objects_v2(Bucket="objects")["KeyCount"] == 1


class TestChunks:
    """The example of AWS's own documentation, keys and signatures included.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html#example-signature-calculations-streaming
    """

    SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    SCOPE, DATE = "20130524/us-east-1/s3/aws4_request", "20130524T000000Z"
    SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    BODY = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65_536
        + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a" * 1_024
        + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )

    def check(self, body: bytes) -> None:
        signatures.check_chunks(body, self.SECRET, self.SCOPE, self.DATE, self.SEED)

    def test_the_example_is_right(self) -> None:
        self.check(self.BODY)

    @pytest.mark.parametrize(
        "changed",
        [
            BODY.replace(b"aaaa\r\n400", b"aaab\r\n400"),
            BODY.replace(b"ad80c7", b"ad80c8"),
            BODY.partition(b"0;chunk-signature=b6")[0],
            BODY[:-2] + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            BODY.replace(b"400;", b"300;"),
            b"",
        ],
    )
    def test_what_was_changed_or_cut_is_not(self, changed: bytes) -> None:
        with pytest.raises((claims.Refused, AwsError)):
            self.check(changed)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_what_is_signed_is_for_aws_whatever_its_path_is_like(emulator: Emulator, version: str) -> None:
    """A bucket may be called as the place of the git server is."""
    s3 = client(emulator, "s3", version=version)
    s3.create_bucket(Bucket="github.com")
    s3.put_object(Bucket="github.com", Key="x", Body=b"kept")
    assert s3.get_object(Bucket="github.com", Key="x")["Body"].read() == b"kept"
    get = s3.generate_presigned_url("get_object", {"Bucket": "github.com", "Key": "x"})
    assert fetched(emulator, get).body == b"kept"
    assert fetched(emulator, get.replace("Signature=", "Signature=0")).status == 403
