"""Buckets with a policy, as everybody's Terraform writes one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.emulator import Emulator


def _deny(bucket: str, **more: Any) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | more]})


def test_a_policy_against_plain_transport_stops_nobody(emulator: Emulator) -> None:
    s3 = emulator.store.clients("s3")
    s3.create_bucket(Bucket="artifacts")
    s3.put_object(Bucket="artifacts", Key="source.zip", Body=b"old")
    s3.put_bucket_policy(
        Bucket="artifacts", Policy=_deny("artifacts", Condition={"Bool": {"aws:SecureTransport": "false"}})
    )
    s3.put_object(Bucket="artifacts", Key="source.zip", Body=b"zip")
    assert s3.get_object(Bucket="artifacts", Key="source.zip")["Body"].read() == b"zip"


def test_a_policy_without_a_condition_denies(emulator: Emulator) -> None:
    s3 = emulator.store.clients("s3")
    s3.create_bucket(Bucket="closed")
    s3.put_object(Bucket="closed", Key="source.zip", Body=b"zip")
    s3.put_bucket_policy(Bucket="closed", Policy=_deny("closed"))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="closed", Key="source.zip", Body=b"zip")
