"""Certificates of organisation, issuer, account, node and device, and the chain between them.

OrgCert is signed by the organisation's root itself (or a global root), IssuerCert by the root,
AccountCert and NodeCert by an issuer, DeviceCert by the account. X.509 is only the ticket to TLS;
these records are the truth. Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Annotated, TypeVar

import msgspec

from epost.crypto.hashing import digest
from epost.crypto.names import NAME_LENGTH_MAX, is_canonical, ring_of
from epost.crypto.signed import open_signed, parse, sign
from epost.crypto.signing import Kind, SigningKey, is_valid_public_key, verify
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    BadSignature,
    MalformedPacket,
    UntrustedCertificate,
)
from epost.foundation.ids import (
    U8,
    U32,
    U63,
    AccountId,
    Bytes16,
    Bytes20,
    Bytes32,
    Id,
    NodeId,
)

CERTIFICATE_SIZE_MAX = 16 * 1024
ALIASES_MAX = 16
GATEWAY_DOMAINS_MAX = 16
SITE_BYTES_MAX = 64
ISSUERS_MAX = 16
CLOCK_TOLERANCE_MS = DAY_MS

V1 = Annotated[int, msgspec.Meta(ge=1, le=1)]
Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]


class Power(IntFlag):
    """What an issuer may do."""

    ACCOUNTS = 1
    NODES = 2
    REVOCATION = 4
    POLICY = 8


class NodeRole(IntFlag):
    """What a node may be."""

    STORAGE = 1
    RING_GATEWAY = 2
    INTERNET_GATEWAY = 4
    RELAY = 8


class AccountFlag(IntFlag):
    """What an account is."""

    GATEWAY = 1
    LIST = 2
    ESCROW = 4
    FORMER_NAME = 8
    """A name that its account had before: the first alias is the one that it has now."""


class OrgCert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Binds a domain and its ring to the organisation's root key."""

    format: V1
    domain: Name
    ring: Bytes20
    generation: U32
    organisation_key: Bytes32
    global_nodes_max: U8
    not_before: U63
    not_after: U63


class IssuerCert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Lets an issuing key certify accounts or nodes of one ring."""

    format: V1
    ring: Bytes20
    issuer_key: Bytes32
    certified_log_key: Bytes32
    powers: U8
    enrolment_spki_sha256: Bytes32
    x509_ca_spki_sha256: Bytes32
    serial: U63
    not_before: U63
    not_after: U63


class AccountCert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Binds a user's name to her account key (paper 3.1: the identity certificate)."""

    format: V1
    issuer: U63
    ring: Bytes20
    name: Name
    account_id: Bytes32
    generation: U32
    account_key: Bytes32
    recovery_key: Bytes32
    recovery_sealing_hash: Bytes32
    aliases: Annotated[tuple[Name, ...], msgspec.Meta(max_length=ALIASES_MAX)]
    flags: U8
    version: U63
    rekey_proof: Annotated[bytes, msgspec.Meta(max_length=64)]
    log_sequence: U63
    not_before: U63
    not_after: U63

    @property
    def present_name(self) -> str:
        """The name that the account has now, as whoever signed this says."""
        is_former = self.flags & AccountFlag.FORMER_NAME and self.aliases
        return self.aliases[0] if is_former else self.name

    def is_former_name_of(self, other: AccountCert) -> bool:
        """Does this say that its name is one that the other's account had before?"""
        return self.name != other.name and self.present_name == other.name

    def succeeds(self, former: AccountCert) -> bool:
        """Are these the same keys under a later name, which says that it had the former one?"""
        return self.has_keys_of(former) and former.name in self.aliases

    def has_keys_of(self, other: AccountCert) -> bool:
        """Are these the keys of the same account, under whatever name?"""
        return (
            self.account_id == other.account_id
            and self.generation == other.generation
            and self.account_key == other.account_key
            and self.recovery_key == other.recovery_key
            and self.recovery_sealing_hash == other.recovery_sealing_hash
        )


class NodeCert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Binds a node id, drawn by the authority, to a node key (paper 3, nodeId certificates)."""

    format: V1
    issuer: U63
    ring: Bytes20
    node_id: Bytes20
    node_key: Bytes32
    member_tag: Bytes16
    roles: U8
    gateway_domains: Annotated[tuple[Name, ...], msgspec.Meta(max_length=GATEWAY_DOMAINS_MAX)]
    site: Annotated[bytes, msgspec.Meta(max_length=SITE_BYTES_MAX)]
    quota_class: U8
    serial: Bytes16
    log_sequence: U63
    not_before: U63
    soft_expiry: U63
    not_after: U63

    @property
    def id(self) -> NodeId:
        """The node id with its type."""
        return NodeId(Id(self.node_id))


class DeviceCert(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Lets a device act for an account; signed by the account key."""

    format: V1
    account_id: Bytes32
    generation: U32
    number: U8
    device_key: Bytes32
    sealing_hash: Bytes32
    root_log_key: Bytes32
    admin: bool
    at: U63


Certificate = OrgCert | IssuerCert | AccountCert | NodeCert | DeviceCert
T = TypeVar("T", IssuerCert, AccountCert, NodeCert)

ORG_CERT: Format[OrgCert] = Format(OrgCert, size_max=CERTIFICATE_SIZE_MAX)
ISSUER_CERT: Format[IssuerCert] = Format(IssuerCert, size_max=CERTIFICATE_SIZE_MAX)
ACCOUNT_CERT: Format[AccountCert] = Format(AccountCert, size_max=CERTIFICATE_SIZE_MAX)
NODE_CERT: Format[NodeCert] = Format(NodeCert, size_max=CERTIFICATE_SIZE_MAX)
DEVICE_CERT: Format[DeviceCert] = Format(DeviceCert, size_max=CERTIFICATE_SIZE_MAX)

_KIND_OF = {
    OrgCert: Kind.ORG,
    IssuerCert: Kind.ISSUER,
    AccountCert: Kind.ACCOUNT,
    NodeCert: Kind.NODE,
    DeviceCert: Kind.DEVICE,
}


def certify(key: SigningKey, certificate: Certificate) -> bytes:
    """Sign a certificate with the key that stands behind it."""
    return sign(key, _KIND_OF[type(certificate)], encode(certificate))


def account_id_of(first_account_key: bytes) -> AccountId:
    """Return the id of the account whose first key this is; stable for ever."""
    return AccountId(digest("account", first_account_key))


def certificate_hash(data: bytes) -> bytes:
    """Return the 16 bytes by which a revocation list names a certificate without a serial."""
    return digest("cert", data)[:16]


def account_key_hash(account_key: bytes) -> bytes:
    """Return the 16 bytes by which a revocation list names an account key that another followed.

    No certificate of that key leads anybody to it any more, whoever gave it and when.
    """
    return digest("cert/key", account_key)[:16]


def recall_node(data: bytes) -> NodeCert:
    """Read a node's certificate that was verified when it came here, or was signed here."""
    return NODE_CERT.decode(parse(data, Kind.NODE).body)


def recall_account(data: bytes) -> AccountCert:
    """Read an account's certificate, as `recall_node`."""
    return ACCOUNT_CERT.decode(parse(data, Kind.ACCOUNT).body)


def recall_device(data: bytes) -> DeviceCert:
    """Read a device's certificate, as `recall_node`."""
    return DEVICE_CERT.decode(parse(data, Kind.DEVICE).body)


def open_device_certificate(data: bytes, account: AccountCert) -> DeviceCert:
    """Verify that this account's current key certified the device."""
    device = open_signed(data, Kind.DEVICE, account.account_key, DEVICE_CERT)
    if device.account_id != account.account_id or device.generation != account.generation:
        raise UntrustedCertificate("a device of another account or generation")
    _require_points(device.device_key, device.root_log_key)
    return device


class OrganisationTrust:
    """What this node believes about one organisation: its root key and the issuers under it.

    `organisation_key` is pinned (by the invite, or by a global root). Revocation is judged by
    whoever holds the revocation list (`rings.issuers`), not here.
    """

    def __init__(
        self, organisation_certificate: bytes, issuer_certificates: Sequence[bytes]
    ) -> None:
        """Raises AuthenticityError or PeerError if the chain does not hold."""
        claimed = ORG_CERT.decode(parse(organisation_certificate, Kind.ORG).body)
        _require_points(claimed.organisation_key)
        self.organisation = open_signed(
            organisation_certificate, Kind.ORG, claimed.organisation_key, ORG_CERT
        )
        if self.organisation.ring != ring_of(self.organisation.domain):
            raise UntrustedCertificate("the ring is not the domain's")
        self.organisation_certificate = organisation_certificate
        if not 1 <= len(issuer_certificates) <= ISSUERS_MAX:
            raise UntrustedCertificate("an organisation has 1 to 16 issuers")
        self.issuer_certificates = tuple(issuer_certificates)
        self.issuers = tuple(self._open_issuer(c) for c in issuer_certificates)

    @property
    def domain(self) -> str:
        """The organisation's domain: every name it certifies ends with it."""
        return self.organisation.domain

    @property
    def ring(self) -> bytes:
        """The ring id, 20 bytes."""
        return self.organisation.ring

    @property
    def fingerprint(self) -> bytes:
        """The 16 bytes that an invite pins."""
        return authority_fingerprint(self.organisation.organisation_key)

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        """Return the account certificate; raises PeerError or AuthenticityError.

        An expired certificate is refused, one of another domain or ring is never valid.
        """
        account = self._open(data, Kind.ACCOUNT, Power.ACCOUNTS, ACCOUNT_CERT, now_ms)
        names = (account.name, *account.aliases)
        if not all(is_canonical(n) and n.endswith("@" + self.domain) for n in names):
            raise UntrustedCertificate("certifies a name outside its domain")
        _require_points(account.account_key, account.recovery_key)
        if account.generation == 0 and account.account_id != account_id_of(account.account_key):
            raise UntrustedCertificate("the account id is not of its first key")
        return account

    def verify_node(self, data: bytes, now_ms: int) -> NodeCert:
        """Return the node certificate; valid (with a warning elsewhere) until its hard expiry."""
        node = self._open(data, Kind.NODE, Power.NODES, NODE_CERT, now_ms)
        _require_points(node.node_key)
        return node

    def _open_issuer(self, data: bytes) -> IssuerCert:
        issuer = open_signed(data, Kind.ISSUER, self.organisation.organisation_key, ISSUER_CERT)
        if issuer.ring != self.ring:
            raise UntrustedCertificate("an issuer of another ring")
        _require_points(issuer.issuer_key, issuer.certified_log_key)
        return issuer

    def _open(self, data: bytes, kind: Kind, power: Power, format_: Format[T], now_ms: int) -> T:
        signed = parse(data, kind)
        for issuer in self.issuers:
            if not issuer.powers & power:
                continue
            try:
                verify(issuer.issuer_key, kind, signed.body, signed.signature)
            except BadSignature:
                continue
            certificate = format_.decode(signed.body)
            _require_in_force(certificate, issuer, self.ring, now_ms)
            return certificate
        raise UntrustedCertificate(f"no issuer of {self.domain} signed this {kind.context}")


def authority_fingerprint(organisation_key: bytes) -> bytes:
    """Return the 16 bytes that people and invites compare."""
    return digest("authority", organisation_key)[:16]


def _require_in_force(
    certificate: AccountCert | NodeCert | IssuerCert, issuer: IssuerCert, ring: bytes, now_ms: int
) -> None:
    if certificate.ring != ring or issuer.ring != ring:
        raise UntrustedCertificate("for another ring")
    if not isinstance(certificate, IssuerCert) and certificate.issuer != issuer.serial:
        raise UntrustedCertificate("names another issuer than the one who signed")
    if not certificate.not_before - CLOCK_TOLERANCE_MS <= now_ms < certificate.not_after:
        raise UntrustedCertificate("not yet valid, or expired")
    if not issuer.not_before <= certificate.not_before < issuer.not_after:
        raise UntrustedCertificate("issued while its issuer was not in force")


def _require_points(*keys: bytes) -> None:
    if not all(is_valid_public_key(key) for key in keys):
        raise MalformedPacket("a key that is not a valid point")
