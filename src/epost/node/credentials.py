"""The certificates of nodes, for the overlay's secure routing: where from, and whose they are."""

from __future__ import annotations

from collections import OrderedDict

from epost.crypto.certificates import NodeCert
from epost.foundation.errors import AuthenticityError, PeerError
from epost.foundation.ids import NodeId
from epost.foundation.ports import Clock, Transport
from epost.rings.issuers import Issuers

VERIFIED_MAX = 2048
"""Certificates whose signature is remembered to hold."""


class NodeCredentials:
    """Credentials of the overlay; `issuers` is made after the overlay, and set then."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._verified: OrderedDict[bytes, NodeCert] = OrderedDict()
        self.issuers: Issuers | None = None

    def certificate_of(self, node: NodeId) -> bytes | None:
        """Return the certificate of this node, or of one there was a link with."""
        return self._transport.certificate(node)

    def holder_of(self, certificate: bytes) -> NodeId | None:
        """Return whose certificate this is, None if it does not verify or counts no longer."""
        assert self.issuers is not None, "the node is put together before it routes"
        now_ms = self._clock.wall_ms()
        node = self._verified.get(certificate)
        if node is None:
            try:
                node = self.issuers.trust.verify_node(certificate, now_ms)
            except (AuthenticityError, PeerError):
                return None
            self._verified[certificate] = node
            if len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        if now_ms >= node.not_after or self.issuers.is_node_revoked(node):
            return None
        return node.id
