"""Who calls the emulator in tests: boto3, or by hand, with botocore's arithmetic."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# One for all tests of a process: it reads each service's model once, which takes longer than a test's calls.
SESSION: Any = boto3.Session("test", "test", region_name="us-east-1")
TEST = Credentials("test", "test")


def signed(
    method: str, url: str, body: bytes, service: str, headers: dict[str, str], credentials: Credentials = TEST
) -> dict[str, str]:
    """`headers` and those that sign them, for a call of `service` in us-east-1."""
    request = AWSRequest(method, url, headers, body)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(credentials, service, "us-east-1").add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}
