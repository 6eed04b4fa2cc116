"""Members who leave, are away, or are followed by somebody; and what the ring hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from epost.crypto.certificates import certificate_hash
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.members import NAME_KEPT_MS, Member
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import NotPermitted, RefusedError
from epost.rings.policy import Reason, Revocation, read_issuer_block
from epost.rings.renewal import Denied
from tests.unit.daemon.authority.test_renewing import Office, account_of, node_of

CAROL, DORA = "carol@example.org", "dora@example.org"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.enrol_member("dora")
    return office


def member(office: Office, name: str = CAROL) -> Member:
    (found,) = (m for m in office.authority.members.all() if m.name == name)
    return found


def listed(office: Office) -> dict[bytes, Revocation]:
    trust = office.authority.trust
    block = open_key_block(office.authority.issuer_block)
    _, content = read_issuer_block(block, trust.issuers, trust.ring)
    return {r.certificate: r for r in content.revoked}


def test_members_are_listed_with_their_machines_and_when_they_were_seen(office: Office) -> None:
    carol = member(office)
    assert (carol.state, carol.seen_ms, carol.successor) == ("member", None, None)
    assert carol.until_ms == account_of(office.account).not_after
    node_id = node_of(office.node).node_id
    assert [m.node_id for m in carol.machines] == [node_id.hex()]
    office.authority.note_seen([node_id])
    assert member(office).seen_ms == office.calendar.at
    assert [m.name for m in office.authority.members.all()] == [CAROL, DORA]


def test_a_removed_member_loses_machines_and_account(office: Office) -> None:
    office.pass_days(201)
    _, renewed = office.granted()
    assert renewed.version == 2
    assert office.authority.members.remove(CAROL) == 1
    assert isinstance(office.ask(), Denied)
    revoked = listed(office)
    assert node_of(office.node).serial in revoked
    assert certificate_hash(office.account) in revoked, "what was renewed counts no longer either"
    assert len(revoked) == 3
    assert {r.reason for r in revoked.values()} == {Reason.REMOVED}
    gone = member(office)
    assert (gone.state, gone.since_ms) == ("removed", office.calendar.at)
    assert gone.machines[0].revoked_ms == office.calendar.at


def test_revocations_are_dropped_when_nothing_of_it_can_be_in_force(office: Office) -> None:
    office.authority.members.remove(CAROL)
    office.calendar.at += 401 * DAY_MS
    office.authority.refresh_policy()
    assert listed(office) == {}


def test_nothing_more_is_given_to_a_removed_member(office: Office) -> None:
    office.authority.members.remove(CAROL)
    with pytest.raises(RefusedError, match="removed"):
        office.authority.members.remove(CAROL)
    with pytest.raises(RefusedError, match="removed"):
        office.authority.invite_device(CAROL)
    with pytest.raises(RefusedError, match="removed"):
        office.authority.members.hold(CAROL)
    with pytest.raises(RefusedError, match="no account"):
        office.authority.members.remove("nobody@example.org")
    office.pass_days(399)
    office.authority.renew_absent_accounts()
    assert [account_of(c).name for c in office.authority.fresh_accounts()] == [DORA]


def test_a_removed_name_is_free_only_after_its_grace_and_its_versions_go_on(
    office: Office,
) -> None:
    office.authority.members.remove(CAROL)
    with pytest.raises(RefusedError, match="401 more days"):
        office.authority.invite(CAROL)
    office.calendar.at += NAME_KEPT_MS // 2
    office.authority.prolong_issuer()
    office.calendar.at += NAME_KEPT_MS // 2 + 1
    office.authority.prolong_issuer()
    _, account = office.enrol_member("carol", "another carol")
    assert account_of(account).version == 2
    assert member(office).state == "member"
    with pytest.raises(RefusedError, match="already"):
        office.authority.invite(CAROL)


def test_a_held_members_tag_is_told_and_her_account_renewed(office: Office) -> None:
    office.authority.change_rules({"must_run_node": True})
    office.authority.members.hold(CAROL)
    tag = node_of(office.node).member_tag
    assert listed(office) == {tag: Revocation(tag, Reason.HELD, office.calendar.at)}
    assert member(office).state == "held"
    with pytest.raises(RefusedError, match="held already"):
        office.authority.members.hold(CAROL)
    office.pass_days(300)
    office.authority.renew_absent_accounts()
    (renewed,) = office.authority.fresh_accounts()
    assert account_of(renewed).name == CAROL, "dora must run a machine"
    office.authority.members.release(CAROL)
    assert listed(office) == {}
    with pytest.raises(RefusedError, match="not held"):
        office.authority.members.release(CAROL)


def test_a_name_goes_to_a_successor_under_her_keys(office: Office) -> None:
    office.authority.members.transfer(CAROL, DORA)
    carol = member(office)
    assert (carol.state, carol.successor) == ("transferred", DORA)
    (certificate,) = office.authority.fresh_accounts()
    handed = account_of(certificate)
    office.authority.trust.verify_account(certificate, office.calendar.at)
    dora = account_of(office.accounts["dora"])
    assert (handed.name, handed.version) == (CAROL, 2)
    assert (handed.account_id, handed.account_key) == (dora.account_id, dora.account_key)
    revoked = listed(office)
    assert certificate_hash(office.account) in revoked
    assert certificate_hash(certificate) not in revoked


def test_a_transferred_name_is_renewed_and_ends_with_the_successor(office: Office) -> None:
    office.authority.members.transfer(CAROL, DORA)
    office.authority.change_rules({"must_run_node": True})
    office.pass_days(300)
    office.authority.renew_absent_accounts()
    (renewed,) = office.authority.fresh_accounts()
    assert (account_of(renewed).name, account_of(renewed).version) == (CAROL, 3)
    office.authority.members.remove(DORA)
    assert member(office).state == "removed"
    assert certificate_hash(renewed) in listed(office)


def test_a_name_can_be_transferred_after_a_removal_and_again(office: Office) -> None:
    office.enrol_member("emma")
    office.authority.members.remove(CAROL)
    office.authority.members.transfer(CAROL, DORA)
    office.authority.members.transfer(CAROL, "emma@example.org")
    (certificate,) = office.authority.fresh_accounts()
    emma = account_of(office.accounts["emma"])
    assert account_of(certificate).account_id == emma.account_id
    assert account_of(certificate).version == 3


def test_successors_are_other_members(office: Office) -> None:
    members = office.authority.members
    with pytest.raises(RefusedError, match="nobody succeeds herself"):
        members.transfer(CAROL, CAROL)
    with pytest.raises(RefusedError, match="no account"):
        members.transfer("nobody@example.org", DORA)
    members.remove(DORA)
    with pytest.raises(RefusedError, match="removed"):
        members.transfer(CAROL, DORA)
    assert member(office).state == "member"


def test_a_removed_members_words_enrol_no_further_machine(office: Office) -> None:
    office.authority.members.remove(CAROL)
    request = type("Request", (), {"name": CAROL})()
    with pytest.raises(NotPermitted, match="removed"):
        office.authority._certifier.member_of(request)
