"""Repositories: moto's, at an address that clients on this machine can push to."""

from __future__ import annotations

from typing import Any

from emulator.control.ecr.registry import expire, get_authorization_token, registry, require
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store


def create_repository(store: Store, call: Call) -> Answer:
    answer = call.moto()
    # What an earlier emulator left in the folder under this name is not this repository's.
    registry(store).delete_repository(call.parameters["repositoryName"])
    _address(store, answer["repository"])
    return answer


def describe_repositories(store: Store, call: Call) -> Answer:
    answer = call.moto()
    for repository in answer["repositories"]:
        _address(store, repository)
    return answer


def delete_repository(store: Store, call: Call) -> Answer:
    name = require(store, call)
    if registry(store).images(name) and not call.parameters.get("force"):
        raise AwsError(
            "RepositoryNotEmptyException",
            f"The repository with name '{name}' in registry with id '{call.account}' "
            "cannot be deleted because it still contains images",
        )
    answer = call.moto()
    registry(store).delete_repository(name)
    _address(store, answer["repository"])
    return answer


def put_lifecycle_policy(store: Store, call: Call) -> Answer:
    answer = call.moto()
    expire(store, call.parameters["repositoryName"])
    return answer


def _address(store: Store, repository: dict[str, Any]) -> None:
    """AWS's form is <account>.dkr.ecr.<region>.amazonaws.com/<name>; this one can be pushed to from here."""
    repository["repositoryUri"] = f"{store.config.url.partition('//')[2]}/{repository['repositoryName']}"


OPERATIONS: dict[str, Operation] = {
    "CreateRepository": create_repository,
    "DeleteRepository": delete_repository,
    "DescribeRepositories": describe_repositories,
    "GetAuthorizationToken": get_authorization_token,
    "PutLifecyclePolicy": put_lifecycle_policy,
}
