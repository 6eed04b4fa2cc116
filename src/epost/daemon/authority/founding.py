"""Founding an organisation: its public part, signed once by the root key."""

from __future__ import annotations

import msgspec

from epost.crypto import x509
from epost.crypto.certificates import DAY_MS, IssuerCert, OrgCert, Power, certify
from epost.crypto.names import ring_of
from epost.crypto.signing import SigningKey
from epost.daemon.authority.keys import AuthorityKeys
from epost.foundation.codec import Format
from epost.foundation.ids import Address, Bytes20
from epost.rings.policy import DEFAULT_LIFETIMES, RootContent, make_root_block

FIRST_ISSUER = 1
ORG_YEARS_MS = 3 * 365 * DAY_MS


class Organisation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The public part of an authority, as its folder keeps it."""

    format: int
    ring: Bytes20
    certificate: bytes
    issuer: bytes
    x509: bytes
    root_block: bytes
    enrolment: Address


ORGANISATION: Format[Organisation] = Format(Organisation, size_max=1024 * 1024)


def found(domain: str, keys: AuthorityKeys, enrolment: Address, now: int) -> Organisation:
    """Return the certificates and the root block of a new organisation; times are `now` (ms)."""
    root = SigningKey(keys.root.organisation)
    ring = ring_of(domain)
    authority = x509.make_authority(keys.issuer.x509, domain, not_before_ms=now)
    organisation = certify(
        root,
        OrgCert(
            format=1,
            domain=domain,
            ring=ring,
            generation=0,
            organisation_key=root.public,
            global_nodes_max=8,
            not_before=now,
            not_after=now + ORG_YEARS_MS,
        ),
    )
    issuer = certify(
        root,
        IssuerCert(
            format=1,
            ring=ring,
            issuer_key=SigningKey(keys.issuer.issuer).public,
            certified_log_key=SigningKey(keys.issuer.certified_log).public,
            powers=int(Power.ACCOUNTS | Power.NODES | Power.REVOCATION | Power.POLICY),
            enrolment_spki_sha256=x509.key_spki_sha256(SigningKey(keys.issuer.enrolment).public),
            x509_ca_spki_sha256=x509.spki_sha256(authority),
            serial=FIRST_ISSUER,
            not_before=now,
            not_after=now + DEFAULT_LIFETIMES.node_days * DAY_MS,
        ),
    )
    content = RootContent(format=1, issuers=(issuer,), removed=(), succession=b"")
    root_block = make_root_block(root, ring=ring, previous=None, issued_at=now, content=content)
    return Organisation(1, ring, organisation, issuer, authority, root_block.data, enrolment)
