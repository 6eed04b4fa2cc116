"""Insertion tickets: every block names the node that inserted it (paper 3.5; crypto 10).

A ticket is signed by the inserter's node key over at most 256 blocks. It travels with the node's
certificate as a voucher, is kept beside the block and passed on by repair, so that blame and
quotas survive and a foreign insertion is refused by every later holder too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    CLOCK_TOLERANCE_MS,
    NODE_CERT,
    V1,
    NodeCert,
    OrganisationTrust,
    recall_node,
)
from epost.crypto.signed import open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import NotPermitted, UntrustedCertificate
from epost.foundation.ids import U32, U63, Bytes20, Handle

BLOCKS_MAX = 256
TICKET_SIZE_MAX = 16 * 1024
VOUCHER_SIZE_MAX = TICKET_SIZE_MAX + CERTIFICATE_SIZE_MAX
FRESH_MS = 10 * 60 * 1000
LEASE_MS_MAX = 401 * DAY_MS
CERTIFICATES_REMEMBERED = 2000
VOUCHERS_REMEMBERED = 500


class TicketBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One block that the ticket allows, with its exact size."""

    handle: Handle
    size: U32


class Ticket(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the inserter signs; times are milliseconds since 1970."""

    format: V1
    ring: Bytes20
    blocks: Annotated[tuple[TicketBlock, ...], msgspec.Meta(min_length=1, max_length=BLOCKS_MAX)]
    lease_until: U63
    at: U63


class _Voucher(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    ticket: Annotated[bytes, msgspec.Meta(max_length=TICKET_SIZE_MAX)]
    node: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


_TICKET: Format[Ticket] = Format(Ticket, size_max=TICKET_SIZE_MAX)
_VOUCHER: Format[_Voucher] = Format(_Voucher, size_max=VOUCHER_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Vouched:
    """A verified voucher: who inserts, and what."""

    inserter: NodeCert
    ticket: Ticket
    covered: frozenset[tuple[Handle, int]]

    def covers(self, handle: Handle, size: int) -> bool:
        """Is the ticket for this block at this size?"""
        return (handle, size) in self.covered

    def require(self, handle: Handle, size: int) -> None:
        """Raise NotPermitted unless the ticket is for this block."""
        if not self.covers(handle, size):
            raise NotPermitted("the ticket is for other blocks")


class Ticketing:
    """Signs the tickets of this node."""

    def __init__(self, key: SigningKey, node_certificate: bytes, ring: bytes) -> None:
        self._key = key
        self._certificate = node_certificate
        self._ring = ring

    def renew(self, node_certificate: bytes) -> None:
        """Vouch with this renewed certificate from now on."""
        self._certificate = node_certificate

    def voucher(
        self, blocks: Sequence[tuple[Handle, int]], *, now_ms: int, lease_until: int
    ) -> bytes:
        """Return a voucher for at most 256 blocks and their sizes."""
        entries = tuple(TicketBlock(handle, size) for handle, size in blocks)
        ticket = Ticket(1, self._ring, entries, lease_until, now_ms)
        return encode(_Voucher(sign(self._key, Kind.TICKET, encode(ticket)), self._certificate))


class NodeCertificates:
    """Verifies node certificates of the ring; remembers those that it has seen."""

    def __init__(self, trust: Callable[[], OrganisationTrust]) -> None:
        """`trust` is asked each time, since the authority's issuers change."""
        self._trust = trust
        self._under: OrganisationTrust | None = None
        self._known: BoundedDict[bytes, NodeCert] = BoundedDict(CERTIFICATES_REMEMBERED)

    def verify(self, data: bytes, at_ms: int) -> NodeCert:
        """Return the certificate if it was in force at a time; raises AuthenticityError."""
        trust = self._trust()
        if trust is not self._under:
            self._under = trust
            self._known.clear()
        node = self._known.get(data)
        if node is None:
            claimed = NODE_CERT.decode(parse(data, Kind.NODE).body)
            node = trust.verify_node(data, claimed.not_before)
            self._known.put(data, node)
        if not node.not_before - CLOCK_TOLERANCE_MS <= at_ms < node.not_after:
            raise UntrustedCertificate("not in force at the time of the ticket")
        return node


class Vouchers:
    """Verifies vouchers; one ticket for many blocks is verified once."""

    def __init__(self, certificates: NodeCertificates, ring: bytes) -> None:
        self._certificates = certificates
        self._ring = ring
        self._known: BoundedDict[bytes, tuple[Vouched, bytes]] = BoundedDict(VOUCHERS_REMEMBERED)
        """What a voucher says, and the certificate in it, which may end."""

    def is_known(self, data: bytes) -> bool:
        """Would `open` cost no signature check?"""
        return data in self._known

    def open(self, data: bytes) -> Vouched:
        """Return what a voucher says; raises PeerError, AuthenticityError, NotPermitted.

        Freshness, scope and revocation are the caller's to judge.
        """
        known = self._known.get(data)
        if known is not None:
            vouched, certificate = known
            self._certificates.verify(certificate, vouched.ticket.at)
            return vouched
        voucher = _VOUCHER.decode(data)
        claimed = _TICKET.decode(parse(voucher.ticket, Kind.TICKET).body)
        inserter = self._certificates.verify(voucher.node, claimed.at)
        ticket = open_signed(voucher.ticket, Kind.TICKET, inserter.node_key, _TICKET)
        if ticket.ring != self._ring:
            raise NotPermitted("a ticket for another ring")
        covered = frozenset((block.handle, block.size) for block in ticket.blocks)
        vouched = Vouched(inserter, ticket, covered)
        self._known.put(data, (vouched, voucher.node))
        return vouched


def recall_lease(voucher: bytes) -> int:
    """Return until when a block is leased, in ms since 1970, as `recall_inserter` does."""
    return _TICKET.decode(parse(_VOUCHER.decode(voucher).ticket, Kind.TICKET).body).lease_until


@lru_cache(maxsize=VOUCHERS_REMEMBERED)
def recall_inserter(voucher: bytes) -> NodeCert:
    """Return who inserted a block, from the voucher that was verified when it was stored."""
    return _recall_node(_VOUCHER.decode(voucher).node)


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def _recall_node(certificate: bytes) -> NodeCert:
    return recall_node(certificate)
