"""The issuer renews what is due, of whoever is in force, and keeps what it gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from epost.crypto.certificates import ACCOUNT_CERT, NODE_CERT, AccountCert, NodeCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.founding import PROLONGED_BEFORE_MS
from epost.daemon.authority.keys import ROOT_FILE
from epost.daemon.authority.register import Register
from epost.daemon.authority.world import World
from epost.daemon.world import SystemEntropy
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import ConfigError, EpostError, RefusedError
from epost.foundation.ids import Address, NodeHandle
from epost.post.accounts.new_devices import create_account
from epost.rings.enrolment import (
    ANSWER,
    MemberRequest,
    StorageRequest,
    sign_member_request,
    sign_storage_request,
)
from epost.rings.invite import parse_invite
from epost.rings.policy import read_issuer_block, read_root_block
from epost.rings.renewal import RENEWAL_ANSWER, Denied, Granted, sign_renewal
from epost.simulation.sealing import SimulatedSealing
from tests.support.organisation import START_MS, seed_of


@dataclass
class Calendar:
    at: int = START_MS

    def now(self) -> float:
        return self.at / 1000

    def wall_ms(self) -> int:
        return self.at


class Office:
    """An authority with one user, carol, and one machine that only stores."""

    def __init__(self, path: Path) -> None:
        self.path = path / "authority"
        self.calendar = Calendar()
        entropy = SystemEntropy()
        self.world = World(self.calendar, entropy, SimulatedSealing(entropy))
        self.authority = Authority.create(
            self.path, "example.org", Address("127.0.0.1", 4511), self.world
        )
        self.key, self.store_key = SigningKey(seed_of("carol")), SigningKey(seed_of("store"))
        self.accounts: dict[str, bytes] = {}
        self.node, self.account = self.enrol_member("carol")
        self.store = self._enrol_store()

    def enrol_member(self, user: str, person: str = "") -> tuple[bytes, bytes]:
        world, now = self.world, self.calendar.at
        key = SigningKey(seed_of(person or user))
        invite = parse_invite(self.authority.invite(f"{user}@example.org"), now)
        contact = NodeHandle(self.authority.trust.ring, bytes(20), (Address("c", 1),))
        new = create_account(
            seed_of("seed" + (person or user)), contact=contact, now_ms=now, sealing=world.sealing,
            entropy=world.entropy,
        )  # fmt: skip
        request = MemberRequest(
            1, invite.token, f"{user}@example.org", new.keys.account.public,
            new.keys.recovery.public, new.recovery_sealing_key, new.device_certificate,
            world.sealing.public_key(new.secrets.sealing_seed), key.public, now,
        )  # fmt: skip
        signed = sign_member_request(
            request, account=new.keys.account, recovery=new.keys.recovery, node=key
        )
        answer = ANSWER.decode(self.authority.enrol(signed))
        self.accounts[user] = answer.account
        return answer.node, answer.account

    def _enrol_store(self) -> bytes:
        invite = parse_invite(self.authority.invite(None), self.calendar.at)
        request = StorageRequest(1, invite.token, self.store_key.public, self.calendar.at)
        signed = sign_storage_request(request, node=self.store_key)
        return ANSWER.decode(self.authority.enrol(signed)).node

    def ask(self, *, at_the_port: bool = False) -> Granted | Denied:
        request = sign_renewal(self.node, self.authority.trust.ring, self.key, self.calendar.at)
        return RENEWAL_ANSWER.decode(self.authority.renew(request, at_the_port=at_the_port))

    def granted(self) -> tuple[NodeCert, AccountCert]:
        answer = self.ask()
        assert isinstance(answer, Granted)
        return node_of(answer.node), account_of(answer.account)

    def pass_days(self, days: float) -> None:
        self.calendar.at += int(days * DAY_MS)


def node_of(data: bytes) -> NodeCert:
    return NODE_CERT.decode(parse(data, Kind.NODE).body)


def account_of(data: bytes) -> AccountCert:
    return ACCOUNT_CERT.decode(parse(data, Kind.ACCOUNT).body)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_before_it_is_due_a_machine_is_given_what_it_has(office: Office) -> None:
    office.pass_days(20)
    assert office.ask() == office.ask()
    answer = office.ask()
    assert isinstance(answer, Granted)
    assert (answer.node, answer.account) == (office.node, office.account)


def test_a_machine_keeps_its_id_and_serial_through_all_renewals(office: Office) -> None:
    first = node_of(office.node)
    office.pass_days(31)
    renewed, account = office.granted()
    assert (renewed.node_id, renewed.serial) == (first.node_id, first.serial)
    assert renewed.not_before == office.calendar.at
    assert renewed.not_after == office.calendar.at + 400 * DAY_MS
    assert renewed.log_sequence > first.log_sequence
    assert account.version == 1


def test_an_account_is_renewed_at_half_of_its_life_by_the_same_question(office: Office) -> None:
    office.pass_days(201)
    _, account = office.granted()
    assert account.version == 2
    assert account.not_after == office.calendar.at + 400 * DAY_MS
    assert [account_of(c).version for c in office.authority.fresh_accounts()] == [2]


def test_a_revoked_machine_is_denied_and_its_renewed_certificate_is_revoked_too(
    office: Office,
) -> None:
    office.pass_days(31)
    renewed, _ = office.granted()
    office.authority.revoke_node(renewed.node_id)
    assert isinstance(office.ask(), Denied)
    trust = office.authority.trust
    block = open_key_block(office.authority.issuer_block)
    _, content = read_issuer_block(block, trust.issuers, trust.ring)
    assert [r.certificate for r in content.revoked] == [renewed.serial]


def test_a_year_after_the_end_the_port_still_renews_and_the_ring_does_not(office: Office) -> None:
    office.authority.prolong_issuer()
    office.pass_days(199)
    assert not office.authority.prolong_issuer()
    office.pass_days(10)
    assert office.authority.prolong_issuer()
    office.pass_days(291)
    assert office.authority.prolong_issuer()
    with pytest.raises(EpostError):
        office.ask()
    answer = office.ask(at_the_port=True)
    assert isinstance(answer, Granted)
    assert node_of(answer.node).not_before == office.calendar.at


def test_the_authority_renews_the_accounts_of_members_who_are_away(office: Office) -> None:
    office.pass_days(240)
    office.authority.renew_absent_accounts()
    assert office.authority.fresh_accounts() == []
    office.pass_days(15)
    office.authority.renew_absent_accounts()
    (renewed,) = office.authority.fresh_accounts()
    assert account_of(renewed).version == 2
    office.pass_days(3)
    office.authority.renew_absent_accounts()
    assert office.authority.fresh_accounts() == []


def test_unless_each_user_must_run_a_machine(office: Office) -> None:
    office.authority.change_rules({"must_run_node": True})
    office.pass_days(300)
    office.authority.renew_absent_accounts()
    assert office.authority.fresh_accounts() == []
    assert office.granted()[1].version == 2


def test_changed_lifetimes_hold_for_what_is_certified_from_now_on(office: Office) -> None:
    rules = office.authority.change_rules({"node_days": 100, "account_days": 50})
    assert rules.as_dict()["node_days"] == 100
    office.pass_days(31)
    node, account = office.granted()
    assert node.not_after == office.calendar.at + 100 * DAY_MS
    assert account.version == 1
    trust = office.authority.trust
    block = open_key_block(office.authority.issuer_block)
    _, content = read_issuer_block(block, trust.issuers, trust.ring)
    assert content.policy.lifetimes.node_days == 100
    with Authority.open(office.path, office.world) as again:
        assert again.rules == rules


@pytest.mark.parametrize(
    "changes", [{"node_days": 0}, {"node_days": 401}, {"node_soft_days": 300, "node_days": 200}]
)
def test_rules_that_make_no_sense_are_refused(office: Office, changes: dict[str, int]) -> None:
    with pytest.raises(RefusedError):
        office.authority.change_rules(changes)
    assert office.authority.rules.node_days == 400


def test_an_issuer_is_prolonged_under_its_key_by_the_root_only(office: Office) -> None:
    before = office.authority.trust.issuers[0]
    office.calendar.at = before.not_after - PROLONGED_BEFORE_MS
    root_key = (office.path / ROOT_FILE).read_bytes()
    (office.path / ROOT_FILE).unlink()
    with pytest.raises(ConfigError, match="root key"):
        office.authority.prolong_issuer()
    (office.path / ROOT_FILE).write_bytes(root_key)
    assert office.authority.prolong_issuer()
    after = office.authority.trust.issuers[0]
    assert (after.issuer_key, after.serial) == (before.issuer_key, before.serial)
    assert after.not_after == office.calendar.at + 400 * DAY_MS
    root = open_key_block(office.authority.root_blocks[-1])
    key = office.authority.trust.organisation.organisation_key
    assert root.body.version == 2
    assert len(read_root_block(root, key, office.authority.trust.ring).issuers) == 1
    with Authority.open(office.path, office.world) as again:
        assert again.issuer_ends_ms == after.not_after
        again.trust.verify_node(office.node, office.calendar.at)


def test_a_register_of_the_first_version_is_read_and_one_of_a_later_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "register.db"
    Register(path).close()
    database = apsw.Connection(str(path))
    for table in ("setting", "seen", "standing", "superseded", "succeeded_key"):
        database.execute(f"DROP TABLE {table}")
    database.execute("PRAGMA user_version=1")
    database.close()
    register = Register(path)
    register.put_setting("rules", b"{}")
    register.note_seen([b"n"], 7)
    assert (register.setting("rules"), register.seen()) == (b"{}", {b"n": 7})
    register.close()
    database = apsw.Connection(str(path))
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(ConfigError, match="later version"):
        Register(path)
