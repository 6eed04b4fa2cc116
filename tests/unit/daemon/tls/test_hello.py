"""HELLO and the certificates of TLS: fixed bytes that every later version must still read."""

from __future__ import annotations

import hashlib

import pytest

from epost.crypto.signing import SigningKey
from epost.crypto.x509 import make_authority, make_leaf
from epost.daemon.tls.hello import (
    VERSION_HIGHEST,
    Hello,
    NoCommonVersion,
    RingNews,
    common_version,
    make_hello,
)
from epost.foundation.codec import Format
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import Address, NodeHandle
from tests.support.tls import node_id

NODE = NodeHandle(b"r" * 20, node_id(2), (Address("192.0.2.1", 4510),))
GOLDEN = (
    "9901" "01" "01" "c40b6365727469666963617465" "cf0000018bcfe56800" "07" "08"
    "c420" + "74" * 32 + "93" "c414" + "72" * 20 + "c414" "00000002" + "00" * 16
    + "91" "92" "a93139322e302e322e31" "cd119e"
)  # fmt: skip


def test_the_golden_hello_is_still_written_and_read() -> None:
    news = RingNews(7, 8, b"t" * 32)
    hello = make_hello(NODE, b"certificate", news, 1_700_000_000_000)
    assert hello.hex() == GOLDEN.replace("99010101", "99010102", 1)  # says version 2 since then
    for data in (hello, bytes.fromhex(GOLDEN)):
        read = Format[Hello](Hello, size_max=1000).decode(data)
        assert read.node == NODE
        assert read.clock_ms == 1_700_000_000_000


def test_the_golden_certificates_are_still_made() -> None:
    authority = make_authority(b"\x01" * 32, "example.org", not_before_ms=1_700_000_000_000)
    leaf = make_leaf(
        b"\x01" * 32,
        authority,
        node_key=SigningKey(b"\x02" * 32).public,
        node_id=node_id(2),
        not_before_ms=1_700_000_000_000,
    )
    assert (
        hashlib.sha256(authority).hexdigest()
        == "896314bf2d7b756c302ee4fb788d7475994390aef3c2a0f9c96659c3ef58e42c"
    )
    assert (
        hashlib.sha256(leaf).hexdigest()
        == "a060dd766b373df72e1f5cdb2b930251096f77ff5bb73df60a65932f4e9feccd"
    )


def test_the_highest_common_version_is_taken() -> None:
    assert common_version(1, 1) == 1
    assert common_version(1, 2) == 2
    assert common_version(0, 200) == VERSION_HIGHEST
    with pytest.raises(NoCommonVersion, match="versions 3 to 4, this node 1 to 2"):
        common_version(3, 4)
    with pytest.raises(NoCommonVersion):
        common_version(0, 0)
    with pytest.raises(MalformedPacket):
        common_version(2, 1)
