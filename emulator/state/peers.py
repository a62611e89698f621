"""Whose a connection of the loopback interface is, as the kernel tells it: on Linux, the user who opened its socket."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path

Address = tuple[str, int]

GONE = -1  # the other end is closed already: nobody can say any more whose it was

_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 20, 1
_NETLINK_SOCK_DIAG = 4
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_QUESTION = struct.Struct("=BBBxI")  # struct inet_diag_req_v2, up to its inet_diag_sockid
_ANSWER = struct.Struct("=4B48x5I")  # struct inet_diag_msg: family, state, …; expires, two queues, uid, inode
_LISTEN = 10
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def tells() -> bool:
    """Whether this system says whose a connection is."""
    return sys.platform == "linux" and any(table.exists() for table in _TABLES)


def user_of(client: Address, server: Address) -> int | None:
    """The uid of the process at the client's end of a TCP connection between two addresses of this machine.

    `GONE` when that end is closed already: its uid would be root's for want of a better one. None where the system
    does not say. Costs some ten microseconds: the kernel is asked for this one socket (sock_diag(7)); where a sandbox
    does not allow that, its table of all sockets is read (proc_pid_net(5)).
    """
    if not tells():
        return None
    with contextlib.suppress(OSError, struct.error):
        return _asked(client, server)
    return _looked_up(client, server)


def is_mine(uid: int) -> bool:
    """Whether it is the user who runs this process, or root, who may do everything anyway."""
    return uid in (0, os.getuid())


def _asked(client: Address, server: Address) -> int:
    """By netlink; raises OSError when the kernel has no such socket, or does not answer such questions."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    packed = [socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (client, server)]
    ports = struct.pack("!HH", client[1], server[1])
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + ports + b"".join(packed) + bytes(4) + _NO_COOKIE
    message = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(message)
        answer = kernel.recv(4096)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:  # NLMSG_ERROR
        raise OSError("the kernel knows no such socket")
    fields = _ANSWER.unpack_from(answer, _HEADER.size)
    state, uid, inode = fields[1], fields[7], fields[8]
    # Without a connection of these ends it finds whoever listens at the client's port.
    return GONE if state == _LISTEN or inode == 0 else uid


def _looked_up(client: Address, server: Address) -> int | None:
    wanted = {(_hexadecimal(client, mapped), _hexadecimal(server, mapped)) for mapped in (False, True)}
    read = False
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        read = True
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return int(fields[7]) if fields[9] != "0" else GONE
    return GONE if read else None


def _hexadecimal(address: Address, mapped: bool) -> str:
    """As /proc/net/tcp writes it: 32-bit words in the machine's order. `mapped`: as an IPv6 socket has an IPv4 one."""
    ip = ipaddress.ip_address(address[0])
    raw = ip.packed if not mapped or ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed
    words = struct.unpack(f"={len(raw) // 4}I", b"".join(raw[at : at + 4] for at in range(0, len(raw), 4)))
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
