"""Certificates of the servers that mail programs talk to, and the authorities that sign them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from epost.crypto.x509 import key_usage

AUTHORITY_DAYS_VALID = 3650


def tls_server(certificate: Path) -> ssl.SSLContext:
    """Return the context of a server with the key and certificate of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate)
    return context


def end_point(certificate: Path) -> bytes:
    """Return the hash of a server's certificate that SCRAM binds to (RFC 5929 section 4)."""
    return certificate_in(certificate).fingerprint(hashes.SHA256())


def certificate_in(path: Path) -> x509.Certificate:
    """Return the certificate of a file that may begin with its key."""
    pem = path.read_bytes()
    return x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :])


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as files keep it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_authority(
    common_name: str, key: ec.EllipticCurvePrivateKey, permitted: Sequence[x509.GeneralName]
) -> x509.Certificate:
    """Return an authority that may certify the permitted names and no others."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        _builder(name, name, key.public_key(), days=AUTHORITY_DAYS_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(list(permitted), None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(key_usage(signs_certificates=True, signs_revocations=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def make_leaf(
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    names: Sequence[x509.GeneralName],
    *,
    days: int,
) -> x509.Certificate:
    """Return the certificate of a server with these names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value))])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        _builder(subject, issuer, key, days=days)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
