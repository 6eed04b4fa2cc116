"""Read receipts: signed by a recipient's device when its user has read something, if she wishes.

Off by default: when somebody reads her mail is nobody's business. The device that accepted a notice
signs for it, wherever it was read, so that one receipt is sent for each, and offers the receipt to
the sender's devices until one of them has taken it, for a month.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from math import inf
from typing import Annotated

import msgspec

from epost.crypto.names import NAME_LENGTH_MAX
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import AuthenticityError, PeerError, RefusedError, UnavailableError
from epost.foundation.ids import U63, Bytes32
from epost.foundation.ports import Write
from epost.foundation.wire import Application
from epost.past.pending import ReceiptStatus
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.devices import Device
from epost.post.config import PostConfig
from epost.post.messages import Settle
from epost.post.notification import receipts
from epost.post.ports import NodePorts, Requests
from epost.post.sealed_notes import SealedNotes

TABLE = "post.unread"
UNREAD_MAX = 10_000
"""Notices that wait to be read; of more the oldest are never reported."""
UNREAD_KEPT_MS = 90 * DAY_MS
"""What nobody has read for so long is not reported any more."""
OFFERED_MS_MAX = 30 * DAY_MS
TAG_BYTES_MAX = 32
TOLD_AFTER_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
_TROUBLES = (AuthenticityError, PeerError, RefusedError, UnavailableError)


class _Unread(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    tag: Annotated[bytes, msgspec.Meta(max_length=TAG_BYTES_MAX)]
    pending: Bytes32
    sender: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    accepted_at: U63
    read_at: U63
    """0 until it is read."""


_UNREAD: Format[_Unread] = Format(_Unread, size_max=1024)


class ReadReceipts:
    """Knows by the application's tags which notices are still to be read."""

    def __init__(
        self,
        *,
        device: Device,
        accounts: Accounts,
        requests: Requests,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._device = device
        self._accounts = accounts
        self._requests = requests
        self._ports = ports
        self._config = config
        self._waiting: dict[bytes, _Unread] = {}
        self._has_read = asyncio.Event()

    def load(self) -> None:
        """Read back what waits and is not too old; if the user has changed her mind, nothing is."""
        oldest = self._ports.clock.wall_ms() - UNREAD_KEPT_MS
        notes = [_UNREAD.decode(value) for _, value in self._notes.all()]
        notes.sort(key=lambda note: note.accepted_at)
        self._waiting = {note.tag: note for note in notes}
        wanted = oldest if self._config.read_receipts else inf
        unwanted = [note.tag for note in notes if max(note.accepted_at, note.read_at) < wanted]
        self._ports.stories.run_story(self._ports.disk.durable(list(map(self._forget, unwanted))))

    @property
    def are_awaited(self) -> bool:
        """Is there anything whose reading is to be told?"""
        return bool(self._waiting)

    async def accepted(self, tag: bytes, pending: bytes, sender: str) -> None:
        """A notice was accepted, which the application calls by a tag; returns when noted."""
        if not self._config.read_receipts or not tag:
            return
        note = _Unread(tag, pending, sender, self._ports.clock.wall_ms(), 0)
        forgotten = list(self._waiting)[: max(0, len(self._waiting) + 1 - UNREAD_MAX)]
        self._waiting[tag] = note
        await self._ports.disk.durable([self._put(note), *map(self._forget, forgotten)])

    def read(self, tags: Iterable[bytes]) -> None:
        """The user has read these; those not waited for are passed over."""
        now_ms = self._ports.clock.wall_ms()
        for tag in tags:
            note = self._waiting.get(tag)
            if note is not None and not note.read_at:
                self._waiting[tag] = read = msgspec.structs.replace(note, read_at=now_ms)
                self._ports.stories.run_story(self._ports.disk.durable([self._put(read)]))
                self._has_read.set()

    async def keep_telling(self) -> None:
        """Offer what was read to its senders, again and again until they have it, for ever."""
        pause = self._config.offer_again_seconds_min
        while True:
            self._has_read.clear()
            # The sender's record that it was delivered may be under way still.
            await asyncio.sleep(TOLD_AFTER_SECONDS)
            is_done = await self._tell_all()
            pause = self._config.offer_again_seconds_min if is_done else pause * 2
            pause = min(pause, self._config.offer_again_seconds_max)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if is_done else pause):
                    await self._has_read.wait()

    async def _tell_all(self) -> bool:
        """Return whether nothing is left to tell."""
        is_done = True
        for note in [note for note in self._waiting.values() if note.read_at]:
            is_over = self._ports.clock.wall_ms() > note.read_at + OFFERED_MS_MAX
            if is_over or await self._tell(note):
                await self._ports.disk.durable([self._forget(note.tag)])
            else:
                is_done = False
        return is_done

    async def _tell(self, note: _Unread) -> bool:
        """Return whether one of the sender's devices took the receipt."""
        receipt = receipts.sign(self._device, note.pending, ReceiptStatus.READ, note.read_at)
        with suppress(*_TROUBLES):
            for node in (await self._accounts.resolve(note.sender)).addresses:
                with suppress(*_TROUBLES):
                    await self._requests.call(
                        node,
                        Application.POST,
                        encode(Settle(receipt)),
                        timeout_seconds=_TIMEOUT_SECONDS,
                    )
                    return True
        return False

    def _put(self, note: _Unread) -> Write:
        return self._notes.put(self._notes.name(note.tag), encode(note))

    def _forget(self, tag: bytes) -> Write:
        self._waiting.pop(tag, None)
        return self._notes.delete(self._notes.name(tag))
