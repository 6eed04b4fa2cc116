"""The organisation's secret in epochs: which is in force, and when the next is due (crypto 5.5).

Kept in the register beside what the policy says of it, so that a run that was cut off never leaves
a policy whose secret is lost. The first is among the issuer's keys, where the founding put it. A
former secret is overwritten at once: nothing is read with it, since references carry their keys.
"""

from __future__ import annotations

import msgspec

from epost.crypto.certificates import V1
from epost.daemon.authority.register import Register
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import ConfigError, PeerError
from epost.foundation.ids import U32, U63, Bytes32
from epost.foundation.ports import Entropy
from epost.post.accounts.keyring import EpochSecret

SETTING = "organisation secret"
FIRST_EPOCH = 1
EPOCH_MS_MAX = 180 * DAY_MS
LEAVERS_WAIT_MS = 22 * DAY_MS // 24
"""Who leaves in this time is answered with one new secret, within a day of the first."""
NOT_DEMANDED = 0


class _Epoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The epoch in force since `since`; `demanded` is when a member left, both in ms since 1970."""

    format: V1
    epoch: U32
    secret: Bytes32
    since: U63
    demanded: U63


_EPOCH: Format[_Epoch] = Format(_Epoch, size_max=1024)


class SecretEpochs:
    """The newest epoch; to be changed inside a transaction of the register."""

    def __init__(self, register: Register, first: bytes, founded_ms: int, entropy: Entropy) -> None:
        """`first` is the secret that the founding drew, then."""
        self._register = register
        self._first = first
        self._founded_ms = founded_ms
        self._entropy = entropy

    def newest(self) -> EpochSecret:
        """Return the epoch in force and its secret; raises ConfigError."""
        held = self._read()
        return EpochSecret(held.epoch, held.secret)

    def demand_next(self, now_ms: int) -> None:
        """Have a new one within a day: somebody who knows this one has left."""
        held = self._read()
        if held.demanded == NOT_DEMANDED:
            self._write(msgspec.structs.replace(held, demanded=now_ms))

    def is_due(self, now_ms: int) -> bool:
        """Is it time for the next, by its age or for who left?"""
        held = self._read()
        is_demanded = held.demanded != NOT_DEMANDED
        return now_ms >= held.since + EPOCH_MS_MAX or (
            is_demanded and now_ms >= held.demanded + LEAVERS_WAIT_MS
        )

    def begin_next(self, now_ms: int, *, after: int = 0) -> int:
        """Draw the secret of the next epoch, which is also later than `after`; return its number.

        It is in force with the next policy, to be published in the same transaction.
        """
        epoch = max(self._read().epoch, after) + 1
        self._write(_Epoch(1, epoch, self._entropy.token(32), now_ms, NOT_DEMANDED))
        return epoch

    def _read(self) -> _Epoch:
        data = self._register.setting(SETTING)
        if data is None:
            return _Epoch(1, FIRST_EPOCH, self._first, self._founded_ms, NOT_DEMANDED)
        try:
            return _EPOCH.decode(data)
        except PeerError as error:
            raise ConfigError(f"the organisation's secret is damaged: {error}") from error

    def _write(self, held: _Epoch) -> None:
        self._register.put_setting(SETTING, encode(held))
