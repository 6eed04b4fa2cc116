"""The owner of one TCP socket, as the kernel knows it."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator

import pytest

from epost.daemon.mail_programs.socket_owner import owner_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")

HOME = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_connected_socket_has_its_owner_until_it_is_closed(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        client_port = client.getsockname()[1]
        assert owner_of(HOME, client_port, HOME, port) == os.getuid()
    assert owner_of(HOME, client_port, HOME, port) is None


def test_who_listens_on_the_port_of_an_end_that_is_gone_does_not_own_it(
    listener: socket.socket,
) -> None:
    port = listener.getsockname()[1]
    assert owner_of(HOME, port, HOME, 9) is None


def test_a_socket_that_never_was_belongs_to_nobody() -> None:
    assert owner_of(HOME, 1, HOME, 2) is None


def test_where_the_kernel_cannot_be_asked_an_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    with pytest.raises(OSError, match="netlink"):
        owner_of(HOME, 1, HOME, 2)
