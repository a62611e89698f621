"""One call of the AWS API, its answer and its error, apart from any protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = dict[str, Any]


class AwsError(Exception):
    """An error as AWS names it; the service's protocol and status code are added when it is serialised.

    `code` is an exception of the service's model ("ClusterNotFoundException") or a common one, as
    "AccessDeniedException". Keyword arguments become extra members of the error's shape.
    """

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        vars(self).update(members)


@dataclass(frozen=True)
class Call:
    """An authenticated request: `parameters` has the input shape of the operation, names as in the API."""

    service: str  # as boto3 names it: "ecs", "elbv2"
    operation: str  # "CreateService"
    parameters: dict[str, Any]
    account: str
    region: str
    access_key: str
    forward: Callable[[], Answer]

    def moto(self) -> Answer:
        """What moto answers to this very call, as the operation's output shape; its error is raised as AwsError."""
        return self.forward()

    def arn(self, resource: str, service: str | None = None) -> str:
        """`arn:aws:<service>:<region>:<account>:<resource>`"""
        return f"arn:aws:{service or self.service}:{self.region}:{self.account}:{resource}"
