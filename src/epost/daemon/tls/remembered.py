"""What the transport remembers of nodes beyond their links: certificates, and whom it refuses."""

from __future__ import annotations

from collections import OrderedDict

from epost.daemon.tls.config import TransportConfig
from epost.foundation.ids import NodeId


class Remembered:
    """Bounded memories; the oldest entries go first."""

    def __init__(self, config: TransportConfig) -> None:
        self._config = config
        self._certificates: OrderedDict[NodeId, bytes] = OrderedDict()
        self._refused_until: OrderedDict[NodeId, float] = OrderedDict()

    def certificate(self, node: NodeId) -> bytes | None:
        """Return the NodeCert of a node that was linked lately."""
        return self._certificates.get(node)

    def keep_certificate(self, node: NodeId, certificate: bytes) -> None:
        """Remember the NodeCert that a node showed."""
        self._certificates.pop(node, None)
        self._certificates[node] = certificate
        if len(self._certificates) > self._config.certificates_kept_max:
            self._certificates.popitem(last=False)

    def refuse(self, node: NodeId, now: float) -> None:
        """Want no link with a node for a while."""
        self._refused_until.pop(node, None)
        self._refused_until[node] = now + self._config.refuse_seconds
        if len(self._refused_until) > self._config.refused_max:
            self._refused_until.popitem(last=False)

    def is_refused(self, node: NodeId, now: float) -> bool:
        """Tell whether a node broke the protocol lately."""
        return now < self._refused_until.get(node, 0.0)
