"""The owner of a loopback connection."""

import asyncio
import ipaddress
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from epost.daemon.mail_programs.loopback import LoopbackOwnerCheck, find_owner

HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr  uid  timeout inode\n"
LOCALHOST = ipaddress.ip_address("127.0.0.1")
little_endian_only = pytest.mark.skipif(sys.byteorder != "little", reason="recorded rows")


def row(local: str, remote: str, uid: int, inode: int) -> bytes:
    return (
        f"   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1\n"
    ).encode()


@little_endian_only
def test_the_client_end_is_found_among_other_rows() -> None:
    rows = (
        HEADER
        + row("0100007F:09DD", "0100007F:C350", 7, 11)  # our end
        + row("0100007F:C350", "0100007F:0019", 8, 12)  # same port, other service
        + row("0100007F:C350", "0100007F:09DD", 1000, 13)
    )
    assert find_owner(rows, LOCALHOST, 50000, 2525) == 1000
    assert find_owner(rows, LOCALHOST, 50001, 2525) is None


@little_endian_only
def test_a_socket_that_was_closed_does_not_pass_for_roots() -> None:
    rows = HEADER + row("0100007F:C350", "0100007F:09DD", 0, 0)
    assert find_owner(rows, LOCALHOST, 50000, 2525) is None


@little_endian_only
def test_an_ipv4_client_may_use_an_ipv6_socket() -> None:
    mapped = "0000000000000000FFFF00000100007F"
    rows = HEADER + row(f"{mapped}:C350", f"{mapped}:09DD", 1000, 13)
    assert find_owner(rows, LOCALHOST, 50000, 2525) == 1000
    assert find_owner(rows, ipaddress.ip_address("::ffff:127.0.0.1"), 50000, 2525) == 1000
    assert find_owner(rows, ipaddress.ip_address("::1"), 50000, 2525) is None


def test_garbage_in_the_table_finds_nobody() -> None:
    assert find_owner(b"x\ny z\n\n", LOCALHOST, 1, 2) is None


@pytest.mark.skipif(not LoopbackOwnerCheck.is_available(), reason="no /proc/net/tcp")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("asks_kernel", [True, False], ids=["asked", "table"])
def test_our_own_connection_is_ours_and_foreign_uids_are_refused(
    host: str, asks_kernel: bool
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, ThreadPoolExecutor(1) as executor:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            peer_host, peer_port = client.getsockname()[:2]
            ours = LoopbackOwnerCheck(executor, asks_kernel=asks_kernel)
            others = LoopbackOwnerCheck(
                executor, allowed_uids=[os.getuid() + 1], asks_kernel=asks_kernel
            )
            assert ours.owner_uid(peer_host, peer_port, port) == os.getuid()
            assert asyncio.run(ours.allowed(peer_host, peer_port, port))
            assert not asyncio.run(others.allowed(peer_host, peer_port, port))
            client.close()
            assert not asyncio.run(ours.allowed(peer_host, peer_port, port))


def test_unknown_owners_are_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        check = LoopbackOwnerCheck(executor, tables=[tmp_path / "missing"])
        assert not asyncio.run(check.allowed("127.0.0.1", 1, 2))
        assert not asyncio.run(check.allowed("not an address", 1, 2))
