"""Calls that nobody can understand: each is answered in its service's protocol, with an error that AWS has."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from xml.etree import ElementTree

import boto3
import botocore.session
import cbor2
import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from emulator.control.table import SERVICES
from emulator.emulator import Emulator
from tests.emulator.signing import asked, client

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"
DOCTYPE = b'<!DOCTYPE a [<!ENTITY b "c">]><BucketLoggingStatus>&b;</BucketLoggingStatus>'


@dataclass(frozen=True)
class Sent:
    service: str
    code: str
    message: str = ""
    body: bytes = b""
    target: str = ""
    kind: str = ""
    method: str = "POST"
    path: str = "/"
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def said(service: str, target: str, body: Any, code: str, message: str = "") -> Sent:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sent(service, code, message, raw, target, JSON)


def form(service: str, body: bytes, code: str, message: str = "") -> Sent:
    return Sent(service, code, message, body, kind=FORM)


ECS, LOGS = "AmazonEC2ContainerServiceV20141113", "Logs_20140328"
FUNCTIONS = "/2015-03-31/functions"
TABLE = [
    # No operation of that name.
    said("ecs", f"{ECS}.MakeTea", {}, "UnknownOperationException", "ecs:MakeTea"),
    said("ecs", "", {}, "UnknownOperationException"),
    said("ecs", "Nobody.ListClusters", {}, "UnknownOperationException"),
    said("dynamodb", "DynamoDB_20120810.MakeTea", {}, "UnknownOperationException"),
    said("sagemaker", "SageMaker.MakeTea", {}, "UnknownOperationException"),
    said("monitoring", "GraniteServiceVersion20100801.MakeTea", {}, "UnknownOperationException"),
    form("sts", b"Action=MakeTea&Version=2011-06-15", "InvalidAction", "Could not find operation MakeTea for version"),
    form("iam", b"Action=MakeTea&Version=2010-05-08", "InvalidAction"),
    form("elasticloadbalancing", b"Action=MakeTea&Version=2015-12-01", "InvalidAction"),
    form("monitoring", b"Action=MakeTea&Version=2010-08-01", "InvalidAction"),
    form("autoscaling", b"Action=MakeTea", "InvalidAction"),
    form("iam", b"", "MissingAction"),
    form("ec2", b"Action=MakeTea", "InvalidAction", "The action MakeTea is not valid for this web service."),
    # A target where forms are spoken, and the other way round.
    said("sts", "AWSSecurityTokenServiceV20110615.GetCallerIdentity", {}, "MissingAction"),
    said("iam", "Nobody.MakeTea", {}, "MissingAction"),
    said("elasticloadbalancing", "Nobody.MakeTea", {}, "MissingAction"),
    Sent("lambda", "UnknownOperationException", path="/2015-03-31/teapots", kind="application/json", status=404),
    Sent("lambda", "UnknownOperationException", method="PATCH", path=FUNCTIONS, status=404),
    Sent("s3", "MethodNotAllowed", method="PATCH", path="/bucket", status=405),
    # Not the language at all.
    said("ecs", f"{ECS}.ListClusters", b"{", "SerializationException"),
    said("ecs", f"{ECS}.ListClusters", b"\xff\xfe", "SerializationException"),
    said("ecs", f"{ECS}.ListClusters", b"[" * 100_000, "SerializationException"),
    Sent("lambda", "InvalidRequestContentException", body=b"{", path=FUNCTIONS, kind="application/json"),
    Sent("s3", "MalformedXML", body=b"<a", method="PUT", path="/bucket?logging"),
    Sent("s3", "MalformedXML", body=DOCTYPE, method="PUT", path="/bucket?logging"),
    Sent("s3", "MalformedXML", body=b"not xml", path="/bucket?delete"),
    Sent("s3", "InvalidBucketName", method="GET", path="/x_y/z"),
    Sent("s3", "InvalidBucketName", method="PUT", path="/UPPER"),
    # Another type than the shape's.
    said("ecs", f"{ECS}.ListClusters", [], "SerializationException", "Start of list found where not expected"),
    said("ecs", f"{ECS}.ListClusters", 1, "SerializationException", "Expected null"),
    said("ecs", f"{ECS}.ListClusters", {"maxResults": "ten"}, "SerializationException",
         "STRING_VALUE can not be converted to an Integer"),
    said("ecs", f"{ECS}.CreateCluster", {"clusterName": 1}, "SerializationException",
         "NUMBER_VALUE can not be converted to a String"),
    said("ecs", f"{ECS}.CreateCluster", {"clusterName": True}, "SerializationException",
         "TRUE_VALUE can not be converted to a String"),
    said("ecs", f"{ECS}.CreateCluster", {"tags": "a"}, "SerializationException", "Expected list or null"),
    said("ecs", f"{ECS}.CreateCluster", {"tags": {}}, "SerializationException",
         "Start of structure or map found where not expected."),
    said("ecs", f"{ECS}.CreateCluster", {"tags": ["a"]}, "SerializationException", "Expected null"),
    said("logs", f"{LOGS}.CreateLogGroup", {"logGroupName": {}}, "SerializationException",
         "Start of structure or map found where not expected."),
    said("logs", f"{LOGS}.CreateLogGroup", {"logGroupName": "a", "tags": "b"}, "SerializationException",
         "Expected map or null"),
    said("secretsmanager", "secretsmanager.ListSecrets", {"MaxResults": []}, "SerializationException"),
    said("ssm", "AmazonSSM.GetParameter", {"Name": 1}, "SerializationException"),
    said("monitoring", "GraniteServiceVersion20100801.PutMetricAlarm", {"AlarmName": "a", "EvaluationWindow": {}},
         "SerializationException"),
    Sent("lambda", "SerializationException", "NUMBER_VALUE can not be converted to a String",
         b'{"FunctionName": 1}', path=FUNCTIONS, kind="application/json"),
    form("elasticloadbalancing", b"Action=DescribeLoadBalancers&Version=2015-12-01&PageSize=ten", "MalformedInput"),
    form("monitoring", b"Action=DescribeAlarms&Version=2010-08-01&MaxRecords=ten", "MalformedInput"),
    form("ec2", b"Action=DescribeVpcs&Version=2016-11-15&MaxResults=ten", "InvalidParameterValue"),
]  # fmt: skip


@pytest.mark.parametrize("sent", TABLE, ids=lambda sent: f"{sent.service}-{sent.code}")
def test_a_malformed_call_has_awss_error(emulator: Emulator, sent: Sent) -> None:
    boto3.client("s3", endpoint_url=emulator.url, region_name="us-east-1", aws_access_key_id="test",
                 aws_secret_access_key="test").create_bucket(Bucket="bucket")  # fmt: skip
    status, headers, body = send(emulator, sent)
    assert (status, code_of(headers, body)) == (sent.status, sent.code), body
    assert sent.message in body.decode()


# What moto takes for given, or fails on.
MISSING = [
    said("ssm", "AmazonSSM.PutParameter", {"Name": "a"}, "ValidationException",
         "1 validation error detected: Value null at 'value' failed to satisfy constraint: Member must not be null"),
    said("events", "AWSEvents.PutTargets", {"Rule": "a", "Targets": [{"Id": "b"}]}, "ValidationException",
         "Value null at 'targets.1.member.arn' failed to satisfy constraint: Member must not be null"),
    form("ec2", b"Action=CreateSubnet&Version=2016-11-15", "MissingParameter",
         "The request must contain the parameter vpcId"),
    said("ecs", f"{ECS}.DeleteTaskDefinitions", {"taskDefinitions": [None]}, "ValidationException",
         "Value null at 'taskDefinitions.1.member' failed to satisfy constraint: Member must not be null"),
    said("codedeploy", "CodeDeploy_20141006.ListDeployments", {"createTimeRange": {"start": 1e20}},
         "SerializationException", "a value cannot be read"),
    said("codebuild", "CodeBuild_20161006.RetryBuild", {}, "ResourceNotFoundException"),
    said("kms", "TrentService.CreateAlias", {}, "ValidationException", "validation errors detected"),
    said("secretsmanager", "secretsmanager.UpdateSecret", {"SecretId": "", "SecretString": "a"}, "ValidationException",
         "Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    form("iam", b"Action=CreateRole&Version=2010-05-08", "ValidationError", "Value null at 'roleName'"),
    Sent("s3", "MissingRequestBodyError", method="PUT", path="/bucket?acl"),
]  # fmt: skip


@pytest.mark.parametrize("sent", MISSING, ids=lambda sent: sent.service)
def test_what_is_missing_is_named(emulator: Emulator, sent: Sent) -> None:
    test_a_malformed_call_has_awss_error(emulator, sent)


@pytest.mark.parametrize("seed", range(3))
def test_no_parameters_whatever_get_a_bare_error_or_a_page(emulator: Emulator, seed: int) -> None:
    """Random parameters, most of the wrong types, to operations of every service that is ours."""
    dice = random.Random(seed)
    session = botocore.session.get_session()
    called = 0
    for service in sorted(SERVICES):
        model = session.get_service_model(service)
        names = sorted(SERVICES[service])
        for name in dice.sample(names, min(8, len(names))):
            operation = model.operation_model(name)
            spoken = model.metadata.get("protocols", [model.metadata["protocol"]])
            if operation.input_shape is None or "json" not in spoken:
                continue
            parameters = anything(operation.input_shape, dice, 0)
            target = f"{model.metadata['targetPrefix']}.{name}"
            sent = Sent(model.signing_name, "", body=json.dumps(parameters).encode(), target=target, kind=JSON)
            status, headers, body = send(emulator, sent)
            assert status < 500 and (status == 200 or code_of(headers, body)), (service, name, parameters, body)
            assert b"InternalFailure" not in body, (service, name, parameters, body)
            called += 1
    assert called > 40


def anything(shape: Shape, dice: random.Random, depth: int) -> Any:
    """A value for a shape: right, wrong or of another type."""
    if depth and dice.random() < 0.15:
        return dice.choice([None, True, -1, 10**20, 0.5, "", "\0", "ä" * 300, [], [None], {}, {"a": {}}])
    if depth > 6:
        return None
    if isinstance(shape, StructureShape):
        return {
            name: anything(member, dice, depth + 1) for name, member in shape.members.items() if dice.random() < 0.7
        }
    if isinstance(shape, ListShape):
        return [anything(shape.member, dice, depth + 1) for _ in range(dice.randrange(3))]
    if isinstance(shape, MapShape):
        return {dice.choice(["a", "", "b c"]): anything(shape.value, dice, depth + 1)}
    if shape.type_name in ("integer", "long"):
        return dice.choice([0, 1, -1, 10**12])
    if shape.type_name == "boolean":
        return dice.random() < 0.5
    if shape.type_name in ("double", "float", "timestamp"):
        return dice.choice([0, 0.5, -1])
    if shape.type_name == "blob":
        return "AAAA"
    return dice.choice(["a", "", "arn:aws:ecs:us-east-1:123456789012:cluster/a", *getattr(shape, "enum", [])])


class TestCbor:
    """Calls as newer SDKs make them: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html"""

    def call(self, emulator: Emulator, service: str, prefix: str, operation: str, body: bytes) -> tuple[int, Any]:
        sent = Sent(service, "", body=body, path=f"/service/{prefix}/operation/{operation}", kind="application/cbor",
                    headers={"smithy-protocol": "rpc-v2-cbor", "Accept": "application/cbor"})  # fmt: skip
        status, headers, answer = send(emulator, sent)
        assert headers["content-type"] == "application/cbor" and headers["smithy-protocol"] == "rpc-v2-cbor", answer
        return status, cbor2.loads(answer)

    def test_a_call_is_answered_as_in_json(self, emulator: Emulator) -> None:
        status, answer = self.call(
            emulator, "codedeploy", "CodeDeploy_20141006", "CreateApplication",
            cbor2.dumps({"applicationName": "chatbot", "computePlatform": "ECS"}),
        )  # fmt: skip
        assert status == 200 and answer["applicationId"]
        _, answer = self.call(
            emulator, "codedeploy", "CodeDeploy_20141006", "GetApplication", cbor2.dumps({"applicationName": "chatbot"})
        )
        assert answer["application"]["computePlatform"] == "ECS"
        assert answer["application"]["createTime"].year >= 2026, "a time has CBOR's tag 1"

    @pytest.mark.parametrize("body", [b"\xff", b"\x9f", cbor2.dumps([]), cbor2.dumps({"applicationName": 1})])
    def test_what_is_not_cbor_is_refused_in_cbor(self, emulator: Emulator, body: bytes) -> None:
        status, answer = self.call(emulator, "codedeploy", "CodeDeploy_20141006", "GetApplication", body)
        assert (status, answer["__type"]) == (400, "SerializationException")

    def test_errors_and_unknown_operations_too(self, emulator: Emulator) -> None:
        call = (emulator, "codedeploy", "CodeDeploy_20141006")
        status, answer = self.call(*call, "GetApplication", cbor2.dumps({"applicationName": "nobody"}))
        assert (status, answer["__type"]) == (400, "ApplicationDoesNotExistException")
        status, answer = self.call(*call, "MakeTea", cbor2.dumps({}))
        assert (status, answer["__type"]) == (400, "UnknownOperationException")
        status, answer = self.call(emulator, "monitoring", "GraniteServiceVersion20100801", "MakeTea", b"\xa0")
        assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_boto3_reads_the_error_of_a_form(emulator: Emulator) -> None:
    elbv2 = client(emulator, "elbv2")
    elbv2.meta.events.register(
        "before-call.elastic-load-balancing-v2", lambda params, **_: params["body"].update(Action="MakeTea")
    )
    with pytest.raises(ClientError) as refused:
        elbv2.describe_load_balancers()
    assert refused.value.response["Error"]["Code"] == "InvalidAction"


def send(emulator: Emulator, sent: Sent) -> tuple[int, Message, bytes]:
    said = {"Content-Type": sent.kind, "X-Amz-Target": sent.target}
    headers = {**sent.headers, **{name: value for name, value in said.items() if value}}
    status, _, answered, body = asked(emulator, sent.method, sent.path, sent.body, sent.service, **headers)
    return status, answered, body


def code_of(headers: Message, body: bytes) -> str:
    """The code as an SDK would find it; fails on what no SDK could read."""
    if "xml" in headers["content-type"]:
        return str(next(each.text for each in ElementTree.fromstring(body).iter() if each.tag.endswith("Code")))
    assert "json" in headers["content-type"], (headers, body)
    return str(json.loads(body)["__type"]).rpartition("#")[2]
