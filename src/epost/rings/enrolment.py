"""Enrolment (crypto 3.8): greeting, request and answer; formats and checks, no network.

The client checks the authority's chain and its TLS key (the greeting) before it says anything.
The issuer binds the token to the hash of one request and may repeat its answer to that one.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated

import msgspec

from epost.crypto.certificates import (
    CERTIFICATE_SIZE_MAX,
    ISSUERS_MAX,
    V1,
    AccountCert,
    DeviceCert,
    Name,
    NodeCert,
    OrganisationTrust,
    account_id_of,
    open_device_certificate,
)
from epost.crypto.hashing import digest
from epost.crypto.names import is_canonical
from epost.crypto.sealing import PUBLIC_KEY_BYTES as SEALING_KEY_BYTES
from epost.crypto.signing import Kind, SigningKey, is_valid_public_key, verify
from epost.crypto.versioned import KEY_BLOCK_SIZE_MAX, open_key_block
from epost.crypto.x509 import node_id_of, public_key_of, spki_sha256
from epost.foundation.codec import Format, encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import MalformedPacket, UntrustedCertificate
from epost.foundation.ids import U63, Bytes16, Bytes32, Bytes64, Digest, NodeHandle
from epost.rings.invite import Invite
from epost.rings.policy import read_issuer_block, read_root_block
from epost.rings.sites import split_site, with_site

REQUEST_SIZE_MAX = 32 * 1024
GREETING_SIZE_MAX = (1 + ISSUERS_MAX) * CERTIFICATE_SIZE_MAX
ANSWER_SIZE_MAX = 2 * 1024 * 1024
X509_AUTHORITIES_MAX = 4
CONTACTS_MAX = 16
REQUEST_AGE_MS_MAX = DAY_MS
"""How far the request's time may be from the issuer's: clocks of new machines are often wrong."""

Certificate = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_SIZE_MAX)]
Certificates = Annotated[
    tuple[Certificate, ...], msgspec.Meta(min_length=1, max_length=ISSUERS_MAX)
]
Block = Annotated[bytes, msgspec.Meta(max_length=KEY_BLOCK_SIZE_MAX)]
SealingKey = Annotated[
    bytes, msgspec.Meta(min_length=SEALING_KEY_BYTES, max_length=SEALING_KEY_BYTES)
]


class Greeting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the authority says first, to anybody who connects."""

    format: V1
    organisation: Certificate
    issuers: Certificates


class MemberRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A user with her first device on her own node; `at` is milliseconds since 1970."""

    format: V1
    token: Bytes16
    name: Name
    account_key: Bytes32
    recovery_key: Bytes32
    recovery_sealing_key: SealingKey
    device: Certificate
    device_sealing_key: SealingKey
    node_key: Bytes32
    at: U63


class DeviceRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One more machine for a user who has an account; she proves it with the account key.

    The organisation's secret is sealed to `sealing_key`, which serves for this answer only.
    """

    format: V1
    token: Bytes16
    name: Name
    account_key: Bytes32
    sealing_key: SealingKey
    node_key: Bytes32
    at: U63


class StorageRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A machine without a user, which only stores."""

    format: V1
    token: Bytes16
    node_key: Bytes32
    at: U63


Request = MemberRequest | DeviceRequest | StorageRequest


class _Signers(IntEnum):
    MEMBER = 3
    DEVICE = 2
    STORAGE = 1


class _SignedRequest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body (with a site, see sites.py), and one signature per key that it names: account,
    recovery, node; account, node; or node. The account signs a DeviceRequest without its site."""

    format: V1
    body: bytes
    signatures: Annotated[tuple[Bytes64, ...], msgspec.Meta(min_length=1, max_length=3)]


class Answer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the issuer gives; `account` and `sealed_secret` are empty for a storage-only node.

    The X.509 certificates are DER. The secret is sealed to the device: the organisation's epoch
    secret, with context "org-secret" and bound to `request_hash`. Through `contacts` the new node
    finds the ring; who answers there proves that it is the node named.
    """

    format: V1
    organisation: Certificate
    issuers: Certificates
    account: Certificate
    node: Certificate
    x509_authorities: Annotated[
        tuple[Certificate, ...], msgspec.Meta(min_length=1, max_length=X509_AUTHORITIES_MAX)
    ]
    x509_leaf: Certificate
    root_block: Block
    issuer_blocks: Annotated[tuple[Block, ...], msgspec.Meta(min_length=1, max_length=ISSUERS_MAX)]
    sealed_secret: Annotated[bytes, msgspec.Meta(max_length=4096)]
    contacts: Annotated[tuple[NodeHandle, ...], msgspec.Meta(max_length=CONTACTS_MAX)]


GREETING: Format[Greeting] = Format(Greeting, size_max=GREETING_SIZE_MAX)
ANSWER: Format[Answer] = Format(Answer, size_max=ANSWER_SIZE_MAX)
_SIGNED: Format[_SignedRequest] = Format(_SignedRequest, size_max=REQUEST_SIZE_MAX)
_MEMBER: Format[MemberRequest] = Format(MemberRequest, size_max=REQUEST_SIZE_MAX)
_DEVICE: Format[DeviceRequest] = Format(DeviceRequest, size_max=REQUEST_SIZE_MAX)
_STORAGE: Format[StorageRequest] = Format(StorageRequest, size_max=REQUEST_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An answer that was checked: everything a new node begins with."""

    trust: OrganisationTrust
    account: AccountCert | None
    node: NodeCert
    answer: Answer = field(repr=False)


def sealing_key_hash(public_key: bytes) -> Digest:
    """Return the hash by which certificates bind a sealing key."""
    return digest("key/seal", public_key)


def request_hash(data: bytes) -> Digest:
    """Return what the token is bound to: the request exactly as it travelled."""
    return digest("enrol/request", data)


def make_greeting(organisation: bytes, issuers: Sequence[bytes]) -> bytes:
    """Return the greeting of an authority."""
    return encode(Greeting(1, organisation, tuple(issuers)))


def check_greeting(greeting: bytes, invite: Invite, tls_spki_sha256: bytes) -> OrganisationTrust:
    """Return the organisation if it is the invite's, and this its enrolment listener.

    To be called before the token is sent. Raises PeerError, AuthenticityError.
    """
    said = GREETING.decode(greeting)
    trust = OrganisationTrust(said.organisation, said.issuers)
    if not hmac.compare_digest(trust.fingerprint, invite.authority):
        raise UntrustedCertificate("this is not the authority that the invite names")
    if all(i.enrolment_spki_sha256 != tls_spki_sha256 for i in trust.issuers):
        raise UntrustedCertificate("the listener's key is not one that an issuer certifies")
    return trust


def sign_member_request(
    request: MemberRequest,
    *,
    account: SigningKey,
    recovery: SigningKey,
    node: SigningKey,
    site: bytes = b"",
) -> bytes:
    """Sign with all three keys that the request names: the issuer certifies only proven keys."""
    body = with_site(encode(request), site)
    signatures = (
        account.sign(Kind.ENROL_ACCOUNT, body),
        recovery.sign(Kind.ENROL_RECOVERY, body),
        node.sign(Kind.ENROL_NODE, body),
    )
    return encode(_SignedRequest(1, body, signatures))


def sign_device_request(
    request: DeviceRequest, *, account: SigningKey, node: SigningKey, site: bytes = b""
) -> bytes:
    """Sign with both keys that the request names."""
    return complete_device_request(request, sign_for_account(request, account), node, site=site)


def sign_for_account(request: DeviceRequest, account: SigningKey) -> bytes:
    """Return the account's signature; the node's key may be on another machine."""
    return account.sign(Kind.ENROL_ACCOUNT, encode(request))


def complete_device_request(
    request: DeviceRequest, by_account: bytes, node: SigningKey, *, site: bytes = b""
) -> bytes:
    """Add the node's signature, which covers its site as well; raises BadSignature if the
    account's is not what it must be."""
    verify(request.account_key, Kind.ENROL_ACCOUNT, encode(request), by_account)
    body = with_site(encode(request), site)
    return encode(_SignedRequest(1, body, (by_account, node.sign(Kind.ENROL_NODE, body))))


def sign_storage_request(request: StorageRequest, *, node: SigningKey, site: bytes = b"") -> bytes:
    """Sign with the node's key."""
    body = with_site(encode(request), site)
    return encode(_SignedRequest(1, body, (node.sign(Kind.ENROL_NODE, body),)))


def open_request(data: bytes) -> Request:
    """Verify a request at the issuer; raises PeerError, AuthenticityError.

    Proves possession of every key; token, name policy, limits and age are the issuer's to judge.
    """
    signed = _SIGNED.decode(data)
    request = _decode_request(signed)
    _require_points(request.node_key)
    verify(request.node_key, Kind.ENROL_NODE, signed.body, signed.signatures[-1])
    match request:
        case MemberRequest():
            _check_member(request, signed)
        case DeviceRequest():
            _require_points(request.account_key)
            by_account = signed.signatures[0]
            verify(request.account_key, Kind.ENROL_ACCOUNT, encode(request), by_account)
        case StorageRequest():
            pass  # it names no other key
    return request


def site_asked_for(data: bytes) -> bytes:
    """Return the site that a request names, empty for none; raises PeerError."""
    return split_site(_SIGNED.decode(data).body)[1]


def _decode_request(signed: _SignedRequest) -> Request:
    body, _ = split_site(signed.body)
    match len(signed.signatures):
        case _Signers.STORAGE:
            return _STORAGE.decode(body)
        case _Signers.DEVICE:
            return _DEVICE.decode(body)
        case _:
            return _MEMBER.decode(body)


def require_recent(request: Request, now_ms: int) -> None:
    """Refuse a request that was made at another time: a clock is wrong. Raises MalformedPacket."""
    if abs(request.at - now_ms) > REQUEST_AGE_MS_MAX:
        raise MalformedPacket("the clocks are more than a day apart")


def open_request_device(request: MemberRequest) -> DeviceCert:
    """Return the first device's certificate, as the account's key signed it."""
    account = _provisional_account(request)
    return open_device_certificate(request.device, account)


def check_answer(
    answer: bytes, request: Request, trust: OrganisationTrust, now_ms: int
) -> Enrolled:
    """Verify what the issuer gave against what was asked for; raises PeerError, AuthenticityError.

    `trust` is what the greeting showed; the answer may name newer issuers under the same key.
    """
    said = ANSWER.decode(answer)
    granted = OrganisationTrust(said.organisation, said.issuers)
    if granted.fingerprint != trust.fingerprint or granted.ring != trust.ring:
        raise UntrustedCertificate("the answer is of another organisation than the greeting")
    node = granted.verify_node(said.node, now_ms)
    if node.node_key != request.node_key:
        raise UntrustedCertificate("a node certificate for another key")
    _check_x509(said, node, granted)
    _check_blocks(said, granted)
    account = None
    match request:
        case MemberRequest():
            account = _check_account(said, request, granted, now_ms)
        case DeviceRequest():
            account = granted.verify_account(said.account, now_ms)
            if (account.name, account.account_key) != (request.name, request.account_key):
                raise UntrustedCertificate("the certificate of another account")
        case StorageRequest():
            pass  # nobody's
    return Enrolled(granted, account, node, said)


def _check_member(request: MemberRequest, signed: _SignedRequest) -> None:
    _require_points(request.account_key, request.recovery_key)
    account, recovery, _ = signed.signatures
    verify(request.account_key, Kind.ENROL_ACCOUNT, signed.body, account)
    verify(request.recovery_key, Kind.ENROL_RECOVERY, signed.body, recovery)
    if not is_canonical(request.name):
        raise MalformedPacket("not a canonical name")
    device = open_request_device(request)
    if device.sealing_hash != sealing_key_hash(request.device_sealing_key) or not device.admin:
        raise MalformedPacket("the first device is an admin device with the sealing key given")


def _provisional_account(request: MemberRequest) -> AccountCert:
    """Return the account as it will be certified, as far as a device certificate depends on it."""
    return AccountCert(
        format=1,
        issuer=0,
        ring=bytes(20),
        name=request.name,
        account_id=account_id_of(request.account_key),
        generation=0,
        account_key=request.account_key,
        recovery_key=request.recovery_key,
        recovery_sealing_hash=sealing_key_hash(request.recovery_sealing_key),
        aliases=(),
        flags=0,
        version=1,
        rekey_proof=b"",
        log_sequence=0,
        not_before=0,
        not_after=0,
    )


def _check_account(
    answer: Answer, request: MemberRequest, trust: OrganisationTrust, now_ms: int
) -> AccountCert:
    account = trust.verify_account(answer.account, now_ms)
    asked = _provisional_account(request)
    if (
        account.name != asked.name
        or account.account_id != asked.account_id
        or account.account_key != asked.account_key
        or account.recovery_key != asked.recovery_key
        or account.recovery_sealing_hash != asked.recovery_sealing_hash
    ):
        raise UntrustedCertificate("an account certificate for another name or other keys")
    return account


def _check_x509(answer: Answer, node: NodeCert, trust: OrganisationTrust) -> None:
    certified = {issuer.x509_ca_spki_sha256 for issuer in trust.issuers}
    if any(spki_sha256(authority) not in certified for authority in answer.x509_authorities):
        raise UntrustedCertificate("an X.509 authority that no issuer certifies")
    if public_key_of(answer.x509_leaf) != node.node_key:
        raise UntrustedCertificate("a TLS certificate for another key")
    if node_id_of(answer.x509_leaf) != (trust.domain, node.id):
        raise UntrustedCertificate("a TLS certificate for another node")


def _check_blocks(answer: Answer, trust: OrganisationTrust) -> None:
    root = open_key_block(answer.root_block)
    read_root_block(root, trust.organisation.organisation_key, trust.ring)
    for block in answer.issuer_blocks:
        read_issuer_block(open_key_block(block), trust.issuers, trust.ring)


def _require_points(*keys: bytes) -> None:
    if not all(is_valid_public_key(key) for key in keys):
        raise MalformedPacket("a key that is not a valid point")
