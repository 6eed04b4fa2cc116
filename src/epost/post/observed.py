"""What the POST services tell their observer."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import EpostError


@dataclass(frozen=True, slots=True)
class DeviceExistsTwice:
    """The log went on without this disk: it is a restored backup, or a clone is running."""

    old_incarnation: bytes
    new_incarnation: bytes
    common_sequence: int


@dataclass(frozen=True, slots=True)
class LeasesLeft:
    """So many blocks are not renewed from here any more: nothing refers to them for long enough."""

    count: int


@dataclass(frozen=True, slots=True)
class LeasesNotJudged:
    """It cannot be told now what is still referred to, so nothing is let go."""

    error: Exception


@dataclass(frozen=True, slots=True)
class LeasesRenewed:
    """Everything mirrored here was asked to be kept for longer: so many blocks."""

    count: int


@dataclass(frozen=True, slots=True)
class LogHeldLocally:
    """The newest records are on this disk but not (yet) on k machines."""

    sequence: int
    error: EpostError | None


@dataclass(frozen=True, slots=True)
class LogUnreadable:
    """A cluster of the own log is neither on this disk nor to be had; the start waits for it."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class PrekeysDestroyed:
    """So many old sealing keys are gone: what was sealed to them opens no more."""

    number: int


@dataclass(frozen=True, slots=True)
class SiblingRead:
    """The log of another device of this account was read up to this record."""

    device: int
    sequence: int


@dataclass(frozen=True, slots=True)
class SiblingUnreadable:
    """The log of another device of this account could not be read now."""

    device: int
    error: EpostError


@dataclass(frozen=True, slots=True)
class SnapshotFailed:
    """No snapshot of the own log could be made now: it is tried again as the log grows."""

    error: Exception


@dataclass(frozen=True, slots=True)
class SnapshotMade:
    """The own log tells what its records up to this one come to: so many rows."""

    covered: int
    rows: int


@dataclass(frozen=True, slots=True)
class SnapshotRefused:
    """A snapshot of another device's log is not what the log announces: the log is read whole."""

    covered: int
    error: EpostError


@dataclass(frozen=True, slots=True)
class SnapshotRead:
    """A snapshot stood for the records of another device's log up to this one."""

    device: int
    covered: int


@dataclass(frozen=True, slots=True)
class DataKeysChanged:
    """The account has a new data key: a device of it was revoked."""

    epoch: int


@dataclass(frozen=True, slots=True)
class DeviceRevoked:
    """This device was revoked by its owner: it must be removed, or enrolled anew."""

    device: int


@dataclass(frozen=True, slots=True)
class OutboxInherited:
    """So many messages that a revoked device had not delivered are sent from here."""

    messages: int


@dataclass(frozen=True, slots=True)
class KeyringUnreadable:
    """The account's keyring cannot be had, or is not sealed to this device (any more)."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class NoticeRefused:
    """An envelope for this account did not hold what it must."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class PresenceIgnored:
    """A presence that does not verify, or comes too often."""

    error: EpostError


@dataclass(frozen=True, slots=True)
class ReceiptIgnored:
    """Somebody answered for an envelope with a receipt that does not verify."""

    error: EpostError
