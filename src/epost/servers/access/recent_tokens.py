"""Tokens that were right lately: a program that comes again does not pay for PBKDF2 once more.

What is kept answers only what record belongs to a token, never whether the account still has it: a
password that was taken back is refused at once.
"""

import hmac
from collections import OrderedDict

from epost.servers.access.passwords import ScramRecord, derive_record

TOKENS_KEPT_MAX = 64


class RecentTokens:
    """Records by a digest of their token, under a key that only this process has."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._records: OrderedDict[bytes, ScramRecord] = OrderedDict()

    def record_of(self, token: str, salt: bytes, iterations: int) -> ScramRecord:
        """Return what `derive_record` does."""
        name = self._name(token, salt, iterations)
        if name not in self._records:
            return derive_record(token, salt, iterations)
        self._records.move_to_end(name)
        return self._records[name]

    def keep(self, token: str, record: ScramRecord) -> None:
        """Remember a token that was right; guesses must not push it out."""
        self._records[self._name(token, record.salt, record.iterations)] = record
        if len(self._records) > TOKENS_KEPT_MAX:
            self._records.popitem(last=False)

    def _name(self, token: str, salt: bytes, iterations: int) -> bytes:
        said = b"%d %d " % (iterations, len(salt)) + salt + token.encode()
        return hmac.digest(self._key, said, "sha256")
