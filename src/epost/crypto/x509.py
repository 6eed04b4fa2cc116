"""X.509, only as the ticket to TLS: one authority per ring, one leaf per node (crypto 3.3).

OpenSSL checks the chain, the dates and the name constraints; it still lets a leaf without any name
pass, so `node_id_of` demands exactly one URI. Everything after the handshake rests on the node
certificate (`certificates.NodeCert`), never on X.509. Keys are made from 32-byte seeds and times
are given, so the same arguments give the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from epost.crypto.hashing import digest, u64
from epost.crypto.names import canonical_domain, ring_of
from epost.crypto.signing import is_valid_public_key
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import MalformedPacket, RefusedError, UntrustedCertificate
from epost.foundation.ids import Digest, Id, NodeId

LIFETIME_MS = 3 * 365 * DAY_MS
CERTIFICATE_SIZE_MAX = 4096
"""Bytes of one DER certificate: ours have fewer than 700."""

NO_DNS_NAME: Final = "epost.invalid"
"""The only DNS name that a ring's authority may certify; without it every DNS name would pass."""

_NODE_URI = re.compile(r"epost://([a-z0-9.-]{1,253})/node/([0-9a-f]{40})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_authority(seed: bytes, domain: str, *, not_before_ms: int) -> bytes:
    """Return the DER certificate of a ring's X.509 authority, signed by itself.

    It may sign leaves only, and only for nodes of this domain. Raises RefusedError if that is none.
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    domain = canonical_domain(domain)
    name = _name(f"ePOST {ring_of(domain).hex()}")
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.UniformResourceIdentifier(domain), x509.DNSName(NO_DNS_NAME)],
        excluded_subtrees=None,
    )
    builder = (
        _dated(key.public_key(), not_before_ms)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
    )
    return _signed(builder, key)


def make_leaf(
    authority_seed: bytes,
    authority: bytes,
    *,
    node_key: bytes,
    node_id: NodeId,
    not_before_ms: int,
) -> bytes:
    """Return the DER certificate by which a node opens and accepts TLS connections.

    `node_key` is the node's public Ed25519 key; the domain is the authority's own. Raises
    UntrustedCertificate if the seed is not the authority's, MalformedPacket for a key that is not
    a valid point: OpenSSL would accept its forgeries.
    """
    if not is_valid_public_key(node_key):
        raise MalformedPacket("a node key that is not a valid point")
    key = Ed25519PrivateKey.from_private_bytes(authority_seed)
    issuer = _parsed(authority)
    if issuer.public_key() != key.public_key():
        raise UntrustedCertificate("the seed is not of this X.509 authority")
    uri = f"epost://{_domain_of(issuer)}/node/{node_id.hex()}"
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _dated(Ed25519PublicKey.from_public_bytes(node_key), not_before_ms)
        .subject_name(_name(f"ePOST node {node_id.hex()}"))
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    )
    return _signed(builder, key)


def make_listener(seed: bytes, *, not_before_ms: int) -> bytes:
    """Return a self-signed DER certificate for a listener that is known by its key alone.

    Who connects compares `spki_sha256` with a digest got elsewhere (enrolment, crypto 3.8).
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    name = _name("ePOST enrolment")
    builder = (
        _dated(key.public_key(), not_before_ms)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return _signed(builder, key)


def node_id_of(certificate: bytes) -> tuple[str, NodeId]:
    """Return the domain and node id that a leaf names; trust in it is OpenSSL's to judge.

    Raises MalformedPacket for what is no certificate, UntrustedCertificate unless its only name
    is one URI of the exact form epost://<domain>/node/<40 hex digits>.
    """
    try:
        extension = _parsed(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound as error:
        raise UntrustedCertificate("a TLS certificate without a name") from error
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise MalformedPacket("unreadable names in a TLS certificate") from error
    names = list(extension.value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise UntrustedCertificate("a TLS certificate must name one node and nothing else")
    match = _NODE_URI.fullmatch(names[0].value)
    if match is None or not _is_canonical_domain(match[1]):
        raise UntrustedCertificate("a TLS certificate that names no node")
    return match[1], NodeId(Id(bytes.fromhex(match[2])))


def public_key_of(certificate: bytes) -> bytes:
    """Return the 32-byte Ed25519 key of a certificate; raises MalformedPacket for other keys."""
    try:
        key = _parsed(certificate).public_key()
    except ValueError as error:
        raise MalformedPacket("an unreadable key in a TLS certificate") from error
    if not isinstance(key, Ed25519PublicKey) or not is_valid_public_key(key.public_bytes_raw()):
        raise MalformedPacket("a TLS certificate of an unacceptable key")
    return key.public_bytes_raw()


def spki_sha256(certificate: bytes) -> Digest:
    """Return the SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 names keys so)."""
    return key_spki_sha256(public_key_of(certificate))


def key_spki_sha256(public_key: bytes) -> Digest:
    """Return the SHA-256 of the SubjectPublicKeyInfo of a 32-byte Ed25519 public key."""
    spki = Ed25519PublicKey.from_public_bytes(public_key).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Digest(hashlib.sha256(spki).digest())


def key_usage(*, signs_certificates: bool, signs_revocations: bool = False) -> x509.KeyUsage:
    """Return what the key of an authority, or else of a leaf, may do, and nothing beside it."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_revocations,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _parsed(certificate: bytes) -> x509.Certificate:
    if len(certificate) > CERTIFICATE_SIZE_MAX:
        raise MalformedPacket("a TLS certificate too large")
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise MalformedPacket("not an X.509 certificate") from error


def _domain_of(authority: x509.Certificate) -> str:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound as error:
        raise UntrustedCertificate("an X.509 authority without name constraints") from error
    for name in constraints.permitted_subtrees or ():
        if isinstance(name, x509.UniformResourceIdentifier):
            return name.value
    raise UntrustedCertificate("an X.509 authority without a domain")


def _is_canonical_domain(domain: str) -> bool:
    try:
        return canonical_domain(domain) == domain
    except RefusedError:
        return False


def _dated(key: Ed25519PublicKey, not_before_ms: int) -> x509.CertificateBuilder:
    """Begin a certificate of three years; its serial follows from the key and the date."""
    serial = digest("x509/serial", key.public_bytes_raw(), u64(not_before_ms))
    start = _EPOCH + timedelta(milliseconds=not_before_ms - not_before_ms % 1000)
    return (
        x509.CertificateBuilder()
        .serial_number(int.from_bytes(serial[:16], "big") >> 1)
        .public_key(key)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(milliseconds=LIFETIME_MS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: Ed25519PrivateKey) -> bytes:
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    certificate = builder.add_extension(issuer_key, critical=False).sign(key, None)
    return certificate.public_bytes(serialization.Encoding.DER)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
