"""Connections and hosts: created, read, deleted, tagged.

https://docs.aws.amazon.com/codeconnections/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from emulator.control.connections.tables import Connection, Host, tables
from emulator.control.operation import Operation
from emulator.control.tags import tag_map, tag_pairs
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_PROVIDERS = ("Bitbucket", "GitHub", "GitHubEnterpriseServer", "GitLab", "GitLabSelfManaged", "AzureDevOps")
_WITH_HOST = ("GitHubEnterpriseServer", "GitLabSelfManaged")
_NAME_LIMIT, _HOST_NAME_LIMIT, _PAGE = 32, 64, 50


def _create_connection(store: Store, call: Call) -> Answer:
    name, provider, host = (call.parameters.get(key) for key in ("ConnectionName", "ProviderType", "HostArn"))
    if not name or len(name) > _NAME_LIMIT:
        raise AwsError("ValidationException", f"ConnectionName must be 1 to {_NAME_LIMIT} characters long")
    if bool(provider) == bool(host):
        raise AwsError("ValidationException", "Exactly one of ProviderType and HostArn is required")
    if host:
        provider = _host(store, host).provider
    _check_provider(provider, _PROVIDERS)
    arn = call.arn(f"connection/{uuid.uuid4()}")
    with store.change():
        made = Connection(arn, name, str(provider), call.account, host, tags=tag_map(call.parameters.get("Tags")))
        tables(store).connections[arn] = made
    return {"ConnectionArn": arn, "Tags": tag_pairs(made.tags)}


def _check_provider(provider: Any, known: tuple[str, ...]) -> None:
    if provider not in known:
        raise AwsError("ValidationException", f"ProviderType must be one of {', '.join(known)}")


def _get_connection(store: Store, call: Call) -> Answer:
    return {"Connection": _described(_connection(store, call.parameters["ConnectionArn"]))}


def _connection(store: Store, arn: str) -> Connection:
    found = tables(store).connections.get(arn)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Connection {arn} not found")
    return found


def _described(found: Connection) -> Answer:
    return {
        "ConnectionName": found.name, "ConnectionArn": found.arn, "ProviderType": found.provider,
        "OwnerAccountId": found.account, "ConnectionStatus": found.status,
        **({"HostArn": found.host} if found.host else {}),
    }  # fmt: skip


def _list_connections(store: Store, call: Call) -> Answer:
    provider, host = call.parameters.get("ProviderTypeFilter"), call.parameters.get("HostArnFilter")
    found = [
        each for each in list(tables(store).connections.values())
        if _is_here(each.arn, call) and provider in (None, each.provider) and host in (None, each.host)
    ]  # fmt: skip
    return _page(call, "Connections", [_described(each) for each in sorted(found, key=lambda each: each.name)])


def _is_here(arn: str, call: Call) -> bool:
    return arn.split(":")[3:5] == [call.region, call.account]


def _page(call: Call, member: str, items: list[Answer]) -> Answer:
    token = call.parameters.get("NextToken") or "0"
    if not re.fullmatch(r"\d+", token):
        raise AwsError("ValidationException", "The NextToken is not valid")
    first, size = int(token), call.parameters.get("MaxResults") or _PAGE
    more = {"NextToken": str(first + size)} if first + size < len(items) else {}
    return {member: items[first : first + size], **more}


def _delete_connection(store: Store, call: Call) -> Answer:
    found = _connection(store, call.parameters["ConnectionArn"])
    with store.change():
        tables(store).connections.pop(found.arn, None)
    return {}


def _create_host(store: Store, call: Call) -> Answer:
    given = call.parameters
    if not 0 < len(given["Name"]) <= _HOST_NAME_LIMIT:
        raise AwsError("ValidationException", f"Name must be 1 to {_HOST_NAME_LIMIT} characters long")
    _check_provider(given["ProviderType"], _WITH_HOST)
    arn = call.arn(f"host/{given['Name']}-{uuid.uuid4().hex[:8]}")
    with store.change():
        made = Host(
            arn, given["Name"], given["ProviderType"], given["ProviderEndpoint"], given.get("VpcConfiguration"),
            tags=tag_map(call.parameters.get("Tags")),
        )  # fmt: skip
        tables(store).hosts[arn] = made
    return {"HostArn": arn, "Tags": tag_pairs(made.tags)}


def _host(store: Store, arn: str) -> Host:
    found = tables(store).hosts.get(arn)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Host {arn} not found")
    return found


def _get_host(store: Store, call: Call) -> Answer:
    return _described_host(_host(store, call.parameters["HostArn"]))


def _described_host(found: Host) -> Answer:
    return {
        "Name": found.name, "Status": found.status, "ProviderType": found.provider, "ProviderEndpoint": found.endpoint,
        **({"VpcConfiguration": found.vpc} if found.vpc else {}),
    }  # fmt: skip


def _list_hosts(store: Store, call: Call) -> Answer:
    found = [each for each in list(tables(store).hosts.values()) if _is_here(each.arn, call)]
    described = [{**_described_host(each), "HostArn": each.arn} for each in sorted(found, key=lambda each: each.name)]
    return _page(call, "Hosts", described)


def _update_host(store: Store, call: Call) -> Answer:
    found = _host(store, call.parameters["HostArn"])
    with store.change():
        found.endpoint = call.parameters.get("ProviderEndpoint") or found.endpoint
        found.vpc = call.parameters.get("VpcConfiguration") or found.vpc
    return {}


def _delete_host(store: Store, call: Call) -> Answer:
    found = _host(store, call.parameters["HostArn"])
    if any(each.host == found.arn for each in list(tables(store).connections.values())):
        raise AwsError("ResourceUnavailableException", f"Host {found.arn} has connections; delete them first")
    with store.change():
        tables(store).hosts.pop(found.arn, None)
    return {}


def _tagged(store: Store, call: Call) -> dict[str, str]:
    arn = call.parameters["ResourceArn"]
    return (_host(store, arn) if ":host/" in arn else _connection(store, arn)).tags


def _tag(store: Store, call: Call) -> Answer:
    with store.change():
        _tagged(store, call).update(tag_map(call.parameters.get("Tags")))
    return {}


def _untag(store: Store, call: Call) -> Answer:
    with store.change():
        for key in call.parameters["TagKeys"]:
            _tagged(store, call).pop(key, None)
    return {}


def _tags(store: Store, call: Call) -> Answer:
    return {"Tags": tag_pairs(_tagged(store, call))}


OPERATIONS: dict[str, Operation] = {
    "CreateConnection": _create_connection,
    "CreateHost": _create_host,
    "DeleteConnection": _delete_connection,
    "DeleteHost": _delete_host,
    "GetConnection": _get_connection,
    "GetHost": _get_host,
    "ListConnections": _list_connections,
    "ListHosts": _list_hosts,
    "ListTagsForResource": _tags,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateHost": _update_host,
}
