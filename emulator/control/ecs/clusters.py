"""Clusters."""

from __future__ import annotations

from emulator.control.ecs import capacity, errors, lookup, shapes
from emulator.control.ecs.tables import Cluster, EcsTables
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_EVERYTHING = ["SETTINGS", "CONFIGURATIONS", "TAGS"]


def create_cluster(store: Store, call: Call) -> Answer:
    """Creating one that is there answers it as it is, as AWS does."""
    name = call.parameters.get("clusterName") or "default"
    lookup.check_name(name, "Cluster")
    with store.change():
        tables = lookup.tables(store)
        arn = call.arn(f"cluster/{name}")
        found = tables.clusters.get(arn)
        if not found or found.status == "INACTIVE":
            found = _new(store, call, name, arn)
            tables.clusters[arn] = found
            tables.tags[arn] = lookup.tags_of(call.parameters.get("tags"))
        return {"cluster": shapes.cluster(tables, found, _EVERYTHING)}


def _new(store: Store, call: Call, name: str, arn: str) -> Cluster:
    parameters = call.parameters
    providers = parameters.get("capacityProviders") or []
    capacity.check_providers(providers)
    cluster = Cluster(
        name=name,
        arn=arn,
        settings=_settings(lookup.tables(store), parameters.get("settings")),
        configuration=parameters.get("configuration"),
        capacity_providers=list(providers),
        service_connect_defaults=_service_connect(parameters.get("serviceConnectDefaults")),
    )
    cluster.default_strategy = capacity.check_strategy(cluster, parameters.get("defaultCapacityProviderStrategy") or [])
    return cluster


def _settings(tables: EcsTables, given: list[dict[str, str]] | None) -> list[dict[str, str]]:
    default = tables.settings.get(("", "containerInsights"), "disabled")
    chosen = {"containerInsights": default}
    for setting in given or []:
        if setting.get("name") != "containerInsights":
            raise errors.invalid(f"{setting.get('name')} should be one of [containerInsights]")
        if setting.get("value") not in ("enabled", "disabled", "enhanced"):
            raise errors.invalid(
                "The specified value for containerInsights is invalid: use enabled, disabled or enhanced."
            )
        chosen[setting["name"]] = setting["value"]
    return [{"name": name, "value": value} for name, value in chosen.items()]


def _service_connect(given: dict[str, str] | None) -> dict[str, str] | None:
    return {"namespace": given["namespace"]} if given and given.get("namespace") else None


def describe_clusters(store: Store, call: Call) -> Answer:
    with store.lock:
        tables = lookup.tables(store)
        names = call.parameters.get("clusters") or ["default"]
        arns = {lookup.cluster_arn(call, name): name for name in names}
        include = call.parameters.get("include") or []
        return {
            "clusters": [
                shapes.cluster(tables, tables.clusters[arn], include) for arn in arns if arn in tables.clusters
            ],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in tables.clusters],
        }


def list_clusters(store: Store, call: Call) -> Answer:
    with store.lock:
        active = [c.arn for c in lookup.tables(store).clusters.values() if c.status == "ACTIVE"]
        return lookup.page(call, active, "clusterArns")


def update_cluster(store: Store, call: Call) -> Answer:
    with store.change():
        tables = lookup.tables(store)
        found = lookup.cluster(store, call)
        if call.parameters.get("settings"):
            found.settings = _settings(tables, call.parameters["settings"])
        if "configuration" in call.parameters:
            found.configuration = call.parameters["configuration"]
        if "serviceConnectDefaults" in call.parameters:
            found.service_connect_defaults = _service_connect(call.parameters["serviceConnectDefaults"])
        return {"cluster": shapes.cluster(tables, found, _EVERYTHING)}


def update_cluster_settings(store: Store, call: Call) -> Answer:
    return update_cluster(store, call)


def delete_cluster(store: Store, call: Call) -> Answer:
    with store.change():
        tables = lookup.tables(store)
        found = lookup.cluster(store, call)
        if any(s.cluster_arn == found.arn and s.status != "INACTIVE" for s in tables.services.values()):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(t.cluster_arn == found.arn and t.status != "STOPPED" for t in tables.tasks.values()):
            raise AwsError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        found.status = "INACTIVE"
        return {"cluster": shapes.cluster(tables, found, _EVERYTHING)}
