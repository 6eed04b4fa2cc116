"""Answers the POST messages of other nodes (Application.POST)."""

from __future__ import annotations

from typing import assert_never

from epost.foundation.codec import encode
from epost.foundation.ids import NodeHandle
from epost.past.pending import claimed_receipt
from epost.post.logs.siblings import Siblings
from epost.post.messages import POST_MESSAGE, POST_NOTIFICATION, Answered, Deliver, Grew, Settle
from epost.post.notification.notifications import Notifications
from epost.post.notification.reception import Reception


class PostEndpoint:
    """The handler that a node registers for Application.POST."""

    def __init__(
        self, reception: Reception, notifications: Notifications, siblings: Siblings
    ) -> None:
        self._reception = reception
        self._notifications = notifications
        self._siblings = siblings

    async def on_request(self, sender: NodeHandle, body: bytes) -> bytes:
        """Answer a request; an EpostError becomes a refusal."""
        message = POST_MESSAGE.decode(body)
        match message:
            case Deliver(envelope):
                return encode(Answered(await self._reception.receive(envelope, sender)))
            case Settle(receipt):
                pending = claimed_receipt(receipt).pending
                await self._notifications.on_settle(pending, receipt)
                return b""
            case Grew():
                self._siblings.on_grew(sender)
                return b""
        assert_never(message)

    async def on_notify(self, sender: NodeHandle, body: bytes) -> None:
        """Take a one-way message; raises PeerError for one of another version."""
        self._notifications.on_kept(sender, POST_NOTIFICATION.decode(body).pending)
