"""The keyring: a content block that gives an account's data key to its devices (crypto 2, 4.4).

The newest account data key is sealed to every device and to the recovery key; each data key opens
its predecessor, so that whoever holds the newest reads the whole history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from epost.crypto.boxes import box, pad, unbox, unpad
from epost.crypto.certificates import V1
from epost.crypto.hashing import digest, u32
from epost.crypto.sealing import key_id
from epost.foundation.codec import Format, encode
from epost.foundation.errors import BadSeal
from epost.foundation.ids import U32, AccountId, BlockKind, Handle
from epost.foundation.ports import Sealing
from epost.past.pending import Wrap
from epost.post.account_blocks import DEVICES_MAX

WRAPS_MAX = DEVICES_MAX + 2
KEYRING_BYTES_MAX = 64 * 1024
DATA_KEY_BYTES = 32


class Keyring(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Epoch, the data key sealed to each reader, and the former data key under it (or empty)."""

    format: V1
    epoch: U32
    wraps: Annotated[tuple[Wrap, ...], msgspec.Meta(min_length=1, max_length=WRAPS_MAX)]
    former: Annotated[bytes, msgspec.Meta(max_length=1024)]


_KEYRING: Format[Keyring] = Format(Keyring, size_max=KEYRING_BYTES_MAX)


def make_keyring(
    account_id: AccountId,
    *,
    epoch: int,
    data_key: bytes,
    former_key: bytes | None,
    readers: Sequence[bytes],
    sealing: Sealing,
) -> bytes:
    """Return the block; `readers` are public sealing keys: of devices, recovery, perhaps escrow."""
    binding = _binding(account_id, epoch)
    wraps = tuple(
        Wrap(key_id(reader), sealing.seal(reader, "keyring", binding, data_key))
        for reader in readers
    )
    former = b"" if former_key is None else box(data_key, binding, pad(former_key))
    return encode(Keyring(1, epoch, wraps, former))


def keyring_handle(block: bytes) -> Handle:
    """Return the handle of a keyring's block."""
    return Handle(BlockKind.CONTENT, digest("blk/content", block))


def open_keyring(
    block: bytes, account_id: AccountId, *, public_key: bytes, seed: bytes, sealing: Sealing
) -> tuple[int, bytes]:
    """Return (epoch, data key); raises BadSeal if nothing in it is sealed to this key."""
    keyring = _KEYRING.decode(block)
    binding = _binding(account_id, keyring.epoch)
    wanted = key_id(public_key)
    for wrap in keyring.wraps:
        if wrap.key_id == wanted:
            data_key = sealing.unseal(seed, "keyring", binding, wrap.sealed)
            if len(data_key) != DATA_KEY_BYTES:
                raise BadSeal("the keyring holds no data key")
            return keyring.epoch, data_key
    raise BadSeal("the keyring is not sealed to this key")


def former_data_key(block: bytes, account_id: AccountId, data_key: bytes) -> bytes | None:
    """Return the data key of the epoch before, or None if there was none; raises BadSeal."""
    keyring = _KEYRING.decode(block)
    if not keyring.former:
        return None
    return unpad(unbox(data_key, _binding(account_id, keyring.epoch), keyring.former))


def _binding(account_id: AccountId, epoch: int) -> bytes:
    return account_id + u32(epoch)
