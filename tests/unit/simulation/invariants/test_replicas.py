"""What a replica may keep, as the checkers of a run see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from epost.foundation.ids import Handle
from epost.foundation.ports import PutBlock, Role, VaultEntry
from epost.past.blocks import content_handle
from epost.simulation.clock import run
from epost.simulation.contents import Contents
from epost.simulation.defects import SOUND
from epost.simulation.invariants.replicas import KnownBlocks
from epost.simulation.invariants.violations import Findings, Violated
from epost.simulation.office import Office, OfficeConfig

BLOCK = b"what a member inserted"


def judge(write: Callable[[Handle], PutBlock]) -> list[str]:
    """Have an honest machine write to its disk what is said of an inserted block."""

    async def story() -> list[str]:
        office = Office(1, OfficeConfig(machines=1, users=0), SOUND)
        findings = Findings(office.world)
        known = KnownBlocks(office, findings)
        await office.open()
        handle = content_handle(BLOCK)
        known.inserted(handle, BLOCK)
        try:
            office.on_durable(office.machines[0].host, [write(handle)], Contents())
        except Violated:
            assert findings.violations
        await office.close()
        return [violation.invariant.title for violation in findings.violations]

    return run(story())


@pytest.mark.parametrize(
    ("body", "found"), [(BLOCK, []), (b"what nobody inserted", ["only-authentic"])]
)
def test_a_replica_keeps_only_what_was_inserted(body: bytes, found: list[str]) -> None:
    assert judge(lambda h: PutBlock(VaultEntry(h, len(body), Role.REPLICA), body)) == found


def test_a_pointer_to_a_diverted_replica_has_no_body_to_be_judged() -> None:
    assert judge(lambda h: PutBlock(VaultEntry(h, 0, Role.REPLICA | Role.POINTER), b"")) == []
