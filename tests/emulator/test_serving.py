from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import emulator as emulator_module
from emulator.emulator import Emulator
from tests.emulator.signing import asked, client


def test_boto3_gets_an_answer_over_the_socket(emulator: Emulator) -> None:
    assert client(emulator, "sts").get_caller_identity()["Account"] == "123456789012"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_every_name_of_this_machine_reaches_it(emulator: Emulator, host: str) -> None:
    url = f"http://{host}:{emulator.store.config.port}{emulator_module.HEALTH}"
    assert json.load(urllib.request.urlopen(url))["status"] == "ok"


def test_it_listens_on_the_loopback_interface_only(emulator: Emulator) -> None:
    found = socket.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    addresses = {str(info[4][0]) for info in found}
    for address in (each for each in addresses if not each.startswith("127.")):
        with pytest.raises(OSError):
            socket.create_connection((address, emulator.store.config.port), timeout=1)


def test_an_unsupported_operation_is_refused_by_name(emulator: Emulator) -> None:
    with pytest.raises(ClientError, match="does not support codepipeline:ListRuleTypes") as refused:
        client(emulator, "codepipeline").list_rule_types()
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"


def test_a_service_that_nobody_here_knows_is_refused_too_and_not_tried_again(emulator: Emulator) -> None:
    assert _answer(emulator, "codestar", "CodeStar_20170419.ListProjects")[0] == 400
    status, body = _answer(emulator, "no-such-service", "NoSuchService.DoIt")
    assert (status, body["message"]) == (400, "the emulator does not support no-such-service:DoIt")


def test_a_target_may_name_its_service_by_the_last_part_alone_as_gos_sdk_does(emulator: Emulator) -> None:
    for prefix in ("", "com.amazonaws.codestar.connections."):
        target = f"{prefix}CodeStar_connections_20191201.ListConnections"
        assert _answer(emulator, "codestar-connections", target) == (200, {"Connections": []})
    assert _answer(emulator, "codestar-connections", "Other_20191201.ListConnections")[0] == 400


def _answer(emulator: Emulator, service: str, target: str) -> tuple[int, dict[str, Any]]:
    """What a call signed for `service` gets."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    answered = asked(emulator, "POST", "/", b"{}", service, **headers)
    return answered.status, json.loads(answered.text)


def test_a_connection_is_kept_for_the_next_request(emulator: Emulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", emulator.store.config.port)
    ports = []
    for _ in range(3):
        connection.request("GET", emulator_module.HEALTH)
        connection.getresponse().read()
        ports.append(connection.sock.getsockname()[1])
    assert len(set(ports)) == 1


def test_a_chunked_upload_arrives_whole(emulator: Emulator) -> None:
    store = client(emulator, "s3")
    store.create_bucket(Bucket="uploads")
    body = b"0123456789" * 100_000
    url = store.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "a b/c%2Fd"})
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host)
    chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    connection.request("PUT", f"/{path}", body=chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 200
    assert store.get_object(Bucket="uploads", Key="a b/c%2Fd")["Body"].read() == body


def test_a_change_wakes_the_loops_and_a_question_does_not(emulator: Emulator) -> None:
    logs = client(emulator, "logs")
    before = emulator.store.wait(-1, 0)
    logs.describe_log_groups()
    assert emulator.store.wait(-1, 0) == before
    logs.create_log_group(logGroupName="chatbot")
    assert emulator.store.wait(-1, 0) == before + 1
