"""A daemon whose machine is appointed a deputy serves from then on, until it is dismissed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from epost.daemon.authority.authority import Authority
from epost.daemon.authority.certified_log import CertifiedLog
from epost.daemon.authority.deputy import deputy_keys
from epost.daemon.authority.register import REGISTER_FILE, Register
from epost.daemon.authority.world import system_world
from epost.daemon.folder import NodeFolder
from epost.daemon.world import SystemEntropy
from epost.node.certified_logs import newest_head
from epost.past.log_format import open_head
from epost.rings.renewal import issuing_group
from tests.support.daemons import Organisation, organisation

pytestmark = pytest.mark.timeout(180)


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_a_deputy_serves_and_publishes_its_log_until_it_is_dismissed(tmp_path: Path) -> None:
    async def story(org: Organisation) -> None:
        await org.join("bob", org.invite("bob"))
        await org.stop("bob")
        folder = NodeFolder(org.path / "bob").deputy
        keys = deputy_keys(folder, SystemEntropy())
        await org.start("bob")
        bob = org.daemons["bob"].node
        group = issuing_group(bob.me.ring)
        assert group not in bob.scribe.groups
        with Authority.open(org.authority_dir, system_world()) as authority:
            number = authority.deputies.appoint(str(keys.appointment))
        while group not in bob.scribe.groups:
            await asyncio.sleep(0.1)

        register = Register(folder / REGISTER_FILE)
        with register.transaction():
            CertifiedLog(register, keys.certified_log, SystemEntropy()).enter(b"a node", bytes(32))
        register.close()
        alice = org.daemons["alice"].node
        while (head := await newest_head(alice.blocks, keys.appointment.certified_log_key)) is None:
            await asyncio.sleep(0.1)
        assert open_head(head).content.sequence == 1

        with Authority.open(org.authority_dir, system_world()) as authority:
            authority.deputies.dismiss(number)
        while group in bob.scribe.groups:
            await asyncio.sleep(0.1)

    organisation(tmp_path, story)
