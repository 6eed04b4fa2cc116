"""The ring as the transport sees it: who may link, and what is told when a link comes up."""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.certificates import NodeCert
from epost.daemon.tls.hello import RingNews
from epost.daemon.tls.transport import TlsTransport
from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node


@dataclass(frozen=True, slots=True)
class CertifiedLogForked:
    """A peer knows another certified log of the same length: the authority, or the peer, lies."""

    peer: NodeHandle
    sequence: int


class RingWord:
    """Verifies peers by the node's newest knowledge; the node is made after the transport."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self.node: Node | None = None
        self.transport: TlsTransport | None = None

    def verify(self, certificate: bytes) -> NodeCert:
        """Return the certificate of a node in force; raises PeerError, AuthenticityError."""
        issuers = self._node().issuers
        now_ms = self._clock.wall_ms()
        verified = issuers.trust.verify_node(certificate, now_ms)
        if issuers.is_node_revoked(verified):
            raise UntrustedCertificate("the certificate of this node was revoked")
        return verified

    def news(self) -> RingNews:
        """Return what we tell others about our authority's newest word."""
        newest = self._node().issuers.newest()
        if newest is None:
            return RingNews()
        log = newest.certified_log
        return RingNews(newest.number, log.sequence, log.tip)

    def on_news(self, node: NodeHandle, news: RingNews, clock_ms: int) -> None:
        """Compare clocks and certified logs; newer blocks come by gossip (`rings.issuers`)."""
        self._node().clock_check.on_peer_clock(node.id, clock_ms)
        ours = self.news()
        if ours.log_sequence == news.log_sequence and ours.log_tip != news.log_tip:
            self._observer.record(CertifiedLogForked(node, ours.log_sequence))

    def is_overloaded(self) -> bool:
        """Has the node more to do than it should take in? Then no link is read meanwhile."""
        return self.node is not None and self.node.driver.is_overloaded()

    def recheck(self) -> None:
        """Judge the open links again: somebody may have been revoked."""
        if self.transport is not None:
            self.transport.recheck()

    def _node(self) -> Node:
        assert self.node is not None, "the transport starts after the node was put together"
        return self.node
