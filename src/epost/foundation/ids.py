"""Names of things: points on the ring, node ids, digests, block handles, node handles.

The ring is the paper's 160 bits; a handle is the full 256-bit digest of a block and its first
160 bits are its place on the ring (design: 160 bits alone give 80 bits of collision resistance).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NewType

import msgspec

ID_BYTES = 20
DIGEST_BYTES = 32
ADDRESSES_MAX = 8
HOST_LENGTH_MAX = 253
RING_SIZE: int = 1 << (8 * ID_BYTES)

Id = NewType("Id", bytes)
"""A point on the 160-bit ring: 20 bytes, big-endian."""

NodeId = NewType("NodeId", Id)
"""The point where a node sits; drawn by the ring's authority."""

RingId = NewType("RingId", bytes)
"""Which ring: H("ring", domain)[:20]."""

Digest = NewType("Digest", bytes)
"""A full SHA-256 digest, 32 bytes."""

AccountId = NewType("AccountId", bytes)
"""H("account", first account key), 32 bytes: public and stable for ever."""

Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
U8 = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
U16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
U63 = Annotated[int, msgspec.Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=HOST_LENGTH_MAX)]


class BlockKind(IntEnum):
    """The six kinds of self-proving blocks; the kind is part of every handle."""

    CONTENT = 1
    KEY = 2
    CERTIFICATE = 3
    CLUSTER = 4
    PENDING = 5
    RECEIPT = 6


MUTABLE_KINDS = frozenset({BlockKind.KEY, BlockKind.CERTIFICATE})
"""Kinds whose newest version must be looked for on all k replicas."""


class Handle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """Names one block: its kind and its 256-bit digest."""

    kind: BlockKind
    digest: Bytes32

    @property
    def place(self) -> Id:
        """Where the block lies on the ring: the first 160 bits of the digest."""
        return Id(self.digest[:ID_BYTES])

    def __str__(self) -> str:
        return f"{self.kind.name.lower()}:{self.digest[:4].hex()}"


class Address(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """Where a node listens: a host name or IP address and a TCP port."""

    host: Host
    port: U16


class NodeHandle(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True
):
    """A node as others reach it: its ring, its id and up to 8 addresses."""

    ring: Bytes20
    node_id: Bytes20
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]

    @property
    def id(self) -> NodeId:
        """The node id with its type."""
        return NodeId(Id(self.node_id))

    def __str__(self) -> str:
        return short(self.node_id)


def short(name: bytes) -> str:
    """Return the first 8 hex digits: how ids print everywhere."""
    return name[:4].hex()


def number(point: bytes) -> int:
    """Return a ring point as an integer in [0, 2**160)."""
    return int.from_bytes(point, "big")


def point(value: int) -> Id:
    """Return the ring point of an integer, modulo the size of the ring."""
    return Id((value % RING_SIZE).to_bytes(ID_BYTES, "big"))


def clockwise_distance(start: bytes, end: bytes) -> int:
    """Return how far `end` lies clockwise (towards larger ids, wrapping) of `start`."""
    return (number(end) - number(start)) % RING_SIZE


def ring_distance(a: bytes, b: bytes) -> int:
    """Return the shorter way between two points: the paper's "numerically closest"."""
    gap = (number(a) - number(b)) % RING_SIZE
    return min(gap, RING_SIZE - gap)


def closeness(target: bytes, candidate: bytes) -> tuple[int, bytes]:
    """Return a sort key: nearest to `target` first; ties go to the smaller id."""
    return ring_distance(target, candidate), candidate


def shared_digits(a: bytes, b: bytes, bits_per_digit: int = 4) -> int:
    """Return how many leading digits of base 2**bits two points share (Pastry's prefix)."""
    difference = number(a) ^ number(b)
    if difference == 0:
        return 8 * ID_BYTES // bits_per_digit
    return (8 * ID_BYTES - difference.bit_length()) // bits_per_digit


def digit(at: bytes, position: int, bits_per_digit: int = 4) -> int:
    """Return digit number `position` (0 = most significant) of a point in base 2**bits."""
    shift = 8 * ID_BYTES - bits_per_digit * (position + 1)
    return (number(at) >> shift) & ((1 << bits_per_digit) - 1)
