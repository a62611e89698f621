"""STS: moto's, but a role must exist to be assumed, and each session has a secret of its own."""

from __future__ import annotations

from emulator.control import sessions
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


def assume_role(store: Store, call: Call) -> Answer:
    """Any existing role, for any caller: the developer may do everything, and services check trust before they ask."""
    arn = call.parameters["RoleArn"]
    client = store.clients("iam")
    try:
        exists = client.get_role(RoleName=arn.rpartition("/")[2])["Role"]["Arn"] == arn
    except client.exceptions.NoSuchEntityException:
        exists = False
    if not exists:
        caller = store.clients("sts").get_caller_identity()["Arn"]
        raise AwsError(
            "AccessDenied", f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
    return call.moto()


def get_session_token(store: Store, call: Call) -> Answer:
    return {"Credentials": _session(store, call)}


def get_federation_token(store: Store, call: Call) -> Answer:
    name = call.parameters["Name"]
    user = {"FederatedUserId": f"{call.account}:{name}", "Arn": f"arn:aws:sts::{call.account}:federated-user/{name}"}
    return {"Credentials": _session(store, call), "FederatedUser": user}


def _session(store: Store, call: Call) -> Answer:
    access_key, secret = sessions.begin(store, int(call.parameters.get("DurationSeconds") or 43_200))
    return {
        "AccessKeyId": access_key,
        "SecretAccessKey": secret.key,
        "SessionToken": secret.token,
        "Expiration": secret.expires,
    }


OPERATIONS: dict[str, Operation] = {
    "AssumeRole": assume_role,
    "GetFederationToken": get_federation_token,
    "GetSessionToken": get_session_token,
}
