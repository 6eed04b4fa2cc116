"""What a revoked device had sent and not yet delivered goes on from here (crypto 2.2).

Its notices were signed by a key that counts no more. Sent again under the same ids they are known
to whoever has them already, so that nothing arrives twice and nothing is lost with the machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from epost.foundation.errors import PeerError
from epost.foundation.ports import PutNote
from epost.post.app_ids import AppId
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry
from epost.post.notification.ledger import entry_of
from epost.post.notification.records import (
    POST_RECORD,
    PROGRESS_MAX,
    SETTLED,
    Outgoing,
    PostRecord,
    Progressed,
    Step,
)
from epost.post.observed import OutboxInherited
from epost.post.ports import NodePorts

TABLE = "post.inherited"


class Inheritance:
    """Takes over the outboxes of revoked devices, each once."""

    def __init__(self, *, log: DeviceLog, ports: NodePorts, resume: Callable[[], None]) -> None:
        """`resume` has everything offered that is open in the outbox."""
        self._log = log
        self._ports = ports
        self._resume = resume

    def is_due(self, device_key: bytes) -> bool:
        """Has the outbox of this device not been taken over yet?"""
        return self._ports.disk.note(TABLE, device_key) is None

    async def take_over(self, device_key: bytes, entries: AsyncIterator[Entry]) -> None:
        """Log anew what the records of a revoked device leave open, and offer it.

        After a crash in between it is done again, which changes nothing: messages keep their keys.
        """
        left = await _left_open(entries, self._ports.clock.wall_ms())
        for outgoing, steps in left:
            await self._log.append([entry_of(outgoing), *map(entry_of, steps)])
        await self._ports.disk.durable([PutNote(TABLE, device_key, b"")])
        if left:
            self._ports.observer.record(OutboxInherited(len(left)))
            self._resume()


async def _left_open(
    entries: AsyncIterator[Entry], now_ms: int
) -> list[tuple[Outgoing, list[Progressed]]]:
    """Return the messages with unsettled notices, each with the steps of those that are settled."""
    sent: dict[bytes, Outgoing] = {}
    settled: dict[bytes, dict[int, Step]] = {}
    async for entry in entries:
        match _read(entry):
            case Outgoing() as outgoing:
                sent[outgoing.message_key] = outgoing
            case Progressed(steps):
                for step in steps:
                    if step.state in SETTLED:
                        settled.setdefault(step.message_key, {})[step.notice] = step
            case _:
                pass
    left: list[tuple[Outgoing, list[Progressed]]] = []
    for key, outgoing in sent.items():
        done = list(settled.get(key, {}).values())
        if len(done) < len(outgoing.notices) and now_ms <= outgoing.expires_at:
            cuts = range(0, len(done), PROGRESS_MAX)
            left.append((outgoing, [Progressed(tuple(done[i : i + PROGRESS_MAX])) for i in cuts]))
    return left


def _read(entry: Entry) -> PostRecord | None:
    if entry.app != AppId.POST:
        return None
    try:
        return POST_RECORD.decode(entry.payload)
    except PeerError:
        return None  # of a later version
