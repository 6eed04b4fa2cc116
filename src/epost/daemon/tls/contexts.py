"""TLS contexts: version 1.3, both sides certified by this ring's authority, nothing resumed."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from epost.foundation.ids import NodeHandle


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who this node is to others.

    `certificate` is the signed NodeCert; `leaf` and `authorities` are DER certificates: the ring's
    X.509 authority, and the former one for as long as its leaves are in use.
    """

    node: NodeHandle
    certificate: bytes = field(repr=False)
    leaf: bytes = field(repr=False)
    authorities: tuple[bytes, ...] = field(repr=False)
    key_seed: bytes = field(repr=False)


def accepting_context(identity: NodeIdentity) -> ssl.SSLContext:
    """Return the context for links that others open."""
    context = _mutual(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), identity)
    context.num_tickets = 0  # every link proves both keys anew
    return context


def dialling_context(identity: NodeIdentity) -> ssl.SSLContext:
    """Return the context for links that we open."""
    return _mutual(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)


def renew_context(context: ssl.SSLContext, identity: NodeIdentity) -> None:
    """Show a renewed leaf on new links, and believe its authorities as well as the former."""
    for authority in identity.authorities:
        context.load_verify_locations(cadata=authority)
    load_key(context, identity.leaf, identity.key_seed)


def load_key(context: ssl.SSLContext, certificate: bytes, seed: bytes) -> None:
    """Give a context a DER certificate and the Ed25519 key of a 32-byte seed.

    OpenSSL's binding in Python reads keys from files only, so the key passes through a private
    temporary file, encrypted under a password that never leaves this function.
    """
    password = secrets.token_hex(32).encode()
    key = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    chain = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    with NamedTemporaryFile(prefix="epost-tls-") as file:
        file.write(chain + key)
        file.flush()
        context.load_cert_chain(file.name, password=password)


def _mutual(context: ssl.SSLContext, identity: NodeIdentity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # nodes are known by id and key, not by where they are
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.options |= ssl.OP_NO_TICKET
    renew_context(context, identity)
    return context
