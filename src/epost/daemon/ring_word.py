"""The ring as the transport sees it: who may link, and what is told when a link comes up."""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.certificates import NodeCert
from epost.daemon.tls.hello import RingNews
from epost.daemon.tls.transport import TlsTransport
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
        node = self._node()
        now_ms = self._clock.wall_ms()
        verified = node.issuers.trust.verify_node(certificate, now_ms)
        was_linked = self.transport is not None and self.transport.certificate(verified.id)
        is_known = bool(was_linked) or node.overlay.knows(verified.id)
        node.issuers.judge_link(verified, is_known=is_known, now_ms=now_ms)
        return verified

    def news(self) -> RingNews:
        """Return what we tell others about our authority's newest word."""
        issuers = self._node().issuers
        newest = issuers.newest()
        if newest is None:
            return RingNews(issuers.news_number)
        log = newest.certified_log
        return RingNews(issuers.news_number, log.sequence, log.tip)

    def on_news(self, node: NodeHandle, news: RingNews, clock_ms: int) -> None:
        """Compare clocks, certified logs and how new the authority's blocks are."""
        here = self._node()
        here.clock_check.on_peer_clock(node.id, clock_ms)
        ours = self.news()
        if ours.issuer_block_number != news.issuer_block_number:
            here.issuers.on_peer_number(node, news.issuer_block_number)
            here.driver.wake()
        elif ours.log_sequence == news.log_sequence and ours.log_tip != news.log_tip:
            # Both hold the same blocks, so both speak of the same issuer's log.
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
