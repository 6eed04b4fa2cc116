"""What this machine notes of certified logs: how far each was read, and what was one's own then.

The formats are of several versions: what is beyond the first stands in a table of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1
from epost.crypto.names import NAME_LENGTH_MAX
from epost.foundation.codec import Format, encode
from epost.foundation.ids import U32, U63, Bytes32
from epost.foundation.ports import PutNote, Vault
from epost.past.log_format import NO_RECORD

NOTES = "node.certified"
OWN_NOTES = "node.certified.own"
KEYS_NOTES = "node.certified.keys"
OWN_MAX = 64
"""Names, node ids and keys of one's own that are remembered for one log."""
ALARMS_KEPT_MAX = 100


class Alarm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Something in the log that must not be there; `sequence` says where."""

    sequence: U63
    text: str


class Seen(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far one issuer's log was read, and what was found in it."""

    format: V1
    sequence: U63
    tip: Bytes32
    alarms: Annotated[tuple[Alarm, ...], msgspec.Meta(max_length=ALARMS_KEPT_MAX)]


class _Mine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key of one's own, under which name, from which entry of the log on, and until when (ms)
    it is watched."""

    subject: Annotated[bytes, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    key: Bytes32
    since: U63
    until: U63


class _Own(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was one's own when the log was last looked at."""

    format: V1
    mine: Annotated[tuple[_Mine, ...], msgspec.Meta(max_length=OWN_MAX)]


class _Key(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of a key of one's own: which in a row it is, and whether the log has it."""

    subject: Annotated[bytes, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    key: Bytes32
    generation: U32
    is_entered: bool


class _Keys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is known of those of `_Own` beyond the first version."""

    format: V1
    keys: Annotated[tuple[_Key, ...], msgspec.Meta(max_length=OWN_MAX)]


_SEEN: Format[Seen] = Format(Seen, size_max=1024 * 1024)
_OWN: Format[_Own] = Format(_Own, size_max=64 * 1024)
_KEYS: Format[_Keys] = Format(_Keys, size_max=64 * 1024)


@dataclass(frozen=True, slots=True)
class Watched:
    """A key of one's own, as the two notes have it."""

    subject: bytes
    key: bytes
    since: int
    until: int
    generation: int
    is_entered: bool


class CertifiedNotes:
    """Those notes, by the key of the log."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seen(self, log_key: bytes) -> Seen:
        """Return how far a log was read; to its beginning if never."""
        data = self._vault.note(NOTES, log_key)
        return _SEEN.decode(data) if data else Seen(1, 0, NO_RECORD, ())

    def watched(self, log_key: bytes) -> Sequence[Watched]:
        """Return what was one's own when a log was last looked at."""
        data = self._vault.note(OWN_NOTES, log_key)
        known = _OWN.decode(data).mine if data else ()
        data = self._vault.note(KEYS_NOTES, log_key)
        keys = {(k.subject, k.key): k for k in (_KEYS.decode(data).keys if data else ())}
        return [_watched(m, keys.get((m.subject, m.key))) for m in known]


def notes_of(log_key: bytes, seen: Seen, mine: Sequence[Watched]) -> Sequence[PutNote]:
    """Return what is to be written once a log was looked at."""
    own = _Own(1, tuple(_Mine(m.subject, m.key, m.since, m.until) for m in mine))
    keys = _Keys(1, tuple(_Key(m.subject, m.key, m.generation, m.is_entered) for m in mine))
    tables = (NOTES, seen), (OWN_NOTES, own), (KEYS_NOTES, keys)
    return [PutNote(table, log_key, encode(value)) for table, value in tables]


def _watched(mine: _Mine, key: _Key | None) -> Watched:
    generation, is_entered = (key.generation, key.is_entered) if key else (0, False)
    return Watched(mine.subject, mine.key, mine.since, mine.until, generation, is_entered)
