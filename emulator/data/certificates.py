"""Where this machine's certificates are: all that tasks and functions see of the emulator's own environment."""

from __future__ import annotations

import os

_NAMES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
)


def of_host() -> dict[str, str]:
    return {name: os.environ[name] for name in _NAMES if name in os.environ}
