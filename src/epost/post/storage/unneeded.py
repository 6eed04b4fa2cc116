"""Blocks that nothing of this account refers to any more, and since when: a crash forgets none.

A block that is used again, by whoever stores or reads it, is struck off at once: what is about to
refer to it need not have been written down yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.ids import U63, Bytes32
from epost.foundation.ports import Write
from epost.post.accounts.devices import Device
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes

TABLE = "post.unneeded"
UNNEEDED_MAX = 20_000
"""Blocks that wait for their end at a time; the others are found when these have gone."""


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    digest: Bytes32
    since: U63


_NOTE: Format[_Note] = Format(_Note, size_max=64)


class UnneededBlocks:
    """The digests of content blocks, with the time (ms) since when nothing refers to them."""

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._disk = ports.disk
        self._stories = ports.stories
        self._since: dict[bytes, int] = {}

    def load(self) -> None:
        """Read back what was noted before the start."""
        for _, value in self._notes.all():
            note = _NOTE.decode(value)
            self._since[note.digest] = note.since

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._since

    def __len__(self) -> int:
        return len(self._since)

    @property
    def room(self) -> int:
        """How many more are noted at this time."""
        return max(0, UNNEEDED_MAX - len(self._since))

    def noted_until(self, at_ms: int, *, limit: int) -> list[bytes]:
        """Return some of those that were noted by then, those first that were noted first."""
        due = (digest for digest, since in self._since.items() if since <= at_ms)
        return list(islice(due, limit))

    async def note(self, digests: Iterable[bytes], at_ms: int) -> None:
        """Note blocks, as far as there is room; returns when that is on disk."""
        new = [digest for digest in digests if digest not in self._since]
        del new[self.room :]
        self._since.update((digest, at_ms) for digest in new)
        await self._disk.durable(
            [self._notes.put(self._notes.name(d), encode(_Note(d, at_ms))) for d in new]
        )

    async def strike(self, digests: Iterable[bytes]) -> None:
        """Forget blocks; returns when that is on disk."""
        known = [digest for digest in digests if self._since.pop(digest, None) is not None]
        if known:
            await self._disk.durable(list(map(self._deletion, known)))

    def use(self, digest: bytes) -> None:
        """A block is stored or read: whoever does may refer to it soon."""
        if self._since.pop(digest, None) is not None:
            # A crash before this is on disk takes the record that was to refer to it along, or
            # leaves one that says that it is needed.
            self._stories.run_story(self._disk.durable([self._deletion(digest)]))

    def _deletion(self, digest: bytes) -> Write:
        return self._notes.delete(self._notes.name(digest))
