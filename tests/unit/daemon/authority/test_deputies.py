"""Deputies renew while the authority is away, and nothing that they should not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from epost.crypto.certificates import AccountCert, NodeCert, certify
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.deputy import KEYS_FILE, Deputy, deputy_keys
from epost.daemon.authority.keys import ROOT_FILE
from epost.foundation.durations import DAY_MS
from epost.foundation.effects import Outbox
from epost.foundation.errors import AuthenticityError, ConfigError, EpostError, RefusedError
from epost.rings.appointment import Appointment, parse_appointment
from epost.rings.issuers import Issuers
from epost.rings.renewal import (
    RENEWAL_ANSWER,
    FullRequest,
    Granted,
    account_due_ms,
    check_renewal,
    sign_full_renewal,
    sign_renewal,
)
from tests.unit.daemon.authority.test_renewing import Office, account_of, node_of

CAROL = "carol@example.org"


class Alone:
    """The ring of a node that has no neighbours and an empty disk."""

    def neighbours(self) -> list[object]:
        return []

    def notes(self, table: str) -> list[tuple[bytes, bytes]]:
        return []

    def record(self, event: object) -> None:
        pass


class Second:
    """A second machine, with a deputy that carol's authority may appoint."""

    def __init__(self, office: Office, path: Path) -> None:
        self.office = office
        self.path = path / "deputy"
        alone = Alone()
        self.issuers = Issuers(
            office.authority.trust, alone, alone, outbox=Outbox(), observer=alone
        )
        self.keys = deputy_keys(self.path, office.world.entropy)
        self.deputy = Deputy(self.path, self.issuers, office.world)
        self.hear()

    @property
    def line(self) -> str:
        return str(self.keys.appointment)

    def hear(self) -> None:
        """What gossip brings."""
        for block in (*self.office.authority.root_blocks, self.office.authority.issuer_block):
            self.issuers.publish(block)

    def appoint(self) -> int:
        number = self.office.authority.deputies.appoint(self.line)
        self.hear()
        return number

    def request(self, *, node: bytes = b"", account: bytes | None = None) -> bytes:
        office = self.office
        request = FullRequest(
            2, office.authority.trust.ring, node or office.node,
            office.account if account is None else account,
            (office.authority._public.x509,),
            office.authority._certifier.leaf(
                office.key.public, node_of(node or office.node).id, office.calendar.at
            ),
            office.calendar.at,
        )  # fmt: skip
        return sign_full_renewal(request, office.key)

    def granted(self, request: bytes) -> tuple[NodeCert, AccountCert]:
        """What carol's machine makes of the answer."""
        answer = self.deputy.renew(request)
        assert answer is not None
        office, now = self.office, self.office.calendar.at
        node, account = node_of(office.node), account_of(office.account)
        renewed = check_renewal(answer, node, account, self.issuers.trust, now)
        assert renewed.account is not None
        office.node, office.account = renewed.granted.node, renewed.granted.account
        return renewed.node, renewed.account


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture
def second(office: Office, tmp_path: Path) -> Second:
    return Second(office, tmp_path)


def test_before_it_is_appointed_a_deputy_answers_nobody(office: Office, second: Second) -> None:
    office.pass_days(40)
    assert second.deputy.renew(second.request()) is None


def test_a_deputy_renews_what_is_due_under_its_own_number(office: Office, second: Second) -> None:
    assert second.appoint() == 2
    assert second.deputy.renew(second.request()) is None, "nothing is due"
    office.pass_days(40)
    before = node_of(office.node)
    node, account = second.granted(second.request())
    assert (node.issuer, node.log_sequence, account.version) == (2, 1, 1)
    assert node.not_before > before.not_before
    assert (node.serial, node.quota_class) == (before.serial, before.quota_class)
    office.calendar.at = account_due_ms(account)
    node, account = second.granted(second.request())
    assert (account.issuer, account.version, account.name) == (2, 2, CAROL)
    assert second.deputy.log.reached == 3


def test_the_authority_goes_on_behind_what_a_deputy_renewed(office: Office, second: Second) -> None:
    second.appoint()
    office.calendar.at = account_due_ms(account_of(office.account))
    assert second.granted(second.request())[1].version == 2
    office.calendar.at = account_due_ms(account_of(office.account))
    answer = RENEWAL_ANSWER.decode(office.authority.renew(second.request()))
    assert isinstance(answer, Granted)
    assert (account_of(answer.account).version, account_of(answer.account).issuer) == (3, 1)
    assert node_of(answer.node).issuer == 1


def test_when_both_renew_an_account_at_once_the_authority_goes_on_behind_what_the_ring_has(
    office: Office, second: Second
) -> None:
    second.appoint()
    office.calendar.at = account_due_ms(account_of(office.account))
    short = sign_renewal(office.node, office.authority.trust.ring, office.key, office.calendar.at)
    office.authority.renew(short)
    second.granted(second.request())
    (hers,) = office.authority.fresh_accounts()
    assert hers != office.account
    assert account_of(hers).version == account_of(office.account).version == 2
    office.authority.adopt_account(office.account)  # the ring had this one first
    assert office.authority.fresh_accounts() == [office.account]
    other = account_of(office.enrol_member("dora")[1])
    forged = msgspec.structs.replace(
        other, name=CAROL, version=9, issuer=2, not_before=office.calendar.at
    )
    office.authority.adopt_account(certify(second.deputy._key, forged))
    assert office.authority.fresh_accounts() == [office.account], "other keys are not adopted"


def test_a_daemon_of_the_first_version_is_left_to_the_authority(
    office: Office, second: Second
) -> None:
    second.appoint()
    office.pass_days(40)
    ring, now = office.authority.trust.ring, office.calendar.at
    short = sign_renewal(office.node, ring, office.key, now)
    assert second.deputy.renew(short) is None
    answer = RENEWAL_ANSWER.decode(office.authority.renew(short))
    assert isinstance(answer, Granted)


def test_who_was_taken_out_is_not_renewed_and_stays_on_the_list(
    office: Office, second: Second
) -> None:
    second.appoint()
    office.pass_days(40)
    office.authority.revoke_node(node_of(office.node).node_id)
    second.hear()
    assert second.deputy.renew(second.request()) is None
    office.pass_days(365)  # what the register knows of her machine has ended
    office.authority.refresh_policy()
    second.hear()
    assert second.issuers.is_node_revoked(node_of(office.node))


def test_what_a_deputy_gave_to_somebody_removed_is_revoked_when_the_ring_shows_it(
    office: Office, second: Second
) -> None:
    second.appoint()
    office.calendar.at = account_due_ms(account_of(office.account))
    _, given = second.granted(second.request())
    office.authority.members.remove(CAROL)
    second.hear()
    assert not second.issuers.is_account_revoked(office.account, given)
    assert office.authority.members.gone() == [CAROL]
    office.authority.members.end_in_ring(office.account)
    second.hear()
    assert second.issuers.is_account_revoked(office.account, given)
    assert second.deputy.renew(second.request(account=office.account)) is None


def test_who_takes_a_name_over_outranks_what_a_deputy_gave(office: Office, second: Second) -> None:
    office.enrol_member("dora")
    second.appoint()
    office.calendar.at = account_due_ms(account_of(office.account))
    _, given = second.granted(second.request())
    office.authority.members.transfer(CAROL, "dora@example.org")
    row = office.authority._register.account(CAROL)
    assert row is not None
    assert account_of(row.certificate).version > given.version
    office.authority.members.end_in_ring(row.certificate)  # the heir's own: nothing to revoke
    second.hear()
    assert not second.issuers.is_account_revoked(row.certificate, account_of(row.certificate))


def test_a_dismissed_deputy_counts_as_far_as_it_had_come(office: Office, second: Second) -> None:
    second.appoint()
    office.pass_days(40)
    first, _ = second.granted(second.request())
    office.authority.deputies.note_reached(2, second.deputy.log.reached)
    assert office.authority.deputies.dismiss(2) == 1
    later = second.deputy.certificate
    assert later is not None, "it has not heard of it yet"
    office.pass_days(31)
    second_time, _ = second.granted(second.request())
    second.hear()
    assert second.deputy.certificate is None
    assert not second.issuers.is_void(first)
    assert second.issuers.is_void(second_time)
    assert second.deputy.renew(second.request()) is None
    with pytest.raises(RefusedError):
        office.authority.deputies.dismiss(2)
    with pytest.raises(RefusedError):
        office.authority.deputies.dismiss(1)


def test_of_a_deputy_that_is_not_trusted_nothing_counts(office: Office, second: Second) -> None:
    second.appoint()
    office.pass_days(40)
    given, _ = second.granted(second.request())
    office.authority.deputies.note_reached(2, 1)
    assert office.authority.deputies.dismiss(2, is_trusted=False) == 0
    second.hear()
    assert second.issuers.is_void(given)
    answer = RENEWAL_ANSWER.decode(office.authority.renew(second.request(), at_the_port=True))
    assert isinstance(answer, Granted)
    assert node_of(answer.node).issuer == 1, "the authority gives her another"


def test_a_deputy_that_certifies_a_key_of_its_own_gets_nothing_for_it(
    office: Office, second: Second
) -> None:
    """A stolen deputy's key, and a machine of the thief under carol's node id."""
    second.appoint()
    office.pass_days(40)
    thief = SigningKey(b"t" * 32)
    forged = msgspec.structs.replace(node_of(office.node), node_key=thief.public)
    mine = second.deputy.certificate
    assert mine is not None
    data = second.deputy._renewed_node(forged, mine, office.calendar.at)
    request = sign_renewal(data, office.authority.trust.ring, thief, office.calendar.at)
    answer = RENEWAL_ANSWER.decode(office.authority.renew(request))
    assert not isinstance(answer, Granted)


def test_roll_over_and_prolonging_keep_deputies_in_force(office: Office, second: Second) -> None:
    second.appoint()
    office.pass_days(250)
    assert office.authority.prolong_issuer()
    office.authority.roll_over()
    second.hear()
    mine = second.deputy.certificate
    assert mine is not None
    assert mine.not_after == office.calendar.at + 400 * DAY_MS
    assert [i.number for i in office.authority.deputies.all()] == [1, 2]


def test_nobody_is_appointed_twice_nor_without_the_root_key(office: Office, second: Second) -> None:
    second.appoint()
    with pytest.raises(RefusedError, match="already"):
        second.appoint()
    (office.path / ROOT_FILE).unlink()
    with pytest.raises(ConfigError, match="root key"):
        office.authority.deputies.dismiss(2)


def test_a_restored_authority_knows_the_deputies_that_were_appointed_since(
    office: Office, second: Second
) -> None:
    backup = (office.path / "organisation").read_bytes()
    second.appoint()
    (office.path / "organisation").write_bytes(backup)
    restored = Authority.open(office.path, office.world)
    assert len(restored.trust.issuers) == 1
    root_block = second.issuers.root_block
    assert root_block is not None
    restored.deputies.catch_up(root_block)
    restored.deputies.catch_up(root_block)
    assert len(restored.trust.issuers) == 2
    version = open_key_block(root_block).body.version
    restored.deputies.dismiss(2)
    assert open_key_block(restored.root_blocks[-1]).body.version == version + 1


def test_a_line_that_was_mistyped_is_refused(second: Second) -> None:
    line = second.line
    assert str(parse_appointment(f"  {line[:40]}\n{line[40:]} ".upper())) == line
    other = str(Appointment(second.keys.appointment.certified_log_key, b"x" * 32))
    mistyped = line[:40] + ("b" if line[40] == "a" else "a") + line[41:]
    for wrong in ("", "epost1:abc", line[:-9], mistyped, other):
        with pytest.raises(RefusedError):
            parse_appointment(wrong)


def test_keys_are_drawn_once_and_a_damaged_file_is_said(second: Second, office: Office) -> None:
    assert deputy_keys(second.path, office.world.entropy) == second.keys
    assert "..." in repr(second.keys)
    second.deputy.close()
    (second.path / KEYS_FILE).write_bytes(b"what is this")
    with pytest.raises(ConfigError):
        Deputy(second.path, second.issuers, office.world)


def test_a_request_that_nobody_in_the_ring_signed_is_refused(
    office: Office, second: Second
) -> None:
    second.appoint()
    office.pass_days(40)
    with pytest.raises(EpostError):
        second.deputy.renew(b"nothing of ours")
    forged = sign_full_renewal(
        msgspec.structs.replace(
            FullRequest(
                2, office.authority.trust.ring, office.node, b"", (b"x",), b"", office.calendar.at
            )
        ),
        SigningKey(b"t" * 32),
    )
    with pytest.raises(AuthenticityError):
        second.deputy.renew(forged)
