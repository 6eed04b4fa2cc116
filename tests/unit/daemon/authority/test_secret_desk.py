"""The authority rotates the organisation's secret in time, and gives it to members' devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.catching_up import mark_restored
from epost.daemon.authority.register import REGISTER_FILE
from epost.daemon.authority.secret_epochs import EPOCH_MS_MAX, SETTING
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import ConfigError, EpostError
from epost.foundation.ids import Address, NodeHandle
from epost.post.accounts.new_devices import NewAccount, create_account
from epost.rings.policy import Policy, read_issuer_block
from epost.rings.renewal import Denied
from epost.rings.secret_request import (
    SECRET_ANSWER,
    SecretRequest,
    open_secret_answer,
    sign_secret_request,
)
from tests.support.organisation import seed_of
from tests.unit.daemon.authority.test_renewing import Office, node_of

CAROL = "carol@example.org"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def policy_of(authority: Authority) -> Policy:
    block = open_key_block(authority.issuer_block)
    return read_issuer_block(block, authority.trust.issuers, authority.trust.ring)[1].policy


def account_of(office: Office, person: str) -> NewAccount:
    """The account that the office enrolled, but with new keys of its device."""
    contact = NodeHandle(office.authority.trust.ring, bytes(20), (Address("c", 1),))
    return create_account(
        seed_of("seed" + person), contact=contact, now_ms=office.calendar.at,
        sealing=office.world.sealing, entropy=office.world.entropy,
    )  # fmt: skip


class Carol:
    """Carol's machine, as it asks."""

    def __init__(self, office: Office, person: str = "carol") -> None:
        self.office = office
        self.account = account_of(office, person)
        self.seed = self.account.secrets.sealing_seed

    def request(self, *, node: bytes = b"", key: SigningKey | None = None) -> bytes:
        request = SecretRequest(
            1, self.office.authority.trust.ring, node or self.office.node,
            self.account.device_certificate, self.office.world.sealing.public_key(self.seed),
            self.office.calendar.at,
        )  # fmt: skip
        return sign_secret_request(request, key or self.office.key)

    def ask(self) -> bytes:
        authority, request = self.office.authority, self.request()
        answer = authority.secrets.answer(request)
        policy = policy_of(authority)
        return open_secret_answer(answer, request, self.seed, policy, self.office.world.sealing)


def test_a_members_device_is_given_the_secret_that_the_policy_names(office: Office) -> None:
    carol = Carol(office)
    first = carol.ask()
    assert policy_of(office.authority).secret_epoch == 1
    assert office.authority.secrets.rotate() == 2
    assert policy_of(office.authority).secret_epoch == 2
    assert carol.ask() != first


def test_the_next_secret_comes_after_half_a_year(office: Office) -> None:
    office.calendar.at += EPOCH_MS_MAX - 1
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 1
    office.calendar.at += 1
    office.authority.secrets.rotate_if_due()
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 2
    office.calendar.at += EPOCH_MS_MAX
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 3


def test_a_day_after_somebody_left_there_is_a_new_one_for_all_who_left_meanwhile(
    office: Office,
) -> None:
    office.enrol_member("dora")
    office.authority.members.remove("dora@example.org")
    office.pass_days(0.9)
    office.authority.revoke_node(node_of(office.store).node_id)
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 1
    office.pass_days(0.1)
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 2
    office.pass_days(30)
    office.authority.secrets.rotate_if_due()
    assert policy_of(office.authority).secret_epoch == 2


def denial(office: Office, request: bytes) -> str:
    answer = SECRET_ANSWER.decode(office.authority.secrets.answer(request))
    assert isinstance(answer, Denied)
    return answer.text


def test_who_left_is_given_nothing(office: Office) -> None:
    carol = Carol(office)
    office.authority.members.remove(CAROL)
    assert "no longer" in denial(office, carol.request())


def test_a_machine_without_a_user_is_given_nothing(office: Office) -> None:
    request = Carol(office).request(node=office.store, key=office.store_key)
    assert "no user" in denial(office, request)


def test_nobody_is_given_the_secret_in_the_name_of_another(office: Office) -> None:
    dora, _ = office.enrol_member("dora")
    carol = Carol(office)
    with pytest.raises(EpostError):  # Carol's machine, Dora's device
        office.authority.secrets.answer(Carol(office, "dora").request())
    with pytest.raises(EpostError):  # Dora's machine, by Carol's key
        office.authority.secrets.answer(carol.request(node=dora))
    other = Carol(office)
    carol.seed = other.seed
    with pytest.raises(EpostError):  # Carol's device, a key that it did not certify
        office.authority.secrets.answer(carol.request())
    late = carol.request()
    office.calendar.at += 2 * DAY_MS
    with pytest.raises(EpostError):
        office.authority.secrets.answer(late)


def test_a_restored_authority_outgrows_the_epoch_whose_secret_it_lost(
    office: Office, tmp_path: Path
) -> None:
    mark_restored(office.path / REGISTER_FILE)
    restored = Authority.open(office.path, office.world)
    told = open_key_block(office.authority.issuer_block)
    _, content = read_issuer_block(told, restored.trust.issuers, restored.trust.ring)
    assert content.policy.secret_epoch == 1
    later = Authority.create(
        tmp_path / "other", "example.org", Address("127.0.0.1", 4512), office.world
    )
    later.secrets.rotate()
    later.secrets.rotate()
    newest = later.issuer_block
    restored._register.put_block("issuer", newest)
    restored.secrets.outgrow_ring()
    assert restored._certifier.secrets.newest().epoch == 4
    restored.secrets.outgrow_ring()
    assert restored._certifier.secrets.newest().epoch == 4


def test_a_damaged_secret_is_not_replaced_in_silence(office: Office) -> None:
    office.authority._register.put_setting(SETTING, b"\x00")
    with pytest.raises(ConfigError, match="damaged"):
        office.authority.secrets.rotate()
