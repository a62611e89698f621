"""What the execution role is for: secrets from Secrets Manager and Parameter Store, and access to the registry."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.ecs.metadata import PRINCIPAL
from emulator.control.ecs.tables import Task
from emulator.loops.ecs.failures import Failed, initialization
from emulator.state.clients import DEVELOPER, Credentials
from emulator.state.store import Store

_FAILED = "unable to pull secrets or registry auth: execution resource retrieval failed:"


def execution_credentials(store: Store, task: Task) -> Credentials:
    """The execution role's, which must exist and trust ECS; without a role nothing is asked of it."""
    role = task.overrides.get("executionRoleArn") or task.definition.document.get("executionRoleArn")
    return _assume(store, role) if role else DEVELOPER


def check_task_role(store: Store, task: Task) -> None:
    if role := task.overrides.get("taskRoleArn") or task.definition.document.get("taskRoleArn"):
        _assume(store, role)


def _assume(store: Store, role: str) -> Credentials:
    try:
        return roles.assume(store, role, PRINCIPAL)
    except roles.RoleRefused:
        raise Failed(
            f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role"
            " being passed has the proper trust relationship and permissions and that your IAM user has permissions to"
            " pass this role."
        ) from None


def check_registry(store: Store, task: Task, image: str, credentials: Credentials) -> None:
    """Whether the role may pull from ECR; the pull itself is the runtime's. Raises Failed as ECS words it."""
    host, _, rest = image.partition("/")
    if host != store.config.url.partition("//")[2]:
        return
    repository, _, digest = rest.partition("@")
    repository, _, tag = repository.partition(":")
    client = store.clients("ecr", task.region, credentials)
    try:
        client.get_authorization_token()
    except ClientError as error:
        raise initialization(f"{_FAILED} unable to retrieve ecr registry auth: service call has been retried 1 time(s):"
                             f" {_said(error)}") from None  # fmt: skip
    identifier = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        client.batch_get_image(repositoryName=repository, imageIds=[identifier])
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("AccessDenied"):
            raise Failed("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve"
                         f" ref {image}: 403 Forbidden: {_said(error)}") from None  # fmt: skip


def resolve(store: Store, task: Task, definition: dict[str, Any], credentials: Credentials) -> dict[str, str]:
    """Environment variables of the container's `secrets`; raises Failed as ECS words it."""
    reader = _Reader(store, task.region, credentials)
    return {secret["name"]: reader.read(secret["valueFrom"]) for secret in definition.get("secrets") or []}


class _Reader:
    def __init__(self, store: Store, region: str, credentials: Credentials) -> None:
        self._store = store
        self._region = region
        self._credentials = credentials

    def read(self, source: str) -> str:
        if ":secretsmanager:" in source:
            return self._secret(source)
        return self._parameter(source)

    def _client(self, service: str, source: str) -> Any:
        region = source.split(":")[3] if source.startswith("arn:") else self._region
        return self._store.clients(service, region, self._credentials)

    def _secret(self, source: str) -> str:
        """`arn:aws:secretsmanager:<region>:<account>:secret:<name>[:<json-key>:<version-stage>:<version-id>]`"""
        parts = source.split(":")
        arn, (key, stage, version) = ":".join(parts[:7]), (*parts[7:10], "", "", "")[:3]
        wanted = {"VersionStage": stage, "VersionId": version}
        try:
            answer = self._client("secretsmanager", source).get_secret_value(
                SecretId=arn, **{name: value for name, value in wanted.items() if value}
            )
        except ClientError as error:
            raise initialization(
                f"{_FAILED} unable to retrieve secret from asm: service call has been retried 1 time(s): failed to"
                f" fetch secret {arn} from secrets manager: {_said(error)}"
            ) from None
        text = answer.get("SecretString") or answer.get("SecretBinary", b"").decode()
        return _member(text, key, arn) if key else text

    def _parameter(self, source: str) -> str:
        name = source.partition(":parameter")[2] if source.startswith("arn:") else source
        client = self._client("ssm", source)
        try:  # an ARN shows both forms of a name alike
            for candidate in dict.fromkeys((name, name.removeprefix("/"))):
                for found in client.get_parameters(Names=[candidate], WithDecryption=True)["Parameters"]:
                    return str(found["Value"])
        except ClientError as error:
            raise initialization(f"{_FAILED} unable to retrieve secrets from ssm: {_said(error)}") from None
        raise initialization(f"{_FAILED} unable to retrieve secrets from ssm: service call has been retried 1 time(s):"
                             f" invalid ssm parameters: {name}")  # fmt: skip


def _said(error: ClientError) -> str:
    return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"


def _member(text: str, key: str, arn: str) -> str:
    try:
        document = json.loads(text)
        value = document[key]
    except ValueError:
        raise initialization(
            f"{_FAILED} unable to retrieve secret from asm: failed to parse the secret {arn} as JSON"
        ) from None
    except (KeyError, TypeError):
        raise initialization(f"{_FAILED} unable to retrieve secret from asm: retrieved secret from Secrets Manager did"
                             f" not contain json key {key}") from None  # fmt: skip
    return value if isinstance(value, str) else json.dumps(value)
