"""An organisation at work in a simulated world: machines with whole nodes, some with a user.

The nodes are those of the daemon (`node.assembly`), on simulated ports. A machine keeps its name
through crashes and new enrolments; its host and its node id change when it loses its disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from epost.apps.mail.ports import in_the_loop
from epost.foundation.ids import Id, NodeHandle, NodeId, closeness
from epost.foundation.ports import Write
from epost.node.assembly import Node
from epost.node.settings import NodeConfigs, NodeMembership, NodePorts, UserOfNode
from epost.post.accounts.devices import DeviceSecrets
from epost.simulation.contents import Contents
from epost.simulation.defects import Defect
from epost.simulation.file_reading import read_here
from epost.simulation.host import SimulatedHost, World
from epost.simulation.mail_index import SimulatedMailIndex
from epost.simulation.network import NetworkConfig
from epost.simulation.organisation import REPLICATION_FACTOR, Account, SimulatedOrganisation
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.vault import SimulatedVault
from epost.simulation.world import SimulatedClock, random_for

BOOTSTRAPS = 5
"""How many members a new one is told of."""
INDEX_LOST_PART = 0.2
"""How often a crash takes the mail index along, which is then made anew from the log."""


@dataclass(frozen=True)
class OfficeConfig:
    """How large the organisation is, how nodes and network are set; times in seconds."""

    machines: int = 100
    users: int = 20
    nodes: NodeConfigs = field(default_factory=NodeConfigs)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    opening_gap_seconds: float = 0.05
    """Between two machines that are switched on for the first time."""
    publication_seconds: float = 5.0
    """How soon the authority's changes reach the ring, if its machine runs."""


CrashListener = Callable[[SimulatedHost, SimulatedVault], None]
"""Told after a crash: the host, and the vault as the process last saw it."""
DiskWatcher = Callable[[SimulatedHost, Sequence[Write], Contents], None]
"""Told of every commit that becomes durable, with what was on the disk before."""


class _SecretDisk:
    """A user's secrets, as her machine's disk keeps them."""

    def __init__(self, secrets: DeviceSecrets) -> None:
        self.secrets = secrets

    async def save(self, secrets: DeviceSecrets) -> None:
        """Return when the secrets are on disk."""
        self.secrets = secrets


@dataclass(frozen=True)
class DiskImage:
    """A copy of a user's disk: a backup, or the disk of a cloned machine."""

    contents: Contents
    secrets: DeviceSecrets
    index: SimulatedMailIndex


class Machine:
    """One computer; `account` is None if it only stores."""

    membership: NodeMembership
    configs: NodeConfigs
    host: SimulatedHost
    account: Account | None = None

    def __init__(self, office: Office, name: str) -> None:
        self.name = name
        self._office = office
        self._random = random_for(office.world.seed, "machine", name)
        self._index = SimulatedMailIndex()
        self._secret_disk: _SecretDisk | None = None
        self._enrolments = 0
        self._clones = 0

    @property
    def node_id(self) -> NodeId:
        """Its place on the ring, as it is enrolled now."""
        return self.host.me.id

    @property
    def defect(self) -> Defect:
        """What is wrong with it on purpose: what is with all, or its own dishonesty."""
        return self._office.liars.get(self.name, self._office.defect)

    @property
    def is_honest(self) -> bool:
        """Whether it is not one of the liars."""
        return self.name not in self._office.liars

    @property
    def node(self) -> Node | None:
        """The node that runs on it now."""
        node = self.host.node
        assert node is None or isinstance(node, Node)
        return node

    def enrol(self) -> None:
        """Become a member under a fresh id, with an empty disk."""
        office = self._office
        self._enrolments += 1
        suffix = "" if self._enrolments == 1 else f"/{self._enrolments}"
        self.membership = office.organisation.enrol(self.name, office.contacts())
        is_first = not office.machines
        pastry = replace(office.config.nodes.pastry, is_first=is_first)
        self.configs = replace(office.config.nodes, pastry=pastry)
        self.host = self._new_host(self.name + suffix)

    def _new_host(self, name: str) -> SimulatedHost:
        office = self._office
        host = SimulatedHost(
            office.world,
            name,
            self.membership.me,
            self._build,
            certificate=self.membership.node_certificate,
            disk=self.defect.disk,
            make_vault=lambda disk, observer: self.defect.vault(disk, observer),
        )
        host.disk.watch = lambda writes, before: office.on_durable(host, writes, before)
        return host

    def _build(self, host: SimulatedHost) -> Node:
        ports = NodePorts(
            clock=host.clock,
            entropy=host.entropy,
            observer=host.observer,
            sealing=SimulatedSealing(host.entropy),
            vault=host.vault,
            transport=host.transport,
        )
        node = self.defect.node(self.membership, ports, self.configs, self._user())
        host.transport.clock = host.clock
        host.transport.on_peer_clock = node.clock_check.on_peer_clock
        return node

    def open_account(self) -> None:
        """Give the machine a user, whose name is the machine's."""
        self.account = self._office.organisation.create_account(self.name, self.host.me)
        self._secret_disk = _SecretDisk(self.account.secrets)

    async def take_account(self, account: Account, *, revoke: bool) -> None:
        """Become one more machine of a user, from the next start; `revoke` her other ones.

        The node must run: the account is read through it.
        """
        assert self.node is not None
        organisation, me = self._office.organisation, self.host.me
        blocks = self.node.blocks
        self.account = await organisation.add_device(account, blocks, me, revoke=revoke)
        self._secret_disk = _SecretDisk(self.account.secrets)

    def crash(self, *, with_machine: bool) -> None:
        """End at once, as a power cut or a kill does."""
        vault = self.host.vault
        self.host.crash(with_machine=with_machine)
        if self._random.random() < INDEX_LOST_PART:
            self.lose_index()
        for listener in self._office.crash_listeners:
            listener(self.host, vault)

    def lose_index(self) -> None:
        """Have the mail index made anew at the next start."""
        self._index = SimulatedMailIndex()

    def image(self) -> DiskImage:
        """Return a copy of a user's disk as it would be found after a power cut now."""
        assert self._secret_disk is not None, "only users have something to copy"
        contents = self.host.disk.durable.copy()
        return DiskImage(contents, self._secret_disk.secrets, deepcopy(self._index))

    def put_in(self, image: DiskImage) -> None:
        """Replace the disk of a machine that is off by a copy."""
        assert not self.host.is_running
        self.host.disk.durable = image.contents.copy()
        self._secret_disk = _SecretDisk(image.secrets)
        self._index = deepcopy(image.index)

    @contextmanager
    def cloned(self, image: DiskImage) -> Iterator[SimulatedHost]:
        """For a while this is another computer with a copy of the disk; its host is off at first.

        The first one must be off the network meanwhile: they have one id and one certificate.
        """
        self._clones += 1
        first = self.host, self._secret_disk, self._index
        self.host = self._new_host(f"{self.host.name}*{self._clones}")
        self.put_in(image)
        try:
            yield self.host
        finally:
            self.host, self._secret_disk, self._index = first

    def lose_disk(self) -> None:
        """End at once and for good: what comes back is another machine under this name."""
        self.host.lose_disk()

    def _user(self) -> UserOfNode | None:
        if self.account is None or self._secret_disk is None:
            return None
        return UserOfNode(
            account_certificate=self.account.certificate,
            secrets=self._secret_disk.secrets,
            secret_store=self._secret_disk,
            first_blocks=self.account.first_blocks,
            open_index=lambda: self._index,
            offload=in_the_loop,
            read_file=read_here,
        )


class Office:
    """All machines of one organisation; the authority is at the first of them."""

    def __init__(self, seed: int, config: OfficeConfig, defect: Defect) -> None:
        self.config = config
        self.defect = defect
        self.world = World(seed, config.network)
        self.organisation = SimulatedOrganisation(seed, SimulatedClock())
        self.machines: list[Machine] = []
        self.liars: dict[str, Defect] = {}
        """Machines, by name, that are dishonest in ways of their own from their next start on."""
        self.crash_listeners: list[CrashListener] = []
        self.disk_watchers: list[DiskWatcher] = []
        self._random = random_for(seed, "office")
        self._news: bytes | None = None
        self._has_changed = True
        self._authority: asyncio.Task[None] | None = None

    @property
    def replication_factor(self) -> int:
        """On how many machines a block must be."""
        return min(REPLICATION_FACTOR, len(self.machines))

    @property
    def users(self) -> Sequence[Machine]:
        """The machines with an account."""
        return [machine for machine in self.machines if machine.account is not None]

    @property
    def running(self) -> Sequence[Machine]:
        """The machines whose nodes run."""
        return [machine for machine in self.machines if machine.host.is_running]

    def replicas(self, place: Id) -> Sequence[Machine]:
        """Return the machines, of those that run now, that should keep what lies at a place."""
        return nsmallest(
            self.replication_factor, self.running, key=lambda m: closeness(place, m.node_id)
        )

    def is_honest(self, host: SimulatedHost) -> bool:
        """Is it no liar's?"""
        return all(m.is_honest for m in self.machines if m.host is host)

    async def open(self) -> None:
        """Enrol all machines, switch them on one after the other; the first ones have users."""
        for number in range(self.config.machines):
            is_user = number < self.config.users
            machine = Machine(self, f"user{number}" if is_user else f"store{number}")
            machine.enrol()
            if is_user:
                machine.open_account()
            self.machines.append(machine)
        self._news = self.organisation.publish()
        for machine in self.machines:
            machine.host.start()
            await self.world.run_for(self.config.opening_gap_seconds)
        self._authority = asyncio.get_running_loop().create_task(self._keep_publishing())

    def replace(self, machine: Machine) -> None:
        """Enrol a machine that lost its disk anew, and revoke what it was."""
        self.organisation.revoke(machine.node_id)
        machine.enrol()
        self._has_changed = True

    def on_durable(self, host: SimulatedHost, writes: Sequence[Write], before: Contents) -> None:
        """A commit of a host is about to be on its disk."""
        for watcher in self.disk_watchers:
            watcher(host, writes, before)

    def contacts(self) -> Sequence[NodeHandle]:
        """Return whom a new member is told of."""
        known = [machine.host.me for machine in self.running] or [
            machine.host.me for machine in self.machines
        ]
        return self._random.sample(known, min(BOOTSTRAPS, len(known)))

    async def close(self) -> None:
        """Stop everything."""
        if self._authority is not None:
            self._authority.cancel()
        await self.world.close()

    async def _keep_publishing(self) -> None:
        """What the daemon does at whose machine the authority is (`daemon.authority.upkeep`)."""
        while True:
            if self._has_changed:
                self._news, self._has_changed = self.organisation.publish(), False
            node = self.machines[0].node
            if node is not None and self._news is not None:
                node.issuers.publish(self._news)
                node.driver.wake()
            await asyncio.sleep(self.config.publication_seconds)
