"""A git credential helper for CodeCommit: the access key, and a signature of the repository's path as password.

Git asks it on standard input (gitcredentials(7)); keys come by environment, so nothing secret is ever an argument. The
signature is Signature Version 4 over the method ``GIT``, as AWS's own helpers make it; it is good for 15 minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

CREDENTIAL_HOST = "CREDENTIAL_HOST"  # by environment: the one host that may have a password


def password(path: str, host: str, region: str, secret_key: str, moment: datetime) -> str:
    """``<timestamp>Z<signature>``."""
    timestamp = moment.strftime("%Y%m%dT%H%M%S")
    scope = f"{timestamp[:8]}/{region}/codecommit/aws4_request"
    request = f"GIT\n{path}\n\nhost:{host}\n\nhost\n"
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return f"{timestamp}Z{hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()}"


def answer(asked: Mapping[str, str], env: Mapping[str, str]) -> str:
    """What git reads back for the repository that it asked about."""
    token = env.get("AWS_SESSION_TOKEN", "")
    username = env["AWS_ACCESS_KEY_ID"] + (f"%{token}" if token else "")
    path = f"/{asked.get('path', '').lstrip('/')}"
    signed = password(path, asked["host"], env["AWS_REGION"], env["AWS_SECRET_ACCESS_KEY"], datetime.now(UTC))
    return f"username={username}\npassword={signed}\n"


def main() -> int:
    if sys.argv[1:] != ["get"]:
        return 0
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin if "=" in line)
    if asked.get("host") != os.environ.get(CREDENTIAL_HOST):  # where a redirection has led
        sys.stderr.write(f"{asked.get('host')} is not {os.environ.get(CREDENTIAL_HOST)}: no password for it\n")
        return 1
    sys.stdout.write(answer(asked, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
