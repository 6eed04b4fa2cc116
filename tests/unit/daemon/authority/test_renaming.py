"""A member is given another name; the former one is hers for a time, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from epost.crypto.certificates import AccountCert, AccountFlag, certificate_hash
from epost.daemon.authority.register import REGISTER_FILE, Register
from epost.daemon.authority.register_schema import SCHEMA, UPGRADES
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import RefusedError
from epost.rings.renewal import (
    RENEWAL_ANSWER,
    Denied,
    FullRequest,
    Granted,
    check_renewal,
    sign_full_renewal,
)
from tests.unit.daemon.authority.test_members import CAROL, DORA, listed, member
from tests.unit.daemon.authority.test_renewing import Office, account_of, node_of

SMITH, JONES = "carol.smith@example.org", "carol.jones@example.org"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.enrol_member("dora")
    return office


def certified(office: Office, name: str) -> AccountCert:
    row = office.authority._register.account(name)
    assert row is not None
    return office.authority.trust.verify_account(row.certificate, office.calendar.at)


def show(office: Office, account: bytes) -> AccountCert:
    """Ask for renewal as a machine does that has this certificate of its account."""
    before = office.ask()
    assert isinstance(before, Granted)
    request = FullRequest(
        2, office.authority.trust.ring, office.node, account, before.x509_authorities,
        before.x509_leaf, office.calendar.at,
    )  # fmt: skip
    answer = office.authority.renew(sign_full_renewal(request, office.key))
    granted = RENEWAL_ANSWER.decode(answer)
    assert isinstance(granted, Granted)
    present, trust = account_of(account), office.authority.trust
    renewed = check_renewal(answer, node_of(office.node), present, trust, office.calendar.at)
    assert renewed.account is not None
    return renewed.account


def test_both_names_are_certified_for_the_same_keys_and_say_each_other(office: Office) -> None:
    renamed = office.authority.names.rename(CAROL, SMITH)
    assert (renamed.name, renamed.former, renamed.aliases) == (SMITH, CAROL, (CAROL,))
    assert renamed.former_until_ms == office.calendar.at + 400 * DAY_MS
    new, old, first = certified(office, SMITH), certified(office, CAROL), account_of(office.account)
    assert new.has_keys_of(first)
    assert old.has_keys_of(first)
    assert (new.present_name, new.aliases, new.flags) == (SMITH, (CAROL,), 0)
    assert (old.present_name, old.aliases) == (SMITH, (SMITH,))
    assert old.flags == AccountFlag.FORMER_NAME
    assert old.version > first.version
    fresh = [account_of(c).name for c in office.authority.fresh_accounts()]
    assert fresh == [SMITH, CAROL], "the authority's daemon brings both into the ring"
    assert office.authority.rules.former_name_days == 400


def test_her_machines_are_hers_and_are_renewed_under_the_name_that_they_show(
    office: Office,
) -> None:
    office.authority.names.rename(CAROL, SMITH)
    assert {name for _, name in office.authority.members.nodes() if name} == {SMITH, DORA}
    assert len(member(office, SMITH).machines) == 1
    former = member(office, CAROL)
    assert (former.state, former.successor, former.machines) == ("former", SMITH, ())
    under_old = show(office, office.account)
    assert (under_old.name, under_old.present_name) == (CAROL, SMITH)
    row = office.authority._register.account(SMITH)
    assert row is not None
    assert show(office, row.certificate).name == SMITH
    _, said_to_the_short_form = office.granted()
    assert said_to_the_short_form.name == CAROL, "as a machine of the first version has it"
    office.pass_days(201)
    assert show(office, row.certificate).version == certified(office, SMITH).version > 2
    assert show(office, office.account).not_after > office.calendar.at + 300 * DAY_MS


def test_every_machine_is_asked_to_ask(office: Office) -> None:
    policy = office.authority._word._policy(office.calendar.at)
    assert policy.class_changes == 0
    office.authority.names.rename(CAROL, SMITH)
    policy = office.authority._word._policy(office.calendar.at)
    assert policy.class_changes == 1
    assert set(policy.quotas[:-1]) == {0}, "nobody has a quota by it"


@pytest.mark.parametrize(
    ("name", "new", "why"),
    [
        ("nobody@example.org", SMITH, "no account"),
        (CAROL, DORA, "has an account already"),
        (CAROL, "carol@example.net", "not a name of example.org"),
        (CAROL, CAROL.upper(), "her name already"),
        (CAROL, "carol smith", "not a name of the form"),
    ],
)
def test_a_name_must_be_free_and_of_the_organisation(
    office: Office, name: str, new: str, why: str
) -> None:
    with pytest.raises(RefusedError, match=why):
        office.authority.names.rename(name, new)
    assert certified(office, CAROL).version == 1


def test_who_is_held_or_gone_is_not_renamed_and_lately_removed_names_are_not_given(
    office: Office,
) -> None:
    office.authority.members.hold(CAROL)
    with pytest.raises(RefusedError, match="held"):
        office.authority.names.rename(CAROL, SMITH)
    office.authority.members.release(CAROL)
    office.authority.members.remove(DORA)
    with pytest.raises(RefusedError, match="removed lately"):
        office.authority.names.rename(CAROL, DORA)
    with pytest.raises(RefusedError, match="removed"):
        office.authority.names.rename(DORA, SMITH)


def test_a_former_name_is_given_to_nobody_and_stands_for_no_member(office: Office) -> None:
    office.authority.names.rename(CAROL, SMITH)
    authority, says_whose = office.authority, f"former name of {SMITH}"
    for refused in (
        lambda: authority.invite(CAROL),
        lambda: authority.invite_device(CAROL),
        lambda: authority.names.rename(DORA, CAROL),
        lambda: authority.names.rename(CAROL, JONES),
        lambda: authority.members.transfer(CAROL, DORA),
        lambda: authority.members.transfer(DORA, CAROL),
        lambda: authority.members.remove(CAROL),
        lambda: authority.members.hold(CAROL),
    ):
        with pytest.raises(RefusedError, match=says_whose):
            refused()
    assert isinstance(office.ask(), Granted), "her machine is in force"


def test_a_second_change_keeps_all_former_names_and_one_may_be_had_back(office: Office) -> None:
    office.authority.names.rename(CAROL, SMITH)
    office.authority.names.rename(SMITH, JONES)
    assert certified(office, JONES).aliases == (SMITH, CAROL)
    assert certified(office, CAROL).present_name == JONES
    assert certified(office, SMITH).present_name == JONES
    assert set(certified(office, CAROL).aliases) == {JONES, SMITH}
    office.authority.names.rename(JONES, CAROL)
    back = certified(office, CAROL)
    assert (back.present_name, back.aliases, back.flags) == (CAROL, (JONES, SMITH), 0)
    assert certified(office, SMITH).present_name == CAROL
    assert member(office, CAROL).state == "member"


def test_when_its_time_is_over_a_former_name_is_nobodys_for_as_long_as_a_removed_one(
    office: Office,
) -> None:
    office.authority.change_rules({"former_name_days": 200})
    office.authority.names.rename(CAROL, SMITH)
    office.pass_days(199)
    office.authority.names.end_due()
    assert certified(office, SMITH).aliases == (CAROL,)
    row = office.authority._register.account(CAROL)
    assert row is not None
    office.pass_days(2)
    office.authority.names.end_due()
    revoked = listed(office)
    assert certificate_hash(row.certificate) in revoked
    assert certificate_hash(office.account) in revoked, "nor does what came before come back"
    assert certified(office, SMITH).aliases == ()
    assert office.authority._word._policy(office.calendar.at).class_changes == 2
    with pytest.raises(RefusedError, match="removed lately"):
        office.authority.invite(CAROL)
    present = show(office, office.account)
    assert present.name == SMITH, "who was away for so long is told the name itself"
    office.pass_days(401)
    office.authority.invite(CAROL)


def test_former_names_end_with_their_member_and_follow_what_was_transferred_to_her(
    office: Office,
) -> None:
    office.authority.members.transfer(DORA, CAROL)
    office.authority.names.rename(CAROL, SMITH)
    assert member(office, DORA).successor == SMITH
    office.authority.members.remove(SMITH)
    assert isinstance(office.ask(), Denied)
    states = {m.name: m.state for m in office.authority.members.all()}
    assert states == {CAROL: "removed", SMITH: "removed", DORA: "removed"}


def test_a_former_name_is_kept_at_least_until_nothing_under_it_is_under_way(
    office: Office,
) -> None:
    with pytest.raises(RefusedError, match="183 days"):
        office.authority.change_rules({"former_name_days": 30})


def test_a_register_of_the_version_before_is_read_and_then_renames(tmp_path: Path) -> None:
    office = Office(tmp_path)
    row = office.authority._register.account(CAROL)
    assert row is not None
    office.authority.close()
    file = office.path / REGISTER_FILE
    file.unlink()
    old = apsw.Connection(str(file))
    old.execute(SCHEMA)
    for version in (1, 2):
        old.execute(UPGRADES[version])
    old.execute("INSERT INTO account VALUES (?, ?, ?, ?)",
                (row.name, row.account_id, row.certificate, row.member_tag))  # fmt: skip
    old.execute("PRAGMA user_version=3")
    old.close()
    register = Register(file)
    assert register.account(CAROL) == row
    register.add_name(SMITH, row, row.certificate)
    assert [account.name for account in register.accounts()] == [SMITH, CAROL]
    register.close()
