"""Which certificate of the account goes with the device's, should the machine have died in between.

The two are in two files of their owner. When the account has other keys, the account's new
certificate is noted here first, then the device's is written, then the account's: so whichever the
device's is, the one of the same generation is there.
"""

from __future__ import annotations

from typing import Protocol

from epost.crypto.certificates import recall_account, recall_device
from epost.foundation.ports import PutNote

NOTES = "node.account"
_NEWEST = b"newest"


class Notes(Protocol):
    """What the vault must tell."""

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        ...


def noted(certificate: bytes) -> PutNote:
    """Return the note of the certificate under which the device is about to sign."""
    return PutNote(NOTES, _NEWEST, certificate)


def certificate_with(device_certificate: bytes, account_certificate: bytes, vault: Notes) -> bytes:
    """Return the account's certificate that the device's belongs to: this one, or the noted one."""
    device = recall_device(device_certificate)
    if device.generation == recall_account(account_certificate).generation:
        return account_certificate
    return vault.note(NOTES, _NEWEST) or account_certificate
