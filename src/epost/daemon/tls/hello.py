"""HELLO: what two nodes tell each other first, and what must hold before a link is up.

OpenSSL has verified the other side's leaf by then; here the node certificate is verified and tied
to it: same key, same node id, same ring, and the id that was dialled (crypto 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import msgspec

from epost.crypto.certificates import V1, NodeCert
from epost.crypto.signing import SigningKey
from epost.crypto.x509 import node_id_of, public_key_of
from epost.daemon.tls.contexts import NodeIdentity
from epost.daemon.tls.frames import HELLO_BYTES_MAX
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError, MalformedPacket, RefusedError, UntrustedCertificate
from epost.foundation.ids import U8, U63, Bytes32, NodeHandle, NodeId

VERSION_LOWEST: Final = 1
VERSION_HIGHEST: Final = 2


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first frame each way; its format is the same in every version of the protocol."""

    format: V1
    version_lowest: U8
    version_highest: U8
    certificate: Annotated[bytes, msgspec.Meta(max_length=HELLO_BYTES_MAX)]
    clock_ms: U63
    issuer_block_number: U63
    log_sequence: U63
    log_tip: Bytes32
    node: NodeHandle


_HELLO: Format[Hello] = Format(Hello, size_max=HELLO_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class RingNews:
    """What a node knows of its ring's authority: newer news are worth asking for.

    Two tips of the certified log at one sequence are evidence against the issuer (crypto 3.6).
    """

    issuer_block_number: int = 0
    log_sequence: int = 0
    log_tip: bytes = bytes(32)


class RingView(Protocol):
    """What the transport asks of the node about its ring."""

    def verify(self, certificate: bytes) -> NodeCert:
        """Return the verified NodeCert of this ring, in force now and not revoked.

        Raises PeerError or AuthenticityError.
        """
        ...

    def news(self) -> RingNews:
        """Return what we tell others."""
        ...

    def on_news(self, node: NodeHandle, news: RingNews, clock_ms: int) -> None:
        """Take what a peer told when its link came up, and its wall clock just now."""


class NoCommonVersion(RefusedError):  # noqa: N818 - as the errors of the foundation
    """The two sides speak no common version of the protocol."""


class WrongNode(RefusedError):  # noqa: N818
    """At this address there is another node than the one dialled, or it is ourselves."""


@dataclass(frozen=True, slots=True)
class Introduced:
    """A peer whose HELLO held."""

    node: NodeHandle
    certificate: bytes
    version: int
    news: RingNews
    clock_ms: int


def require_consistent(identity: NodeIdentity) -> None:
    """Check that the parts of our own identity belong together; raises ConfigError."""
    key = SigningKey(identity.key_seed).public
    _, node_id = node_id_of(identity.leaf)
    if key != public_key_of(identity.leaf) or node_id != identity.node.node_id:
        raise ConfigError("node key, TLS certificate and node id do not belong together")


def make_hello(node: NodeHandle, certificate: bytes, news: RingNews, clock_ms: int) -> bytes:
    """Return our HELLO."""
    return encode(
        Hello(
            1,
            VERSION_LOWEST,
            VERSION_HIGHEST,
            certificate,
            clock_ms,
            news.issuer_block_number,
            news.log_sequence,
            news.log_tip,
            node,
        )
    )


def open_hello(
    data: bytes, *, leaf: bytes, me: NodeHandle, ring: RingView, dialled: NodeId | None
) -> Introduced:
    """Verify a peer's HELLO against the leaf of its link.

    `dialled` is the node that we wanted, None if the peer opened the link. Raises MalformedPacket,
    AuthenticityError, NoCommonVersion, WrongNode.
    """
    hello = _HELLO.decode(data)
    version = common_version(hello.version_lowest, hello.version_highest)
    certificate = ring.verify(hello.certificate)
    _require_same_node(hello, certificate, leaf, me)
    if certificate.node_id == me.node_id:
        raise WrongNode("a link to ourselves, or another node has our certificate")
    if dialled is not None and certificate.node_id != dialled:
        raise WrongNode(f"dialled {dialled[:4].hex()}, there is {hello.node}")
    news = RingNews(hello.issuer_block_number, hello.log_sequence, hello.log_tip)
    return Introduced(hello.node, hello.certificate, version, news, hello.clock_ms)


def common_version(lowest: int, highest: int) -> int:
    """Return the highest version both sides speak; raises NoCommonVersion, MalformedPacket."""
    if lowest > highest:
        raise MalformedPacket("versions in the wrong order")
    version = min(highest, VERSION_HIGHEST)
    if version < max(lowest, VERSION_LOWEST):
        raise NoCommonVersion(
            f"speaks protocol versions {lowest} to {highest}, "
            f"this node {VERSION_LOWEST} to {VERSION_HIGHEST}: update the older one"
        )
    return version


def _require_same_node(hello: Hello, certificate: NodeCert, leaf: bytes, me: NodeHandle) -> None:
    _, node_id = node_id_of(leaf)
    if certificate.node_key != public_key_of(leaf):
        raise UntrustedCertificate("the node certificate is for another key than the link's")
    if not certificate.node_id == node_id == hello.node.node_id:
        raise UntrustedCertificate("node certificate, TLS name and node handle differ")
    if not certificate.ring == hello.node.ring == me.ring:
        raise UntrustedCertificate("a node of another ring")
