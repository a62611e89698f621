"""What moto does otherwise than AWS, or slowly, put right in its own classes; `state/moto.py` imports it for that."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from typing import Any

import moto.iam.models as iam
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.s3.models import FakeBucket


class _Late:
    """An attribute that is made when it is first read, whatever the constructor assigns to it."""

    def __init__(self, name: str, make: Callable[[iam.IAMBackend], Any]) -> None:
        self._name, self._make = name, make

    def __get__(self, backend: iam.IAMBackend, _: type) -> Any:
        if self._name not in backend.__dict__:
            backend.__dict__[self._name] = self._make(backend)
        return backend.__dict__[self._name]

    def __set__(self, backend: iam.IAMBackend, value: object) -> None:
        pass


@functools.cache
def _aws_policies(partition: str) -> tuple[iam.AWSManagedPolicy, ...]:
    """AWS's own policies, parsed once in a process: moto parses the thousand documents again after every reset."""
    documents = json.loads(aws_managed_policies_data)
    return tuple(iam.AWSManagedPolicy.from_data(name, "", partition, given) for name, given in documents.items())


def _aws_policies_of(backend: iam.IAMBackend) -> list[iam.AWSManagedPolicy]:
    """The same for one account, which counts by itself what it attaches them to."""
    policies = [copy.copy(policy) for policy in _aws_policies(backend.region_name)]
    for policy in policies:
        policy.account_id, policy.tags = backend.account_id, {}
        policy.versions = [copy.copy(version) for version in policy.versions]
    return policies


def account_of(access_key: str) -> str:
    """The account that gave out `access_key`, else the default one. moto would first make every partition's IAM."""
    for account, partitions in list(iam.iam_backends.items()):
        if any(access_key in backend.access_keys for backend in list(partitions.values())):
            return str(account)
    return str(DEFAULT_ACCOUNT_ID)


def _unconditional_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """What a bucket's policy says without a condition: moto takes a Deny of plain HTTP for one of everything."""
    policy = json.loads(bucket.policy) if bucket.policy else {}
    statements = policy.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    judged = [statement for statement in listed if "Condition" not in statement]
    return IAMPolicy(json.dumps(policy | {"Statement": judged})).is_action_permitted(action, resource)


iam.IAMBackend._init_managed_policies = lambda _: None  # read when they are needed, as follows
iam.IAMBackend.aws_managed_policies = _Late("aws_managed_policies", _aws_policies_of)
iam.IAMBackend.managed_policies = _Late(
    "managed_policies", lambda backend: {policy.arn: policy for policy in backend.aws_managed_policies}
)
iam.get_account_id_from = account_of
FakeBucket.get_permission = _unconditional_permission
