"""A task's network interface in EC2: an address of its subnet, there as long as the task is."""

from __future__ import annotations

import ipaddress
import itertools
import logging
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.ecs.tables import EcsTables, Task
from emulator.loops.ecs.failures import initialization
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

_RESERVED = 4  # the first addresses of every subnet are AWS's


def attach(store: Store, task: Task) -> None:
    """Creates the interface and writes its details to the task."""
    vpc = task.revision.network["awsvpcConfiguration"] if task.revision.network else {}
    ec2 = store.clients("ec2", task.region)
    subnet_id = ""
    try:
        with store.lock:  # of two tasks that start at once each must see the other's subnet, and not get its address
            subnet_id = _subnet(store, task, vpc.get("subnets") or [])
            task.interface = {"subnetId": subnet_id}
            subnet = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
            groups = {"Groups": vpc["securityGroups"]} if vpc.get("securityGroups") else {}
            made = ec2.create_network_interface(
                SubnetId=subnet_id, PrivateIpAddress=_free_address(ec2, subnet), Description=task.arn, **groups
            )["NetworkInterface"]
    except ClientError as error:
        raise initialization(f"unable to create a network interface in {subnet_id}: {error}") from None
    with store.change():
        task.availability_zone = subnet["AvailabilityZone"]
        task.interface = {
            "subnetId": subnet_id,
            "networkInterfaceId": made["NetworkInterfaceId"],
            "macAddress": made.get("MacAddress", ""),
            "privateDnsName": f"ip-{made['PrivateIpAddress'].replace('.', '-')}.ec2.internal",
            "privateIPv4Address": made["PrivateIpAddress"],
        }


def _subnet(store: Store, task: Task, subnets: list[str]) -> str:
    """The subnet with the fewest tasks of the same group, as the scheduler spreads over zones."""
    if not subnets:
        raise initialization("the task has no subnet")
    with store.lock:
        used = [t.interface.get("subnetId") for t in store.table(EcsTables).tasks.values()
                if t.group == task.group and t.status != "STOPPED"]  # fmt: skip
    return min(subnets, key=used.count)


def _free_address(ec2: Any, subnet: dict[str, Any]) -> str:
    filters = [{"Name": "subnet-id", "Values": [subnet["SubnetId"]]}]
    taken = {each["PrivateIpAddress"] for each in ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]}
    for address in itertools.islice(ipaddress.ip_network(subnet["CidrBlock"]).hosts(), _RESERVED - 1, None):
        if str(address) not in taken:
            return str(address)
    raise initialization(f"subnet {subnet['SubnetId']} has no free address")


def detach(store: Store, task: Task) -> None:
    identifier = task.interface.get("networkInterfaceId")
    if not identifier:
        return
    try:
        store.clients("ec2", task.region).delete_network_interface(NetworkInterfaceId=identifier)
    except ClientError as error:  # somebody deleted it, or the whole network, before
        log.info("network interface %s: %s", identifier, error)
