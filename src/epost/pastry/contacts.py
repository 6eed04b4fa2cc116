"""Nodes worth asking that are not in the leaf set: bootstraps, and members that fell silent.

They are asked for ever with a growing pause, so that a node finds its ring after any absence and
two rings that were cut off from each other, or resumed apart, find one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from epost.foundation.ids import ADDRESSES_MAX, NodeHandle
from epost.pastry.config import ABSENT_MAX, FAR_CONTACTS_MAX


@dataclass(slots=True)
class Contact:
    """One silent node: `absent_since` is None for a bootstrap that never was a member."""

    node: NodeHandle
    absent_since: float | None
    pause_seconds: float
    tried_at: float
    is_heard: bool = False

    def due_at(self, pause_seconds_max: float) -> float:
        """When to ask again if pauses are limited so.

        Nodes lost at one time have pauses that differ by up to a quarter, so that soon they are
        not asked at one time any more: then somebody notices early that a partition is over.
        """
        spread = 1 - self.node.node_id[-1] / 1024
        return self.tried_at + min(self.pause_seconds, pause_seconds_max) * spread


class Contacts:
    """The silent nodes, at most ABSENT_MAX; the longest absent goes first."""

    def __init__(self, pause_seconds_min: float) -> None:
        self._pause_min = pause_seconds_min
        self._contacts: dict[bytes, Contact] = {}

    def __len__(self) -> int:
        return len(self._contacts)

    def __contains__(self, node_id: bytes) -> bool:
        return node_id in self._contacts

    def add_bootstraps(self, nodes: Iterable[NodeHandle], now: float) -> None:
        """Enter nodes that the operator named; they are asked at once.

        One that is here from an earlier life may have moved since: it is asked at both addresses.
        """
        for node in nodes:
            if (known := self._contacts.get(node.node_id)) is None:
                self._enter(Contact(node, None, 0.0, now))
            else:
                known.node = _with_all_addresses(node, known.node)

    def add_stored(self, nodes: Iterable[NodeHandle], now: float) -> None:
        """Enter members of an earlier life; absent from now on, asked at once."""
        for node in nodes:
            self._enter(Contact(node, now, 0.0, now))

    def add_silent(self, node: NodeHandle, now: float) -> None:
        """Enter a member that fell silent; asked again after the shortest pause."""
        self._enter(Contact(node, now, self._pause_min, now))

    def refresh(self, node: NodeHandle) -> None:
        """Take over the newest addresses of a node that spoke, if it is here."""
        contact = self._contacts.get(node.node_id)
        if contact is not None:
            contact.node, contact.is_heard = node, True

    def take_heard(self) -> Sequence[NodeHandle]:
        """Return those that spoke since the last call, by id."""
        heard = [contact for contact in self._contacts.values() if contact.is_heard]
        for contact in heard:
            contact.is_heard = False
        return sorted((contact.node for contact in heard), key=lambda node: node.node_id)

    def remove(self, node_id: bytes) -> bool:
        """Forget a node, since it answered; True if it was here."""
        return self._contacts.pop(node_id, None) is not None

    def hurry(self, now: float) -> None:
        """Ask everybody at once and with short pauses again: the world may have changed."""
        for contact in self._contacts.values():
            contact.pause_seconds, contact.tried_at = 0.0, now

    def take_due(
        self, now: float, pause_seconds_max: float, count_max: int = ABSENT_MAX
    ) -> Sequence[NodeHandle]:
        """Return whom to ask now, those that wait longest; their pauses double."""
        due = [c for c in self._contacts.values() if c.due_at(pause_seconds_max) <= now]
        due.sort(key=lambda contact: contact.due_at(pause_seconds_max))
        del due[count_max:]
        for contact in due:
            pause = min(contact.pause_seconds, pause_seconds_max)
            contact.pause_seconds = max(2 * pause, self._pause_min)
            contact.tried_at = now
        return [contact.node for contact in due]

    def next_due_at(self, pause_seconds_max: float) -> float | None:
        """Return when somebody is to be asked, None if there is nobody."""
        return min((c.due_at(pause_seconds_max) for c in self._contacts.values()), default=None)

    def absent(self) -> Sequence[Contact]:
        """Return those that were members, by id."""
        absent = [c for c in self._contacts.values() if c.absent_since is not None]
        return sorted(absent, key=lambda contact: contact.node.node_id)

    def lost_since(self, time: float) -> Sequence[NodeHandle]:
        """Return the members that fell silent at a time or later, by id."""
        absent = ((contact.node, contact.absent_since) for contact in self.absent())
        return [node for node, since in absent if since is not None and since >= time]

    def keep_near(self, is_near: Callable[[bytes], bool]) -> None:
        """Forget all but those that are near, and FAR_CONTACTS_MAX others (named ones first)."""
        far = [c for c in self._contacts.values() if not is_near(c.node.node_id)]
        far.sort(key=lambda contact: contact.absent_since is not None)
        for contact in far[FAR_CONTACTS_MAX:]:
            del self._contacts[contact.node.node_id]

    def expire(self, before: float) -> None:
        """Forget members that are absent since before a time."""
        for contact in self.absent():
            if contact.absent_since is not None and contact.absent_since < before:
                del self._contacts[contact.node.node_id]

    def _enter(self, contact: Contact) -> None:
        self._contacts.pop(contact.node.node_id, None)
        self._contacts[contact.node.node_id] = contact
        if len(self._contacts) > ABSENT_MAX:
            absent = (k for k, c in self._contacts.items() if c.absent_since is not None)
            del self._contacts[next(absent, next(iter(self._contacts)))]


def _with_all_addresses(named: NodeHandle, stored: NodeHandle) -> NodeHandle:
    addresses = tuple(dict.fromkeys((*named.addresses, *stored.addresses)))
    return NodeHandle(named.ring, named.node_id, addresses[:ADDRESSES_MAX])
