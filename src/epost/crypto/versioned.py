"""The public-key block: a signed, versioned statement of one key (paper section 2, design 3).

Its digest is the hash of the key, so only the key's owner can write it; the version is a counter,
so a wrong clock cannot poison it; `previous` chains the bodies, so a fork can be shown.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.hashing import digest
from epost.crypto.signed import parse, sign
from epost.crypto.signing import Kind, SigningKey, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import U8, U63, BlockKind, Bytes20, Bytes32, Digest, Handle

FORMAT = 1
SUITE_ED25519 = b"\x01"
KEY_BLOCK_SIZE_MAX = 64 * 1024

PURPOSES = frozenset({Kind.ORGROOT, Kind.ISSUERBLOCK, Kind.IDENTITY, Kind.DEVBLOCK, Kind.HEAD})
SINGLE_WRITER_PURPOSES = frozenset({Kind.HEAD, Kind.DEVBLOCK, Kind.ISSUERBLOCK})
"""Two bodies of one version under these purposes prove that the writer equivocated."""

NO_PREVIOUS = bytes(32)


class KeyBlockBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the key's owner signs. `issued_at` is milliseconds since 1970."""

    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)]
    purpose: U8
    ring: Bytes20
    public_key: Bytes32
    version: U63
    previous: Bytes32
    issued_at: U63
    content: bytes


BLOCKS_REMEMBERED = 32
"""The same head comes with a cluster, then by itself, then back from the own disk: these octets
were verified. (At most 2 MiB.)"""

_BODY: Format[KeyBlockBody] = Format(KeyBlockBody, size_max=KEY_BLOCK_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class KeyBlock:
    """A verified public-key block: its bytes as they travel, and what they say."""

    data: bytes
    body: KeyBlockBody
    body_hash: Digest

    @property
    def handle(self) -> Handle:
        """Where the block lives: the hash of its key."""
        return key_block_handle(self.body.public_key)

    @property
    def purpose(self) -> Kind:
        """What the key signs with this block, and nothing else ever."""
        return Kind(self.body.purpose)

    @property
    def order(self) -> tuple[int, bytes]:
        """Newest last: by version, ties by digest (design 3)."""
        return self.body.version, self.body_hash


def key_block_handle(public_key: bytes) -> Handle:
    """Return the handle of the block that a key signs."""
    return Handle(BlockKind.KEY, digest("blk/key", SUITE_ED25519, public_key))


def make_key_block(
    key: SigningKey,
    purpose: Kind,
    *,
    ring: bytes,
    previous: KeyBlock | None,
    issued_at: int,
    content: bytes,
    version_min: int = 1,
) -> KeyBlock:
    """Sign the next version of a key's block (version 1 if there is no previous one).

    With `version_min` numbers are left out: whoever merges two bodies of one version must, since
    the next one would name only one of them, and who holds the other would refuse it.
    """
    body = KeyBlockBody(
        FORMAT,
        int(purpose),
        ring,
        key.public,
        max(previous.body.version + 1 if previous else 1, version_min),
        previous.body_hash if previous else NO_PREVIOUS,
        issued_at,
        content,
    )
    encoded = encode(body)
    block = KeyBlock(sign(key, purpose, encoded), body, digest("blk/body", encoded))
    _remember(block)  # what one has signed oneself, one need not verify
    return block


def open_key_block(data: bytes, *, expected: Handle | None = None) -> KeyBlock:
    """Verify and decode a public-key block; raises PeerError, BadSignature.

    `expected` is the handle it was asked for by. Ring and time are the caller's to judge.
    """
    if len(data) > KEY_BLOCK_SIZE_MAX:
        raise MalformedPacket("public-key block too large")
    block = _verified.get(data) or _open(data)
    if expected is not None and block.handle != expected:
        raise MalformedPacket("the block of another key")
    return block


_verified: OrderedDict[bytes, KeyBlock] = OrderedDict()


def _remember(block: KeyBlock) -> None:
    _verified[block.data] = block
    if len(_verified) > BLOCKS_REMEMBERED:
        _verified.popitem(last=False)


def _open(data: bytes) -> KeyBlock:
    kind = _claimed_purpose(data)
    signed = parse(data, kind)
    body = _BODY.decode(signed.body)
    if body.purpose != kind:
        raise MalformedPacket("signed as one purpose, says another")
    verify(body.public_key, kind, signed.body, signed.signature)
    block = KeyBlock(data, body, digest("blk/body", signed.body))
    _remember(block)
    return block


def _claimed_purpose(data: bytes) -> Kind:
    # [format, kind, ...] as a 4-element array of two small integers: bytes 1 and 2.
    try:
        kind = Kind(data[2])
    except (IndexError, ValueError) as error:
        raise MalformedPacket("not a public-key block") from error
    if kind not in PURPOSES:
        raise MalformedPacket("not a purpose of a public-key block")
    return kind
