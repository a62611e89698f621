"""Every listening socket of the emulator and of what it runs stands in docs/emulator.md, and is on loopback alone."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from emulator.state.targets import Targets
from tests.emulator.ecs.conftest import World
from tests.waiting import eventually

PAGE = (Path(__file__).parents[3] / "docs/emulator.md").read_text()
_LISTEN = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000")


def listening() -> dict[str, tuple[str, int]]:
    """Address, as the kernel writes it, and port of each listening TCP socket of the machine, by inode."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                found[fields[9]] = (address, int(port, 16))
    return found


def inodes(pid: int) -> set[str]:
    links = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(handle.readlink()))
        except OSError:  # closed since
            continue
    return {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}


def tree(root: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # gone
            continue
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found, left = set(), {root}
    while left:
        found |= left
        left = {pid for pid, parent in parents.items() if parent in left} - found
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_the_door_knows_every_socket(world: World, free_port: int) -> None:
    before = {inode for pid in tree(os.getpid()) for inode in inodes(pid)} & listening().keys()
    before -= {
        inode for inode, (_, port) in listening().items() if port == world.emulator.store.config.port
    }  # the session's emulator has begun to listen already
    group, _ = world.balancer(free_port)
    definition = world.define()
    world.serve(
        definition,
        desiredCount=1,
        loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 7860}],
    )
    eventually(lambda: world.health(group) == ["healthy"])
    store = world.emulator.store
    ports = {store.config.port: "API"}
    ports |= dict.fromkeys(store.table(Targets).listeners.values(), "load balancer")
    tasks = {child.pid for child in store.children.alive() if child.name.startswith("task ")}
    kinds = set()
    for pid in tree(os.getpid()):
        for inode in inodes(pid) & (listening().keys() - before):
            address, port = listening()[inode]
            kind = "task" if any(pid in tree(task) for task in tasks) else ports.get(port)
            assert kind, f"pid {pid} listens on port {port}, which docs/emulator.md does not know"
            assert address in _LOOPBACK, f"the {kind}'s port {port} is open to other machines"
            assert f"| {kind}:" in PAGE
            kinds.add(kind)
    assert kinds == {"API", "load balancer", "task"}
