"""Bucket policies are kept and read back; they are not judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.emulator import Emulator

TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::house/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }],
}  # fmt: skip


@pytest.fixture
def s3(emulator: Emulator) -> Any:
    client = emulator.store.clients("s3")
    client.create_bucket(Bucket="house")
    return client


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_a_policy_that_wants_tls_does_not_close_the_bucket(s3: Any) -> None:
    s3.put_bucket_policy(Bucket="house", Policy=json.dumps(TLS_ONLY))
    assert json.loads(s3.get_bucket_policy(Bucket="house")["Policy"]) == TLS_ONLY
    s3.put_object(Bucket="house", Key="a", Body=b"1")
    assert s3.get_object(Bucket="house", Key="a")["Body"].read() == b"1"


def test_a_bucket_without_a_policy_says_so(s3: Any) -> None:
    with pytest.raises(ClientError) as refused:
        s3.get_bucket_policy(Bucket="house")
    assert code(refused) == "NoSuchBucketPolicy"
    with pytest.raises(ClientError) as refused:
        s3.put_bucket_policy(Bucket="none", Policy=json.dumps(TLS_ONLY))
    assert code(refused) == "NoSuchBucket"
    with pytest.raises(ClientError) as refused:
        s3.put_bucket_policy(Bucket="house", Policy="{")
    assert code(refused) == "MalformedPolicy"


def test_a_policy_goes_when_it_is_deleted_and_with_its_bucket(s3: Any) -> None:
    s3.put_bucket_policy(Bucket="house", Policy=json.dumps(TLS_ONLY))
    s3.delete_bucket_policy(Bucket="house")
    s3.put_bucket_policy(Bucket="house", Policy=json.dumps(TLS_ONLY))
    s3.delete_bucket(Bucket="house")
    s3.create_bucket(Bucket="house")
    with pytest.raises(ClientError) as refused:
        s3.get_bucket_policy(Bucket="house")
    assert code(refused) == "NoSuchBucketPolicy"
