"""Who owns a loopback connection: the uid behind its client end.

A port on loopback can be reached by every local user. The kernel tells the owner of the client's
socket, asked for that one socket, or in its tables /proc/net/tcp and tcp6; other systems than Linux
have no such table, and `is_available` says so.
"""

import asyncio
import ipaddress
import os
import sys
from collections.abc import Collection
from concurrent.futures import Executor
from pathlib import Path

from epost.daemon.mail_programs.socket_owner import Address, owner_of

KERNEL_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ROOT_UID = 0


class LoopbackOwnerCheck:
    """The real `servers.access.PeerCheck`: serves only connections of our uid and of root."""

    def __init__(
        self,
        executor: Executor,
        *,
        allowed_uids: Collection[int] | None = None,
        tables: Collection[Path] = KERNEL_TABLES,
        asks_kernel: bool = True,
    ) -> None:
        """The tables are read on `executor`: the kernel takes milliseconds to print them.

        They are read only where it cannot be asked, or does not know.
        """
        self._asks_kernel = asks_kernel
        self._executor = executor
        self._allowed_uids = frozenset(allowed_uids or (os.getuid(), ROOT_UID))
        self._tables = tuple(tables)

    @staticmethod
    def is_available() -> bool:
        """Say whether this system tells the owner of a connection."""
        return sys.platform == "linux" and any(os.access(table, os.R_OK) for table in KERNEL_TABLES)

    async def allowed(self, peer_host: str, peer_port: int, local_port: int) -> bool:
        """Return whether the client's socket belongs to an allowed uid; unknown: no."""
        uid = self._asked_uid(peer_host, peer_port, local_port) if self._asks_kernel else None
        if uid is None:
            loop = asyncio.get_running_loop()
            uid = await loop.run_in_executor(
                self._executor, self.owner_uid, peer_host, peer_port, local_port
            )
        return uid in self._allowed_uids

    def _asked_uid(self, peer_host: str, peer_port: int, local_port: int) -> int | None:
        try:
            address = _address(peer_host)
            mapped = address.ipv4_mapped if address.version == 6 else None
            end = mapped or address  # on loopback both ends have, as a rule, one address
            return owner_of(end, peer_port, end, local_port)
        except (OSError, ValueError):
            return None

    def owner_uid(self, peer_host: str, peer_port: int, local_port: int) -> int | None:
        """Return the uid that owns the client's end of a connection, or None; reads files."""
        try:
            address = _address(peer_host)
        except ValueError:
            return None
        for table in self._tables:
            try:
                rows = table.read_bytes()
            except OSError:
                continue  # a kernel without IPv6 has no tcp6
            uid = find_owner(rows, address, peer_port, local_port)
            if uid is not None:
                return uid
        return None


def _address(host: str) -> Address:
    """Read an address without its zone; raises ValueError."""
    return ipaddress.ip_address(host.partition("%")[0])


def find_owner(
    rows: bytes,
    address: Address,
    port: int,
    remote_port: int,
) -> int | None:
    """Search a kernel table for the socket at `address:port` connected to `remote_port`.

    A socket that its process has closed stays in the table with uid 0 and inode 0. It must not
    pass for root's, else anybody could connect, write, close, and be served.
    """
    local_ends = {_kernel_form(form) + b":%04X" % port for form in _spellings(address)}
    remote_end = b":%04X" % remote_port
    for row in rows.splitlines()[1:]:
        fields = row.split()
        if len(fields) < 10 or fields[1] not in local_ends or not fields[2].endswith(remote_end):
            continue
        uid, inode = fields[7], fields[9]
        if inode != b"0":
            return int(uid)
    return None


def _spellings(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """Return the address, and its twin in the other table if it is an IPv4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address, ipaddress.IPv6Address(b"\x00" * 10 + b"\xff\xff" + address.packed)
    if address.ipv4_mapped is not None:
        return address, address.ipv4_mapped
    return (address,)


def _kernel_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    """Write an address as the kernel prints it: 32-bit words in this machine's byte order."""
    packed = address.packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return b"".join(b"%08X" % int.from_bytes(word, sys.byteorder) for word in words)
