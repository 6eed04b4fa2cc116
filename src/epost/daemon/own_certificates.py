"""What the authority certified for this machine and its user: kept in force, followed, watched."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from epost.crypto.signing import SigningKey
from epost.daemon.account.certified_alarm import alarm_advice, make_watch
from epost.daemon.account.own_keys import keys_advice
from epost.daemon.renewal import FolderStanding, asking_at_the_port, membership_advice
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.renewal import Renewal
from epost.node.secret_keeping import SecretKeeping


class OwnCertificates:
    """The stories of one daemon about its certificates, and what its owner should do about them."""

    def __init__(
        self,
        node: Node,
        standing: FolderStanding,
        node_key: SigningKey,
        *,
        enrolment: Sequence[str],
        clock: Clock,
        observer: Observer,
    ) -> None:
        """`enrolment` is where the authority's port is, for when nobody answers in the ring."""
        self._clock = clock
        ask_directly = asking_at_the_port(enrolment, lambda: node.issuers.trust)
        self.renewal = Renewal(
            node, standing, node_key, clock=clock, observer=observer, ask_directly=ask_directly
        )
        self._secret_keeping = SecretKeeping(
            node, lambda: standing.node_certificate, node_key, clock=clock, observer=observer
        )
        self.watch = make_watch(node, standing, observer, clock)

    def stories(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what is to run for as long as the node runs."""
        return (
            self.renewal.keep_renewing(),
            self._secret_keeping.keep_current(),
            self.watch.keep_watching(),
        )

    def advice(self) -> list[str]:
        """Say what the owner must know or do, for `epost status`."""
        validity = self.renewal.validity()
        return [
            *alarm_advice(self.watch.alarms()),
            *keys_advice(validity),
            *membership_advice(validity, self._clock),
        ]
