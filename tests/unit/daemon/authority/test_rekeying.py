"""An account is given other keys by the present ones, once, on the word of a machine of hers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from epost.crypto.certificates import AccountCert, account_key_hash
from epost.crypto.rekeying import Rekeying, follows, sign_rekeying
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.foundation.errors import EpostError, NotPermitted
from epost.past.log_format import LOG_RECORD
from epost.post.accounts.devices import AccountKeys
from epost.rings.certified import is_for
from epost.rings.enrolment import DeviceRequest, sealing_key_hash
from epost.rings.policy import Reason, read_issuer_block
from epost.rings.rekeying import check_rekeyed, sign_rekey_request
from epost.rings.renewal import Granted
from tests.support.organisation import seed_of
from tests.unit.daemon.authority.test_members import CAROL, DORA
from tests.unit.daemon.authority.test_renaming import SMITH, certified, show
from tests.unit.daemon.authority.test_renewing import Office, account_of


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.enrol_member("dora")
    return office


def carols(words: str = "seedcarol") -> AccountKeys:
    return AccountKeys(seed_of(words))


def statement(office: Office, former: AccountKeys, following: AccountKeys) -> bytes:
    sealing_key = office.world.sealing.public_key(following.recovery_sealing_seed)
    rekeying = Rekeying(
        1, office.authority.trust.ring, following.account_id, following.generation,
        former.account.public, following.account.public, following.recovery.public,
        sealing_key_hash(sealing_key),
    )  # fmt: skip
    return sign_rekeying(former.account, rekeying)


def request(
    office: Office, signed: bytes, following: AccountKeys, *, node: bytes = b"", by: str = "carol"
) -> bytes:
    return sign_rekey_request(
        signed,
        ring=office.authority.trust.ring,
        account=following.account,
        recovery=following.recovery,
        node_certificate=node or office.node,
        node=SigningKey(seed_of(by)),
        now_ms=office.calendar.at,
    )


def rekey(office: Office, former: AccountKeys, following: AccountKeys) -> AccountCert:
    return given(office, statement(office, former, following), following)


def given(office: Office, signed: bytes, following: AccountKeys) -> AccountCert:
    answer = office.authority.keys.answer(request(office, signed, following))
    return check_rekeyed(answer, signed, office.authority.trust, office.calendar.at)[0]


def revoked(authority: Authority) -> dict[bytes, int]:
    block = open_key_block(authority.issuer_block)
    _, content = read_issuer_block(block, authority.trust.issuers, authority.trust.ring)
    return {r.certificate: r.reason for r in content.revoked}


def test_the_present_keys_hand_the_account_over(office: Office) -> None:
    before = certified(office, CAROL)
    changes = office.authority._word._policy(office.calendar.at).class_changes
    following = carols().followed_by(seed_of("other words"))
    after = rekey(office, carols(), following)
    assert follows(after, before)
    assert (after.account_id, after.generation) == (before.account_id, 1)
    assert (after.name, after.version > before.version) == (CAROL, True)
    assert certified(office, CAROL) == after
    assert revoked(office.authority)[account_key_hash(before.account_key)] == Reason.SUCCEEDED
    assert office.authority._word._policy(office.calendar.at).class_changes == changes + 1
    (record,) = office.authority._register.certified(after.log_sequence, limit=1)
    assert is_for(LOG_RECORD.decode(record).sealed, CAROL.encode(), after.account_key)
    assert [account_of(c) for c in office.authority.fresh_keys()] == [after]
    again = rekey(office, following, following.followed_by(seed_of("third")))
    assert follows(again, after)
    assert again.generation == 2


def test_the_same_request_is_answered_the_same_again(office: Office) -> None:
    following = carols().followed_by(seed_of("other words"))
    first = rekey(office, carols(), following)
    assert rekey(office, carols(), following) == first
    assert certified(office, CAROL) == first


def test_a_thief_of_the_old_phrase_comes_too_late_and_an_old_proof_is_not_taken_again(
    office: Office,
) -> None:
    second = carols().followed_by(seed_of("other words"))
    after = rekey(office, carols(), second)
    with pytest.raises(NotPermitted, match="not the 24 words that are in force"):
        rekey(office, carols(), carols().followed_by(seed_of("thief")))
    third = rekey(office, second, second.followed_by(seed_of("third")))
    with pytest.raises(NotPermitted, match="not the 24 words that are in force"):
        rekey(office, carols(), second)
    assert certified(office, CAROL) == third != after


def test_who_has_the_phrase_and_a_machine_comes_first_and_is_not_undone_by_the_old_phrase(
    office: Office,
) -> None:
    """The owner learns of it (her machines are listed nowhere), and the administrator helps."""
    thiefs = rekey(office, carols(), carols().followed_by(seed_of("thief")))
    with pytest.raises(NotPermitted):
        rekey(office, carols(), carols().followed_by(seed_of("hers")))
    assert certified(office, CAROL) == thiefs


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": bytes(32)},
        {"generation": 2},
        {"ring": bytes(20)},
        {"former_key": SigningKey(seed_of("thief")).public},
    ],
)
def test_a_statement_about_another_account_is_not_taken(
    office: Office, changes: dict[str, object]
) -> None:
    following = carols().followed_by(seed_of("other words"))
    rekeying = Rekeying(
        1, office.authority.trust.ring, following.account_id, 1, carols().account.public,
        following.account.public, following.recovery.public, bytes(32),
    )  # fmt: skip
    forged = msgspec.structs.replace(rekeying, **changes)
    for key in (carols().account, SigningKey(seed_of("thief"))):
        signed = sign_rekeying(key, forged)
        with pytest.raises(EpostError):
            given(office, signed, following)
    assert certified(office, CAROL).generation == 0


def test_keys_that_do_not_ask_themselves_are_not_certified(office: Office) -> None:
    """Else the thief could give the account the keys of somebody who knows of nothing."""
    following = carols().followed_by(seed_of("other words"))
    signed = statement(office, carols(), following)
    for keys in (carols(), AccountKeys(seed_of("thief"))):
        with pytest.raises(EpostError):
            office.authority.keys.answer(request(office, signed, keys))


def test_only_a_machine_of_the_member_may_ask(office: Office) -> None:
    following = carols().followed_by(seed_of("other words"))
    signed = statement(office, carols(), following)
    trust, now = office.authority.trust, office.calendar.at
    stores = request(office, signed, following, node=office.store, by="store")
    with pytest.raises(NotPermitted, match="no user"):
        check_rekeyed(office.authority.keys.answer(stores), signed, trust, now)
    with pytest.raises(EpostError):
        office.authority.keys.answer(request(office, signed, following, by="store"))
    office.authority.members.remove(CAROL)
    with pytest.raises(NotPermitted, match="taken out"):
        check_rekeyed(
            office.authority.keys.answer(request(office, signed, following)), signed, trust, now
        )


def test_former_names_and_names_taken_over_get_the_keys_too(office: Office) -> None:
    office.authority.members.transfer(DORA, CAROL)
    office.authority.names.rename(CAROL, SMITH)
    after = rekey(office, carols(), carols().followed_by(seed_of("other words")))
    assert after.name == SMITH
    assert after.aliases == (CAROL,)
    for name in (CAROL, DORA):
        other = certified(office, name)
        assert other.has_keys_of(after)
        assert other.rekey_proof == after.rekey_proof
    assert certified(office, CAROL).present_name == SMITH


def test_machines_are_given_the_keys_at_renewal_and_recovery_wants_the_new_words(
    office: Office,
) -> None:
    after = rekey(office, carols(), carols().followed_by(seed_of("other words")))
    granted = office.ask()
    assert isinstance(granted, Granted)
    assert account_of(granted.account) == after
    for keys, is_in_force in (("seedcarol", False), ("other words", True)):
        asked = DeviceRequest(
            1, bytes(16), CAROL, carols(keys).account.public, bytes(1216), bytes(32), 0
        )
        with nullcontext() if is_in_force else pytest.raises(NotPermitted, match="24 words"):
            assert office.authority._certifier.member_of(asked).name == CAROL
    office.pass_days(201)
    assert office.granted()[1].rekey_proof == after.rekey_proof, "renewed as they are"


def test_a_restored_authority_takes_the_later_keys_over_and_never_goes_back(
    office: Office,
) -> None:
    old = office.authority._register.account(CAROL)
    assert old is not None
    before = certified(office, CAROL)
    after = rekey(office, carols(), carols().followed_by(seed_of("other words")))
    after_row = office.authority._register.account(CAROL)
    assert after_row is not None
    office.authority.adopt_account(old.certificate)
    assert certified(office, CAROL) == after
    with office.authority._register.transaction():
        office.authority._register.renew_account(CAROL, old.certificate)
    assert certified(office, CAROL) == before
    office.authority.adopt_account(after_row.certificate)
    assert certified(office, CAROL) == after


def test_show_is_of_the_present_keys(office: Office) -> None:
    after = rekey(office, carols(), carols().followed_by(seed_of("other words")))
    row = office.authority._register.account(CAROL)
    assert row is not None
    assert show(office, row.certificate) == after
