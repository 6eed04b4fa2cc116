"""Whichever file was written when the machine died, the two certificates are of one key."""

from __future__ import annotations

import msgspec

from epost.crypto.certificates import DEVICE_CERT, certify, recall_account
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.ports import PutNote
from epost.node.key_note import NOTES, certificate_with, noted
from tests.support.organisation import Organisation


class Vault:
    def __init__(self, *notes: PutNote) -> None:
        self._notes = notes

    def note(self, table: str, key: bytes) -> bytes | None:
        return next((n.value for n in self._notes if (n.table, n.key) == (table, key)), None)


ORGANISATION = Organisation()
ALICE = ORGANISATION.user("alice")
LATER = certify(
    ORGANISATION.issuer_key, msgspec.structs.replace(ALICE.account, generation=1, version=2)
)


def device(generation: int) -> bytes:
    opened = DEVICE_CERT.decode(parse(ALICE.device_certificate, Kind.DEVICE).body)
    return certify(ALICE.key, msgspec.structs.replace(opened, generation=generation))


def test_the_certificate_of_the_account_is_the_one_that_the_device_s_belongs_to() -> None:
    now, nothing, note = ALICE.account_certificate, Vault(), Vault(noted(LATER))
    assert noted(LATER).table == NOTES
    assert certificate_with(device(0), now, nothing) == now
    assert certificate_with(device(0), now, note) == now, "it died before the device's was written"
    assert certificate_with(device(1), now, note) == LATER, "it died before the account's was"
    assert certificate_with(device(1), LATER, note) == LATER
    assert certificate_with(device(1), now, nothing) == now, "nothing better is known"
    assert recall_account(LATER).generation == 1
