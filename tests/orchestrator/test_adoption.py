"""Looking up what a killed run may have made."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from orchestrator.tools import adoption
from orchestrator.tools.aws import Aws


class Buckets:
    """An Aws whose S3 answers HeadBucket with one error code."""

    def __init__(self, code: str) -> None:
        self._error = ClientError({"Error": {"Code": code, "Message": ""}}, "HeadBucket")

    def client(self, _: str) -> Any:
        return self

    def head_bucket(self, **_: str) -> None:
        raise self._error


def test_a_bucket_that_was_never_made_is_not_there() -> None:
    assert adoption.find(cast(Aws, Buckets("404")), "aws_s3_bucket", {"bucket": "artifacts"}) is None


def test_a_bucket_that_may_not_be_looked_at_is_an_error() -> None:
    with pytest.raises(ClientError):
        adoption.find(cast(Aws, Buckets("403")), "aws_s3_bucket", {"bucket": "artifacts"})
