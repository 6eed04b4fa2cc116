"""The outbox: every notice that was sent and is not settled, folded from POST's own records.

A message is sent once its Outgoing record is in the log, and settled notice by notice by Progressed
records. What is open is kept as private notes too, so that a start need not read the whole log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.foundation.codec import Format, encode
from epost.foundation.ids import U8, U63, Bytes16
from epost.foundation.ports import Write
from epost.post.accounts.devices import Device
from epost.post.notification.records import (
    RECIPIENTS_MAX,
    SETTLED,
    DeliveryState,
    Outgoing,
    OutgoingNotice,
    Step,
)
from epost.post.ports import NodePorts
from epost.post.sealed_notes import SealedNotes

TABLE = "post.outbox"
MESSAGES_MAX = 10_000


class NoticeProgress(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far one notice came, by the log; `pending` names the envelope that delegates keep.

    `is_warned`: the user was told that it takes its time.
    """

    state: DeliveryState
    pending: Annotated[bytes, msgspec.Meta(max_length=32)]
    is_warned: bool


_NEW = NoticeProgress(DeliveryState.HELD, b"", is_warned=False)


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    sequence: U63
    message_key: Bytes16
    app: U8
    sent_at: U63
    expires_at: U63
    notices: Annotated[tuple[OutgoingNotice, ...], msgspec.Meta(max_length=RECIPIENTS_MAX)]
    progress: Annotated[tuple[NoticeProgress, ...], msgspec.Meta(max_length=RECIPIENTS_MAX)]


_NOTE: Format[_Note] = Format(_Note, size_max=512 * 1024)


@dataclass(slots=True)
class OpenMessage:
    """A message with unsettled notices; its contents are in the log at `sequence`."""

    sequence: int
    message_key: bytes
    app: int
    sent_at: int
    expires_at: int
    notices: tuple[OutgoingNotice, ...]
    progress: list[NoticeProgress]

    @property
    def is_settled(self) -> bool:
        """Is nothing to be offered any more?"""
        return all(progress.state in SETTLED for progress in self.progress)


class Outbox:
    """The messages that are on their way."""

    def __init__(self, device: Device, ports: NodePorts) -> None:
        self._notes = SealedNotes(TABLE, secret=device.notes_secret, ports=ports)
        self._messages: dict[bytes, OpenMessage] = {}
        self._changed: dict[bytes, None] = {}
        self._delegated: dict[bytes, tuple[bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def load(self) -> None:
        """Read the notes of the last checkpoint."""
        for _, value in self._notes.all():
            note = _NOTE.decode(value)
            self._messages[note.message_key] = OpenMessage(
                note.sequence,
                note.message_key,
                note.app,
                note.sent_at,
                note.expires_at,
                note.notices,
                list(note.progress),
            )
            for index, progress in enumerate(note.progress):
                if progress.pending:
                    self._delegated[progress.pending] = (note.message_key, index)

    def messages(self) -> Iterator[OpenMessage]:
        """Yield the open messages, oldest first."""
        yield from list(self._messages.values())

    def message(self, message_key: bytes) -> OpenMessage | None:
        """Return an open message, None once it is settled."""
        return self._messages.get(message_key)

    def delegated(self, pending: bytes) -> tuple[OpenMessage, int] | None:
        """Return the message, and the number of its notice, that delegates keep under a digest."""
        message_key, index = self._delegated.get(pending, (b"", 0))
        message = self._messages.get(message_key)
        return None if message is None else (message, index)

    def on_outgoing(self, sequence: int, outgoing: Outgoing) -> None:
        """A message was sent; or, after a fork, logged again under another number."""
        known = self._messages.get(outgoing.message_key)
        progress = [_NEW] * len(outgoing.notices) if known is None else known.progress
        self._messages[outgoing.message_key] = OpenMessage(
            sequence,
            outgoing.message_key,
            outgoing.app,
            outgoing.sent_at,
            outgoing.expires_at,
            outgoing.notices,
            progress,
        )
        self._changed[outgoing.message_key] = None

    def on_step(self, step: Step) -> None:
        """A notice came further; steps back, and those of settled messages, are ignored."""
        message = self._messages.get(step.message_key)
        if message is None or step.notice >= len(message.progress):
            return
        known = message.progress[step.notice]
        if not _leads_on(known, step):
            return
        pending = step.pending or known.pending
        message.progress[step.notice] = NoticeProgress(step.state, pending, known.is_warned)
        if step.pending:
            self._delegated.pop(known.pending, None)
            self._delegated[step.pending] = (step.message_key, step.notice)
        self._changed[step.message_key] = None
        if message.is_settled:
            del self._messages[step.message_key]
            for progress in message.progress:
                self._delegated.pop(progress.pending, None)

    def on_warned(self, message_key: bytes, notice: int) -> None:
        """The user knows that a notice is late."""
        message = self._messages.get(message_key)
        if message is not None and notice < len(message.progress):
            known = message.progress[notice]
            message.progress[notice] = msgspec.structs.replace(known, is_warned=True)
            self._changed[message_key] = None

    def checkpoint(self) -> list[Write]:
        """Return the writes that bring the notes up to date."""
        writes: list[Write] = []
        for message_key in self._changed:
            name = self._notes.name(message_key)
            message = self._messages.get(message_key)
            if message is None:
                writes.append(self._notes.delete(name))
            else:
                writes.append(self._notes.put(name, encode(_note_of(message))))
        self._changed.clear()
        return writes


def _leads_on(known: NoticeProgress, step: Step) -> bool:
    if known.state in SETTLED:
        return step.state is DeliveryState.READ
    is_sealed_anew = step.state is known.state and step.pending != known.pending
    return step.state > known.state or is_sealed_anew


def _note_of(message: OpenMessage) -> _Note:
    return _Note(
        message.sequence,
        message.message_key,
        message.app,
        message.sent_at,
        message.expires_at,
        message.notices,
        tuple(message.progress),
    )
