"""Signature Version 4's arithmetic: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Secret:
    """What belongs to an access key; `token` and `expires` where they are a session's."""

    key: str
    token: str | None = None
    expires: datetime | None = None


def signature(secret: str, scope: str, text: str) -> str:
    """The signature, in hexadecimal digits, of `text` in a scope as `20260131/us-east-1/sts/aws4_request`."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
