"""The one registry of the emulator, joined to ECR's repositories: who may push where, and what a push sets off."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator.control.ecr.lifecycle import expired
from emulator.data.registry import Denied, Endpoints, Registry, Unauthorized
from emulator.state import moto
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_TOKEN_LIFE = timedelta(hours=12)


@dataclass
class Tokens:
    """Passwords that GetAuthorizationToken gave out, and until when they hold."""

    until: dict[str, datetime] = field(default_factory=dict)


def registry(store: Store) -> Registry:
    """The one registry of the emulator, which tasks pull from."""
    return store.once(_registry)


def application(store: Store) -> Endpoints:
    """The same one to clients, under /v2/."""
    return Endpoints(registry(store))


@dataclass
class Pushes:
    """How many there were since the emulator began: who looks for new images looks when this has changed."""

    count: int = 0


def _registry(store: Store) -> Registry:
    def authorize(header: str, repository: str, action: str) -> None:
        _authorize(store, header)

    def exists(repository: str) -> bool:
        return find(store, repository) is not None

    def immutable(repository: str) -> bool:
        return bool((find(store, repository) or {}).get("imageTagMutability") == "IMMUTABLE")

    def pushed(repository: str, *_: Any) -> None:
        expire(store, repository)
        with store.lock:
            store.table(Pushes).count += 1
        store.changed()

    return Registry(store.folder / "registry", authorize, pushed, exists, immutable=immutable, account=moto.ACCOUNT)


def _authorize(store: Store, header: str) -> None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        raise Unauthorized("no basic auth credentials")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        raise Unauthorized("no basic auth credentials") from None
    until = store.table(Tokens).until.get(password)
    if user != "AWS" or until is None:
        raise Unauthorized("Your Authorization Token is invalid.")
    if until < datetime.now(UTC):
        raise Denied("Your authorization token has expired. Reauthenticate and try again.")


def get_authorization_token(store: Store, call: Call) -> Answer:
    password = secrets.token_urlsafe(64)
    until = datetime.now(UTC) + _TOKEN_LIFE
    with store.lock:
        store.table(Tokens).until[password] = until
    token = base64.b64encode(f"AWS:{password}".encode()).decode()
    return {"authorizationData": [{"authorizationToken": token, "expiresAt": until, "proxyEndpoint": store.config.url}]}


def expire(store: Store, repository: str) -> None:
    """Applies the repository's lifecycle policy now; AWS takes up to a day."""
    region = (find(store, repository) or {}).get("region", store.config.region)
    client = store.clients("ecr", region)
    try:
        policy = client.get_lifecycle_policy(repositoryName=repository)["lifecyclePolicyText"]
    except client.exceptions.ClientError:
        return
    if digests := expired(policy, registry(store).images(repository), datetime.now(UTC)):
        registry(store).delete(repository, digests)


def find(store: Store, name: str) -> dict[str, Any] | None:
    """The repository in whichever region it is: the registry has one address for all of them."""
    for region in moto.regions("ecr"):
        client = store.clients("ecr", region)
        try:
            found: dict[str, Any] = client.describe_repositories(repositoryNames=[name])["repositories"][0]
        except client.exceptions.RepositoryNotFoundException:
            continue
        return found | {"region": region}
    return None


def require(store: Store, call: Call) -> str:
    name: str = call.parameters["repositoryName"]
    found = find(store, name)
    if found is None or found["region"] != call.region:
        raise AwsError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{call.account}'",
        )
    return name
