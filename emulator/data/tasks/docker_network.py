"""The Docker network of an emulator, and the way from it back to the emulator, which listens on loopback alone."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

log = logging.getLogger("emulator.docker")

_BLOCK = 65536


class Network:
    """`host` is this machine as the network's containers call it."""

    host = "host.docker.internal"

    def __init__(
        self, client: Any, labels: dict[str, str], port: Callable[[], int], called: Callable[[str], None]
    ) -> None:
        """`called(address)` hears by which address of this machine containers reach the emulator."""
        self._port = port
        self._network = client.networks.create(
            f"emulator-{port()}-{abs(hash(tuple(labels.values()))) % 10**6}", driver="bridge", labels=labels
        )
        self._network.reload()
        self.name = str(self._network.name)
        settings = self._network.attrs["IPAM"]["Config"][0]
        gateway = str(settings["Gateway"])
        self._let_in = containers_of(str(settings["Subnet"]), gateway)
        self._listener = self._listen(gateway)
        # On Linux the gateway is this machine, and a relay listens there; Docker Desktop forwards to loopback itself.
        if self._listener:
            called(gateway)
        self.extra_hosts = {self.host: gateway} if self._listener else {}

    def _listen(self, gateway: str) -> socket.socket | None:
        try:
            listener = socket.create_server((gateway, self._port()))
        except OSError as error:
            log.debug("no relay on %s: %s", gateway, error)
            return None
        threading.Thread(target=self._accept, args=(listener,), name="docker relay", daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inside, address = listener.accept()
            except OSError:  # closed
                return
            if not self._let_in(address[0]):
                inside.close()
                continue
            try:
                outside = socket.create_connection(("127.0.0.1", self._port()), timeout=5)
            except OSError:
                inside.close()
                continue
            outside.settimeout(None)
            for source, sink in ((inside, outside), (outside, inside)):
                threading.Thread(target=_pump, args=(source, sink), name="docker relay", daemon=True).start()

    def close(self) -> None:
        if self._listener:
            self._listener.close()
        with contextlib.suppress(Exception):  # gone already, or still in use: the next start removes it
            self._network.remove()


def containers_of(subnet: str, gateway: str) -> Callable[[str], bool]:
    """Whether an address is a container's of the network: not this machine's, whose users come by the gateway's."""
    network = ip_network(subnet)
    return lambda address: address != gateway and ip_address(address) in network


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK):
            sink.sendall(block)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
