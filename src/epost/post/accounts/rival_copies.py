"""What copies of an identity block say that the newest does not (docs/decisions/0067).

Two machines that change an account at one moment sign two versions, and a replica may hold one
whose writer was refused elsewhere. Whoever changes the account next must not undo what the other
writer was told of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from epost.crypto.certificates import recall_device
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock
from epost.foundation.durations import DAY_MS
from epost.post.accounts.blocks import Identity, RevokedDevice, decode_identity

HEEDED_MS = 7 * DAY_MS
"""How long before the newest a copy may have been signed. What is older was refused, or is known to
all who signed since; a machine that it ends may have written much that would be lost."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Devices that another copy revokes, or lists, and of whom the newest says nothing."""

    revoked: tuple[RevokedDevice, ...] = ()
    certificates: tuple[bytes, ...] = ()
    keyrings: tuple[bytes, ...] = ()
    """Digests of the other copies' keyrings: a device that was revoked took a data key with it."""


def rivals_of(newest: KeyBlock, copies: Iterable[KeyBlock]) -> list[KeyBlock]:
    """Return the copies that may say something else, in a fixed order."""
    rivals = [
        copy
        for copy in copies
        if copy.body_hash != newest.body_hash
        and copy.purpose is Kind.IDENTITY
        and copy.body.issued_at >= newest.body.issued_at - HEEDED_MS
    ]
    return sorted(rivals, key=lambda copy: copy.order, reverse=True)


def missed_by(known: Identity, rivals: Iterable[KeyBlock]) -> Missed:
    """Return what rivals say of devices that the `known` identity says nothing about."""
    gone = {device.device_key for device in known.revoked}
    listed = {recall_device(data).device_key for data in known.devices}
    revoked: list[RevokedDevice] = []
    certificates: dict[bytes, bytes] = {}
    keyrings: list[bytes] = []
    for identity in map(_identity, rivals):
        if (identity.account_id, identity.generation) != (known.account_id, known.generation):
            continue
        keyrings.append(identity.keyring)
        for device in identity.revoked:
            if device.device_key not in gone:
                gone.add(device.device_key)
                revoked.append(device)
        for data in identity.devices:
            if (key := recall_device(data).device_key) not in listed:
                certificates.setdefault(key, data)
    late = tuple(data for key, data in certificates.items() if key not in gone)
    return Missed(tuple(revoked), late, tuple(keyrings))


def _identity(block: KeyBlock) -> Identity:
    return decode_identity(block.body.content)
