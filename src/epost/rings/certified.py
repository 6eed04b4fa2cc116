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
class OwnKeys:
    """Keys of one's own under a name, and from which entry on nobody else may have any there."""

    keys: frozenset[bytes]
    since: int = 1


def second_keys(
    entries: Sequence[tuple[int, bytes]], own: Mapping[bytes, OwnKeys]
) -> Sequence[tuple[int, str]]:
    """Return the sequences of entries that nobody here knows of, and what is wrong with each.

    `entries` ascend; `own` are this member's by subject. An entry of the first version after
    one that names its subject hides something: whoever writes the new form writes no old one.
    """
    known = {subject_hash(subject): (subject, mine) for subject, mine in own.items()}
    found: list[tuple[int, str]] = []
    has_names = False
    for sequence, entry in entries:
        found_own = known.get(Digest(entry[:_HASH_BYTES])) if len(entry) > _HASH_BYTES else None
        if found_own is not None and _is_foreign(sequence, entry, *found_own):
            found.append((sequence, "a key that is not yours was certified under your name"))
        if has_names and len(entry) <= _HASH_BYTES:
            found.append((sequence, "the authority hides whom it certified"))
        has_names = has_names or len(entry) > _HASH_BYTES
    return found


def _is_foreign(sequence: int, entry: bytes, subject: bytes, mine: OwnKeys) -> bool:
    return sequence >= mine.since and not any(is_for(entry, subject, key) for key in mine.keys)


def _commitment(subject: bytes, key: bytes) -> Digest:
    return digest("certified", subject, key)
