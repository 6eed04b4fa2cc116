"""The demo's organisation: its authority, its machines, and enrolling those that are missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from epost.crypto.names import canonical
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.founding import is_founded
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import system_world
from epost.daemon.config import (
    GIB,
    AuthoritySection,
    MetricsSection,
    NodeConfig,
    Security,
    StorageSection,
)
from epost.daemon.control import ask
from epost.daemon.demo.state import (
    HOST,
    DemoNode,
    DemoState,
    free_ports,
    load_state,
    mail_section,
    node_folder,
    save_state,
)
from epost.daemon.folder import RECOVERY_REMEDY, NodeFolder
from epost.daemon.joining.membership import join_organisation
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.settling import Joined
from epost.daemon.mail_programs.loopback import LoopbackOwnerCheck
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address, NodeHandle

DOMAIN = "example.org"
CONTRIBUTED_BYTES = 2 * GIB
STORAGE_ONLY = "storage-"
"""With a number, the name of a machine without a user."""


class DemoOrganisation:
    """An organisation on one folder, made at the first run and taken up at every further one."""

    def __init__(self, directory: Path, repair_delay_seconds: float) -> None:
        self._directory = directory
        self._repair_delay_seconds = repair_delay_seconds
        state = load_state(directory)
        self.exists = state is not None
        self._state = state

    @property
    def state(self) -> DemoState:
        """What the folder remembers; only after `enrol`, or if it `exists`."""
        assert self._state is not None
        return self._state

    @property
    def authority_dir(self) -> Path:
        """The authority's keys: in no node's folder."""
        return self._directory / "authority"

    def node(self, name: str) -> DemoNode:
        """Return a node by name; raises ConfigError naming those that exist."""
        for node in self.state.nodes:
            if node.name == name:
                return node
        raise ConfigError(
            f"no node {name!r}; there are {', '.join(n.name for n in self.state.nodes)}"
        )

    def enrol(self, nodes: int, users: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Enrol every machine that is not yet; yields (done, total, name).

        The plan is written first, so a demo that was interrupted goes on where it stopped.
        """
        if self._state is None:
            self._state = _plan(nodes, users)
            save_state(self._directory, self._state)
        if not any(node.node_id for node in self._state.nodes):
            self._found(self._state)
        total = len(self.state.nodes)
        for done, node in enumerate(self.state.nodes, 1):
            if not node.node_id:
                self._enrol_node(node)
            yield done, total, node.name

    def _found(self, state: DemoState) -> None:
        if not is_founded(self.authority_dir):
            address = Address(HOST, state.enrolment_port)
            Authority.create(self.authority_dir, DOMAIN, address, system_world()).close()

    def startable(self) -> Sequence[DemoNode]:
        """Return the nodes whose folders are whole, after re-enrolling erased storage nodes.

        Those of users that were erased are left out: see `lost`. Raises ConfigError.
        """
        ready = [node for node in self.state.nodes if not self._is_lost(node)]
        for node in ready:
            self.make_startable(node)
        return ready

    def lost(self) -> Sequence[DemoNode]:
        """Return the users' nodes whose folders were erased: only their words bring them back."""
        return [node for node in self.state.nodes if self._is_lost(node)]

    def _is_lost(self, node: DemoNode) -> bool:
        is_there = NodeFolder(node_folder(self._directory, node.name)).is_enrolled
        return node.user is not None and not is_there

    def make_startable(self, node: DemoNode) -> str:
        """Make sure a node's folder is whole and return what was done.

        An erased storage node is enrolled anew under a new id (its old certificate is revoked);
        an erased user's node raises ConfigError: it needs recovery.
        """
        folder = NodeFolder(node_folder(self._directory, node.name))
        if folder.is_enrolled:
            self._place_authority(node, folder)
            return f"{node.name} is started again"
        if node.user is not None:
            raise ConfigError(f"{node.name}: {RECOVERY_REMEDY}")
        with Authority.open(self.authority_dir, system_world()) as authority:
            authority.revoke_node(bytes.fromhex(node.node_id))
        self._enrol_node(node)
        return f"{node.name} had lost its disk: it is enrolled anew as {node.node_id[:8]}…"

    def _place_authority(self, node: DemoNode, folder: NodeFolder) -> None:
        """Have the right machine run the authority, also on a folder that is older or was moved."""
        config = folder.read_config()
        if config.authority != (section := self._authority_section(node)):
            folder.write_config(msgspec.structs.replace(config, authority=section))

    def _authority_section(self, node: DemoNode) -> AuthoritySection:
        if node is not self.issuing_node:
            return AuthoritySection()
        listen = f"{HOST}:{self.state.enrolment_port}"
        return AuthoritySection(directory=str(self.authority_dir), listen=listen)

    @property
    def issuing_node(self) -> DemoNode:
        """The machine that runs the authority: one without a user, if there is any."""
        nodes = self.state.nodes
        return next((node for node in nodes if node.user is None), nodes[0])

    def _authority_runs(self) -> bool:
        try:
            ask(node_folder(self._directory, self.issuing_node.name), "status")
        except ConfigError:
            return False
        return True

    def _enrol_node(self, node: DemoNode) -> None:
        joined = asyncio.run(self._join(node))
        node.node_id = joined.node_id
        if node.user is not None:
            node.password = joined.password
            node.recovery_words = joined.recovery_words
        save_state(self._directory, self.state)
        NodeFolder(node_folder(self._directory, node.name)).forget_enrolment()

    async def _join(self, node: DemoNode) -> Joined:
        world = system_world()
        address = Address(HOST, self.state.enrolment_port)
        with Authority.open(self.authority_dir, world) as authority:
            invitation = authority.invite(node.user)
            contacts = self._contacts(authority.trust.ring, node)
            async with (
                contextlib.nullcontext()
                if self._authority_runs()
                else EnrolmentService(authority, address, world, contacts=lambda: contacts)
            ):
                machine = NewMachine(
                    node_folder(self._directory, node.name),
                    listen=f"{HOST}:{node.ring_port}",
                    config=self._config(node),
                )
                is_founder = node is self.state.nodes[0]
                return await join_organisation(invitation, machine, founder=is_founder)

    def _contacts(self, ring: bytes, node: DemoNode) -> Sequence[NodeHandle]:
        return [
            NodeHandle(ring, bytes.fromhex(n.node_id), (Address(HOST, n.ring_port),))
            for n in self.state.nodes
            if n.node_id and n is not node
        ]

    def _config(self, node: DemoNode) -> NodeConfig:
        return NodeConfig(
            storage=StorageSection(
                contributed_bytes=CONTRIBUTED_BYTES,
                repair_delay_seconds=self._repair_delay_seconds,
            ),
            mail=mail_section(self.state, node),
            metrics=MetricsSection(listen=f"{HOST}:{node.metrics_port}"),
            authority=self._authority_section(node),
        )


def _security() -> Security:
    # Plain passwords are safe only where connections of other users are refused (crypto 9).
    return "plain" if LoopbackOwnerCheck.is_available() else "tls"


def _accounts(users: Sequence[str]) -> Sequence[str]:
    """Return the local parts of the users' addresses, which name their folders as well."""
    names = [canonical(f"{user}@{DOMAIN}").partition("@")[0] for user in users]
    if not names:
        raise ConfigError("a demo needs at least one user: --users alice")
    for name in names:
        if name.startswith((".", STORAGE_ONLY)) or names.count(name) > 1:
            raise ConfigError(f"--users: {name!r} is there twice, or cannot name a machine")
    return names


def _plan(count: int, users: Sequence[str]) -> DemoState:
    named = _accounts(users)[:count]
    names = [*named, *(f"{STORAGE_ONLY}{n}" for n in range(1, count - len(named) + 1))]
    ports = iter(free_ports(5 * count + 1))
    nodes = [
        DemoNode(
            name=name,
            user=f"{name}@{DOMAIN}" if name in named else None,
            ring_port=next(ports),
            smtp_port=next(ports),
            imap_port=next(ports),
            pop3_port=next(ports),
            metrics_port=next(ports),
        )
        for name in names
    ]
    return DemoState(domain=DOMAIN, enrolment_port=next(ports), nodes=nodes, security=_security())
