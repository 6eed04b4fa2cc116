"""Where a message is, and who signed for it: the states of design 7 with their proofs.

Everything comes from the logs of the account's devices. Signatures are verified again when somebody
asks, so that a state is never shown on the word of this machine alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from epost.crypto.versioned import key_block_handle
from epost.foundation.errors import AuthenticityError, PeerError, UnavailableError
from epost.foundation.ids import Handle, NodeId
from epost.past.attestations import Statement, open_deposit
from epost.past.client import Reading
from epost.past.log_format import open_head
from epost.past.pending import open_receipt
from epost.past.tickets import NodeCertificates
from epost.post.accounts.contacts import Accounts
from epost.post.accounts.devices import Device
from epost.post.app_ids import AppId
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.entries import Entry
from epost.post.logs.siblings import Siblings
from epost.post.notification.deposits import Deposits
from epost.post.notification.records import (
    POST_RECORD,
    DeliveryState,
    Outgoing,
    Progressed,
    Step,
    Warned,
)
from epost.post.ports import Directory

TRACED_MAX = 100
"""Messages that one answer tells of."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed for a state: a storage node by its id, or a device by account and number."""

    node_id: bytes = b""
    account: str = ""
    device: int = 0
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """A state that a notice has reached; `at_ms` is 0 if nobody wrote down when."""

    state: DeliveryState
    at_ms: int
    signatures: Sequence[Signature] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class TracedRecipient:
    """One notice: to whom, and what it has reached, in order."""

    name: str
    states: Sequence[Reached]


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """A message that one of the account's devices has sent."""

    message_key: bytes
    device: int
    sent_at_ms: int
    expires_at_ms: int
    recipients: Sequence[TracedRecipient]


@dataclass(slots=True)
class _Sent:
    """What the logs say of a message."""

    device: int
    sequence: int
    outgoing: Outgoing
    steps: dict[int, list[Step]] = field(default_factory=dict)
    warned: dict[int, int] = field(default_factory=dict)


class LogHeads(Protocol):
    """The ring's replicas of a log's head."""

    async def lookup_latest(self, handle: Handle) -> Reading:
        """Ask all replicas and return the newest."""
        ...

    async def statements(self, handle: Handle) -> Sequence[tuple[NodeId, Statement]]:
        """Return which version each of the others signs now that it keeps."""
        ...


class Tracing:
    """Answers where a message is."""

    def __init__(
        self,
        *,
        device: Device,
        log: DeviceLog,
        siblings: Siblings,
        deposits: Deposits,
        accounts: Accounts,
        directory: Directory,
        heads: LogHeads,
        nodes: NodeCertificates,
    ) -> None:
        self._device = device
        self._log = log
        self._siblings = siblings
        self._deposits = deposits
        self._accounts = accounts
        self._directory = directory
        self._heads = heads
        self._nodes = nodes

    async def sent(self, is_meant: Callable[[Outgoing], bool]) -> Sequence[TracedMessage]:
        """Return the messages that are meant, by any device of the account, oldest first.

        Reads whole logs. Those of devices that cannot be read now are left out.
        """
        found: dict[bytes, _Sent] = {}
        async for device, sequence, entry in self._entries(AppId.POST):
            with suppress(PeerError):  # of a later version
                self._take(found, device, sequence, entry.payload, is_meant)
        ordered = sorted(found.values(), key=lambda sent: sent.outgoing.sent_at)
        return [await self._traced(sent) for sent in ordered]

    async def entries(self, *apps: AppId) -> AsyncIterator[tuple[int, Entry]]:
        """Yield (device, entry) of all that some applications have in the account's logs.

        One log after the other, one application after the other; raises as `DeviceLog.replay`.
        """
        async for device, _, entry in self._entries(*apps):
            yield device, entry

    async def _entries(self, *apps: AppId) -> AsyncIterator[tuple[int, int, Entry]]:
        for app in apps:
            async for sequence, payload in self._log.replay(app, 0):
                yield self._device.number, sequence, Entry(int(app), payload)
        with suppress(UnavailableError):
            async for number, sequence, entry in self._siblings.all_entries():
                if entry.app in apps:
                    yield number, sequence, entry

    def _take(
        self,
        found: dict[bytes, _Sent],
        device: int,
        sequence: int,
        payload: bytes,
        is_meant: Callable[[Outgoing], bool],
    ) -> None:
        match POST_RECORD.decode(payload):
            case Outgoing() as outgoing:
                if len(found) < TRACED_MAX and is_meant(outgoing):
                    found.setdefault(outgoing.message_key, _Sent(device, sequence, outgoing))
            case Progressed(steps):
                for step in steps:
                    if (sent := found.get(step.message_key)) is not None:
                        sent.steps.setdefault(step.notice, []).append(step)
            case Warned(message_key, notice, at):
                if (sent := found.get(message_key)) is not None:
                    sent.warned[notice] = at
            case _:
                pass  # what others sent

    async def _traced(self, sent: _Sent) -> TracedMessage:
        outgoing = sent.outgoing
        own = await self._own_states(sent)
        return TracedMessage(
            message_key=outgoing.message_key,
            device=sent.device,
            sent_at_ms=outgoing.sent_at,
            expires_at_ms=outgoing.expires_at,
            recipients=[
                TracedRecipient(notice.name, [*own, *self._steps(sent, index)])
                for index, notice in enumerate(outgoing.notices)
            ],
        )

    async def _own_states(self, sent: _Sent) -> list[Reached]:
        states = [Reached(DeliveryState.HELD, sent.outgoing.sent_at, remark="in the sender's log")]
        is_own = sent.device == self._device.number
        if not is_own or self._log.is_ring_durable(sent.sequence):
            # Who keeps the log was asked for signatures then, and is asked again now.
            signatures: Sequence[Signature] = ()
            with suppress(AuthenticityError, PeerError, UnavailableError):
                signatures = await self._witnesses(sent)
            states.append(Reached(DeliveryState.STORED, 0, signatures))
        return states

    async def _witnesses(self, sent: _Sent) -> Sequence[Signature]:
        """Return who signs now that she keeps the log as far as the record of a message."""
        me = await self._accounts.resolve(self._accounts.me.name)
        for device in me.devices:
            if device.certificate.number != sent.device or device.info is None:
                continue
            handle = key_block_handle(device.info.logs[-1].log_key)
            reading = await self._heads.lookup_latest(handle)
            if reading.block is None:
                break
            head = open_head(reading.block, expected=handle)
            if head.content.sequence < sent.sequence:
                break
            return [
                Signature(node_id=node, at_ms=statement.at)
                for node, statement in await self._heads.statements(handle)
                if statement.version >= head.version
            ]
        return ()

    def _steps(self, sent: _Sent, index: int) -> list[Reached]:
        steps = {(s.state, s.pending, s.at): s for s in sent.steps.get(index, ())}
        reached = [self._reached(step) for step in steps.values()]
        if index in sent.warned:
            remark = "its sender was told that it is late"
            reached.append(Reached(DeliveryState.HELD, sent.warned[index], remark=remark))
        return sorted(reached, key=lambda one: one.at_ms)

    def _reached(self, step: Step) -> Reached:
        match step.state:
            case DeliveryState.DELEGATED:
                return Reached(step.state, step.at, self._deposited(step))
            case DeliveryState.DELIVERED | DeliveryState.READ | DeliveryState.REFUSED:
                return self._received(step)
            case _:
                return Reached(step.state, step.at)

    def _deposited(self, step: Step) -> Sequence[Signature]:
        signatures: list[Signature] = []
        for data in self._deposits.find(step.pending):
            with suppress(AuthenticityError, PeerError):
                node, said = open_deposit(data, self._nodes, step.at, pending=step.pending)
                signatures.append(Signature(node_id=node.node_id, at_ms=said.at))
        return signatures

    def _received(self, step: Step) -> Reached:
        try:
            opened = open_receipt(step.receipt, self._directory.verify_account, step.at)
        except (AuthenticityError, PeerError) as error:
            return Reached(step.state, step.at, remark=f"its receipt cannot be verified: {error}")
        if opened.receipt.pending != step.pending:
            return Reached(step.state, step.at, remark="its receipt is for something else")
        by = opened.receipt.device
        signature = Signature(account=opened.account.name, device=by, at_ms=opened.receipt.at)
        return Reached(step.state, step.at, [signature])
