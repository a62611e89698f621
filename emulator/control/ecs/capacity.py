"""Capacity providers: FARGATE and FARGATE_SPOT, and which of them the next task goes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.control.ecs import errors, lookup, shapes
from emulator.control.ecs.tables import Cluster, Fleet
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

PROVIDERS = ("FARGATE", "FARGATE_SPOT")
Strategy = Sequence[dict[str, Any]]


def check_providers(names: Sequence[str]) -> None:
    for name in names:
        if name.rpartition("/")[2] not in PROVIDERS:
            raise errors.invalid(
                "The specified capacity provider was not found. Specify a valid name or ARN and try again."
            )


def check_strategy(cluster: Cluster, strategy: Strategy) -> list[dict[str, Any]]:
    """`strategy` with its defaults. Its providers must be the cluster's, one at most has a base, a weight is over 0."""
    complete = [{"weight": 0, "base": 0} | dict(item) for item in strategy]
    for item in complete:
        if item["capacityProvider"] not in cluster.capacity_providers:
            raise errors.invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated"
                " with the cluster. Associate the capacity provider with the cluster and try again."
                f" ({item['capacityProvider']})"
            )
    if sum(item["base"] > 0 for item in complete) > 1:
        raise errors.invalid(
            "The specified capacity provider strategy cannot have more than one capacity provider with a base value"
            " greater than 0. Update the capacity provider strategy and try again."
        )
    if complete and not any(item["weight"] > 0 for item in complete):
        raise errors.invalid(
            "The specified capacity provider strategy must have at least one capacity provider with a weight greater"
            " than 0. Update the capacity provider strategy and try again."
        )
    return complete


def put_cluster_capacity_providers(store: Store, call: Call) -> Answer:
    with store.change():
        found = lookup.cluster(store, call)
        providers = call.parameters["capacityProviders"]
        check_providers(providers)
        in_use = {
            item["capacityProvider"]
            for service in lookup.tables(store).services.values()
            if service.cluster_arn == found.arn and service.status != "INACTIVE"
            for item in service.revision.strategy
        }
        if in_use - set(providers):
            raise AwsError("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
        before, found.capacity_providers = found.capacity_providers, list(providers)
        try:
            found.default_strategy = check_strategy(found, call.parameters["defaultCapacityProviderStrategy"])
        except Exception:
            found.capacity_providers = before
            raise
        return {"cluster": shapes.cluster(lookup.tables(store), found, ["SETTINGS", "CONFIGURATIONS", "TAGS"])}


def describe_capacity_providers(store: Store, call: Call) -> Answer:
    names = call.parameters.get("capacityProviders") or list(PROVIDERS)
    known = [name for name in names if name.rpartition("/")[2] in PROVIDERS]
    return {
        "capacityProviders": [
            {
                "capacityProviderArn": call.arn(f"capacity-provider/{name.rpartition('/')[2]}"),
                "name": name.rpartition("/")[2],
                "status": "ACTIVE",
                "tags": [],
            }
            for name in known
        ],
        "failures": [{"arn": name, "reason": "MISSING"} for name in names if name not in known],
    }


def next_provider(fleet: Fleet, strategy: Strategy) -> str | None:
    """The provider of the next task: the base first, then by weight; None without a strategy."""
    if not strategy:
        return None
    number = fleet.launched
    fleet.launched += 1
    return provider_of(number, strategy)


def provider_of(number: int, strategy: Strategy) -> str:
    """The provider of task `number` (from 0): base first, then interleaved so that any prefix is near the weights."""
    for item in strategy:
        if number < item["base"]:
            return str(item["capacityProvider"])
        number -= item["base"]
    weights = {str(item["capacityProvider"]): item["weight"] for item in strategy if item["weight"] > 0}
    given = dict.fromkeys(weights, 0)
    for _ in range(number % sum(weights.values()) + 1):
        chosen = min(weights, key=lambda name: (given[name] + 1) / weights[name])
        given[chosen] += 1
    return chosen
