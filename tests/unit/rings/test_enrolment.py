"""Enrolment: nothing is said to a wrong authority, and nothing certified that was not proven."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import pytest

from epost.crypto.certificates import DeviceCert as Device
from epost.crypto.certificates import OrganisationTrust, account_id_of, certify
from epost.crypto.signing import SigningKey
from epost.crypto.x509 import key_spki_sha256, make_authority, make_leaf
from epost.foundation.codec import encode
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    AuthenticityError,
    BadSignature,
    EpostError,
    MalformedPacket,
    RefusedError,
    UntrustedCertificate,
)
from epost.foundation.ids import Address, NodeId
from epost.rings.enrolment import (
    Answer,
    DeviceRequest,
    MemberRequest,
    StorageRequest,
    check_answer,
    check_greeting,
    make_greeting,
    open_request,
    open_request_device,
    request_hash,
    require_recent,
    sealing_key_hash,
    sign_device_request,
    sign_member_request,
    sign_storage_request,
    site_asked_for,
)
from epost.rings.invite import LIFETIME_MS_MAX, Invite, parse_invite, token_hash
from tests.support.organisation import START_MS, Organisation, key_of, seed_of

NOW = START_MS
ACCOUNT, RECOVERY, NODE, DEVICE = (key_of(n) for n in ("acc", "rec", "node", "dev"))
SEALING = bytes(1216)
LISTENER = key_of("listener")
X509_SEED = seed_of("x509")
ADDRESSES = (Address("192.0.2.1", 4100), Address("example.org", 4100))


class Authority(Organisation):
    """An organisation whose issuer certifies its listener and its X.509 authority."""

    def certify_issuer(self, key: SigningKey, serial: int, powers: int = 15) -> bytes:
        plain = super().certify_issuer(key, serial, powers)
        issuer = OrganisationTrust(self.certificate, [plain]).issuers[0]
        bound = msgspec.structs.replace(
            issuer,
            enrolment_spki_sha256=key_spki_sha256(LISTENER.public),
            x509_ca_spki_sha256=key_spki_sha256(key_of("x509").public),
        )
        return certify(self.root, bound)


ORG = Authority()
INVITE = Invite(ORG.trust().fingerprint, b"t" * 16, NOW + DAY_MS, ADDRESSES)


# Invites.


def test_an_invite_survives_being_pasted_badly() -> None:
    text = str(INVITE)
    assert text.startswith("epost1:")
    wrapped = "\n ".join(text.upper()[i : i + 20] for i in range(0, len(text), 20))
    assert parse_invite(text, NOW) == parse_invite(wrapped, NOW) == INVITE
    assert "tttt" not in repr(INVITE)
    assert token_hash(INVITE.token) != INVITE.token


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "begins with"),
        ("epost1:" + "a" * 5000, "begins with"),
        (str(INVITE)[:-9], "complete"),
        ("epost1:!!!", "complete"),
        (str(INVITE).replace("t", "u").replace("eposu1", "epost1"), "invite"),
    ],
)
def test_a_broken_invite_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        parse_invite(text, NOW)


def test_an_invite_is_checked_as_a_whole_and_lives_three_days_at_most() -> None:
    other = replace(INVITE, token=b"u" * 16)
    mixed = str(INVITE)[:60] + str(other)[60:]
    with pytest.raises(RefusedError):
        parse_invite(mixed, NOW)
    for expires_at in (NOW, NOW + LIFETIME_MS_MAX + 1):
        with pytest.raises(RefusedError, match="expired"):
            parse_invite(str(replace(INVITE, expires_at=expires_at)), NOW)


# Greeting.


def test_only_the_invite_s_authority_on_its_own_listener_is_talked_to() -> None:
    greeting = make_greeting(ORG.certificate, [ORG.issuer_certificate])
    spki = key_spki_sha256(LISTENER.public)
    assert check_greeting(greeting, INVITE, spki).domain == ORG.domain
    evil = Authority("evil.example")
    with pytest.raises(UntrustedCertificate, match="invite"):
        check_greeting(make_greeting(evil.certificate, [evil.issuer_certificate]), INVITE, spki)
    with pytest.raises(UntrustedCertificate, match="listener"):
        check_greeting(greeting, INVITE, key_spki_sha256(NODE.public))
    with pytest.raises(AuthenticityError):
        check_greeting(make_greeting(ORG.certificate, [evil.issuer_certificate]), INVITE, spki)


# Requests.


def device(**changes: object) -> bytes:
    made = Device(
        1, account_id_of(ACCOUNT.public), 0, 1, DEVICE.public, sealing_key_hash(SEALING),
        key_of("log").public, True, NOW,
    )  # fmt: skip
    return certify(ACCOUNT, msgspec.structs.replace(made, **changes))


def request(**changes: object) -> MemberRequest:
    made = MemberRequest(
        1, INVITE.token, "alice@example.org", ACCOUNT.public, RECOVERY.public, SEALING,
        device(), SEALING, NODE.public, NOW,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def signed(made: MemberRequest) -> bytes:
    return sign_member_request(made, account=ACCOUNT, recovery=RECOVERY, node=NODE)


def test_a_request_proves_every_key_that_it_names() -> None:
    assert open_request(signed(request())) == request()
    assert open_request_device(request()).device_key == DEVICE.public
    for keys in (
        {"account": NODE, "recovery": RECOVERY, "node": NODE},
        {"account": ACCOUNT, "recovery": NODE, "node": NODE},
        {"account": ACCOUNT, "recovery": RECOVERY, "node": ACCOUNT},
    ):
        with pytest.raises(BadSignature):
            open_request(sign_member_request(request(), **keys))
    assert request_hash(b"a") != request_hash(b"b")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Alice@example.org"},
        {"device": device(admin=False)},
        {"device": device(sealing_hash=bytes(32))},
        {"device": device(account_id=bytes(32))},
        {"recovery_key": b"\x01" + bytes(31)},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_request_outside_its_rules_is_refused(changes: dict) -> None:
    with pytest.raises(EpostError):
        open_request(signed(request(**changes)))


def test_a_storage_only_node_asks_with_its_key_alone() -> None:
    made = StorageRequest(1, INVITE.token, NODE.public, NOW)
    assert open_request(sign_storage_request(made, node=NODE)) == made
    with pytest.raises(BadSignature):
        open_request(sign_storage_request(made, node=ACCOUNT))
    two = encode([1, encode(made), [bytes(64), bytes(64)]])
    with pytest.raises(MalformedPacket):
        open_request(two)
    keyless = msgspec.structs.replace(made, node_key=bytes(32))
    with pytest.raises(MalformedPacket):
        open_request(sign_storage_request(keyless, node=NODE))


def test_a_request_of_another_day_is_refused_unless_it_was_answered_then() -> None:
    require_recent(request(), NOW + DAY_MS)
    for now in (NOW + 2 * DAY_MS, NOW - 2 * DAY_MS):
        with pytest.raises(MalformedPacket, match="clocks"):
            require_recent(request(), now)


def device_request(**changes: object) -> DeviceRequest:
    made = DeviceRequest(
        1, INVITE.token, "alice@example.org", ACCOUNT.public, SEALING, NODE.public, NOW
    )
    return msgspec.structs.replace(made, **changes)


def test_one_more_machine_is_asked_for_with_the_account_key_and_its_own() -> None:
    made = device_request()
    assert open_request(sign_device_request(made, account=ACCOUNT, node=NODE)) == made
    for account, node in ((NODE, NODE), (ACCOUNT, ACCOUNT)):
        with pytest.raises(BadSignature):
            open_request(sign_device_request(made, account=account, node=node))
    keyless = device_request(account_key=b"\x01" + bytes(31))
    with pytest.raises(EpostError):
        open_request(sign_device_request(keyless, account=ACCOUNT, node=NODE))


def test_every_kind_of_request_may_name_a_site() -> None:
    storage = StorageRequest(1, INVITE.token, NODE.public, NOW)
    keys = {"account": ACCOUNT, "recovery": RECOVERY, "node": NODE}
    for made, sent in (
        (request(), sign_member_request(request(), **keys, site=b"roof")),
        (storage, sign_storage_request(storage, node=NODE, site=b"roof")),
        (
            device_request(),
            sign_device_request(device_request(), account=ACCOUNT, node=NODE, site=b"roof"),
        ),
    ):
        assert open_request(sent) == made
        assert site_asked_for(sent) == b"roof"
        with pytest.raises(EpostError):
            open_request(sent.replace(b"roof", b"loft"))
    assert site_asked_for(signed(request())) == b""


# Answers.


@dataclass(frozen=True)
class Granted:
    """An answer whose parts can be changed."""

    answer: Answer

    def but(self, **changes: object) -> bytes:
        return encode(msgspec.structs.replace(self.answer, **changes))


def grant(*, member: bool = True) -> Granted:
    node_id = NodeId(seed_of("id")[:20])
    node = ORG.node("x", node_id, node_key=NODE.public)
    user = ORG.user(
        "alice",
        account_key=ACCOUNT.public,
        account_id=account_id_of(ACCOUNT.public),
        recovery_key=RECOVERY.public,
        recovery_sealing_hash=sealing_key_hash(SEALING),
    )
    authority = make_authority(X509_SEED, ORG.domain, not_before_ms=NOW)
    leaf = make_leaf(X509_SEED, authority, node_key=NODE.public, node_id=node_id, not_before_ms=NOW)
    return Granted(
        Answer(
            format=1,
            organisation=ORG.certificate,
            issuers=(ORG.issuer_certificate,),
            account=user.account_certificate if member else b"",
            node=node.certificate,
            x509_authorities=(authority,),
            x509_leaf=leaf,
            root_block=ORG.root_block().data,
            issuer_blocks=(ORG.issuer_block(ORG.policy()).data,),
            sealed_secret=b"",
            contacts=(),
        )
    )


def test_an_answer_is_checked_against_what_was_asked_for() -> None:
    enrolled = check_answer(grant().but(), request(), ORG.trust(), NOW)
    assert enrolled.account is not None
    assert enrolled.account.name == "alice@example.org"
    assert enrolled.node.node_key == NODE.public
    assert enrolled.trust.domain == ORG.domain
    again = check_answer(grant().but(), device_request(), ORG.trust(), NOW)
    assert again.account == enrolled.account
    for changes in ({"name": "bob@example.org"}, {"account_key": NODE.public}):
        with pytest.raises(UntrustedCertificate, match="another account"):
            check_answer(grant().but(), device_request(**changes), ORG.trust(), NOW)
    storage = StorageRequest(1, INVITE.token, NODE.public, NOW)
    assert check_answer(grant(member=False).but(), storage, ORG.trust(), NOW).account is None


EVIL = Authority("evil.example")
ELSEWHERE = make_authority(seed_of("other"), ORG.domain, not_before_ms=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"organisation": EVIL.certificate, "issuers": (EVIL.issuer_certificate,)},
        {"node": ORG.node("other").certificate},
        {"account": ORG.user("bob").account_certificate},
        {"account": b""},
        {"x509_authorities": (ELSEWHERE,)},
        {
            "x509_leaf": make_leaf(
                seed_of("other"), ELSEWHERE, node_key=ACCOUNT.public,
                node_id=NodeId(seed_of("id")[:20]), not_before_ms=NOW,
            )
        },
        {
            "x509_leaf": make_leaf(
                seed_of("other"), ELSEWHERE, node_key=NODE.public,
                node_id=NodeId(bytes(20)), not_before_ms=NOW,
            )
        },
        {"root_block": EVIL.root_block().data},
        {"issuer_blocks": (EVIL.issuer_block(EVIL.policy()).data,)},
    ],
    ids=lambda c: next(iter(c)),
)  # fmt: skip
def test_an_answer_that_gives_something_else_is_refused(changes: dict) -> None:
    with pytest.raises(EpostError):
        check_answer(grant().but(**changes), request(), ORG.trust(), NOW)
