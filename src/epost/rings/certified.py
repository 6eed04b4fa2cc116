"""What the certified log says of each certificate, and what a member looks for in it (crypto 3.6).

An entry names its subject (an account's name, or a node id) by a hash, so that everybody finds her
own entries and nobody a list of names; and it commits to the key that was certified. An authority
that certifies a second key for a name must enter it, or its log does not continue for somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epost.crypto.hashing import digest
from epost.foundation.ids import Digest

_HASH_BYTES = 32
SECOND_KEY = "a key that is not yours was certified under your name"
FORMER_KEY = "a former key of yours was certified again under your name"


def statement(subject: bytes, key: bytes) -> bytes:
    """Return an entry: whose certificate, as a hash, and which key, as a hash with the subject."""
    return subject_hash(subject) + _commitment(subject, key)


def subject_hash(subject: bytes) -> Digest:
    """Return the name of a subject in the log."""
    return digest("certified/subject", subject)


def is_for(entry: bytes, subject: bytes, key: bytes) -> bool:
    """Is this the entry of a certificate? Those of the first version do not name their subject."""
    return entry in {statement(subject, key), _commitment(subject, key)}


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of one's own: as which in a row, and whether the log had it before."""

    key: bytes
    generation: int = 0
    is_entered: bool = False


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Keys of one's own under a name, and from which entry on nobody else may have any there."""

    keys: tuple[OwnKey, ...]
    since: int = 1

    @property
    def newest_entered(self) -> int:
        """The latest generation that the log had before."""
        return max((own.generation for own in self.keys if own.is_entered), default=0)

    def entered_as(self, entry: bytes, subject: bytes) -> OwnKey | None:
        """Return which of them an entry is of, None if of somebody else's."""
        return next((own for own in self.keys if is_for(entry, subject, own.key)), None)


def second_keys(
    entries: Sequence[tuple[int, bytes]], own: Mapping[bytes, OwnKeys]
) -> Sequence[tuple[int, str]]:
    """Return the sequences of entries that nobody here knows of, and what is wrong with each.

    `entries` ascend; `own` are this member's by subject. A former key is none of hers any more
    behind the entry of one that followed it. An entry of the first version after one that names
    its subject hides something: whoever writes the new form writes no old one.
    """
    known = {subject_hash(subject): (subject, mine) for subject, mine in own.items()}
    newest = {subject: mine.newest_entered for subject, mine in own.items()}
    found: list[tuple[int, str]] = []
    has_names = False
    for sequence, entry in entries:
        found_own = known.get(Digest(entry[:_HASH_BYTES])) if len(entry) > _HASH_BYTES else None
        if found_own is not None and sequence >= found_own[1].since:
            subject, mine = found_own
            entered = mine.entered_as(entry, subject)
            if entered is None:
                found.append((sequence, SECOND_KEY))
            elif entered.generation < newest[subject]:
                found.append((sequence, FORMER_KEY))
            else:
                newest[subject] = entered.generation
        if has_names and len(entry) <= _HASH_BYTES:
            found.append((sequence, "the authority hides whom it certified"))
        has_names = has_names or len(entry) > _HASH_BYTES
    return found


def _commitment(subject: bytes, key: bytes) -> Digest:
    return digest("certified", subject, key)
