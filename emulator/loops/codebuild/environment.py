"""The environment of a build's commands.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.codebuild.tables import Build, Json
from emulator.data.builds.buildspec import Buildspec
from emulator.state.clients import Credentials
from emulator.state.store import Store

# What a build machine needs of this one to reach packages and a Docker engine; everything else stays out.
_INHERITED = (
    "LANG", "DOCKER_HOST", "DOCKER_CONFIG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY",
    "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE",
)  # fmt: skip


class VariableError(Exception):
    """A parameter or a secret that cannot be read."""


def complete(store: Store, build: Build, spec: Buildspec, credentials: Credentials, places: dict[str, Path]) -> Json:
    """Weakest first: this machine, the buildspec, the project, the call, CodeBuild itself."""
    client: Callable[[str], Any] = lambda service: store.clients(service, build.scope[1], credentials)  # noqa: E731
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    found.update(spec.variables)
    for name, parameter in spec.parameter_store.items():
        found[name] = _parameter(client("ssm"), parameter)
    for name, secret in spec.secrets_manager.items():
        found[name] = _secret(client("secretsmanager"), secret)
    for variable in [*build.project["environment"]["environmentVariables"], *build.overrides]:
        found[variable["name"]] = _value(client, variable)
    found.update(_own(store, build, credentials, places))
    return found


def _value(client: Callable[[str], Any], variable: Json) -> str:
    kind = variable.get("type") or "PLAINTEXT"
    if kind == "PARAMETER_STORE":
        return _parameter(client("ssm"), variable["value"])
    if kind == "SECRETS_MANAGER":
        return _secret(client("secretsmanager"), variable["value"])
    return str(variable["value"])


def _parameter(ssm: Any, name: str) -> str:
    try:
        found = ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    except ClientError as error:
        raise VariableError(f"Parameter Store Error Message: {name}: {error}") from error
    if not found:
        raise VariableError(f"Parameter Store Error Message: {name}: parameter does not exist")
    return str(found[0]["Value"])


def _secret(secrets: Any, reference: str) -> str:
    """`<secret id>:<json key>:<version stage>:<version id>`; the id may be an ARN, which has six colons of its own."""
    parts = reference.split(":")
    size = 7 if reference.startswith("arn:") else 1
    identifier, rest = ":".join(parts[:size]), [*parts[size:], "", "", ""]
    version = {"VersionStage": rest[1]} if rest[1] else {"VersionId": rest[2]} if rest[2] else {}
    try:
        text = str(secrets.get_secret_value(SecretId=identifier, **version)["SecretString"])
    except ClientError as error:
        raise VariableError(f"Secrets Manager Error Message: {identifier}: {error}") from error
    if not rest[0]:
        return text
    try:
        return str(json.loads(text)[rest[0]])
    except (ValueError, KeyError, TypeError) as error:
        raise VariableError(f"Secrets Manager Error Message: {identifier} has no JSON key {rest[0]}") from error


def _own(store: Store, build: Build, credentials: Credentials, places: dict[str, Path]) -> dict[str, str]:
    region = build.scope[1]
    found = {
        # The emulator's own Python first: what it has installed, a build has.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(places[""].parent / "home"), "TMPDIR": str(places[""].parent / "tmp"),
        "AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL": store.config.url,
        "AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token or "", "CODEBUILD_CI": "true", "CODEBUILD_BUILD_ID": build.id,
        "CODEBUILD_BUILD_ARN": build.arn, "CODEBUILD_BUILD_NUMBER": str(build.number),
        "CODEBUILD_BUILD_IMAGE": build.project["environment"]["image"], "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_INITIATOR": build.initiator, "CODEBUILD_KMS_KEY_ID": build.project["encryptionKey"],
        "CODEBUILD_LOG_PATH": build.log[1] if build.log else "",
        "CODEBUILD_PROJECT_ARN": f"arn:aws:codebuild:{region}:{build.scope[0]}:project/{build.project['name']}",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.resolved or "",
        "CODEBUILD_SOURCE_VERSION": build.source_version or "",
        "CODEBUILD_SOURCE_REPO_URL": build.project["source"].get("location") or "",
        "CODEBUILD_SRC_DIR": str(places[""]), "CODEBUILD_START_TIME": str(int(build.started.timestamp() * 1000)),
    }  # fmt: skip
    return {**found, **{f"CODEBUILD_SRC_DIR_{name}": str(path) for name, path in places.items() if name}}
