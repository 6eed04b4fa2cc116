"""A small organisation of POST nodes over honest in-memory twins of PAST, Scribe, calls and disk.

The twin of PAST verifies every block as storage nodes do (`past.blocks`, `past.log_format`,
`past.versions`) and remembers every head that anybody ever offered: a key that signs two bodies of
one version is caught. Run it on the virtual loop.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from epost.crypto.certificates import (
    AccountCert,
    IssuerCert,
    OrganisationTrust,
    OrgCert,
    Power,
    certify,
)
from epost.crypto.names import certificate_digest, ring_of
from epost.crypto.rekeying import open_rekeying, proof_of
from epost.crypto.sealing import HpkeSealing
from epost.crypto.signing import SigningKey
from epost.crypto.versioned import open_key_block
from epost.foundation.errors import CallTimedOut, DiskFull, EpostError, NoSuchBlock, PeerRefused
from epost.foundation.ids import Address, BlockKind, Handle, Id, NodeHandle, NodeId
from epost.foundation.ports import DeleteBlock, DeleteNote, PutNote, Role, Write
from epost.foundation.wire import Application
from epost.node.refusals import refusal_code
from epost.past.attestations import Statement
from epost.past.blocks import Prover, handle_of
from epost.past.client import Answered, Conflict, Insertion, Reading
from epost.past.durability import Durability
from epost.past.log_format import (
    TAIL_SIZE_MAX,
    check_extension,
    join_records,
    open_head,
    recall_head,
)
from epost.past.pending import FINAL_STATUSES, claimed_receipt
from epost.past.versions import Verdict, judge_fresh
from epost.post.accounts.devices import AccountKeys, Device, DeviceSecrets, PrekeySecret, Signing
from epost.post.accounts.finding import find_account
from epost.post.accounts.new_devices import NewAccount, create_account
from epost.post.accounts.recovery import enter_device
from epost.post.accounts.rekeying import change_keys
from epost.post.assembly import Layers, Post, make_delegation
from epost.post.config import PostConfig
from epost.post.ports import NodePorts
from epost.rings.enrolment import sealing_key_hash
from epost.simulation.world import EPOCH_MS, SimulatedClock, SimulatedEntropy

DOMAIN = "example.org"
RING = ring_of(DOMAIN)
YEAR_MS = 365 * 24 * 3600 * 1000
REPLICAS = 3
HOP_SECONDS = 0.005
FSYNC_SECONDS = 0.002
FOR_DAYS = {
    "log_look_seconds": 4 * 3600.0,
    "snapshot_check_seconds": 3600.0,
    "checkpoint_seconds": 3600.0,
    "sibling_seconds": 3600.0,
    "presence_seconds": 3600.0,
}
"""For a World that is to see days: what nodes do every few seconds takes nearly all of the time."""


def seed_of(*names: str) -> bytes:
    """Return 32 bytes for a name."""
    return hashlib.sha256("/".join(names).encode()).digest()


class Organisation:
    """An authority that certifies whoever asks."""

    def __init__(self, domain: str = DOMAIN) -> None:
        self.domain = domain
        self.root = SigningKey(seed_of(domain, "root"))
        self.issuer = SigningKey(seed_of(domain, "issuer"))
        nb, na = EPOCH_MS - YEAR_MS, EPOCH_MS + YEAR_MS
        ring = ring_of(domain)
        org = OrgCert(1, domain, ring, 0, self.root.public, 8, nb, na)
        issuer = IssuerCert(
            1, ring, self.issuer.public, self.issuer.public,
            int(Power.ACCOUNTS | Power.NODES | Power.REVOCATION | Power.POLICY),
            bytes(32), bytes(32), 1, nb, na,
        )  # fmt: skip
        self.trust = OrganisationTrust(certify(self.root, org), [certify(self.root, issuer)])

    def certify(self, name: str, new: NewAccount, *, version: int = 1) -> bytes:
        """Certify a new account's name."""
        keys = new.keys
        return certify(
            self.issuer,
            AccountCert(
                1, 1, ring_of(self.domain), name, keys.account_id, keys.generation,
                keys.account.public, keys.recovery.public,
                sealing_key_hash(new.recovery_sealing_key), (), 0, version, b"", 0,
                EPOCH_MS - YEAR_MS, EPOCH_MS + YEAR_MS,
            ),
        )  # fmt: skip


class Crash(Exception):  # noqa: N818 - it is an event
    """The machine died here."""


class MemoryDisk:
    """The notes of one machine; a crash loses what was not durable."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {}
        self.vault: dict[Handle, tuple[bytes, bytes]] = {}
        self.commits = 0
        self.on_commit: Callable[[str], None] = lambda _when: None
        self.fail_with: EpostError | None = None
        self.room_bytes = 1 << 40

    async def durable(self, writes: Sequence[Write]) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.on_commit("before")
        # Readable at once, as the vault promises.
        self.apply(writes)
        self.commits += 1
        await asyncio.sleep(FSYNC_SECONDS)
        self.on_commit("after")

    def require_room(self, size_bytes: int) -> None:
        if size_bytes > self.room_bytes:
            raise DiskFull("no room")

    def apply(self, writes: Sequence[Write]) -> None:
        for write in writes:
            match write:
                case PutNote(table, key, value):
                    assert len(value) <= 1 << 20
                    self.tables.setdefault(table, {})[key] = value
                case DeleteNote(table, key):
                    self.tables.get(table, {}).pop(key, None)
                case DeleteBlock(handle):
                    self.vault.pop(handle, None)
                case _:
                    raise AssertionError(f"POST writes notes only, not {write!r}")

    def note(self, table: str, key: bytes) -> bytes | None:
        return self.tables.get(table, {}).get(key)

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        return sorted(self.tables.get(table, {}).items())

    def copy(self) -> MemoryDisk:
        """What a backup of the disk would hold."""
        other = MemoryDisk()
        other.tables = {table: dict(notes) for table, notes in self.tables.items()}
        other.vault = dict(self.vault)
        return other


@dataclass
class StoredBlock:
    block: bytes
    entry: Any


class MemoryRing:
    """All replicas of a ring as one: verifies, compares versions, remembers every head."""

    def __init__(self, organisation: Organisation) -> None:
        self.blocks: dict[Handle, StoredBlock] = {}
        self.heads: dict[tuple[bytes, int], bytes] = {}
        self.prover = Prover(RING, lambda: organisation.trust)
        self.inserted: list[Handle] = []
        self.clones_may_run = False
        self.full_parts = 0
        self.of_liars: dict[Handle, bytes] = {}
        """Copies that lying replicas give, before honest ones answer."""

    def put(self, handle: Handle, block: bytes, *, proof: bytes, now_ms: int) -> None:
        if handle.kind is BlockKind.KEY:
            self.watch(block)
        elif handle.kind is BlockKind.CLUSTER and (
            handle in self.blocks or len(block) <= TAIL_SIZE_MAX
        ):
            # (Of a new cluster too large for the head nobody knows the handle before the head.)
            self.watch(proof)
        proven = self.prover.prove(handle, block, proof=proof, now_ms=now_ms)
        stored = self.blocks.get(handle)
        verdict = judge_fresh(stored.entry if stored else None, proven)
        if verdict in {Verdict.CONFLICT, Verdict.STALE}:
            assert stored is not None
            is_cluster = handle.kind is BlockKind.CLUSTER
            raise Conflict(handle, stored.entry.proof if is_cluster else stored.block)
        if verdict is Verdict.STORE:
            self.blocks[handle] = StoredBlock(block, proven.entry(Role.REPLICA))
            self.inserted.append(handle)

    def extend(self, cluster: Handle, records: Sequence[bytes], head: bytes, whole: bytes) -> None:
        stored = self.blocks.get(cluster)
        if stored is not None and records:
            held, suffix = recall_head(stored.entry.proof), join_records(records)
            opened = open_head(head)
            if opened.version > held.version and stored.block + suffix == whole:
                check_extension(cluster, held, suffix, opened)
        self.put(cluster, whole, proof=head, now_ms=EPOCH_MS)

    def watch(self, head: bytes) -> None:
        """Fail if a key ever signed two bodies of one version."""
        block = open_key_block(head)
        known = self.heads.setdefault((block.body.public_key, block.body.version), block.body_hash)
        is_new = known == block.body_hash
        assert is_new or self.clones_may_run, "two bodies of one version were signed"


class Stories:
    """Runs stories as the driver does; bugs are kept for the test to see."""

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[None], None] = {}
        self.bugs: list[BaseException] = []
        self.failures: list[EpostError] = []

    def run_story(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(story)
        self.tasks[task] = None
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        del self.tasks[task]
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, EpostError):
            self.failures.append(error)
        elif not isinstance(error, Crash):
            self.bugs.append(error)

    async def cancel_all(self) -> None:
        while self.tasks:
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass
class Recorder:
    events: list[object] = field(default_factory=list)

    def record(self, event: object) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class NodeStore:
    """PAST as one node sees it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._world = machine.world
        self.renewals = 0
        self.unmirrored: list[Handle] = []

    async def insert(
        self, kind: BlockKind, block: bytes, *, mirror: bool = True, only_with_room: bool = False
    ) -> Insertion:
        handle = handle_of(kind, block)
        if only_with_room and self._world.ring.full_parts > 0:
            self._world.ring.full_parts -= 1
            return replace(self._held(handle), found_no_room=True)
        self._machine.disk.vault[handle] = (block, b"")
        if not await self._reach():
            return self._held(handle)
        self._machine.crash_point("ring")
        self._world.ring.put(handle, block, proof=b"", now_ms=self._machine.ports.clock.wall_ms())
        if kind is BlockKind.RECEIPT and claimed_receipt(block).status in FINAL_STATUSES:
            self._world.drop_pending(Handle(BlockKind.PENDING, handle.digest))
        await asyncio.sleep(HOP_SECONDS)
        self._machine.crash_point("ring")
        return self._durable(handle)

    def hold(self, kind: BlockKind, block: bytes) -> None:
        """Notes and blocks have no commit in common here: `insert` does it all."""

    async def extend(self, cluster: Handle, records: Sequence[bytes], head: bytes) -> Insertion:
        known, _ = self._machine.disk.vault.get(cluster, (b"", b""))
        joined = join_records(records)
        whole = joined if joined.startswith(known) else known + joined
        self._machine.disk.vault[cluster] = (whole, head)
        if not await self._reach():
            return self._held(cluster)
        self._machine.crash_point("ring")
        self._world.ring.extend(cluster, records, head, whole)
        await asyncio.sleep(HOP_SECONDS)
        self._machine.crash_point("ring")
        return self._durable(cluster)

    async def lookup(self, handle: Handle) -> bytes:
        if handle in self._machine.disk.vault:
            return self._machine.disk.vault[handle][0]
        stored = await self._fetch(handle)
        self._machine.disk.vault[handle] = (stored.block, stored.entry.proof)
        return stored.block

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        if not await self._reach():
            raise CallTimedOut("offline")
        stored, ring = self._machine.disk.vault, self._world.ring
        found = [ring.of_liars.get(handle), stored[handle][0] if handle in stored else None]
        if handle in ring.blocks:
            found.append(ring.blocks[handle].block)
        return [block for block in found if block is not None]

    async def lookup_cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return the newest of the own copy and the ring's, as the real one does."""
        known = self._machine.disk.vault
        stored = await self._fetch(handle)
        if handle not in known or stored.entry.version > open_head(known[handle][1]).version:
            known[handle] = (stored.block, stored.entry.proof)
        return known[handle]

    async def renew_mirrored(self) -> int:
        self.renewals += 1
        return 0

    def is_mirrored(self, handle: Handle) -> bool:
        return handle in self._machine.disk.vault

    async def unmirror(self, handles: Sequence[Handle]) -> None:
        self.unmirrored += handles
        for handle in handles:
            self._machine.disk.vault.pop(handle, None)

    async def lookup_latest(self, handle: Handle) -> Reading:
        self._machine.lookups += 1
        own, _ = self._machine.disk.vault.get(handle, (None, b""))
        if not await self._reach():
            return Reading(own, Answered.NONE, confirmed=False)
        stored = self._world.ring.blocks.get(handle)
        found = [block for block in (own, stored and stored.block) if block]
        if handle.kind is BlockKind.KEY and len(found) > 1:
            found.sort(key=lambda block: open_key_block(block).order)
        return Reading(found[-1] if found else None, Answered.ALL, confirmed=True)

    async def statements(self, handle: Handle) -> Sequence[tuple[NodeId, Statement]]:
        """Nobody signs anything in this ring."""
        return []

    async def deposit(self, envelope: bytes) -> Sequence[bytes]:
        handle = handle_of(BlockKind.PENDING, envelope)
        if not await self._reach():
            return []
        self._world.hold_pending(handle, envelope)
        self._world.depositors[handle] = self._machine.node
        return [b"signed"] * self._world.replicas

    async def depositor(self, handle: Handle) -> NodeHandle | None:
        return self._world.depositors.get(handle) if await self._reach() else None

    async def _reach(self) -> bool:
        await asyncio.sleep(HOP_SECONDS)
        return self._machine.is_online

    async def _fetch(self, handle: Handle) -> StoredBlock:
        if not await self._reach():
            raise CallTimedOut("offline")
        if handle not in self._world.ring.blocks:
            raise NoSuchBlock(str(handle))
        return self._world.ring.blocks[handle]

    def _held(self, handle: Handle) -> Insertion:
        return Insertion(handle, Durability(1, self._world.replicas, ring_durable=False))

    def _durable(self, handle: Handle) -> Insertion:
        wanted = self._world.replicas
        return Insertion(handle, Durability(wanted, wanted, ring_durable=True))


class Machine:
    """A user's machine: its disk and secrets survive, its process may die and start again."""

    def __init__(
        self, world: World, name: str, new: NewAccount, number: int, certificate: bytes
    ) -> None:
        self.world = world
        self.name = name
        self.new = new
        self.certificate = certificate
        self.recovery_seed = seed_of("words", name)
        self.secrets = new.secrets
        self.node = NodeHandle(RING, seed_of("node", name)[:20], (Address("127.0.0.1", number),))
        self.disk = MemoryDisk()
        self.is_online = True
        self.ring_view: object = None
        self.clock_ahead_ms = 0
        self.lives = 0
        self.lookups = 0
        self.requests_seen: list[tuple[NodeHandle, bytes]] = []
        self.crash_point: Callable[[str], None] = lambda _where: None
        self.post: Post | None = None

    def boot(self) -> Post:
        """Build the process anew from disk and secrets."""
        self.lives += 1
        self.stories, self.observer = Stories(), Recorder()
        self.ports = NodePorts(
            clock=SimulatedClock(),
            entropy=SimulatedEntropy(1, self.name, str(self.lives), str(id(self.disk) % 1)),
            sealing=HpkeSealing(),
            observer=self.observer,
            disk=self.disk,
            stories=self.stories,
            is_clock_sound=lambda: True,
            sending_ms=lambda: self.ports.clock.wall_ms() - self.clock_ahead_ms,
            replicas_wanted=lambda: self.world.replicas,
            ring_view=lambda: (self.is_online, self.ring_view),
        )
        self.store = NodeStore(self)
        self.layers = Layers(
            blocks=self.store,
            delegates=self.store,
            leases=self.store,
            directory=self.world.directory,
            groups=MemberOf(self),
            requests=Caller(self),
        )
        self.device = Device(
            self.secrets, account_certificate=self.certificate, sealing=self.ports.sealing
        )
        self.delegation = make_delegation(self.layers, self.ports, self.world.config)
        self.post = Post(
            device=self.device,
            node=self.node,
            secret_store=self,
            layers=self.layers,
            ports=self.ports,
            config=self.world.config,
        )
        return self.post

    async def start(self, prepare: Callable[[Post], None] = lambda _post: None) -> Post:
        post = self.boot()
        prepare(post)
        await post.start()
        return post

    async def stop(self) -> None:
        self.post = None
        self.world.forget(self)
        await self.stories.cancel_all()
        assert not self.stories.bugs, self.stories.bugs

    async def save(self, secrets: DeviceSecrets) -> None:
        await asyncio.sleep(FSYNC_SECONDS)
        self.secrets = secrets

    async def device_block_renewed(self) -> None:
        """Lose every prekey, publish a fresh one."""
        assert self.post is not None
        fresh = PrekeySecret(seed_of("fresh", self.name), self.ports.clock.wall_ms())
        self.secrets = msgspec.structs.replace(self.secrets, prekeys=(fresh,))
        self.device.use(self.secrets)
        await self.post.device_block.publish()

    def clone(self) -> Machine:
        """Another machine with a copy of this one's disk and secrets."""
        other = Machine(self.world, self.name, self.new, 9, self.certificate)
        other.secrets, other.disk = self.secrets, self.disk.copy()
        other.lives = self.lives + 1000
        return other


@dataclass
class MemberOf:
    """Scribe as one node sees it."""

    machine: Machine

    def join(self, group: Id) -> None:
        self.machine.world.groups.setdefault(group, {})[self.machine.name] = self.machine

    def leave(self, group: Id) -> None:
        self.machine.world.groups.get(group, {}).pop(self.machine.name, None)

    def multicast(self, group: Id, body: bytes) -> None:
        if self.machine.is_online:
            self.machine.world.multicast(group, body)


@dataclass
class Caller:
    """Calls as one node sees them."""

    machine: Machine

    async def call(
        self,
        to: NodeHandle,
        application: Application,
        body: bytes,
        *,
        timeout_seconds: float,
        tries: int = 1,
    ) -> bytes:
        assert application is Application.POST
        await asyncio.sleep(HOP_SECONDS)
        there = self.machine.world.by_node(to)
        if there is None or not self.machine.is_online or not there.is_online:
            await asyncio.sleep(timeout_seconds)
            raise CallTimedOut("no answer")
        there.requests_seen.append((self.machine.node, body))
        try:
            async with asyncio.timeout(timeout_seconds):
                assert there.post is not None
                answer = await there.post.endpoint.on_request(self.machine.node, body)
        except TimeoutError as error:
            raise CallTimedOut("no answer") from error
        except EpostError as error:
            raise PeerRefused(int(refusal_code(error)), str(error)) from error
        await asyncio.sleep(HOP_SECONDS)
        return answer

    def tell(self, to: NodeHandle, application: Application, body: bytes) -> None:
        assert application is Application.POST
        self.machine.stories.run_story(self._tell(to, body))

    async def _tell(self, to: NodeHandle, body: bytes) -> None:
        await asyncio.sleep(HOP_SECONDS)
        there = self.machine.world.by_node(to)
        if there is None or not self.machine.is_online or not there.is_online:
            return
        if there.post is not None:
            await there.post.endpoint.on_notify(self.machine.node, body)


def signing_by(keys: AccountKeys, *label: str) -> Signing:
    """What the owner signs with, at her machine."""
    return Signing(keys, SimulatedClock().wall_ms(), HpkeSealing(), SimulatedEntropy(1, *label))


def following_certificate(present: AccountCert, statement: bytes) -> AccountCert:
    """Return what an authority certifies once the present key has signed this."""
    following = open_rekeying(statement)
    return msgspec.structs.replace(
        present,
        generation=following.generation,
        account_key=following.account_key,
        recovery_key=following.recovery_key,
        recovery_sealing_hash=following.recovery_sealing_hash,
        rekey_proof=proof_of(statement),
        version=present.version + 1,
    )


class Word:
    """The organisation's word: who is certified, and which keys were followed by others."""

    def __init__(self, trust: OrganisationTrust) -> None:
        self._trust = trust
        self.domain, self.ring = trust.domain, trust.ring
        self.succeeded: set[bytes] = set()

    def verify_account(self, data: bytes, now_ms: int) -> AccountCert:
        return self._trust.verify_account(data, now_ms)

    def is_key_succeeded(self, account: AccountCert) -> bool:
        return account.account_key in self.succeeded


class World:
    """The organisation and its machines."""

    def __init__(self, **config: Any) -> None:
        # Marks of the time are records too: most tests count those that they write themselves.
        self.config = replace(PostConfig(), **{"time_mark_seconds": 1e12, **config})
        self.replicas = REPLICAS
        self.organisation = Organisation()
        self.directory = Word(self.organisation.trust)
        self.ring = MemoryRing(self.organisation)
        self.machines: dict[str, Machine] = {}
        self.groups: dict[Id, dict[str, Machine]] = {}
        self.pending: dict[Handle, bytes] = {}
        self.depositors: dict[Handle, NodeHandle] = {}
        self.delegates: list[Machine] = []

    def enrol(self, name: str) -> Machine:
        """Make an account with its machine, and publish its blocks."""
        name = name if "@" in name else f"{name}@{DOMAIN}"
        number = len(self.machines) + 1
        node = NodeHandle(RING, seed_of("node", name)[:20], (Address("127.0.0.1", number),))
        new = create_account(
            seed_of("words", name),
            contact=node,
            now_ms=EPOCH_MS,
            sealing=HpkeSealing(),
            entropy=SimulatedEntropy(1, "enrol", name),
        )
        certificate = self.organisation.certify(name, new)
        self.publish(BlockKind.CERTIFICATE, certificate)
        self.publish(BlockKind.KEY, new.identity.data)
        self.publish(BlockKind.KEY, new.device_block.data)
        self.publish(BlockKind.CONTENT, new.keyring)
        machine = Machine(self, name, new, number, certificate)
        self.machines[name] = machine
        return machine

    async def recover(self, lost: Machine, *, revoke: bool) -> Machine:
        """Make a second machine for an account from its phrase, read through a third one's ring."""
        keys = AccountKeys(seed_of("words", lost.name))
        blocks = NodeStore(next(m for m in self.machines.values() if m.post is not None))
        number = len(self.machines) + 1
        label = f"{lost.name}/{number}"
        node = NodeHandle(RING, seed_of("node", label)[:20], (Address("127.0.0.1", number),))
        by = signing_by(keys, "recover", label)
        device = await enter_device(by, blocks, node, revoke=revoke)
        machine = Machine(self, lost.name, lost.new, number, lost.certificate)
        machine.node, machine.secrets = node, device.secrets
        self.machines[label] = machine
        return machine

    async def change_keys(
        self, machine: Machine, words: str, *, revoked: Sequence[int] = ()
    ) -> bytes:
        """Give an account the keys of other words: what its owner and the authority do; return the
        certificate."""
        present = self.organisation.trust.verify_account(machine.certificate, EPOCH_MS)
        former = AccountKeys(machine.recovery_seed).of(present)
        machine.recovery_seed = seed_of("words", words)
        following = former.followed_by(machine.recovery_seed)
        blocks = NodeStore(next(m for m in self.machines.values() if m.post is not None))
        found = await find_account(former, blocks, HpkeSealing())
        changed = change_keys(signing_by(former, "rekey", words), following, found, revoked=revoked)
        self.publish(BlockKind.CONTENT, changed.keyring)
        self.publish(BlockKind.KEY, changed.identity.data)
        certified = following_certificate(present, changed.statement)
        certificate = certify(self.organisation.issuer, certified)
        self.publish(BlockKind.CERTIFICATE, certificate)
        self.directory.succeeded.add(present.account_key)
        machine.certificate = certificate
        return certificate

    def publish(self, kind: BlockKind, block: bytes) -> None:
        self.ring.put(handle_of(kind, block), block, proof=b"", now_ms=EPOCH_MS)

    def withdraw(self, name: str) -> None:
        """Make the ring say that nobody has this name."""
        del self.ring.blocks[Handle(BlockKind.CERTIFICATE, certificate_digest(name))]

    def by_node(self, node: NodeHandle) -> Machine | None:
        for machine in self.machines.values():
            if machine.node.node_id == node.node_id and machine.post is not None:
                return machine
        return None

    def forget(self, machine: Machine) -> None:
        for members in self.groups.values():
            members.pop(machine.name, None)

    def multicast(self, group: Id, body: bytes) -> None:
        for name in sorted(self.groups.get(group, {})):
            machine = self.groups[group][name]
            asyncio.get_running_loop().call_later(
                HOP_SECONDS, machine.delegation.on_multicast, group, body, 0.0
            )

    def hold_pending(self, handle: Handle, envelope: bytes) -> None:
        self.pending[handle] = envelope
        now_ms = next(iter(self.machines.values())).ports.clock.wall_ms()
        self.ring.put(handle, envelope, proof=b"", now_ms=now_ms)
        for machine in self.delegates[: self.replicas]:
            machine.delegation.on_pending_held(handle, envelope)

    def drop_pending(self, handle: Handle) -> None:
        if self.pending.pop(handle, None) is not None:
            self.ring.blocks.pop(handle, None)
            for machine in self.delegates[: self.replicas]:
                machine.delegation.on_pending_gone(handle)

    async def stop(self) -> None:
        for machine in self.machines.values():
            if machine.post is not None:
                await machine.stop()


async def settle(seconds: float = 1.0) -> None:
    """Let the stories go on."""
    await asyncio.sleep(seconds)
