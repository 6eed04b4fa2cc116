"""The one place where a node is put together; the daemon and the simulator both come here.

From below: driver, overlay, the authority's word, replica, block store, group trees, the services
of POST, the applications. A storage-only node ends with what it does for others.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import ClassVar

from epost.apps.mail.service import MailService
from epost.apps.mail.services import MailServices
from epost.crypto.versioned import open_key_block
from epost.foundation.errors import RefusedError
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.ports import Sealing, Vault
from epost.foundation.wire import Application
from epost.node.clock_check import ClockCheck
from epost.node.credentials import NodeCredentials
from epost.node.directory import NodeDirectory
from epost.node.disk import NodeDisk
from epost.node.driver import Driver
from epost.node.joints import AwakeGroups, PendingUpcalls
from epost.node.key_note import certificate_with
from epost.node.settings import NodeConfigs, NodeMembership, NodePorts, UserOfNode
from epost.node.thrift import Thrift
from epost.past.blocks import handle_of
from epost.past.client import BlockStore
from epost.past.replica import Replica
from epost.past.surroundings import Surroundings
from epost.pastry.contact_notes import TABLE as CONTACT_NOTES
from epost.pastry.contact_notes import stored_contacts
from epost.pastry.node import PastryNode
from epost.post.accounts.devices import Device, with_organisation_secret
from epost.post.accounts.keyring import EpochSecret
from epost.post.app_ids import AppId
from epost.post.assembly import Layers, Post, make_delegation
from epost.post.notification.delegation import Delegation
from epost.post.ports import NodePorts as PostPorts
from epost.rings.issuers import Issuers
from epost.scribe.machine import Scribe

__all__ = ["Node"]


class Node:
    """One machine of the organisation, whole; `mail` is None on a storage-only node."""

    driver_type: ClassVar[type[Driver]] = Driver
    """A simulation may need one that can be stopped; and of the others, twins that do wrong."""
    overlay_type: ClassVar[type[PastryNode]] = PastryNode
    replica_type: ClassVar[type[Replica]] = Replica
    mail_type: ClassVar[type[MailService]] = MailService

    def __init__(
        self,
        membership: NodeMembership,
        ports: NodePorts,
        configs: NodeConfigs,
        user: UserOfNode | None = None,
    ) -> None:
        """Made inside a running loop; nothing happens before `start`."""
        self.me: NodeHandle = membership.me
        self._membership = membership
        self._ports = ports
        self.clock_check = ClockCheck(ports.clock)
        self.driver = self.driver_type(
            self.me,
            clock=ports.clock,
            entropy=ports.entropy,
            observer=ports.observer,
            vault=ports.vault,
            transport=ports.transport,
        )
        self.stopped: asyncio.Future[None] = self.driver.stopped
        credentials = NodeCredentials(ports.transport, ports.clock)
        self.overlay = self._make_overlay(configs, credentials)
        self.issuers = self._make_issuers(configs)
        credentials.issuers = self.issuers
        self._disk = NodeDisk(self.driver, ports.vault)
        self.scribe = Scribe(
            self.overlay,
            configs.scribe,
            self.driver.outbox,
            ports.entropy,
            ports.observer,
            distance=self.overlay.round_trip,
        )
        self.thrift = Thrift(ports.power, configs.thrift)
        around = self._surroundings(configs)
        upcalls = PendingUpcalls()
        self.replica = self._make_replica(around, upcalls)
        self.blocks = BlockStore(
            around, self.replica, calls=self.driver.calls, disk=self._disk, entropy=ports.entropy
        )
        self._register_machines()
        layers = self._layers()
        post_ports = self._post_ports()
        self.delegation: Delegation = make_delegation(layers, post_ports, configs.post)
        upcalls.delegation = self.delegation
        self.scribe.register(self.delegation)
        self._user = user
        self.device: Device | None = None
        self.post: Post | None = None
        self.mail: MailService | None = None
        if user is not None:
            self.post = self._make_post(user, layers, post_ports, configs)
            self.mail = self._make_mail(user, self.post)

    def start(self) -> None:
        """Begin: machines, transport, joining; the user's services follow in a story."""
        self._publish_authority_blocks()
        self.driver.start()
        self.overlay.join(self._membership.bootstrap)
        self.driver.run_story(self.blocks.push_for_ever())
        self.driver.run_story(self.blocks.fill_cache_for_ever())
        if self._user is not None:
            self._serving = self.driver.run_story(self._serve_user(self._user))

    async def ready(self) -> None:
        """Return when the user's services run (at once on a storage-only node)."""
        if self._user is not None:
            await asyncio.shield(self._serving)

    def renew(self, node_certificate: bytes, account_certificate: bytes) -> None:
        """Show these renewed certificates from now on; they are on the owner's disk already.

        The transport has its own: it is the owner's.
        """
        self.blocks.renew(node_certificate)
        if self.post is not None:
            self.post.renew(account_certificate)

    async def adopt_secret(self, given: EpochSecret) -> None:
        """Store under this organisation's secret from now on, once it is on the owner's disk."""
        assert self.device is not None
        assert self._user is not None
        await self.device.change(
            self._user.secret_store, lambda secrets: with_organisation_secret(secrets, given)
        )

    async def adopt_key(self, certificate: bytes, recovery_key: bytes, account: bytes) -> None:
        """Sign under other keys of the account, once the device's certificate is on the owner's
        disk; see `Device.follow_key`."""
        assert self.device is not None
        assert self._user is not None
        store = self._user.secret_store
        await self.device.follow_key(store, certificate, recovery_key, account)

    async def stop(self) -> None:
        """End in good order; the ports stay open for their owner to close."""
        if self.mail is not None:
            await self.mail.stop()
        self.overlay.leave()  # nobody has to find out by silence
        await self.driver.stop()

    # Parts.

    def _make_overlay(self, configs: NodeConfigs, credentials: NodeCredentials) -> PastryNode:
        overlay = self.overlay_type(
            self.me,
            configs.pastry,
            self.driver.outbox,
            self._ports.entropy,
            self._ports.observer,
            contacts=stored_contacts(self._ports.vault.notes(CONTACT_NOTES)),
            credentials=credentials,
        )
        self.driver.tell_heard_from(overlay.heard_from)
        return overlay

    def _make_issuers(self, configs: NodeConfigs) -> Issuers:
        return Issuers(
            self._membership.trust,
            self.overlay,
            self._ports.vault,
            outbox=self.driver.outbox,
            observer=self._ports.observer,
            config=configs.rings,
        )

    def _surroundings(self, configs: NodeConfigs) -> Surroundings:
        return Surroundings(
            me=self.me,
            overlay=self.overlay,
            vault=self._ports.vault,
            outbox=self.driver.outbox,
            issuers=self.issuers,
            clock=self._ports.clock,
            observer=self._ports.observer,
            node_key=self._membership.node_key,
            node_certificate=self._membership.node_certificate,
            config=configs.past,
            agreed_ms=self.clock_check.agreed_ms,
            may_copy=self.thrift.may_copy,
        )

    def _make_replica(self, around: Surroundings, upcalls: PendingUpcalls) -> Replica:
        return self.replica_type(
            around, delegation=upcalls, is_clock_sound=self.clock_check.is_sound
        )

    @property
    def vault(self) -> Vault:
        """This node's disk, to look at."""
        return self._ports.vault

    @property
    def sealing(self) -> Sealing:
        """How this node seals to keys of others."""
        return self._ports.sealing

    def _register_machines(self) -> None:
        driver, overlay = self.driver, self.overlay
        driver.register(Application.PASTRY, overlay)
        driver.register(Application.RINGS, self.issuers)
        driver.register(Application.SCRIBE, self.scribe)
        driver.register(Application.PAST, self.replica)
        overlay.register(Application.RINGS, self.issuers)
        overlay.register(Application.PAST, self.replica)

    def _layers(self) -> Layers:
        return Layers(
            blocks=self.blocks,
            delegates=self.blocks,
            leases=self.blocks,
            directory=NodeDirectory(self.issuers),
            groups=AwakeGroups(self.scribe, self.driver.wake),
            requests=self.driver.calls,
        )

    def _post_ports(self) -> PostPorts:
        ports = self._ports
        return PostPorts(
            clock=ports.clock,
            entropy=ports.entropy,
            sealing=ports.sealing,
            observer=ports.observer,
            disk=self._disk,
            stories=self.driver,
            is_clock_sound=self.clock_check.is_sound,
            sending_ms=self.clock_check.sending_ms,
            replicas_wanted=self.issuers.replication_factor,
            ring_view=lambda: self.replica.membership.view,
        )

    def _make_post(
        self, user: UserOfNode, layers: Layers, ports: PostPorts, configs: NodeConfigs
    ) -> Post:
        self.device = Device(
            user.secrets,
            account_certificate=certificate_with(
                user.secrets.certificate, user.account_certificate, self.vault
            ),
            sealing=ports.sealing,
            secret_epoch=lambda: self.issuers.policy.secret_epoch,
        )
        return Post(
            device=self.device,
            node=self.me,
            secret_store=user.secret_store,
            layers=layers,
            ports=ports,
            config=configs.post,
        )

    def _make_mail(self, user: UserOfNode, post: Post) -> MailService:
        services = self._mail_services(user, post)
        return self.mail_type(
            services, user.open_index(), offload=user.offload, read_file=user.read_file
        )

    def _mail_services(self, user: UserOfNode, post: Post) -> MailServices:
        services = post.services
        return MailServices(
            log=services.log,
            siblings=services.siblings,
            snapshots=services.snapshots,
            messages=services.messages,
            sending=services.notifications,
            names=services.accounts,
            clock=services.clock,
            entropy=services.entropy,
            observer=services.observer,
            reading=services.read_receipts,
            run_story=self.driver.run_story,
            spool=user.spool,
        )

    # Starting.

    def _publish_authority_blocks(self) -> None:
        for block in self._membership.authority_blocks:
            self.issuers.publish(block)

    async def _serve_user(self, user: UserOfNode) -> None:
        assert self.post is not None
        assert self.mail is not None
        services = self.post.services
        services.notifications.register(AppId.MAIL, self.mail.inbox)
        services.lease_ending.register(self.mail.references(self.post.ledger))
        await self.post.start()
        await self.mail.start()
        self.driver.serve(Application.POST, self.post.endpoint)
        for kind, block in user.first_blocks:
            await self._bring_into_the_ring(kind, block)

    async def _bring_into_the_ring(self, kind: BlockKind, block: bytes) -> None:
        """Insert a block that the enrolment made, unless it (or a newer version) is here."""
        known = self._ports.vault.entry(handle_of(kind, block))
        version = open_key_block(block).body.version if kind is BlockKind.KEY else 0
        if known is None or known.version < version:
            with suppress(RefusedError):
                await self.blocks.insert(kind, block)
