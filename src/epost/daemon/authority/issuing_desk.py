"""Where a daemon that issues answers machines that ask the group of such daemons."""

from __future__ import annotations

from collections.abc import Callable

from epost.daemon.enrolment.listener import EnrolmentRefused
from epost.foundation.errors import EpostError
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.ports import Observer
from epost.node.assembly import Node
from epost.rings.renewal import issuing_group

Answer = Callable[[bytes], bytes | None]
"""Answers a request, or None for what is for another issuer; raises EpostError for a bad one."""


class IssuingDesk:
    """Closed until it is opened; while it is open, anycasts to the group find this node."""

    def __init__(self, node: Node, answer: Answer, observer: Observer) -> None:
        self._node = node
        self._answer = answer
        self._observer = observer
        self._group = issuing_group(node.issuers.trust.ring)
        self.is_open = False
        node.scribe.register_taker(self)

    def open(self) -> None:
        """Join the group."""
        self._node.scribe.join(self._group)
        self._node.driver.wake()
        self.is_open = True

    def close(self) -> None:
        """Leave the group."""
        self._node.scribe.leave(self._group)
        self._node.driver.wake()
        self.is_open = False

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        """Return the answer; None, so that another is asked, if the request does not hold."""
        if group != self._group:
            return None
        try:
            return self._answer(body)
        except EpostError as error:
            self._observer.record(EnrolmentRefused("the ring", str(error)))
            return None
