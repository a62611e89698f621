"""STS: moto's, but a role must exist to be assumed."""

from __future__ import annotations

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


OPERATIONS: dict[str, Operation] = {"AssumeRole": assume_role}
