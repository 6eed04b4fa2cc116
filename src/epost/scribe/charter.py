"""Who may join a group and who may publish in it: charters, permits, publications.

The id of a chartered group is made from its founder's key, so a charter proves itself to whoever
knows the group, and nobody can charter the group of somebody else. An account's group (POST 3.1)
has no charter: anybody may join and publish there, and what is said must prove itself.

A permit is for one node and an epoch of the charter: the founder takes permits back by a charter
with a higher epoch. It keeps strangers out of a tree; it is no secrecy, since nodes between a
member and the root carry what they pass on (content is closed by the keys of the group).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from epost.crypto.hashing import digest
from epost.crypto.signed import open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey
from epost.foundation.codec import Format, encode
from epost.foundation.errors import HashMismatch, NotPermitted, UntrustedCertificate
from epost.foundation.ids import ID_BYTES, U63, Bytes20, Bytes32, Id
from epost.scribe.config import (
    ADMITTERS_MAX,
    BODY_SIZE_MAX,
    CHARTER_NAME_BYTES_MAX,
    CHARTER_SIZE_MAX,
    PERMIT_SIZE_MAX,
    PUBLISHERS_MAX,
    STATEMENT_SIZE_MAX,
)

V1 = Annotated[int, msgspec.Meta(ge=1, le=1)]


class Charter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The rules of one group; a higher version replaces a lower one, never the reverse.

    No `publishers`: anybody publishes, unsigned. No `admitters`: anybody joins.
    """

    format: V1
    founder: Bytes32
    name: Annotated[bytes, msgspec.Meta(max_length=CHARTER_NAME_BYTES_MAX)]
    version: Annotated[int, msgspec.Meta(ge=1, le=0x7FFF_FFFF_FFFF_FFFF)]
    epoch: U63
    publishers: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=PUBLISHERS_MAX)]
    admitters: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=ADMITTERS_MAX)]

    @property
    def group(self) -> Id:
        """The group that these rules are for."""
        return chartered_group(self.founder, self.name)


class Permit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An admitter lets a node join, while the charter has this epoch."""

    group: Bytes20
    node_id: Bytes20
    epoch: U63


class _SignedPermit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    admitter: Bytes32
    permit: Annotated[bytes, msgspec.Meta(max_length=PERMIT_SIZE_MAX)]


class Statement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a publisher signs: its numbers grow, and nothing is heard after something newer."""

    group: Bytes20
    number: U63
    body_hash: Bytes32


class Mark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a publisher got: its newest statement, which proves itself without the body."""

    publisher: Bytes32
    statement: Annotated[bytes, msgspec.Meta(max_length=STATEMENT_SIZE_MAX)]


class Publication(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is multicast in a group whose publishers sign."""

    mark: Mark
    body: bytes


_CHARTER: Format[Charter] = Format(Charter, size_max=CHARTER_SIZE_MAX)
_PERMIT: Format[Permit] = Format(Permit, size_max=PERMIT_SIZE_MAX)
_SIGNED_PERMIT: Format[_SignedPermit] = Format(_SignedPermit, size_max=PERMIT_SIZE_MAX)
_STATEMENT: Format[Statement] = Format(Statement, size_max=STATEMENT_SIZE_MAX)
_PUBLICATION: Format[Publication] = Format(Publication, size_max=BODY_SIZE_MAX)


def chartered_group(founder: bytes, name: bytes) -> Id:
    """Return the group that only this key can charter."""
    return Id(digest("charter", founder, name)[:ID_BYTES])


def sign_charter(key: SigningKey, charter: Charter) -> bytes:
    """Sign a charter with the founder's key, which it must name."""
    assert charter.founder == key.public, "a charter names the key that signs it"
    return sign(key, Kind.CHARTER, encode(charter))


def open_charter(data: bytes, group: Id) -> Charter:
    """Verify a charter for a group; raises PeerError or AuthenticityError."""
    claimed = _CHARTER.decode(parse(data, Kind.CHARTER).body)
    if claimed.group != group:
        raise UntrustedCertificate("the charter of another group")
    return open_signed(data, Kind.CHARTER, claimed.founder, _CHARTER)


def sign_permit(key: SigningKey, group: Id, node_id: bytes, epoch: int) -> bytes:
    """Let a node join; `key` is an admitter's."""
    signed = sign(key, Kind.PERMIT, encode(Permit(group, node_id, epoch)))
    return encode(_SignedPermit(key.public, signed))


def open_permit(data: bytes, charter: Charter) -> Permit:
    """Verify a permit under a charter; raises PeerError, AuthenticityError or NotPermitted."""
    signed = _SIGNED_PERMIT.decode(data)
    if signed.admitter not in charter.admitters:
        raise NotPermitted("signed by nobody who may admit")
    permit = open_signed(signed.permit, Kind.PERMIT, signed.admitter, _PERMIT)
    if permit.group != charter.group or permit.epoch < charter.epoch:
        raise NotPermitted("a permit of another group, or taken back")
    return permit


def sign_publication(key: SigningKey, group: Id, number: int, body: bytes) -> bytes:
    """Return what to multicast in a group whose publishers sign; `number` must grow."""
    statement = Statement(group, number, digest("publication", body))
    return encode(
        Publication(Mark(key.public, sign(key, Kind.PUBLICATION, encode(statement))), body)
    )


def open_mark(mark: Mark, charter: Charter) -> Statement:
    """Verify a publisher's statement; raises PeerError, AuthenticityError or NotPermitted."""
    if mark.publisher not in charter.publishers:
        raise NotPermitted("signed by nobody who may publish")
    statement = open_signed(mark.statement, Kind.PUBLICATION, mark.publisher, _STATEMENT)
    if statement.group != charter.group:
        raise NotPermitted("news of another group")
    return statement


def open_publication(data: bytes, charter: Charter) -> tuple[Statement, Publication]:
    """Verify what was multicast; raises PeerError, AuthenticityError or NotPermitted."""
    publication = _PUBLICATION.decode(data)
    statement = open_mark(publication.mark, charter)
    if statement.body_hash != digest("publication", publication.body):
        raise HashMismatch("a statement about other news")
    return statement, publication
