"""Handing over from one root key of an organisation to the next (crypto 3.7).

The statement is signed by both keys and carries the new chain whole: the organisation's certificate
and those of its issuers under the new key. It is the last thing that the former key's root block
says; whoever pinned the former key follows it, a rival one comes too late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    ISSUERS_MAX,
    V1,
    OrganisationTrust,
)
from epost.crypto.signing import Kind, SigningKey, verify
from epost.foundation.codec import Format, encode
from epost.foundation.errors import UntrustedCertificate
from epost.foundation.ids import U63, Bytes20, Bytes32, Bytes64

_Certificate = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]


class Succession(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What both keys sign; `at` is milliseconds since 1970."""

    format: V1
    ring: Bytes20
    former: Bytes32
    next: Bytes32
    organisation: _Certificate
    issuers: Annotated[tuple[_Certificate, ...], msgspec.Meta(min_length=1, max_length=ISSUERS_MAX)]
    at: U63


class SignedSuccession(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The statement as it travels, in the root block."""

    format: V1
    body: bytes
    by_former: Bytes64
    by_next: Bytes64


SUCCESSION: Format[Succession] = Format(Succession, size_max=CERTIFICATE_SIZE_MAX)
SIGNED_SUCCESSION: Format[SignedSuccession] = Format(
    SignedSuccession, size_max=CERTIFICATE_SIZE_MAX
)


def sign_succession(
    former: SigningKey,
    following: SigningKey,
    *,
    ring: bytes,
    organisation: bytes,
    issuers: Sequence[bytes],
    now_ms: int,
) -> bytes:
    """Return the statement by which one root key hands over to the next."""
    body = encode(
        Succession(1, ring, former.public, following.public, organisation, tuple(issuers), now_ms)
    )
    by_former, by_next = (key.sign(Kind.SUCCESSION, body) for key in (former, following))
    return encode(SignedSuccession(1, body, by_former, by_next))


def open_succession(data: bytes, former: bytes, ring: bytes) -> OrganisationTrust:
    """Return what is to be believed from now on; raises PeerError, AuthenticityError.

    `former` is the key whose root block carries the statement.
    """
    signed = SIGNED_SUCCESSION.decode(data)
    said = SUCCESSION.decode(signed.body)
    if said.former != former or said.ring != ring:
        raise UntrustedCertificate("the succession of another organisation's key")
    verify(former, Kind.SUCCESSION, signed.body, signed.by_former)
    verify(said.next, Kind.SUCCESSION, signed.body, signed.by_next)
    trust = OrganisationTrust(said.organisation, said.issuers)
    if trust.organisation.organisation_key != said.next or trust.ring != ring:
        raise UntrustedCertificate("a succession to another organisation")
    return trust
