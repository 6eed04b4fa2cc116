"""The organisation gets a new root key while its daemons run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epost.cli.commands import app
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.founding import rolled_over
from epost.daemon.authority.keys import FORMER_ROOT_FILE, ROOT_FILE, draw_root_keys, load_root_keys
from epost.daemon.authority.world import system_world
from epost.daemon.folder import NodeFolder
from epost.foundation.errors import ConfigError
from tests.support.daemons import Organisation, organisation
from tests.support.demo import compose
from tests.unit.daemon.authority.test_renewing import Office

pytestmark = pytest.mark.timeout(180)


def root_of(org: Organisation, name: str) -> bytes:
    return org.daemons[name].node.issuers.trust.organisation.organisation_key


def test_running_daemons_follow_a_new_root_key_and_new_members_join_under_it(
    tmp_path: Path,
) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.until("alice", lambda s: s["ring"]["members"] == 2)
        former = root_of(org, "bob")
        where = ("--authority-dir", str(org.authority_dir))
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["org", "roll-over", *where], input="y\n"
        )
        assert done.exit_code == 0, done.output
        assert FORMER_ROOT_FILE in done.stdout
        for name in ("alice", "bob"):
            while root_of(org, name) == former or not org.daemons[name].node.issuers.root_block:
                await asyncio.sleep(0.1)
            membership = NodeFolder(org.path / name).read_membership()
            trust = org.daemons[name].node.issuers.trust
            assert membership.organisation == trust.organisation_certificate
        await org.stop("bob")
        await org.start("bob")
        assert root_of(org, "bob") != former
        await org.join("carol", org.invite("carol"))
        assert root_of(org, "carol") == root_of(org, "bob")
        message_id, octets = compose("carol@example.org", ["bob@example.org"])
        await asyncio.to_thread(org.submit, "carol", "bob", octets)
        assert await asyncio.to_thread(org.read, "bob", message_id) == octets

    organisation(tmp_path, story)


def test_the_new_key_is_in_force_in_the_folder_and_the_former_kept(tmp_path: Path) -> None:
    office = Office(tmp_path)
    authority = office.authority
    key = authority.trust.organisation.organisation_key
    authority.roll_over()
    following = authority.trust.organisation.organisation_key
    assert following != key
    assert load_root_keys(office.path, following)
    assert (office.path / FORMER_ROOT_FILE).exists()
    assert len(authority.root_blocks) == 2
    with Authority.open(office.path, office.world) as again:
        assert again.trust.organisation.organisation_key == following
        assert again.trust.organisation.generation == 1
        again.trust.verify_node(office.node, office.calendar.at)
        again.roll_over()
        assert len(again.root_blocks) == 3
    assert authority.look_again()
    assert not authority.look_again()
    assert len(authority.root_blocks) == 3
    office.calendar.at = authority.issuer_ends_ms - 1
    assert authority.prolong_issuer(), "under the newest root key"


def test_without_the_root_key_nothing_is_replaced(tmp_path: Path) -> None:
    office = Office(tmp_path)
    (office.path / ROOT_FILE).unlink()
    with pytest.raises(ConfigError, match="root key"):
        office.authority.roll_over()
    assert len(office.authority.root_blocks) == 1


def test_a_run_that_was_cut_off_leaves_the_former_key_in_force(tmp_path: Path) -> None:
    office = Office(tmp_path)
    authority = office.authority
    key = authority.trust.organisation.organisation_key
    former = load_root_keys(office.path, key)
    following = draw_root_keys(office.path, system_world().entropy)
    _, last = rolled_over(authority._public, former, following, office.calendar.at)
    with authority._register.transaction():
        authority._register.put_block(f"former root {key.hex()}", last)
    with Authority.open(office.path, office.world) as again:
        assert again.trust.organisation.organisation_key == key
        assert len(again.root_blocks) == 1, "what leads nowhere is shown to nobody"
        again.roll_over()
        assert len(again.root_blocks) == 2
