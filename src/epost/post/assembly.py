"""The POST services of one machine, put together; what `node` starts and hands to applications."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from epost.foundation.errors import NotFoundError, UnavailableError
from epost.foundation.ids import NodeHandle
from epost.past.tickets import NodeCertificates
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.data_keys import DataKeys
from epost.post.accounts.device_block import DeviceBlock
from epost.post.accounts.devices import Device, SecretStore
from epost.post.accounts.directory_cache import CachedDirectory
from epost.post.accounts.prekeys import Prekeys
from epost.post.config import PostConfig
from epost.post.endpoint import PostEndpoint
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.history import History
from epost.post.logs.reader import LogReader
from epost.post.logs.siblings import Siblings
from epost.post.logs.snapshot_finding import SnapshotFinding
from epost.post.logs.snapshots import Snapshots
from epost.post.notification.announcing import Announcer
from epost.post.notification.delegation import Delegation
from epost.post.notification.deposits import Deposits
from epost.post.notification.dispatch import Dispatch
from epost.post.notification.inheritance import Inheritance
from epost.post.notification.ledger import Ledger
from epost.post.notification.notifications import Notifications
from epost.post.notification.read_receipts import ReadReceipts
from epost.post.notification.receipts import Receipts
from epost.post.notification.reception import Reception
from epost.post.notification.tracing import LogHeads, Tracing
from epost.post.observed import LogUnreadable
from epost.post.ports import Layers, NodePorts
from epost.post.services import PostServices
from epost.post.storage.lease_ending import LeaseEnding
from epost.post.storage.lease_keeping import LeaseKeeping
from epost.post.storage.message_store import MessageStore
from epost.post.storage.mirror import Mirror
from epost.post.storage.reference_memory import ReferenceMemory
from epost.post.storage.unneeded import UnneededBlocks

__all__ = ["Layers", "Post", "make_delegation"]

LOAD_RETRY_SECONDS = 5.0


def make_delegation(layers: Layers, ports: NodePorts, config: PostConfig) -> Delegation:
    """Return what every storage node does for others, with or without a user of its own."""
    layers = _with_cached_directory(layers, ports, config)
    accounts = _make_accounts(None, layers, ports, config)
    return Delegation(accounts=accounts, layers=layers, ports=ports, config=config)


class Post:
    """The services for the user of this machine.

    Applications register with `services.log` and `services.notifications`, then `start`.
    """

    def __init__(
        self,
        *,
        device: Device,
        node: NodeHandle,
        secret_store: SecretStore,
        layers: Layers,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._device = device
        self._layers = _with_cached_directory(layers, ports, config)
        self._ports = ports
        self._config = config
        self.device_block = DeviceBlock(
            device=device,
            contact=node,
            blocks=layers.blocks,
            ports=ports,
        )
        self.prekeys = Prekeys(
            device=device,
            device_block=self.device_block,
            ports=ports,
            secret_store=secret_store,
            config=config,
        )
        self.log = DeviceLog(
            device=device,
            device_block=self.device_block,
            blocks=layers.blocks,
            ports=ports,
            config=config,
        )
        self.deposits = Deposits(device, ports)
        self.ledger = Ledger(device, self.log, self.deposits, ports, config)
        self.announcer = Announcer(
            device=device, node=node, groups=layers.groups, ports=ports, config=config
        )
        accounts = _make_accounts(device, self._layers, ports, config)
        self._unneeded = UnneededBlocks(device, ports)
        self._messages = self._make_messages()
        self.siblings = self._make_siblings(accounts, secret_store)
        self.history = History(self.log.archive.all_entries, self.siblings.all_entries)
        self.snapshots = Snapshots(
            device=device, log=self.log, messages=self._messages, ports=ports, config=config
        )
        self._read_receipts = ReadReceipts(
            device=device,
            accounts=accounts,
            requests=layers.requests,
            ports=ports,
            config=config,
        )
        reception = self._make_reception(accounts)
        notifications = self._make_notifications(accounts, reception)
        self.siblings.leave_to(Inheritance(log=self.log, ports=ports, resume=notifications.resume))
        self.endpoint = PostEndpoint(reception, notifications, self.siblings)
        self.services = self._make_services(accounts, notifications)

    # Parts.

    def _make_siblings(self, accounts: Accounts, secret_store: SecretStore) -> Siblings:
        ports = self._ports
        data_keys = DataKeys(
            device=self._device, blocks=self._layers.blocks, ports=ports, secret_store=secret_store
        )
        return Siblings(
            device=self._device,
            accounts=accounts,
            data_keys=data_keys,
            layers=self._layers,
            ports=ports,
            config=self._config,
            snapshots=SnapshotFinding(
                device=self._device,
                reader=LogReader(self._layers.blocks, self._device),
                messages=self._messages,
                observer=ports.observer,
            ),
            on_revoked=self.log.end,
        )

    def _make_reception(self, accounts: Accounts) -> Reception:
        return Reception(
            device=self._device,
            prekeys=self.prekeys,
            accounts=accounts,
            ledger=self.ledger,
            log=self.log,
            read_receipts=self._read_receipts,
            layers=self._layers,
            ports=self._ports,
        )

    def _make_notifications(self, accounts: Accounts, reception: Reception) -> Notifications:
        dispatch = Dispatch(
            device=self._device,
            accounts=accounts,
            receipts=Receipts(accounts, self._layers.directory, self._ports.clock),
            deposits=self.deposits,
            layers=self._layers,
            ports=self._ports,
            config=self._config,
        )
        return Notifications(
            ledger=self.ledger,
            log=self.log,
            dispatch=dispatch,
            reception=reception,
            ports=self._ports,
            config=self._config,
        )

    def _make_messages(self) -> MessageStore:
        ports = self._ports
        return MessageStore(
            device=self._device,
            blocks=self._layers.blocks,
            memory=ReferenceMemory(self._device, ports),
            entropy=ports.entropy,
            leases=self._layers.leases,
            unneeded=self._unneeded,
            replicas_wanted=ports.replicas_wanted,
            config=self._config,
        )

    def _make_services(self, accounts: Accounts, notifications: Notifications) -> PostServices:
        device, blocks, ports = self._device, self._layers.blocks, self._ports
        messages = self._messages
        lease_ending = LeaseEnding(
            unneeded=self._unneeded,
            handles_of=messages.handles_of,
            read_siblings=self.siblings.read_all,
            leases=self._layers.leases,
            ports=ports,
            config=self._config,
        )
        return PostServices(
            accounts=accounts,
            messages=messages,
            log=self.log,
            siblings=self.siblings,
            snapshots=self.snapshots,
            notifications=notifications,
            mirror=Mirror(device=device, messages=messages, blocks=blocks, ports=ports),
            lease_ending=lease_ending,
            read_receipts=self._read_receipts,
            clock=ports.clock,
            entropy=ports.entropy,
            observer=ports.observer,
        )

    def renew(self, account_certificate: bytes) -> None:
        """Sign under this renewed certificate of the account from now on."""
        self._device.account_certificate = account_certificate

    def tracing(self, nodes: NodeCertificates, heads: LogHeads) -> Tracing:
        """Return what answers where a message is; `nodes` verifies what machines signed."""
        return Tracing(
            device=self._device,
            log=self.log,
            siblings=self.siblings,
            deposits=self.deposits,
            accounts=self.services.accounts,
            directory=self._layers.directory,
            heads=heads,
            nodes=nodes,
        )

    # Starting.

    async def start(self) -> None:
        """Read back what the disk holds, then run; returns before the ring is reached.

        The endpoint must not be served before this returns.
        """
        await self._load()
        self._unneeded.load()
        self._read_receipts.load()
        self.log.on_reached(self.announcer.announce_soon)
        self.log.start()
        self.services.notifications.start()
        run_story = self._ports.stories.run_story
        run_story(self.ledger.keep_checkpoints())
        run_story(self.ledger.keep_forgetting())
        run_story(self._read_receipts.keep_telling())
        run_story(self.services.mirror.keep_fetching())
        run_story(self._lease_keeping().keep())
        self.log.on_published(self.siblings.tell_soon)
        self.log.on_published(self.snapshots.wake)
        run_story(self.snapshots.keep())
        run_story(self.siblings.keep_following())
        run_story(self.siblings.keep_telling())
        run_story(self.announcer.keep_announcing())
        run_story(self.prekeys.keep())

    def _lease_keeping(self) -> LeaseKeeping:
        ending = self.services.lease_ending
        return LeaseKeeping(self._layers.leases, ending, self._ports, self._config)

    async def _load(self) -> None:
        """Read the own log; where the own copy is damaged, wait for the ring to have another."""
        while True:
            try:
                return await self.ledger.load()
            except (UnavailableError, NotFoundError) as error:
                self._ports.observer.record(LogUnreadable(error))
                await asyncio.sleep(LOAD_RETRY_SECONDS)


def _with_cached_directory(layers: Layers, ports: NodePorts, config: PostConfig) -> Layers:
    directory = CachedDirectory(
        layers.directory, ports.clock, kept_seconds=config.contact_cache_seconds
    )
    return replace(layers, directory=directory)


def _make_accounts(
    device: Device | None, layers: Layers, ports: NodePorts, config: PostConfig
) -> Accounts:
    return Accounts(
        device=device,
        directory=layers.directory,
        blocks=layers.blocks,
        clock=ports.clock,
        config=config,
    )
