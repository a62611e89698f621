"""The Hugging Face token in Secrets Manager: put, asked about and tried, never shown to anyone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.commands import command
from orchestrator.errors import Refused
from orchestrator.tools.aws import Aws, explained

# What Terraform writes so that a task can start; the chatbot takes it for no token (docs/architecture.md).
PLACEHOLDER = "unset"
# Its version keeps this label when AWSCURRENT moves on: AWS deletes a version without any, and Terraform would then
# write the placeholder anew, over the token.
LABEL = "TERRAFORM"


@dataclass(frozen=True)
class Status:
    """Whether a token is set and since when; never the token."""

    is_set: bool
    since: str


def check(value: str) -> str:
    """The token without the newline of ``echo``; refused when it cannot be one."""
    token = value.strip()
    if not token:
        raise Refused("the token is empty", f'pipe it in: printf %s "$HF_TOKEN" | {command("secret set")}')
    if any(character.isspace() for character in token) or not token.isprintable():
        raise Refused("the token holds white space", "copy it again from huggingface.co/settings/tokens")
    return token


def put(aws: Aws, secret: str, token: str) -> None:
    """Makes ``token`` the current value; tasks that start from now on get it."""
    client = aws.client("secretsmanager")
    with explained("secretsmanager:PutSecretValue"):
        placeholder = _placeholder(client, secret)
        client.put_secret_value(SecretId=secret, SecretString=token)
        if placeholder and LABEL not in _versions(client, secret).get(placeholder, []):
            client.update_secret_version_stage(SecretId=secret, VersionStage=LABEL, MoveToVersionId=placeholder)


def _placeholder(client: Any, secret: str) -> str:
    """The version that Terraform wrote: the labelled one, or the only one there is."""
    versions = _versions(client, secret)
    labelled = [version for version, stages in versions.items() if LABEL in stages]
    return (labelled or list(versions))[0] if labelled or len(versions) == 1 else ""


def _versions(client: Any, secret: str) -> dict[str, list[str]]:
    return dict(client.describe_secret(SecretId=secret).get("VersionIdsToStages", {}))


def read(aws: Aws, secret: str) -> str:
    """The token, for the model alone; empty where none is set."""
    with explained("secretsmanager:GetSecretValue"):
        value = aws.client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", PLACEHOLDER)
    return "" if value == PLACEHOLDER else str(value)


def status(aws: Aws, secret: str) -> Status:
    """Set, when the current version is not the placeholder's. The value is compared here and goes nowhere."""
    client = aws.client("secretsmanager")
    with explained("secretsmanager:GetSecretValue"):
        found = client.get_secret_value(SecretId=secret)
    is_set = found.get("SecretString", PLACEHOLDER) not in ("", PLACEHOLDER)
    return Status(is_set, found["CreatedDate"].isoformat(timespec="seconds") if is_set else "")
