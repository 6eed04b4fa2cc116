"""Listening sockets, bound before anything else starts, and how others reach them."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address

BACKLOG: Final = 1024


def is_wildcard(address: Address) -> bool:
    """Does this address stand for every address of the machine? Nobody can connect to that."""
    try:
        return ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        return False


def is_loopback(address: Address) -> bool:
    """Is this an address that only programs of this machine reach?"""
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def reachable_address(listening: Address, peer: Address) -> Address:
    """Return where a peer reaches a listener: of a wildcard, the address that leads to the peer.

    Raises ConfigError if no address of this machine does.
    """
    if not is_wildcard(listening):
        return listening
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # connecting it sends nothing
        try:
            probe.connect((peer.host, peer.port))
        except OSError as error:
            raise ConfigError(
                f"which address of this machine do others reach? {peer.host} cannot be reached "
                f"from here ({error.strerror}). Say it: --advertise HOST:{listening.port}"
            ) from error
        return Address(str(probe.getsockname()[0]), listening.port)


def listen(address: Address, *, purpose: str) -> socket.socket:
    """Return a socket that listens at an IP address; port 0 takes any.

    Raises ConfigError naming address and purpose if it cannot be had.
    """
    where = f"{purpose}: cannot listen on {address.host} port {address.port}"
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError as error:
        raise ConfigError(f"{where}: not an IP address of this machine") from error
    listener = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    try:
        # A port whose last connections are still fading away may be taken again at once.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"{where}: {error.strerror}; is another program using it?") from error
    listener.setblocking(False)
    return listener
