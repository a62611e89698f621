"""Service roles: the credentials that an AWS service has when it acts for a customer, if the role lets it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from emulator.state.clients import Credentials
from emulator.state.store import Store

# A run that begins with these credentials ends with them: so does a task on Docker, for six hours at least.
_SESSION_SECONDS = 43_200
_KEEP_SECONDS = _SESSION_SECONDS // 2


class RoleRefused(Exception):
    """The role does not exist or does not trust the service; the message says which."""


@dataclass
class RoleSessions:
    """Credentials by role and service, so that a client is made once for each and not once a run."""

    kept: dict[tuple[str, str], tuple[float, Credentials]] = field(default_factory=dict)


def assume(store: Store, role_arn: str, principal: str) -> Credentials:
    """What STS gives `principal` ("codedeploy.amazonaws.com") for `role_arn`; raises RoleRefused."""
    check(store, role_arn, principal)
    sessions = store.table(RoleSessions)
    since, credentials = sessions.kept.get((role_arn, principal), (0.0, None))
    if credentials and time.monotonic() - since < _KEEP_SECONDS:
        return credentials
    name = principal.split(".")[0]
    answer = store.clients("sts").assume_role(RoleArn=role_arn, RoleSessionName=name, DurationSeconds=_SESSION_SECONDS)[
        "Credentials"
    ]
    credentials = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    with store.lock:
        sessions.kept[role_arn, principal] = (time.monotonic(), credentials)
    return credentials


def check(store: Store, role_arn: str, principal: str) -> None:
    """Raises RoleRefused unless the role exists and its trust policy names `principal`."""
    try:
        role = store.clients("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    except ClientError as error:
        raise RoleRefused(f"the role {role_arn} does not exist") from error
    if role["Arn"] != role_arn:
        raise RoleRefused(f"the role {role_arn} does not exist")
    if not trusts(role["AssumeRolePolicyDocument"], principal):
        raise RoleRefused(f"the trust policy of {role_arn} does not let {principal} assume it")


def trusts(policy: str | dict[str, Any], principal: str) -> bool:
    """Whether a trust policy allows the service `principal` to call sts:AssumeRole (its conditions are not judged)."""
    document = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    return any(
        statement.get("Effect") == "Allow"
        and any(action in ("sts:AssumeRole", "sts:*", "*") for action in _list(statement.get("Action")))
        and _names(statement.get("Principal"), principal)
        for statement in _list(document.get("Statement"))
    )


def _names(principals: Any, principal: str) -> bool:
    if principals == "*":
        return True
    services = _list((principals or {}).get("Service"))
    # An old regional form, codedeploy.us-east-1.amazonaws.com, is still the same service.
    return any(name.split(".")[0] == principal.split(".")[0] and name.endswith(".amazonaws.com") for name in services)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
