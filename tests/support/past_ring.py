"""A small ring of storage nodes in the simulated world, over an overlay that the test controls.

Each node is the real driver, vault twin, replica and block store. The overlay knows who is live
from the test: `fail` and `return_` are noticed at once, `crash` of a host only when the test says.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import KeyBlock, make_key_block
from epost.foundation.ids import Handle, Id, NodeHandle, NodeId, closeness
from epost.foundation.wire import Application
from epost.node.disk import NodeDisk
from epost.node.driver import Driver
from epost.past.arcs import arc_between
from epost.past.client import BlockStore
from epost.past.config import PastConfig
from epost.past.replica import Replica
from epost.past.surroundings import Surroundings
from epost.rings.issuers import Issuers
from epost.simulation.clock import run
from epost.simulation.host import SimulatedHost, World
from epost.simulation.network import NetworkConfig
from epost.simulation.vault import DiskConfig
from tests.support.organisation import Member, Organisation

CALM = NetworkConfig(loss=0.0, jitter=0.0)
FAST = PastConfig(
    repair_delay_seconds=20.0,
    maintenance_interval_seconds=60.0,
    recheck_seconds=3.0,
    reply_seconds=3.0,
)


@dataclass(frozen=True)
class Seen:
    """A member as the overlay reports it."""

    node: NodeHandle
    live: bool
    absent_since: float | None


@dataclass
class Membership:
    """Who is in the ring, as every overlay of the test sees it."""

    members: dict[NodeId, NodeHandle] = field(default_factory=dict)
    absent: dict[NodeId, None] = field(default_factory=dict)
    views: list[TestOverlay] = field(default_factory=list)

    def join(self, node: NodeHandle) -> None:
        self.members[node.id] = node
        self.absent.pop(node.id, None)
        self._tell(node, joined=True)

    def leave(self, node: NodeHandle) -> None:
        self.absent[node.id] = None
        self._tell(node, joined=False)

    def _tell(self, node: NodeHandle, *, joined: bool) -> None:
        for view in self.views:
            view.changed(node, joined=joined)


class TestOverlay:
    """One node's view of the ring: all of it, at once."""

    __test__ = False

    def __init__(self, me: NodeHandle, membership: Membership, now: Callable[[], float]) -> None:
        self.me = me
        self.epoch = 1
        self.routed: list[tuple[Id, Application, bytes]] = []
        self.sought: list[Id] = []
        """Keys whose replica roots were looked for securely."""
        self.is_narrow = False
        self.is_cut_off = False
        self.reach: int | None = None
        """How many nodes on either side it knows; None for all of the ring."""
        self.astray: Sequence[NodeHandle] = ()
        """Whom it takes for the replica roots of every key, as a node that is cut off with few."""
        self.way: Sequence[TestOverlay] = ()
        """Over which nodes its messages go before they are at a root."""
        self.round_trips: dict[NodeId, float] = {}
        self._membership = membership
        self._now = now
        self._since: dict[NodeId, float] = {}
        self.listener: Replica | None = None
        self.wake: Callable[[], None] = lambda: None
        membership.views.append(self)

    def changed(self, node: NodeHandle, *, joined: bool) -> None:
        if joined:
            self._since.pop(node.id, None)
        else:
            self._since[node.id] = self._now()
        if self.listener is not None and node != self.me:
            self.listener.update(node, joined, self._now())
            self.wake()

    def route(self, key: Id, application: Application, body: bytes) -> None:
        if self.is_cut_off:
            return
        root = self._closest(key, 1)[0]
        views = {view.me: view for view in self._membership.views}
        for view in self.way:
            if view.listener is None or root == view.me:
                break
            passes = view.listener.forward(key, self.me, body, root, view._now())
            view.wake()
            if not passes:
                return
        at_root = views[root]
        assert at_root.listener is not None
        at_root.listener.deliver(key, self.me, body, at_root._now())
        at_root.wake()

    def route_securely(
        self, key: Id, size: int, found: Callable[[Sequence[NodeHandle]], None]
    ) -> None:
        self.sought.append(key)
        found([] if self.is_cut_off else self.astray or self._closest(key, size))

    def replica_set(self, key: Id, size: int) -> Sequence[NodeHandle]:
        return self._closest(key, size)

    def round_trip(self, node: NodeHandle) -> float | None:
        return self.round_trips.get(node.id)

    def covers(self, key: Id, size: int) -> bool:
        known = self._known()
        return not self.is_narrow and (
            self.reach is None or key in arc_between(known[0].node_id, known[-1].node_id)
        )

    def neighbours(self) -> Sequence[NodeHandle]:
        return [node for node in self._live() if node != self.me]

    def members(self, now: float) -> Sequence[Seen]:
        absent = self._membership.absent
        return [
            Seen(
                node,
                node.id not in absent,
                self._since.get(node.id, now) if node.id in absent else None,
            )
            for node in sorted(self._known(), key=lambda node: node.node_id)
            if node != self.me
        ]

    def _known(self) -> list[NodeHandle]:
        """Return the nodes within reach, clockwise around this one."""
        ring = [node for _, node in sorted(self._membership.members.items())]
        if self.reach is None:
            return ring
        at, reach = ring.index(self.me), self.reach
        return [ring[(at + step) % len(ring)] for step in range(-reach, reach + 1)]

    def _live(self) -> list[NodeHandle]:
        absent = self._membership.absent
        return [node for i, node in sorted(self._membership.members.items()) if i not in absent]

    def _closest(self, key: Id, size: int) -> list[NodeHandle]:
        return sorted(self._live(), key=lambda node: closeness(key, node.node_id))[:size]


class StorageNode:
    """What a host runs: a driver with the machines of PAST and RINGS, and the stories."""

    def __init__(self, ring: PastRing, member: Member, host: SimulatedHost) -> None:
        self.driver = Driver(
            member.handle,
            clock=host.clock,
            entropy=host.entropy,
            observer=host.observer,
            vault=host.vault,
            transport=host.transport,
        )
        ring.membership.views[:] = [v for v in ring.membership.views if v.me != member.handle]
        self.overlay = TestOverlay(member.handle, ring.membership, host.clock.now)
        self.overlay.reach = ring.reach
        self.issuers = Issuers(
            ring.organisation.trust(),
            self.overlay,
            host.vault,
            outbox=self.driver.outbox,
            observer=host.observer,
        )
        self.issuers.publish(ring.issuer_block.data)
        self.around = Surroundings(
            me=member.handle,
            overlay=self.overlay,
            vault=host.vault,
            outbox=self.driver.outbox,
            issuers=self.issuers,
            clock=host.clock,
            observer=host.observer,
            node_key=member.key,
            node_certificate=member.certificate,
            config=ring.config,
            may_copy=lambda: ring.may_copy,
        )
        self.delegation = Delegates()
        self.replica = Replica(
            self.around, delegation=self.delegation, is_clock_sound=lambda: ring.clocks_are_sound
        )
        self.overlay.listener = self.replica
        self.overlay.wake = self.driver.wake
        self.driver.register(Application.PAST, self.replica)
        self.driver.register(Application.RINGS, self.issuers)
        self.store = BlockStore(
            self.around,
            self.replica,
            calls=self.driver.calls,
            entropy=host.entropy,
            disk=NodeDisk(self.driver, host.vault),
        )
        self.stopped = self.driver.stopped
        self._pushes = ring.pushes

    def start(self) -> None:
        self.driver.start()
        if self._pushes:
            self.driver.run_story(self.store.push_for_ever())

    async def stop(self) -> None:
        await self.driver.stop()


@dataclass
class Delegates:
    """Notes what the delegation is told; knows of revoked devices what the test says."""

    held: dict[Handle, bytes] = field(default_factory=dict)
    gone: list[Handle] = field(default_factory=list)
    revoked: set[bytes] = field(default_factory=set)

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        self.held[handle] = envelope

    def on_pending_gone(self, handle: Handle) -> None:
        self.held.pop(handle, None)
        self.gone.append(handle)

    def is_device_revoked(self, device: Any) -> bool:
        return device.device_key in self.revoked


class PastRing:
    """The hosts of a ring, by name."""

    def __init__(
        self,
        world: World,
        names: Sequence[str],
        *,
        k: int = 3,
        config: PastConfig = FAST,
        pushes: bool = True,
        enrolled: int | None = None,
        disk: DiskConfig | None = None,
        reach: int | None = None,
        **policy: Any,
    ) -> None:
        self.world = world
        self.config = config
        self.pushes = pushes
        self.reach = reach
        self.organisation = Organisation()
        self.policy = self.organisation.policy(k=k, enrolled=enrolled or len(names), **policy)
        self.issuer_block = self.organisation.issuer_block(self.policy)
        self.membership = Membership()
        self.members: dict[str, Member] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        self.disk = disk
        self.clocks_are_sound = True
        self.may_copy = True
        for name in names:
            self.add(name)

    def add(self, name: str, node_id: bytes | None = None, **certificate: Any) -> None:
        member = self.organisation.node(name, node_id, **certificate)
        self.members[name] = member
        self.membership.join(member.handle)
        self.hosts[name] = SimulatedHost(
            self.world,
            name,
            member.handle,
            lambda host: StorageNode(self, member, host),
            certificate=member.certificate,
            disk=self.disk,
        )

    def start(self) -> None:
        for host in self.hosts.values():
            host.start()

    def node(self, name: str) -> StorageNode:
        node = self.hosts[name].node
        assert isinstance(node, StorageNode)
        return node

    def name_of(self, node: NodeId) -> str:
        return next(name for name, m in self.members.items() if m.handle.id == node)

    def closest(self, handle: Handle) -> list[str]:
        """All names, closest to the handle first, whether or not they live."""
        return sorted(
            self.members, key=lambda n: closeness(handle.place, self.members[n].handle.node_id)
        )

    def fail(self, name: str) -> None:
        """Crash a node with its machine; the others notice at once."""
        self.hosts[name].crash(with_machine=True)
        self.membership.leave(self.members[name].handle)

    def return_(self, name: str) -> None:
        self.membership.join(self.members[name].handle)
        self.hosts[name].start()

    def roles(self, handle: Handle) -> dict[str, Any]:
        """In which roles each running node keeps a block."""
        entries = {n: h.vault.entry(handle) for n, h in self.hosts.items() if h.is_running}
        return {name: entry.roles for name, entry in entries.items() if entry is not None}


def in_ring(
    story: Callable[[PastRing], Coroutine[Any, Any, None]],
    names: Sequence[str] = ("ann", "ben", "cat", "dan", "eve"),
    *,
    seed: int = 1,
    network: NetworkConfig = CALM,
    prepare: Callable[[PastRing], None] = lambda _ring: None,
    **options: Any,
) -> None:
    """Run a story with a ring of started nodes, in virtual time."""

    async def whole() -> None:
        world = World(seed, network)
        ring = PastRing(world, names, **options)
        prepare(ring)
        ring.start()
        await world.run_for(5.0)
        await story(ring)
        assert not world.bugs, world.bugs
        await world.close()

    run(whole())


def key_block(
    key: SigningKey,
    content: bytes = b"",
    *,
    previous: KeyBlock | None = None,
    purpose: Kind = Kind.IDENTITY,
    ring: bytes = Organisation().ring,
    issued_at: int = Organisation().now_ms,
) -> KeyBlock:
    return make_key_block(
        key, purpose, ring=ring, previous=previous, issued_at=issued_at, content=content
    )
