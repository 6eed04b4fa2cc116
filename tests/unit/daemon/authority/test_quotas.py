"""Who may store how much: classes in the policy, and certificates that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from epost.crypto.versioned import open_key_block
from epost.daemon.authority.quotas import CLASSES_OF_MEMBERS, Quotas
from epost.daemon.authority.register import Register
from epost.foundation.errors import ConfigError, RefusedError
from epost.rings.policy import QUOTA_CLASSES_MAX, Policy, read_issuer_block
from tests.unit.daemon.authority.test_renewing import Office

CAROL = "carol@example.org"
GIBIBYTE = 1024


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture
def quotas(tmp_path: Path) -> Quotas:
    return Quotas(Register(tmp_path / "register.db"))


def policy_of(office: Office) -> Policy:
    trust = office.authority.trust
    block = open_key_block(office.authority.issuer_block)
    return read_issuer_block(block, trust.issuers, trust.ring)[1].policy


def quota_in_force(office: Office) -> int:
    """Return what a storage node reads from the newest certificate and the newest policy."""
    node, _ = office.granted()
    quotas = policy_of(office).quotas
    return quotas[node.quota_class] if node.quota_class < len(quotas) else 0


def test_without_a_decision_nobody_has_a_limit_and_the_policy_says_nothing(office: Office) -> None:
    assert policy_of(office).quotas == ()
    assert quota_in_force(office) == 0


def test_a_member_is_certified_anew_when_she_asks_and_may_store_what_was_said(
    office: Office,
) -> None:
    before, _ = office.granted()
    assert office.authority.set_quota("Carol@Example.org", 50 * GIBIBYTE) == 50 * GIBIBYTE
    assert policy_of(office).class_changes == 1
    office.pass_days(0.01)
    assert quota_in_force(office) == 50 * GIBIBYTE
    renewed, _ = office.granted()
    assert (renewed.node_id, renewed.serial) == (before.node_id, before.serial)
    assert renewed.log_sequence > before.log_sequence


def test_others_go_by_the_default_which_needs_no_new_certificate(office: Office) -> None:
    office.authority.change_rules({"quota_mib": 10 * GIBIBYTE})
    assert policy_of(office).quotas == (10 * GIBIBYTE,)
    assert quota_in_force(office) == 10 * GIBIBYTE
    office.authority.set_quota(CAROL, 500)
    assert quota_in_force(office) == 500
    assert office.authority.set_quota(CAROL, None) == 10 * GIBIBYTE
    assert quota_in_force(office) == 10 * GIBIBYTE
    assert policy_of(office).class_changes == 2


def test_who_has_no_limit_has_none_whatever_the_default_is(office: Office) -> None:
    office.authority.change_rules({"quota_mib": 500})
    office.authority.set_quota(CAROL, 0)
    assert quota_in_force(office) == 0


def test_whoever_has_no_account_has_no_quota(office: Office) -> None:
    with pytest.raises(RefusedError, match="no account"):
        office.authority.set_quota("dave@example.org", 1)


def test_members_with_one_amount_share_a_class_and_freed_classes_are_given_again(
    quotas: Quotas,
) -> None:
    tags = [bytes([n]) * 16 for n in range(CLASSES_OF_MEMBERS + 2)]
    for n in range(CLASSES_OF_MEMBERS):
        quotas.set(tags[n], 1000 + n)
    quotas.set(tags[-1], 1000)
    assert quotas.class_of(tags[-1]) == quotas.class_of(tags[0]) == 1
    with pytest.raises(RefusedError, match="different quotas"):
        quotas.set(tags[-2], 7)
    assert len(quotas.in_policy()) == QUOTA_CLASSES_MAX
    quotas.set(tags[5], None)
    quotas.set(tags[-2], 7)
    assert (quotas.class_of(tags[-2]), quotas.of(tags[-2])) == (6, 7)
    assert quotas.in_policy()[-1] == CLASSES_OF_MEMBERS + 3


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    register = Register(tmp_path / "register.db")
    register.put_setting("quotas", b"{")
    with pytest.raises(ConfigError, match="damaged"):
        Quotas(register).in_policy()
