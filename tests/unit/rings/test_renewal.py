"""Renewal: who may ask, when, and which answers count."""

from __future__ import annotations

import msgspec
import pytest

from epost.crypto import x509
from epost.crypto.certificates import NODE_CERT, AccountCert, AccountFlag, NodeCert, certify
from epost.crypto.signed import parse, sign
from epost.crypto.signing import Kind
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    MalformedPacket,
    NotPermitted,
    UntrustedCertificate,
)
from epost.rings.renewal import (
    CLOCKS_APART_MS_MAX,
    EXPIRED_MS_MAX,
    REQUEST_SIZE_MAX,
    Denied,
    Granted,
    Renewed,
    account_due_ms,
    check_renewal,
    due_ms,
    is_renewal,
    node_due_ms,
    open_renewal,
    sign_renewal,
)
from tests.support.organisation import START_MS, Member, Organisation, key_of, seed_of

X509_SEED = seed_of("x509")
DOMAIN = "example.org"
X509 = x509.make_authority(X509_SEED, DOMAIN, not_before_ms=START_MS)


class Issuing(Organisation):
    """An organisation whose issuer has an X.509 authority."""

    def __init__(self) -> None:
        super().__init__(DOMAIN)
        issuer = self.trust().issuers[0]
        issuer = msgspec.structs.replace(issuer, x509_ca_spki_sha256=x509.spki_sha256(X509))
        self.issuer_certificate = certify(self.root, issuer)


ORG = Issuing()
ALICE = ORG.node("alice")
USER = ORG.user("alice")
NOW = START_MS + 40 * DAY_MS


def opened(member: Member) -> NodeCert:
    return NODE_CERT.decode(parse(member.certificate, Kind.NODE).body)


def request(member: Member = ALICE, now: int = NOW, ring: bytes = ORG.ring) -> bytes:
    return sign_renewal(member.certificate, ring, member.key, now)


def granted(
    node: Member = ALICE, account: bytes = b"", leaf_for: Member = ALICE, **changes: object
) -> Granted:
    renewed = msgspec.structs.replace(opened(node), not_before=NOW, **changes)
    leaf = x509.make_leaf(
        X509_SEED,
        X509,
        node_key=leaf_for.key.public,
        node_id=opened(leaf_for).id,
        not_before_ms=NOW,
    )
    return Granted(certify(ORG.issuer_key, renewed), account, (X509,), leaf)


def check(answer: Granted | Denied, account: AccountCert | None = None) -> object:
    return check_renewal(encode(answer), opened(ALICE), account, ORG.trust(), NOW)


def account(**changes: object) -> bytes:
    renewed = msgspec.structs.replace(USER.account, version=2, not_before=NOW, **changes)
    return certify(ORG.issuer_key, renewed)


def test_machines_ask_from_a_third_of_the_soft_time_and_accounts_from_half_of_theirs() -> None:
    node, user = opened(ALICE), USER.account
    assert node_due_ms(node) == node.not_before + (node.soft_expiry - node.not_before) // 3
    assert account_due_ms(user) == (user.not_before + user.not_after) // 2
    assert due_ms(node, user) == due_ms(node, None) == node_due_ms(node)
    young = msgspec.structs.replace(user, not_after=user.not_before + DAY_MS)
    assert due_ms(node, young) == account_due_ms(young)


def test_a_request_is_told_from_an_enrolment_and_names_who_asks() -> None:
    assert is_renewal(request())
    assert not is_renewal(b"enrolment")
    assert open_renewal(request(), ORG.trust(), NOW).node_id == ALICE.handle.node_id


def test_only_the_nodes_own_key_asks_for_it() -> None:
    forged = sign_renewal(ALICE.certificate, ORG.ring, key_of("mallory"), NOW)
    with pytest.raises(AuthenticityError):
        open_renewal(forged, ORG.trust(), NOW)


@pytest.mark.parametrize(
    "bad",
    [
        request(ring=bytes(20)),
        request(now=NOW + CLOCKS_APART_MS_MAX + 1),
        request(Organisation("other.org").node("alice")),
        sign(ALICE.key, Kind.ENROL_NODE, b"nonsense"),
        request() + bytes(REQUEST_SIZE_MAX),
        b"",
    ],
)
def test_what_is_no_request_of_this_ring_now_is_refused(bad: bytes) -> None:
    with pytest.raises(EpostError):
        open_renewal(bad, ORG.trust(), NOW)


def test_an_ended_certificate_counts_for_a_year_and_only_where_that_is_allowed() -> None:
    end = opened(ALICE).not_after
    for late in (end, end + EXPIRED_MS_MAX - 1):
        with pytest.raises(UntrustedCertificate):
            open_renewal(request(now=late), ORG.trust(), late)
        open_renewal(request(now=late), ORG.trust(), late, expired_ms_max=EXPIRED_MS_MAX)
    too_late = end + EXPIRED_MS_MAX
    with pytest.raises(UntrustedCertificate):
        open_renewal(request(now=too_late), ORG.trust(), too_late, expired_ms_max=EXPIRED_MS_MAX)


def test_a_granted_renewal_holds_for_machine_and_account() -> None:
    renewed = check_renewal(
        encode(granted(account=account())), opened(ALICE), USER.account, ORG.trust(), NOW
    )
    assert renewed.node.not_before == NOW
    assert renewed.account is not None
    assert renewed.account.version == 2
    only_stores = check_renewal(encode(granted()), opened(ALICE), None, ORG.trust(), NOW)
    assert only_stores.account is None


def test_a_denial_is_raised_with_its_words() -> None:
    with pytest.raises(NotPermitted, match="taken out"):
        check(Denied("taken out"))


@pytest.mark.parametrize(
    "answer",
    [
        granted(member_tag=bytes(16)),
        granted(node_key=key_of("mallory").public),
        granted(node_id=bytes(20)),
        granted(leaf_for=ORG.node("bob")),
        msgspec.structs.replace(
            granted(),
            x509_authorities=(x509.make_authority(seed_of("m"), DOMAIN, not_before_ms=NOW),),
        ),
        msgspec.structs.replace(granted(), node=certify(key_of("mallory"), opened(ALICE))),
    ],
)
def test_certificates_for_somebody_else_are_refused(answer: Granted) -> None:
    with pytest.raises((AuthenticityError, MalformedPacket)):
        check(answer)


def test_an_older_certificate_of_the_machine_is_refused() -> None:
    older = msgspec.structs.replace(opened(ALICE), not_before=START_MS - 2 * DAY_MS)
    answer = msgspec.structs.replace(granted(), node=certify(ORG.issuer_key, older))
    with pytest.raises(UntrustedCertificate):
        check(answer)


@pytest.mark.parametrize(
    "changes",
    [
        {"recovery_key": key_of("mallory").public},
        {"recovery_sealing_hash": b"m" * 32},
        {"version": 0},
    ],
)
def test_another_account_or_an_older_one_is_refused(changes: dict[str, object]) -> None:
    changed = msgspec.structs.replace(USER.account, **{"version": 2, **changes})
    answer = granted(account=certify(ORG.issuer_key, changed))
    with pytest.raises(UntrustedCertificate):
        check(answer, USER.account)


def test_the_same_keys_may_have_another_name_but_no_earlier_one_again() -> None:
    smith, former = "smith@example.org", int(AccountFlag.FORMER_NAME)
    renamed = account(aliases=(smith,), flags=former)
    assert check(granted(account=renamed), USER.account) is not None
    present = msgspec.structs.replace(USER.account, name=smith, version=3)
    assert check(granted(account=renamed), present) is not None, "it says the present name"
    with pytest.raises(UntrustedCertificate, match="older"):
        check(granted(account=account()), present)


def test_later_keys_are_told_and_other_ones_or_former_ones_are_refused() -> None:
    other = key_of("alice/other").public
    later = account(generation=1, account_key=other, rekey_proof=b"p" * 64)
    renewed = check(granted(account=later), USER.account)
    assert isinstance(renewed, Renewed)
    assert renewed.account is not None
    assert renewed.account.generation == 1, "that it descends from hers is in the ring"
    mine = msgspec.structs.replace(USER.account, generation=1, account_key=other)
    for wrong in (account(), account(account_key=other), account(generation=1)):
        with pytest.raises(UntrustedCertificate):
            check(granted(account=wrong), mine)
