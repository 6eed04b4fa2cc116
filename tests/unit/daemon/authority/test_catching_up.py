"""A restored authority goes on where it was, not where its backup was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from epost.crypto.versioned import open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.catching_up import INHERITED_KEPT_MS, mark_restored
from epost.daemon.authority.register import REGISTER_FILE
from epost.foundation.errors import MalformedPacket
from epost.rings.policy import Reason, read_issuer_block
from tests.unit.daemon.authority.test_renewing import Office, node_of

CAROL = "carol@example.org"


class Fire:
    """An authority that did things after its backup was made, and then burned."""

    def __init__(self, office: Office, path: Path) -> None:
        office.enrol_member("dora")
        office.enrol_member("emma")
        shutil.copytree(office.path, path)
        mark_restored(path / REGISTER_FILE)
        office.authority.members.remove(CAROL)
        office.authority.members.hold("dora@example.org")
        office.enrol_member("late")
        office.authority.members.remove("late@example.org")
        self.block = office.authority.issuer_block
        self.reached = office.authority.log.reached
        while (step := office.authority.log.next_step()) is not None:
            office.authority.log.published(step)
            self.head = step.head
        self.records = office.authority._register.certified(1, limit=1000)


@pytest.fixture
def fire(tmp_path: Path) -> tuple[Office, Fire, Authority]:
    office = Office(tmp_path)
    fire = Fire(office, tmp_path / "restored")
    return office, fire, Authority.open(tmp_path / "restored", office.world)


def listed(authority: Authority) -> dict[bytes, int]:
    block = open_key_block(authority.issuer_block)
    _, content = read_issuer_block(block, authority.trust.issuers, authority.trust.ring)
    return {r.certificate: r.reason for r in content.revoked}


def test_numbers_and_revocations_never_go_back(fire: tuple[Office, Fire, Authority]) -> None:
    office, burned, restored = fire
    assert restored.is_restored
    assert not office.authority.is_restored
    before = listed(office.authority)
    restored.catch_up(burned.block, burned.head, burned.records[restored.log.reached :])
    assert not restored.is_restored
    assert listed(restored) == before, "also of whom the backup never knew"
    version = open_key_block(restored.issuer_block).body.version
    assert version == open_key_block(burned.block).body.version + 1
    states = {m.name.partition("@")[0]: m.state for m in restored.members.all()}
    assert states == {"carol": "removed", "dora": "held", "emma": "member"}
    assert node_of(office.node).serial in before
    assert Reason.HELD in before.values()


def test_the_certified_log_goes_on_behind_what_the_ring_has(
    fire: tuple[Office, Fire, Authority],
) -> None:
    _, burned, restored = fire
    missing = burned.records[restored.log.reached :]
    restored.catch_up(burned.block, burned.head, missing)
    assert restored.log.reached == burned.reached
    assert restored.log.next_step() is None
    with restored._register.transaction():
        restored._certifier._log_statement(b"somebody", bytes(32))
    step = restored.log.next_step()
    assert step is not None
    head = open_key_block(step.head)
    assert head.body.version == open_key_block(burned.head).body.version + 1


def test_the_log_of_another_authority_is_refused(fire: tuple[Office, Fire, Authority]) -> None:
    _, burned, restored = fire
    with pytest.raises(MalformedPacket):
        restored.catch_up(burned.block, burned.head, burned.records[:2])
    assert restored.is_restored


def test_without_a_ring_it_goes_on_from_its_backup(fire: tuple[Office, Fire, Authority]) -> None:
    _, _, restored = fire
    version = open_key_block(restored.issuer_block).body.version
    restored.catch_up(None, None, ())
    assert open_key_block(restored.issuer_block).body.version == version + 1


def test_what_was_inherited_is_dropped_when_it_can_be_of_nothing(
    fire: tuple[Office, Fire, Authority],
) -> None:
    office, burned, restored = fire
    restored.catch_up(burned.block, burned.head, burned.records[restored.log.reached :])
    office.calendar.at += INHERITED_KEPT_MS + 1
    restored.refresh_policy()
    assert set(listed(restored).values()) == {Reason.HELD}
