"""Whether a service that acts for a role may use a connection."""

from __future__ import annotations

from emulator.control import permissions
from emulator.state import moto
from emulator.state.call import AwsError, Call
from emulator.state.clients import Credentials
from emulator.state.store import Store

_SERVICES = ("codestar-connections", "codeconnections")


def refusal(store: Store, credentials: Credentials, arn: str) -> AwsError | None:
    """AWS's refusal of UseConnection, by either of its names; None when the role may, or nobody enforces it."""
    mode = store.config.iam
    session = moto.role_session(credentials.access_key) if mode != "off" else None
    if session is None:
        return None
    region, account = arn.split(":")[3:5]
    calls = [
        Call(service, "UseConnection", {"ConnectionArn": arn}, account, region, credentials.access_key, dict)
        for service in _SERVICES
    ]
    refusals = [permissions.refusal(call, *session) for call in calls]
    first = refusals[0]
    if first is None or not all(refusals):
        return None
    if mode == "log":
        permissions.warn(store, calls[0], first)
        return None
    return first
