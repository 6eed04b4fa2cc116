"""The X.509 ticket to TLS: reproducible, narrow, and read strictly."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from epost.crypto.signing import SigningKey
from epost.crypto.x509 import (
    CERTIFICATE_SIZE_MAX,
    LIFETIME_MS,
    key_spki_sha256,
    make_authority,
    make_leaf,
    make_listener,
    node_id_of,
    public_key_of,
    spki_sha256,
)
from epost.foundation.errors import MalformedPacket, RefusedError, UntrustedCertificate
from epost.foundation.ids import NodeId, point

AUTHORITY_SEED = b"\x01" * 32
NODE_KEY = SigningKey(b"\x02" * 32).public
NODE = NodeId(point(0xABCDEF))
START_MS = 1_700_000_000_123
AUTHORITY = make_authority(AUTHORITY_SEED, "example.org", not_before_ms=START_MS)


def leaf(domain: str = "example.org") -> bytes:
    authority = make_authority(AUTHORITY_SEED, domain, not_before_ms=START_MS)
    return make_leaf(
        AUTHORITY_SEED, authority, node_key=NODE_KEY, node_id=NODE, not_before_ms=START_MS
    )


def with_names(*names: x509.GeneralName, key: Ed25519PrivateKey | None = None) -> bytes:
    key = key or Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)
    made = x509.load_der_x509_certificate(leaf())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, None).public_bytes(serialization.Encoding.DER)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def test_the_same_seeds_and_times_give_the_same_certificates() -> None:
    assert make_authority(AUTHORITY_SEED, "example.org", not_before_ms=START_MS) == AUTHORITY
    assert leaf() == leaf()
    assert make_listener(AUTHORITY_SEED, not_before_ms=1) == make_listener(
        AUTHORITY_SEED, not_before_ms=1
    )


def test_the_authority_signs_leaves_of_its_own_domain_only() -> None:
    extensions = x509.load_der_x509_certificate(AUTHORITY).extensions
    limits = extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical
    assert limits.value == x509.BasicConstraints(ca=True, path_length=0)
    names = extensions.get_extension_for_class(x509.NameConstraints)
    assert names.critical
    assert names.value.permitted_subtrees == [uri("example.org"), x509.DNSName("epost.invalid")]


def test_a_leaf_names_its_node_and_carries_the_node_key_for_three_years() -> None:
    assert node_id_of(leaf()) == ("example.org", NODE)
    assert public_key_of(leaf()) == NODE_KEY
    made = x509.load_der_x509_certificate(leaf())
    made.verify_directly_issued_by(x509.load_der_x509_certificate(AUTHORITY))
    assert int(made.not_valid_before_utc.timestamp()) == START_MS // 1000
    lifetime = made.not_valid_after_utc - made.not_valid_before_utc
    assert lifetime.total_seconds() * 1000 == LIFETIME_MS


def test_the_hash_of_a_listeners_key_can_be_told_before_the_certificate_is_made() -> None:
    listener = make_listener(b"\x02" * 32, not_before_ms=START_MS)
    assert spki_sha256(listener) == key_spki_sha256(NODE_KEY)


def test_a_leaf_needs_the_authoritys_own_seed() -> None:
    with pytest.raises(UntrustedCertificate):
        make_leaf(b"\x09" * 32, AUTHORITY, node_key=NODE_KEY, node_id=NODE, not_before_ms=START_MS)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_sec_01_no_leaf_is_made_for_a_key_that_is_no_valid_point(key: bytes) -> None:
    with pytest.raises(MalformedPacket):
        make_leaf(AUTHORITY_SEED, AUTHORITY, node_key=key, node_id=NODE, not_before_ms=START_MS)


def test_an_authority_without_domain_issues_nothing() -> None:
    for plain in (
        with_names(key=Ed25519PrivateKey.from_private_bytes(AUTHORITY_SEED)),
        make_listener(AUTHORITY_SEED, not_before_ms=START_MS),
    ):
        with pytest.raises(UntrustedCertificate):
            make_leaf(AUTHORITY_SEED, plain, node_key=NODE_KEY, node_id=NODE, not_before_ms=0)


def test_an_authority_needs_a_domain() -> None:
    with pytest.raises(RefusedError):
        make_authority(AUTHORITY_SEED, "not a domain", not_before_ms=START_MS)


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("epost.invalid"),),
        (uri("epost://example.org/node/" + "0" * 40), x509.DNSName("epost.invalid")),
        (uri("epost://example.org/node/" + "0" * 40), uri("epost://example.org/node/" + "1" * 40)),
        (uri("epost://example.org/node/" + "0" * 39),),
        (uri("epost://example.org/node/" + "A" * 40),),
        (uri("epost://example.org/node/" + "0" * 40 + "/x"),),
        (uri("epost://Example.org/node/" + "0" * 40),),
        (uri("epost://.org/node/" + "0" * 40),),
        (uri("post-node:" + "0" * 40),),
        (uri("https://example.org/node/" + "0" * 40),),
    ],
)
def test_sec_28_a_leaf_that_names_anything_but_one_node_is_refused(
    names: tuple[x509.GeneralName, ...],
) -> None:
    with pytest.raises(UntrustedCertificate):
        node_id_of(with_names(*names))


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x30" * (CERTIFICATE_SIZE_MAX + 1)])
def test_what_is_no_certificate_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        node_id_of(data)
    with pytest.raises(MalformedPacket):
        public_key_of(data)


def test_a_certificate_of_another_kind_of_key_is_refused() -> None:
    key = generate_private_key(SECP256R1())
    made = x509.load_der_x509_certificate(leaf())
    other = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .sign(key, SHA256())
    )
    with pytest.raises(MalformedPacket):
        public_key_of(other.public_bytes(serialization.Encoding.DER))
