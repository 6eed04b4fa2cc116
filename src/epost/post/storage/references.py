"""What it takes to find and read a stored message: a capability, kept only in sealed places."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from epost.foundation.ids import U8, U63, BlockKind, Bytes32, Handle


class Secrecy(IntEnum):
    """Who derives the same content key from the same plaintext (crypto 5.2)."""

    CONVERGENT = 1
    """Everybody: the paper's Hash(X). Anyone who guesses the plaintext can test for it."""
    ORGANISATION = 2
    """Members of the organisation in one epoch of its secret; they can still test guesses."""
    ACCOUNT = 3
    """Only the devices of this account."""
    UNIQUE = 4
    """Nobody: a random key."""


class Reference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Names and opens one stored message (crypto 5.3); `codec` is 2 if the block is a manifest."""

    digest: Bytes32
    key: Bytes32
    mode: Secrecy
    codec: U8
    raw_length: U63

    @property
    def handle(self) -> Handle:
        """The handle of its block, or of its manifest."""
        return Handle(BlockKind.CONTENT, self.digest)

    def __repr__(self) -> str:
        return f"Reference({self.digest[:4].hex()}, {self.raw_length} bytes)"
