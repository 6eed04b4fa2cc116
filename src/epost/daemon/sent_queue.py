"""What was accepted and has not arrived: shown by `epost queue`, taken back while it is held."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from epost.daemon.control import Command
from epost.foundation.errors import NoSuchMail
from epost.foundation.ports import Clock
from epost.node.assembly import Node
from epost.post.notification.outbox import OpenMessage
from epost.post.notification.records import DeliveryState

ID_DIGITS_MIN = 8
STATE_WORDS = {
    DeliveryState.HELD: "held locally",
    DeliveryState.STORED: "stored on the ring, not yet with the recipient",
    DeliveryState.DELEGATED: "left with delegates until the recipient is there",
}


class SentQueue:
    """The outbox of a node, for people."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock

    def commands(self) -> dict[str, Command]:
        """Return what the control socket offers of it."""

        async def queue(_: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"waiting": [row for message in self._messages() for row in self._rows(message)]}

        async def withdraw(request: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self.withdraw(str(request.get("id", "")))

        return {"queue": queue, "withdraw": withdraw}

    async def withdraw(self, id_start: str) -> Mapping[str, Any]:
        """Take back the held mail whose id begins so, for all of its recipients.

        Raises NoSuchMail unless one message is meant, RefusedError if it is on its way.
        """
        keys = [message.message_key for message in self._messages()]
        meant = [key for key in keys if key.hex().startswith(id_start.lower())]
        if len(id_start) < ID_DIGITS_MIN or len(meant) != 1 or self._node.post is None:
            raise NoSuchMail(
                f"give the id that `epost queue` shows, or at least {ID_DIGITS_MIN} digits of it"
            )
        await self._node.post.services.notifications.withdraw(meant[0])
        return {"withdrawn": meant[0].hex()}

    def _messages(self) -> Iterator[OpenMessage]:
        post = self._node.post
        return post.ledger.outbox.messages() if post else iter(())

    def _rows(self, message: OpenMessage) -> Iterator[dict[str, str]]:
        post = self._node.post
        assert post is not None
        # A message that is held has the date on which it leaves.
        is_held = message.sent_at > self._clock.wall_ms()
        for state in post.services.notifications.states(message.message_key):
            if state.state not in STATE_WORDS:
                continue
            where = STATE_WORDS[state.state]
            yield {
                "since": "" if is_held else _utc(message.sent_at),
                "held_until": _utc(message.sent_at) if is_held else "",
                "recipient": state.name,
                "state": f"to leave {_utc(message.sent_at)}" if is_held else where,
                "reason": state.reason,
                "id": message.message_key.hex(),
            }


def _utc(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return moment.isoformat(timespec="seconds")
