"""Whether a role's own policies allow a call: what AWS would answer, without resource policies and boundaries.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from emulator.state import moto
from emulator.state.call import AwsError, Call
from emulator.state.clients import Credentials
from emulator.state.store import Store

log = logging.getLogger("emulator.iam")

Statement = dict[str, Any]

# Where the action's prefix is not boto3's name of the service.
_PREFIXES = {"elbv2": "elasticloadbalancing"}
# Where the action is not called like the operation: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html
_ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:UploadPart": "s3:PutObject",
}
# Needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
_FREE = {"sts:GetCallerIdentity"}
_QUERY = {"cloudformation", "cloudwatch", "elbv2", "iam", "s3", "sns", "sts"}  # their code is AccessDenied


@dataclass
class Warned:
    """What was logged before: once for each role, action and resource is enough."""

    about: set[str] = field(default_factory=set)


def refusal(call: Call, session: str, policies: list[str]) -> AwsError | None:
    """The error that AWS would answer to a role's session with these policies; None when it may."""
    action = _action(call)
    if action in _FREE:
        return None
    resources = _resources(call)
    statements = [statement for policy in policies for statement in _statements(policy)]
    matching = [each for each in statements if _matches(each, action, resources)]
    # Conditions are not judged: one on Allow counts as met, one on Deny as not.
    denied = any(each["Effect"] == "Deny" and "Condition" not in each for each in matching)
    if not denied and any(each["Effect"] == "Allow" for each in matching):
        return None
    reason = (
        "with an explicit deny in an identity-based policy"
        if denied
        else f"because no identity-based policy allows the {action} action"
    )
    where = f" on resource: {resources[0]}" if resources else ""
    return AwsError(_code(call.service), f"User: {session} is not authorized to perform: {action}{where} {reason}")


def deed(
    store: Store, credentials: Credentials, scope: tuple[str, str], actions: list[tuple[str, str]],
    parameters: dict[str, Any],
) -> AwsError | None:  # fmt: skip
    """The refusal of what is no call of the API, as using a connection or pulling a repository; any action will do.

    None when the role may, when only a warning is asked for, and for whoever has no role.
    """
    mode = store.config.iam
    session = moto.role_session(credentials.access_key) if mode != "off" else None
    if session is None:
        return None
    account, region = scope
    calls = [
        Call(service, name, parameters, account, region, credentials.access_key, dict) for service, name in actions
    ]
    refusals = [refusal(call, *session) for call in calls]
    first = refusals[0]
    if first is None or not all(refusals):
        return None
    if mode == "log":
        warn(store, calls[0], first)
        return None
    return first


def _code(service: str) -> str:
    if service == "ec2":
        return "UnauthorizedOperation"
    return "AccessDenied" if service in _QUERY else "AccessDeniedException"


def warn(store: Store, call: Call, error: AwsError) -> None:
    """Says once what AWS would refuse."""
    about = f"{call.access_key} {error.message}"
    warned = store.table(Warned).about
    if about not in warned:
        warned.add(about)
        log.warning("AWS would refuse this (--iam enforce does too): %s", error.message)


def _action(call: Call) -> str:
    action = f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
    return _ACTIONS.get(action, action)


@functools.lru_cache(maxsize=512)
def _statements(policy: str) -> list[Statement]:
    document = json.loads(policy)
    found = document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def _matches(statement: Statement, action: str, resources: list[str]) -> bool:
    if "Action" in statement:
        named = any(_like(pattern, action, re.IGNORECASE) for pattern in _list(statement["Action"]))
    else:
        named = not any(_like(pattern, action, re.IGNORECASE) for pattern in _list(statement.get("NotAction")))
    return named and _covers(statement, resources)


def _covers(statement: Statement, resources: list[str]) -> bool:
    """Of resources that are not known here, the statement's action decides."""
    if not resources:
        return True
    if "Resource" in statement:
        return all(any(_like(pattern, each) for pattern in _list(statement["Resource"])) for each in resources)
    return not any(_like(pattern, each) for pattern in _list(statement.get("NotResource")) for each in resources)


def _like(pattern: str, text: str, flags: int = 0) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, flags | re.DOTALL) is not None


def _resources(call: Call) -> list[str]:
    """ARNs of what the call is about, where its parameters say so."""
    find = _FINDERS.get(call.service)
    return [each for each in find(call) if each] if find else []


def _s3(call: Call) -> Iterable[str]:
    bucket, key = call.parameters.get("Bucket"), call.parameters.get("Key")
    if bucket:
        yield f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def _ecr(call: Call) -> Iterable[str]:
    if name := call.parameters.get("repositoryName"):
        yield call.arn(f"repository/{name}")


def _logs(call: Call) -> Iterable[str]:
    group, stream = call.parameters.get("logGroupName"), call.parameters.get("logStreamName")
    if group:
        yield call.arn(f"log-group:{group}:log-stream:{stream}" if stream else f"log-group:{group}:*")


def _codedeploy(call: Call) -> Iterable[str]:
    given = call.parameters
    if config := call.operation == "GetDeploymentConfig" and given.get("deploymentConfigName"):
        yield call.arn(f"deploymentconfig:{config}")
    elif group := given.get("deploymentGroupName"):
        yield call.arn(f"deploymentgroup:{given.get('applicationName')}/{group}")
    elif name := given.get("applicationName"):
        yield call.arn(f"application:{name}")


def _codebuild(call: Call) -> Iterable[str]:
    if name := call.parameters.get("projectName"):
        yield call.arn(f"project/{name}")


def _connection(call: Call) -> Iterable[str]:
    if arn := call.parameters.get("ConnectionArn"):
        yield str(arn)


def _codecommit(call: Call) -> Iterable[str]:
    if name := call.parameters.get("repositoryName"):
        yield call.arn(str(name))


def _lambda(call: Call) -> Iterable[str]:
    if name := call.parameters.get("FunctionName"):
        yield name if name.startswith("arn:") else call.arn(f"function:{name}")


def _secret(call: Call) -> Iterable[str]:
    secret = call.parameters.get("SecretId", "")
    if secret.startswith("arn:"):
        yield secret


def _pipeline(call: Call) -> Iterable[str]:
    name = call.parameters.get("name") or call.parameters.get("pipelineName")
    if isinstance(name, str):
        yield call.arn(name)


_FINDERS: dict[str, Callable[[Call], Iterable[str]]] = {
    "codebuild": _codebuild,
    "codecommit": _codecommit,
    "codeconnections": _connection,
    "codedeploy": _codedeploy,
    "codepipeline": _pipeline,
    "codestar-connections": _connection,
    "ecr": _ecr,
    "lambda": _lambda,
    "logs": _logs,
    "s3": _s3,
    "secretsmanager": _secret,
}


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
