"""The certified log: everything the issuer certified, chained, readable by all (crypto 3.6).

One record per certificate, in the public form of a log record (epoch 0, no encryption). Peers
compare its sequence and tip, so an authority cannot show different lists to different members.
"""

from __future__ import annotations

from dataclasses import dataclass

from epost.crypto.signing import SigningKey
from epost.daemon.authority.register import Register
from epost.foundation.codec import encode
from epost.foundation.ports import Entropy
from epost.past.log_format import NO_RECORD, LogRecord, record_hash
from epost.rings.certified import statement
from epost.rings.policy import CertifiedLogHead

PUBLIC_EPOCH = 0
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class CertifiedRecord:
    """One record of the log, and the place it has."""

    sequence: int
    data: bytes

    @property
    def head(self) -> CertifiedLogHead:
        """What an issuer block says once this is the newest record."""
        return CertifiedLogHead(self.sequence, record_hash(self.data))


EMPTY_LOG = CertifiedLogHead(0, NO_RECORD)


class CertifiedLog:
    """One issuer's log in its register; to be changed inside a transaction."""

    def __init__(self, register: Register, seed: bytes, entropy: Entropy) -> None:
        self._register = register
        self._seed = seed
        self._entropy = entropy

    def enter(self, subject: bytes, key: bytes) -> int:
        """Enter who was certified with which key; return the place in the log."""
        record = next_record(self._seed, self.head(), statement(subject, key), self._entropy)
        self._register.add_certified(record.sequence, record.data)
        return record.sequence

    def head(self) -> CertifiedLogHead:
        """Return how far the log has come."""
        newest = self._register.newest_certified()
        return EMPTY_LOG if newest is None else CertifiedRecord(*newest).head


def next_record(
    log_seed: bytes, after: CertifiedLogHead, said: bytes, entropy: Entropy
) -> CertifiedRecord:
    """Return the record that enters a statement (a digest of a certificate) after the head."""
    sequence = after.sequence + 1
    record = LogRecord(
        format=1,
        log_key=SigningKey(log_seed).public,
        sequence=sequence,
        previous=after.tip,
        salt=entropy.token(SALT_BYTES),
        epoch=PUBLIC_EPOCH,
        sealed=said,
    )
    return CertifiedRecord(sequence, encode(record))
