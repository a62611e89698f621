"""Which module answers for which service, and what is mounted beside AWS's API; whatever is not here is moto's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator.control import (
    autoscaling,
    awslambda,
    cloudwatch,
    codebuild,
    codecommit,
    codedeploy,
    codepipeline,
    connections,
    ecr,
    ecs,
    elbv2,
    events,
    logs,
    s3,
    secretsmanager,
    sts,
    tagging,
)
from emulator.control.ecs import metadata
from emulator.control.operation import Operation
from emulator.state.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SERVICES: dict[str, dict[str, Operation]] = {
    "application-autoscaling": autoscaling.OPERATIONS,
    "cloudwatch": cloudwatch.OPERATIONS,
    "codebuild": codebuild.OPERATIONS,
    "codecommit": codecommit.OPERATIONS,
    "codeconnections": connections.OPERATIONS,
    "codedeploy": codedeploy.OPERATIONS,
    "codepipeline": codepipeline.OPERATIONS,
    "codestar-connections": connections.OPERATIONS,
    "ecr": ecr.OPERATIONS,
    "ecs": ecs.OPERATIONS,
    "elbv2": elbv2.OPERATIONS,
    "events": events.OPERATIONS,
    "lambda": awslambda.OPERATIONS,
    "logs": logs.OPERATIONS,
    "s3": s3.OPERATIONS,
    "resourcegroupstaggingapi": tagging.OPERATIONS,
    "secretsmanager": secretsmanager.OPERATIONS,
    "sts": sts.OPERATIONS,
}

# By path prefix, for requests that are not signed as AWS's SDKs do; each is made once, when the emulator starts.
MOUNTS: dict[str, Callable[[Store], WSGIApplication]] = {
    codecommit.PREFIX: codecommit.application,
    connections.CONSOLE_PREFIX: connections.console,
    connections.PREFIX: connections.application,
    metadata.PREFIX: metadata.application,
    "/v2/": ecr.application,
}
