"""Listening sockets: bound before anything else starts, the same port after every restart."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address

BACKLOG: Final = 1024


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
