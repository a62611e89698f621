"""Secrets Manager: moto's, but labels of one's own stay where they were put, and unlabelled versions are hidden."""

from __future__ import annotations

from typing import Any

from emulator.control.operation import Operation
from emulator.state.call import Answer, Call
from emulator.state.store import Store

# These move by themselves; every other label only when it is told to.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
_MOVING = {"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"}


def put(store: Store, call: Call) -> Answer:
    """PutSecretValue and UpdateSecret: a new version takes the labels that it is given, and those alone."""
    client = store.clients("secretsmanager", call.region)
    secret = call.parameters["SecretId"]
    before = _labels(client, secret)
    answer = call.moto()
    given = set(call.parameters.get("VersionStages") or [])
    after = _labels(client, secret)
    for version, labels in before.items():
        for label in labels - _MOVING - given - after.get(version, set()):
            client.update_secret_version_stage(SecretId=secret, VersionStage=label, MoveToVersionId=version)
    return answer


def describe_secret(store: Store, call: Call) -> Answer:
    answer = call.moto()
    versions = answer.get("VersionIdsToStages", {})
    answer["VersionIdsToStages"] = {version: labels for version, labels in versions.items() if labels}
    return answer


def _labels(client: Any, secret: str) -> dict[str, set[str]]:
    try:
        found = client.describe_secret(SecretId=secret)
    except client.exceptions.ClientError:  # the call itself will say what is wrong
        return {}
    return {version: set(labels) for version, labels in found.get("VersionIdsToStages", {}).items()}


OPERATIONS: dict[str, Operation] = {"DescribeSecret": describe_secret, "PutSecretValue": put, "UpdateSecret": put}
