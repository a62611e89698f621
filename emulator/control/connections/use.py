"""Whether a service that acts for a role may use a connection."""

from __future__ import annotations

from emulator.control import permissions
from emulator.state.call import AwsError
from emulator.state.clients import Credentials
from emulator.state.store import Store


def refusal(store: Store, credentials: Credentials, arn: str) -> AwsError | None:
    """AWS's refusal of UseConnection, by either of its names; None when the role may, or nobody enforces it."""
    region, account = arn.split(":")[3:5]
    actions = [(service, "UseConnection") for service in ("codestar-connections", "codeconnections")]
    return permissions.deed(store, credentials, (account, region), actions, {"ConnectionArn": arn})
