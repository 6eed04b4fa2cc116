"""A block that does not fit where it belongs is kept by a neighbour (PAST, SOSP 2001, 3.3).

The node that should hold it (the *primary*) asks the members of its leaf set for their room, has
the roomiest keep it, and answers for it by a pointer; the next closest node gets a pointer too, so
that the replica is found again if the primary goes for good. Nobody keeps it whom the inserter may
ask itself: one disk must not count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.foundation.wire import Application, RefusalCode
from epost.past.admission import Admission, Admitted
from epost.past.messages import Accepted
from epost.past.observed import ReplicaDiverted
from epost.past.ring_view import Membership
from epost.past.shelf import Shelf
from epost.past.space.placement import DIVERTED_PART, roomiest
from epost.past.space.words import AskRoom, Divert, Diverted, Point, Room, SpaceWord
from epost.past.surroundings import Surroundings

OPEN_MAX = 16
"""Diversions under way; each keeps its block in memory."""
CALLERS_MAX = 8
ROOMS_MAX = 64
ROOM_SECONDS = 60.0
"""So long a neighbour's word about its room is believed."""
ASK_SECONDS = 0.5
KEEP_SECONDS = 3.0


@dataclass(slots=True)
class _Seeking:
    """A block for which a holder is sought; `holder` is set while one is asked to keep it."""

    admitted: Admitted
    block: bytes = field(repr=False)
    callers: list[Caller]
    candidates: Sequence[NodeHandle]
    until: float
    holder: NodeHandle | None = None


class Diversion:
    """The side of the primary."""

    def __init__(
        self, around: Surroundings, membership: Membership, admission: Admission, shelf: Shelf
    ) -> None:
        self._around = around
        self._admission = admission
        self._membership = membership
        self._shelf = shelf
        self._open: dict[Handle, _Seeking] = {}
        self._rooms: BoundedDict[NodeId, tuple[int, float]] = BoundedDict(ROOMS_MAX)

    def begin(self, admitted: Admitted, block: bytes, caller: Caller | None, now: float) -> None:
        """Have a block kept elsewhere; `caller`, if any, is answered when that is done or fails."""
        handle = admitted.proven.handle
        callers = [] if caller is None else [caller]
        if handle in self._open:
            self._open[handle].callers += callers[: CALLERS_MAX - len(self._open[handle].callers)]
            return
        candidates = self._candidates(handle, caller)
        if not candidates and admitted.proven.size <= self._admission.room():
            self._take(admitted, block, callers)  # in a ring so small t_pri would only refuse
            return
        seeking = _Seeking(admitted, block, callers, candidates, now + ASK_SECONDS)
        if not candidates or len(self._open) >= OPEN_MAX:
            self._refuse(seeking)
            return
        self._open[handle] = seeking
        for node in candidates:
            if self._room_of(node, now) is None:
                self._say(node, AskRoom())
        self._advance(seeking, now)

    def on_room(self, sender: NodeId, word: Room, now: float) -> None:
        """A neighbour says how much room it has."""
        self._rooms.put(sender, (word.octets, now))
        for seeking in list(self._open.values()):
            self._advance(seeking, now)

    def on_diverted(self, sender: NodeId, word: Diverted) -> None:
        """The neighbour that was asked keeps the block, or does not."""
        seeking = self._open.get(word.handle)
        if seeking is None or seeking.holder is None or seeking.holder.id != sender:
            return
        del self._open[word.handle]
        self._rooms.remove(sender)  # it has changed
        if word.is_kept:
            self._settle(seeking, seeking.holder)
        else:
            self._refuse(seeking)

    def tick(self, now: float) -> None:
        """Go on with those that waited long enough."""
        for handle, seeking in list(self._open.items()):
            if now < seeking.until:
                continue
            if seeking.holder is None:
                self._advance(seeking, now)
            else:
                del self._open[handle]
                self._refuse(seeking)

    def _candidates(self, handle: Handle, caller: Caller | None) -> Sequence[NodeHandle]:
        """Return the live neighbours whom the inserter does not ask itself."""
        overlay, config = self._around.overlay, self._around.config
        asked = self._around.issuers.replication_factor() + config.stand_ins
        barred = {node.id for node in overlay.replica_set(handle.place, asked)}
        barred.update(self._membership.view.replicas(handle.place))
        if caller is not None:
            barred.add(caller.node.id)
        return [node for node in self._membership.view.live if node.id not in barred]

    def _advance(self, seeking: _Seeking, now: float) -> None:
        if seeking.holder is not None:
            return
        known = [(node, self._room_of(node, now)) for node in seeking.candidates]
        rooms = [(node, room) for node, room in known if room is not None]
        if len(rooms) < len(known) and now < seeking.until:
            return
        proven = seeking.admitted.proven
        seeking.holder = roomiest(rooms, proven.size, DIVERTED_PART)
        if seeking.holder is None:
            del self._open[proven.handle]
            self._refuse(seeking)
            return
        seeking.until = now + KEEP_SECONDS
        self._say(seeking.holder, Divert(proven.handle, seeking.block, seeking.admitted.voucher))

    def _take(self, admitted: Admitted, block: bytes, callers: Sequence[Caller]) -> None:
        self._shelf.take(admitted, block)
        for caller in callers:
            self._around.outbox.reply_when_durable(caller, encode(Accepted(b"")))

    def _settle(self, seeking: _Seeking, holder: NodeHandle) -> None:
        handle, voucher = seeking.admitted.proven.handle, seeking.admitted.voucher
        self._shelf.point(handle, voucher, holder.node_id, is_primary=True)
        self._around.observer.record(ReplicaDiverted(handle, holder.id))
        k = self._around.issuers.replication_factor()
        for node in self._around.overlay.replica_set(handle.place, k + 1)[k:]:
            self._say(node, Point(handle, holder.node_id, voucher))
        for caller in seeking.callers:
            self._around.outbox.reply_when_durable(caller, encode(Accepted(b"")))

    def _refuse(self, seeking: _Seeking) -> None:
        text = "no room here, nor at a neighbour"
        for caller in seeking.callers:
            self._around.outbox.refuse(caller, RefusalCode.DISK_FULL, text)

    def _room_of(self, node: NodeHandle, now: float) -> int | None:
        room, at = self._rooms.get(node.id) or (0, -ROOM_SECONDS)
        return room if now - at < ROOM_SECONDS else None

    def _say(self, to: NodeHandle, word: SpaceWord) -> None:
        self._around.outbox.notify(to, Application.PAST, encode(word))
