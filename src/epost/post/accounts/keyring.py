"""The keyring: a content block that gives an account's data key to its devices (crypto 2, 4.4).

The newest account data key is sealed to every device and to the recovery key, and opens those of
all epochs before it, so that whoever holds the newest reads the whole history.
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
from epost.foundation.errors import BadSeal, LimitExceeded
from epost.foundation.ids import U32, AccountId, BlockKind, Bytes32, Handle
from epost.foundation.ports import Sealing
from epost.past.pending import Wrap
from epost.post.accounts.blocks import DEVICES_MAX

WRAPS_MAX = DEVICES_MAX + 2
KEYRING_BYTES_MAX = 64 * 1024
DATA_KEY_BYTES = 32
DATA_KEYS_MAX = 1000


class EpochSecret(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A secret and the epoch it serves: account data keys, organisation secrets."""

    epoch: U32
    secret: Bytes32


DataKeys = Annotated[tuple[EpochSecret, ...], msgspec.Meta(min_length=1, max_length=DATA_KEYS_MAX)]
"""An account's data keys, by ascending epoch."""


class Keyring(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Epoch, the data key sealed to each reader, and the former data keys under it (or empty)."""

    format: V1
    epoch: U32
    wraps: Annotated[tuple[Wrap, ...], msgspec.Meta(min_length=1, max_length=WRAPS_MAX)]
    former: Annotated[bytes, msgspec.Meta(max_length=48 * 1024)]


class FormerKeys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What `former` holds under the newest data key."""

    keys: DataKeys


_KEYRING: Format[Keyring] = Format(Keyring, size_max=KEYRING_BYTES_MAX)
_FORMER: Format[FormerKeys] = Format(FormerKeys, size_max=KEYRING_BYTES_MAX)


def make_keyring(
    account_id: AccountId,
    data_keys: Sequence[EpochSecret],
    readers: Sequence[bytes],
    sealing: Sealing,
) -> bytes:
    """Return the block that gives all data keys, of ascending epochs, to the readers.

    `readers` are public sealing keys: of devices, of recovery, perhaps of escrow.
    """
    *former, newest = data_keys
    binding = _binding(account_id, newest.epoch)
    wraps = tuple(_wrap(reader, binding, newest.secret, sealing) for reader in readers)
    sealed = b""
    if former:
        sealed = box(newest.secret, binding, pad(encode(FormerKeys(tuple(former)))))
    return encode(Keyring(1, newest.epoch, wraps, sealed))


def with_reader(
    block: bytes, account_id: AccountId, data_key: bytes, reader: bytes, sealing: Sealing
) -> bytes:
    """Return the keyring with one more reader of the same data key; raises LimitExceeded."""
    keyring = _KEYRING.decode(block)
    if len(keyring.wraps) >= WRAPS_MAX:
        raise LimitExceeded(f"a keyring has at most {WRAPS_MAX} readers")
    wrap = _wrap(reader, _binding(account_id, keyring.epoch), data_key, sealing)
    return encode(msgspec.structs.replace(keyring, wraps=(*keyring.wraps, wrap)))


def keyring_handle(block: bytes) -> Handle:
    """Return the handle of a keyring's block."""
    return Handle(BlockKind.CONTENT, digest("blk/content", block))


def open_keyring(
    block: bytes, account_id: AccountId, *, public_key: bytes, seed: bytes, sealing: Sealing
) -> tuple[EpochSecret, ...]:
    """Return the data keys of all epochs, the newest last.

    Raises PeerError, and BadSeal if nothing in it is sealed to this key.
    """
    keyring = _KEYRING.decode(block)
    binding = _binding(account_id, keyring.epoch)
    wanted = key_id(public_key)
    for wrap in keyring.wraps:
        if wrap.key_id == wanted:
            data_key = sealing.unseal(seed, "keyring", binding, wrap.sealed)
            if len(data_key) != DATA_KEY_BYTES:
                raise BadSeal("the keyring holds no data key")
            newest = EpochSecret(keyring.epoch, data_key)
            return (*_former(keyring, binding, data_key), newest)
    raise BadSeal("the keyring is not sealed to this key")


def _former(keyring: Keyring, binding: bytes, data_key: bytes) -> tuple[EpochSecret, ...]:
    if not keyring.former:
        return ()
    keys = _FORMER.decode(unpad(unbox(data_key, binding, keyring.former))).keys
    epochs = [key.epoch for key in (*keys, EpochSecret(keyring.epoch, data_key))]
    if epochs != sorted(set(epochs)):
        raise BadSeal("the keyring's epochs do not ascend")
    return keys


def _wrap(reader: bytes, binding: bytes, data_key: bytes, sealing: Sealing) -> Wrap:
    return Wrap(key_id(reader), sealing.seal(reader, "keyring", binding, data_key))


def _binding(account_id: AccountId, epoch: int) -> bytes:
    return account_id + u32(epoch)
