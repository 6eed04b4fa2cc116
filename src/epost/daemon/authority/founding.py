"""Founding an organisation: its public part, signed once by the root key."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import msgspec
from msgspec.structs import replace

from epost.crypto import x509
from epost.crypto.certificates import ISSUER_CERT, ORG_CERT, IssuerCert, OrgCert, Power, certify
from epost.crypto.names import ring_of
from epost.crypto.signed import open_signed
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.keys import AuthorityKeys, IssuerKeys, RootKeys
from epost.daemon.files import read_required, write_private
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import ConfigError, PeerError
from epost.foundation.ids import Address, Bytes20
from epost.rings.policy import (
    DEFAULT_LIFETIMES,
    RootContent,
    make_root_block,
    read_root_block,
)
from epost.rings.succession import sign_succession

PUBLIC_FILE = "organisation"
FIRST_ISSUER = 1
PROLONGED_BEFORE_MS = 200 * DAY_MS
"""Half of an issuer's time: what it certifies last still has a year."""
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


def is_founded(directory: Path) -> bool:
    """Does a folder hold the authority of an organisation?"""
    return (directory / PUBLIC_FILE).exists()


def read_public(directory: Path) -> Organisation:
    """Read the public part of the authority in a folder; raises ConfigError."""
    path = directory / PUBLIC_FILE
    data = read_required(path, "Found an organisation: epost org init DOMAIN --user NAME")
    try:
        return ORGANISATION.decode(data)
    except PeerError as error:
        raise ConfigError(f"{path}: damaged: {error}") from error


def write_public(directory: Path, public: Organisation) -> None:
    """Put this public part in force in the folder of an authority."""
    write_private(directory / PUBLIC_FILE, encode(public))


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


def prolonged(public: Organisation, root: RootKeys, keys: IssuerKeys, now: int) -> Organisation:
    """Return the public part with certificates that begin to end `now`, and the next root block.

    The organisation's and the X.509 authority's are made anew under their old keys as well.
    """
    key = SigningKey(root.organisation)
    organisation = open_signed(public.certificate, Kind.ORG, key.public, ORG_CERT)
    block = open_key_block(public.root_block)
    content = read_root_block(block, key.public, public.ring)
    removed = {r.serial for r in content.removed}
    until = now + DEFAULT_LIFETIMES.node_days * DAY_MS
    issuers = tuple(_until(data, key, until, but=removed) for data in content.issuers)
    issuer = issuers[content.issuers.index(public.issuer)]
    return replace(
        public,
        certificate=certify(key, replace(organisation, not_after=now + ORG_YEARS_MS)),
        issuer=issuer,
        x509=x509.make_authority(keys.x509, organisation.domain, not_before_ms=now),
        root_block=make_root_block(
            key,
            ring=public.ring,
            previous=block,
            issued_at=now,
            content=replace(content, issuers=issuers),
        ).data,
    )


def _until(data: bytes, root: SigningKey, until: int, *, but: Container[int]) -> bytes:
    """Return an issuer's certificate that ends then; of those dismissed as it is."""
    held = open_signed(data, Kind.ISSUER, root.public, ISSUER_CERT)
    return data if held.serial in but else certify(root, replace(held, not_after=until))


def rolled_over(
    public: Organisation, former: RootKeys, following: RootKeys, now: int
) -> tuple[Organisation, bytes]:
    """Return the public part under the next root key, and the last root block of the former.

    Issuers keep their keys and serials, so everything certified stays valid under both chains.
    """
    old, new = SigningKey(former.organisation), SigningKey(following.organisation)
    held = open_signed(public.certificate, Kind.ORG, old.public, ORG_CERT)
    organisation = certify(
        new,
        replace(
            held,
            generation=held.generation + 1,
            organisation_key=new.public,
            not_before=now,
            not_after=now + ORG_YEARS_MS,
        ),
    )
    block = open_key_block(public.root_block)
    content = read_root_block(block, old.public, public.ring)
    held_by = content.issuers.index(public.issuer)
    issuers = tuple(
        certify(new, open_signed(data, Kind.ISSUER, old.public, ISSUER_CERT))
        for data in content.issuers
    )
    succession = sign_succession(
        old, new, ring=public.ring, organisation=organisation, issuers=issuers, now_ms=now
    )
    last = make_root_block(
        old,
        ring=public.ring,
        previous=block,
        issued_at=now,
        content=replace(content, succession=succession),
    )
    first = make_root_block(
        new,
        ring=public.ring,
        previous=None,
        issued_at=now,
        content=replace(content, issuers=issuers),
    )
    following_public = replace(
        public, certificate=organisation, issuer=issuers[held_by], root_block=first.data
    )
    return following_public, last.data
