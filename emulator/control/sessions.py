"""Who has which secret: the developer, users' keys, the sessions of roles, and those that STS gives for a while."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from emulator.state import moto
from emulator.state.clients import DEVELOPER
from emulator.state.sigv4 import Secret
from emulator.state.store import Store

_LETTERS = string.ascii_uppercase + "234567"  # of access keys, as in AWS's examples


@dataclass
class Sessions:
    """Those of GetSessionToken and GetFederationToken, by access key."""

    of: dict[str, Secret] = field(default_factory=dict)


def secret_of(store: Store, access_key: str) -> Secret | None:
    """As everywhere, the developer is `test`, or an account's number, with the secret `test`, or what `--key` says.

    None: nobody has this access key.
    """
    if access_key == DEVELOPER.access_key or (len(access_key) == 12 and access_key.isdecimal()):
        return Secret(store.config.key or DEVELOPER.secret_key)
    return store.table(Sessions).of.get(access_key) or moto.secret_of(access_key)


def begin(store: Store, seconds: int) -> tuple[str, Secret]:
    """A new session's access key, and what belongs to it."""
    access_key = "ASIA" + "".join(secrets.choice(_LETTERS) for _ in range(16))
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    secret = Secret(secrets.token_urlsafe(30), secrets.token_urlsafe(200), expires)
    with store.lock:
        store.table(Sessions).of[access_key] = secret
    return access_key, secret
