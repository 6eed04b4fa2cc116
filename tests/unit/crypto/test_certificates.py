"""The chain: organisation, issuer, account, node, device; and what it refuses."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from epost.crypto.certificates import (
    AccountCert,
    DeviceCert,
    IssuerCert,
    NodeCert,
    OrganisationTrust,
    OrgCert,
    Power,
    account_id_of,
    authority_fingerprint,
    certify,
    open_device_certificate,
)
from epost.crypto.names import canonical, canonical_domain, is_canonical, ring_of
from epost.crypto.signing import SigningKey
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    AuthenticityError,
    BadSignature,
    EpostError,
    MalformedPacket,
    RefusedError,
    UntrustedCertificate,
)

NOW = 1_700_000_000_000
ROOT, ISSUER, USER, NODE, DEVICE, OTHER = (SigningKey(bytes([n]) * 32) for n in range(1, 7))
SMALL_ORDER = b"\x01" + bytes(31)


@dataclass
class Organisation:
    """An organisation's certificates, each field changeable."""

    domain: str = "example.org"

    def org(self, **changes: Any) -> bytes:
        cert = OrgCert(1, self.domain, ring_of(self.domain), 0, ROOT.public, 8, NOW, NOW + DAY_MS)
        return certify(ROOT, msgspec.structs.replace(cert, **changes))

    def issuer(self, key: SigningKey = ROOT, **changes: Any) -> bytes:
        powers = int(Power.ACCOUNTS | Power.NODES)
        ring = ring_of(self.domain)
        cert = IssuerCert(
            1, ring, ISSUER.public, OTHER.public, powers, bytes(32), bytes(32), 7, NOW, NOW + DAY_MS
        )
        return certify(key, msgspec.structs.replace(cert, **changes))

    def account(self, key: SigningKey = ISSUER, **changes: Any) -> bytes:
        cert = AccountCert(
            1, 7, ring_of(self.domain), "alice@example.org", account_id_of(USER.public), 0,
            USER.public, OTHER.public, bytes(32), (), 0, 1, b"", 0, NOW, NOW + DAY_MS,
        )  # fmt: skip
        return certify(key, msgspec.structs.replace(cert, **changes))

    def node(self, key: SigningKey = ISSUER, **changes: Any) -> bytes:
        cert = NodeCert(
            1, 7, ring_of(self.domain), bytes(20), NODE.public, bytes(16), 1, (), b"", 0,
            bytes(16), 0, NOW, NOW + DAY_MS, NOW + 2 * DAY_MS,
        )  # fmt: skip
        return certify(key, msgspec.structs.replace(cert, **changes))

    def trust(self) -> OrganisationTrust:
        return OrganisationTrust(self.org(), [self.issuer()])


def test_a_whole_chain_is_believed() -> None:
    org = Organisation()
    trust = org.trust()
    account = trust.verify_account(org.account(), NOW)
    assert account.name == "alice@example.org"
    assert trust.verify_node(org.node(), NOW).id == bytes(20)
    assert trust.fingerprint == authority_fingerprint(ROOT.public)
    device = DeviceCert(
        1, account.account_id, 0, 1, DEVICE.public, bytes(32), OTHER.public, True, NOW
    )
    assert open_device_certificate(certify(USER, device), account) == device


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "alice@other.org"},
        {"name": "alice@sub.example.org"},
        {"name": "Alice@example.org"},
        {"name": "аlice@example.org"},
        {"aliases": ("boss@other.org",)},
        {"ring": bytes(20)},
        {"issuer": 8},
        {"not_after": NOW},
        {"not_before": NOW + 2 * DAY_MS},
        {"account_key": SMALL_ORDER},
        {"recovery_key": SMALL_ORDER},
        {"account_id": bytes(32)},
    ],
    ids=str,
)
def test_sec_27_an_account_certificate_outside_its_rules_is_never_valid(
    changes: dict[str, Any],
) -> None:
    org = Organisation()
    with pytest.raises(EpostError):
        org.trust().verify_account(org.account(**changes), NOW)


@pytest.mark.parametrize(
    "changes", [{"ring": bytes(20)}, {"node_key": SMALL_ORDER}, {"not_after": NOW}], ids=str
)
def test_sec_27_a_node_certificate_outside_its_rules_is_never_valid(
    changes: dict[str, Any],
) -> None:
    org = Organisation()
    with pytest.raises(EpostError):
        org.trust().verify_node(org.node(**changes), NOW)


def test_only_an_issuer_with_the_power_counts() -> None:
    org = Organisation()
    with pytest.raises(UntrustedCertificate):
        org.trust().verify_node(org.node(key=OTHER), NOW)
    nodes_only = OrganisationTrust(org.org(), [org.issuer(powers=int(Power.NODES))])
    with pytest.raises(UntrustedCertificate):
        nodes_only.verify_account(org.account(), NOW)
    assert nodes_only.verify_node(org.node(), NOW)


def test_an_issuer_must_be_the_root_s_and_of_the_ring() -> None:
    org = Organisation()
    for bad in (org.issuer(key=OTHER), org.issuer(ring=bytes(20))):
        with pytest.raises(AuthenticityError):
            OrganisationTrust(org.org(), [bad])
    with pytest.raises(UntrustedCertificate):
        OrganisationTrust(org.org(), [])
    with pytest.raises(UntrustedCertificate):
        OrganisationTrust(org.org(ring=bytes(20)), [org.issuer()])
    with pytest.raises(MalformedPacket):
        OrganisationTrust(org.org(organisation_key=SMALL_ORDER), [org.issuer()])


def test_a_device_is_its_account_s_only() -> None:
    org = Organisation()
    account = org.trust().verify_account(org.account(), NOW)
    device = DeviceCert(1, bytes(32), 0, 1, DEVICE.public, bytes(32), OTHER.public, True, NOW)
    with pytest.raises(UntrustedCertificate):
        open_device_certificate(certify(USER, device), account)
    with pytest.raises(BadSignature):
        open_device_certificate(certify(OTHER, device), account)


def test_names_have_one_form() -> None:
    assert canonical(" Alice@EXAMPLE.org ") == "alice@example.org"
    assert canonical("bob@bücher.example") == "bob@xn--bcher-kva.example"
    assert canonical_domain("Example.ORG") == "example.org"
    assert is_canonical("a.b+c@example.org")
    for bad in ("alice", "@example.org", "a b@example.org", "a@localhost", "a@-x.org", "x" * 400):
        assert not is_canonical(bad)
        with pytest.raises(RefusedError):
            canonical(bad)
