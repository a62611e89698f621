"""S3's bucket policies: kept and read back, not judged.

moto judges them without their conditions, so the most common one of all, which denies whatever comes without TLS, would
deny everything here, where nothing comes with TLS.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


@dataclass
class BucketPolicies:
    """By bucket: its name is unique in all of AWS."""

    texts: dict[str, str] = field(default_factory=dict)


def _put(store: Store, call: Call) -> Answer:
    bucket = _existing(store, call)
    policy = call.parameters["Policy"]
    text = policy.decode() if isinstance(policy, bytes) else str(policy)
    try:
        statements = json.loads(text)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise AwsError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'") from error
    if not statements:
        raise AwsError("MalformedPolicy", "Could not parse the policy: Statement is empty!")
    with store.change():
        store.table(BucketPolicies).texts[bucket] = text
    return {}


def _existing(store: Store, call: Call) -> str:
    bucket = str(call.parameters["Bucket"])
    try:
        store.clients("s3", call.region).head_bucket(Bucket=bucket)
    except ClientError as error:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", BucketName=bucket) from error
    return bucket


def _get(store: Store, call: Call) -> Answer:
    bucket = _existing(store, call)
    text = store.table(BucketPolicies).texts.get(bucket)
    if text is None:
        raise AwsError("NoSuchBucketPolicy", "The bucket policy does not exist", BucketName=bucket)
    return {"Policy": text}


def _delete(store: Store, call: Call) -> Answer:
    bucket = _existing(store, call)
    with store.change():
        store.table(BucketPolicies).texts.pop(bucket, None)
    return {}


def _delete_bucket(store: Store, call: Call) -> Answer:
    answer = call.moto()
    with store.change():
        store.table(BucketPolicies).texts.pop(call.parameters["Bucket"], None)
    return answer


OPERATIONS: dict[str, Operation] = {
    "DeleteBucket": _delete_bucket,
    "DeleteBucketPolicy": _delete,
    "GetBucketPolicy": _get,
    "PutBucketPolicy": _put,
}
