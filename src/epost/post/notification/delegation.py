"""What a node does with the pending notices that it keeps for others (POST 3.3; crypto 7.6).

It listens in the recipient's group while it keeps anything for her, and on a proven presence offers
it to the node that she is at. It lets go of a notice only for a receipt that she signed, which goes
to the ring under the same digest, so that no replica brings the notice back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from epost.crypto.certificates import DeviceCert
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    NoSuchBlock,
    Overloaded,
    PeerError,
    RefusedError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle
from epost.foundation.wire import Application
from epost.past.pending import ENVELOPE, FINAL_STATUSES, ReceiptStatus
from epost.post.accounts.contacts import Accounts
from epost.post.config import PostConfig
from epost.post.messages import ANSWERED, Deliver, Settle
from epost.post.notification.presence import PresenceCheck, VerifiedPresence, group_of
from epost.post.notification.receipts import Receipts
from epost.post.observed import PresenceIgnored, ReceiptIgnored
from epost.post.ports import Layers, NodePorts

PRESENCES_AT_ONCE_MAX = 64
TOLD_TO_THE_RING = FINAL_STATUSES | {ReceiptStatus.RESEAL}
"""What the sender must learn even if she and the recipient are never there together."""
TELL_TIMEOUT_SECONDS = 5.0


class Delegation:
    """Delivers what this node keeps for others; the upcall of PAST, and a listener of Scribe."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        layers: Layers,
        ports: NodePorts,
        config: PostConfig,
    ) -> None:
        self._accounts = accounts
        self._blocks = layers.blocks
        self._delegates = layers.delegates
        self._groups = layers.groups
        self._requests = layers.requests
        self._ports = ports
        self._config = config
        self._receipts = Receipts(accounts, layers.directory, ports.clock)
        self._presences = PresenceCheck(layers.directory, layers.directory.ring)
        self._kept: dict[Id, dict[Handle, None]] = {}
        self._group_of: dict[Handle, Id] = {}
        self._to_join: dict[Id, float] = {}
        """Groups in which this node will listen, and from when on, in this order."""
        self._is_joining = False
        self._offering: set[Id] = set()
        self._told: set[Handle] = set()
        """Of which of the notices kept here the sender's node knows that it must seal anew."""
        self._checking = 0

    # Upcalls of PAST.

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        """A notice was stored here, or is found again after a start."""
        group = group_of(ENVELOPE.decode(envelope).to_account)
        self._group_of[handle] = group
        if group not in self._kept:
            self._kept[group] = {}
            self._join_later(group)
        self._kept[group][handle] = None

    def on_pending_gone(self, handle: Handle) -> None:
        """A notice was settled, or its time is over."""
        self._told.discard(handle)
        group = self._group_of.pop(handle, None)
        if group is None:
            return
        del self._kept[group][handle]
        if not self._kept[group]:
            del self._kept[group]
            if self._to_join.pop(group, None) is None:
                self._groups.leave(group)

    def _join_later(self, group: Id) -> None:
        delay = self._config.listening_delay_seconds
        self._to_join[group] = self._ports.clock.now() + delay
        if not self._is_joining:
            self._is_joining = True
            self._ports.stories.run_story(self._join_those_due())

    async def _join_those_due(self) -> None:
        """Listen where a notice is still kept: a recipient who is there has taken it by now."""
        while self._to_join:
            group, due = next(iter(self._to_join.items()))
            await asyncio.sleep(max(0.0, due - self._ports.clock.now()))
            if self._to_join.get(group) == due:
                del self._to_join[group]
                with suppress(Overloaded):  # then the sender and the other delegates must do
                    self._groups.join(group)
        self._is_joining = False

    def is_device_revoked(self, device: DeviceCert) -> bool:
        """Does the newest identity block known here revoke this device?"""
        return self._accounts.is_known_revoked(device)

    # Upcall of Scribe.

    def on_multicast(self, group: Id, body: bytes, _now: float) -> None:
        """News in a group: somebody's presence, perhaps."""
        if group not in self._kept or group in self._offering:
            return
        if self._checking >= PRESENCES_AT_ONCE_MAX:
            return
        self._checking += 1
        self._ports.stories.run_story(self._on_presence(group, body))

    async def _on_presence(self, group: Id, body: bytes) -> None:
        try:
            verified = self._presences.open(body, group, self._ports.clock.wall_ms())
            contact = await self._accounts.signer(verified.account, verified.device)
        except (AuthenticityError, PeerError) as error:
            self._ports.observer.record(PresenceIgnored(error))
            return
        finally:
            self._checking -= 1
        if contact.device(verified.device.device_key) is not None and group not in self._offering:
            self._offering.add(group)
            try:
                await self._offer_all(group, verified)
            finally:
                self._offering.discard(group)

    async def _offer_all(self, group: Id, verified: VerifiedPresence) -> None:
        """Offer one after the other, to the node in the presence only, until one is not taken."""
        for handle in sorted(self._kept.get(group, ())):
            try:
                await self._offer(handle, verified.presence.node, verified.account.account_id)
            except NoSuchBlock:
                continue
            except (RefusedError, UnavailableError):
                return
            except (AuthenticityError, PeerError) as error:
                self._ports.observer.record(ReceiptIgnored(error))
                return

    async def _offer(self, handle: Handle, node: NodeHandle, account_id: bytes) -> None:
        envelope = await self._blocks.lookup(handle)
        answer = await self._requests.call(
            node,
            Application.POST,
            encode(Deliver(envelope)),
            timeout_seconds=self._config.direct_timeout_seconds,
        )
        receipt = ANSWERED.decode(answer).receipt
        verified = await self._receipts.verify(
            receipt, pending=handle.digest, account_id=account_id
        )
        if verified.status in TOLD_TO_THE_RING:
            # For a final one the replicas drop the notice, this node among them.
            await self._blocks.insert(BlockKind.RECEIPT, receipt, mirror=False)
        if verified.status is ReceiptStatus.RESEAL and handle not in self._told:
            await self._tell_the_sender(handle, receipt)

    async def _tell_the_sender(self, handle: Handle, receipt: bytes) -> None:
        """Have the sender seal anew now, not when she offers again, which may be in an hour.

        The recipient cannot: who sent it is inside what she has no key for.
        """
        with suppress(PeerError, RefusedError, UnavailableError):  # or at the next presence
            sender = await self._delegates.depositor(handle)
            if sender is not None:
                await self._requests.call(
                    sender,
                    Application.POST,
                    encode(Settle(receipt)),
                    timeout_seconds=TELL_TIMEOUT_SECONDS,
                )
                if handle in self._group_of:
                    self._told.add(handle)
