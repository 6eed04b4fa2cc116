"""The vault behaves like a dict with an order: random writes, reads, restarts against a model."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from epost.daemon.vault import SqliteVault
from epost.foundation.ids import BlockKind, Handle, Id, number, point
from epost.foundation.ports import (
    DeleteBlock,
    DeleteNote,
    ExtendBlock,
    PutBlock,
    PutNote,
    Role,
    SetRoles,
    Vault,
    VaultCounts,
    VaultEntry,
    Write,
)
from epost.simulation.clock import VirtualLoop
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault
from tests.support.vaults import Recorder

PLACES = [0, 1, 2**80, 2**159, 2**160 - 1]
HANDLES = [
    Handle(kind, point(place) + bytes([tail] * 12))
    for place in PLACES
    for kind, tail in ((BlockKind.CONTENT, 1), (BlockKind.CONTENT, 2), (BlockKind.KEY, 1))
]
ROLES = [Role(bits) for bits in range(16)]
SIZES = [0, 1, 100, 262_143, 262_144, 300_000]

handles = st.sampled_from(HANDLES)
roles = st.sampled_from(ROLES)
some_roles = st.sampled_from(ROLES[1:])
places = st.sampled_from(PLACES)


@dataclass
class Model:
    """What a vault is supposed to contain."""

    blocks: dict[Handle, tuple[VaultEntry, bytes]]
    notes: dict[bytes, bytes]

    def sorted_from(self, start: int) -> list[VaultEntry]:
        def way(entry: VaultEntry) -> tuple[int, Handle]:
            distance = (number(entry.handle.place) - start) % 2**160
            return distance or 2**160, entry.handle

        return sorted((entry for entry, _ in self.blocks.values()), key=way)

    def counts(self) -> VaultCounts:
        entries = [entry for entry, _ in self.blocks.values()]
        with_role = [
            sum(bool(entry.roles & role) for entry in entries)
            for role in (Role.REPLICA, Role.STAND_IN, Role.MIRROR, Role.UNPUSHED)
        ]
        return VaultCounts(len(entries), sum(entry.size for entry in entries), *with_role)


def body_of(seed: int, size: int) -> bytes:
    return (hashlib.sha256(b"%d" % seed).digest() * (size // 32 + 1))[:size]


class VaultMachine(RuleBasedStateMachine):
    """Writes are collected, committed in one go, and compared with the model at once."""

    def open(self) -> Vault:
        raise AssertionError("one subclass for each twin")

    def new_loop(self) -> asyncio.AbstractEventLoop:
        raise AssertionError("one subclass for each twin")

    @initialize()
    def begin(self) -> None:
        self.loop = self.new_loop()
        self.model = Model({}, {})
        self.last: asyncio.Future[None] | None = None
        self.counter = 0
        self.vault = self.loop.run_until_complete(self.opened())

    async def opened(self) -> Vault:
        return self.open()

    def commit(self, *writes: Write) -> None:
        async def story() -> None:
            self.last = self.vault.commit(writes)

        self.loop.run_until_complete(story())

    @rule(handle=handles, given=some_roles, size=st.sampled_from(SIZES), version=st.integers(0, 9))
    def put(self, handle: Handle, given: Role, size: int, version: int) -> None:
        self.counter += 1
        body = body_of(self.counter, size)
        entry = VaultEntry(handle, size, given, version, body[:4], b"proof", b"ticket")
        self.commit(PutBlock(entry, body))
        self.replace(entry, body)

    @rule(handle=handles, given=roles, size=st.sampled_from([0, 1, 50, 300_000]))
    def extend(self, handle: Handle, given: Role, size: int) -> None:
        if handle not in self.model.blocks:
            return
        self.counter += 1
        old, body = self.model.blocks[handle]
        suffix = body_of(self.counter, size)
        entry = replace(old, size=old.size + size, version=old.version + 1, roles=given)
        self.commit(ExtendBlock(entry, suffix))
        self.replace(entry, body + suffix)

    def replace(self, entry: VaultEntry, body: bytes) -> None:
        if entry.handle in self.model.blocks:
            entry = replace(entry, roles=entry.roles | self.model.blocks[entry.handle][0].roles)
        self.model.blocks[entry.handle] = (entry, body)

    @rule(handle=handles, add=roles, remove=roles)
    def set_roles(self, handle: Handle, add: Role, remove: Role) -> None:
        self.commit(SetRoles(handle, add, remove))
        if handle in self.model.blocks:
            entry, body = self.model.blocks.pop(handle)
            if left := (entry.roles | add) & ~remove:
                self.model.blocks[handle] = (replace(entry, roles=left), body)

    @rule(handle=handles)
    def delete(self, handle: Handle) -> None:
        self.commit(DeleteBlock(handle))
        self.model.blocks.pop(handle, None)

    @rule(key=st.binary(max_size=2), value=st.binary(max_size=3))
    def put_note(self, key: bytes, value: bytes) -> None:
        self.commit(PutNote("table", key, value))
        self.model.notes[key] = value

    @rule(key=st.binary(max_size=2))
    def delete_note(self, key: bytes) -> None:
        self.commit(DeleteNote("table", key))
        self.model.notes.pop(key, None)

    @precondition(lambda self: self.last is not None)
    @rule()
    def wait(self) -> None:
        assert self.last is not None
        self.loop.run_until_complete(self.last)

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.vault.close())
        self.vault = self.loop.run_until_complete(self.opened())

    @rule(handle=handles)
    def load(self, handle: Handle) -> None:
        async def story() -> bytes | None:
            return await self.vault.load(handle)

        expected = self.model.blocks.get(handle, (None, None))[1]
        assert self.loop.run_until_complete(story()) == expected

    @rule(start=places, end=places, after=st.none() | handles, limit=st.integers(1, 20))
    def walk(self, start: int, end: int, after: Handle | None, limit: int) -> None:
        length = (end - start) % 2**160 or 2**160
        arc = [
            entry
            for entry in self.model.sorted_from(start)
            if ((number(entry.handle.place) - start) % 2**160 or 2**160) <= length
        ]
        if after is not None:
            beyond = self.sort_key(start, after)
            arc = [entry for entry in arc if self.sort_key(start, entry.handle) > beyond]
        found = self.vault.entries_between(point(start), point(end), after=after, limit=limit)
        assert list(found) == arc[:limit]

    @staticmethod
    def sort_key(start: int, handle: Handle) -> tuple[int, Handle]:
        return (number(handle.place) - start) % 2**160 or 2**160, handle

    @rule(role=some_roles, after=st.none() | handles, limit=st.integers(1, 20))
    def list_by_role(self, role: Role, after: Handle | None, limit: int) -> None:
        expected = [
            self.model.blocks[handle][0]
            for handle in sorted(self.model.blocks)
            if self.model.blocks[handle][0].roles & role and (after is None or handle > after)
        ]
        assert list(self.vault.entries_with(role, after=after, limit=limit)) == expected[:limit]

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "vault"):
            return
        for handle in HANDLES:
            expected = self.model.blocks.get(handle, (None, None))[0]
            assert self.vault.entry(handle) == expected
        assert self.vault.counts() == self.model.counts()
        assert list(self.vault.notes("table")) == sorted(self.model.notes.items())
        everything = Id(bytes(20))
        assert len(self.vault.entries_between(everything, everything)) == len(self.model.blocks)

    def teardown(self) -> None:
        if hasattr(self, "vault"):
            self.loop.run_until_complete(self.vault.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


class SqliteMachine(VaultMachine):
    """The real vault."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    def open(self) -> Vault:
        return SqliteVault(
            self.folder, contributed_bytes_max=1 << 40, observer=Recorder(), reserve_bytes=0
        )

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class SimulatedMachine(VaultMachine):
    """The simulated vault."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk(DiskConfig(), Random(1))

    def open(self) -> Vault:
        return SimulatedVault(self.disk, Recorder())

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return VirtualLoop()


@pytest.mark.parametrize(("machine", "examples"), [(SqliteMachine, 25), (SimulatedMachine, 50)])
def test_a_vault_behaves_like_its_model(machine: type[VaultMachine], examples: int) -> None:
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()
