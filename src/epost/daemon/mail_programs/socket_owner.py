"""Who owns a TCP socket of this machine: asked of the kernel directly (Linux sock_diag(7)).

The kernel finds one socket in some microseconds; printing its whole table for /proc takes
milliseconds, and every login of a mail program would wait for it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from contextlib import closing

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
_UID_AND_INODE = struct.Struct("=II")
_UID_OFFSET = _HEADER.size + 4 + 48 + 12
"""Behind the header: four octets of state, the socket's id, then expiry and two queues."""
_STATE_OFFSET = _HEADER.size + 1
_LISTENING = 10
_ANSWER_BYTES_MAX = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def owner_of(address: Address, port: int, remote: Address, remote_port: int) -> int | None:
    """Return the uid that owns the socket at `address:port`, connected to `remote`, or None.

    A socket that its process has closed belongs to nobody. Raises OSError where the kernel does
    not answer such questions.
    """
    kind = getattr(socket, "AF_NETLINK", None)
    if kind is None:
        raise OSError("this system has no netlink sockets")
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    wanted = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0xFFFF_FFFF) + _socket_id(
        address, port, remote, remote_port
    )
    size = _HEADER.size + len(wanted)
    header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with closing(socket.socket(kind, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)) as kernel:
        kernel.setblocking(False)  # it answers before `sendto` returns
        kernel.sendto(header + wanted, (0, 0))
        answer = kernel.recv(_ANSWER_BYTES_MAX)
    return _uid_in(answer)


def _socket_id(address: Address, port: int, remote: Address, remote_port: int) -> bytes:
    """Encode `struct inet_diag_sockid`: ports and addresses in network order, no interface."""
    ports = struct.pack("!HH", port, remote_port)
    ends = address.packed.ljust(16, b"\0") + remote.packed.ljust(16, b"\0")
    return ports + ends + bytes(4) + _NO_COOKIE


def _uid_in(answer: bytes) -> int | None:
    _, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY or len(answer) < _UID_OFFSET + _UID_AND_INODE.size:
        return None  # there is no such socket
    if answer[_STATE_OFFSET] == _LISTENING:
        return None  # the end is gone, and somebody listens on its port
    uid, inode = _UID_AND_INODE.unpack_from(answer, _UID_OFFSET)
    return int(uid) if inode else None
