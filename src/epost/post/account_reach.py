"""Everything that an account consists of: the blocks that its certificate and its logs lead to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass

from epost.crypto.names import certificate_digest
from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, Handle
from epost.past.log_format import NO_CLUSTER, Head, open_head
from epost.post.accounts.blocks import LogName, decode_device_info
from epost.post.accounts.contacts import Accounts, Contact
from epost.post.logs.chain import ClusterName
from epost.post.logs.snapshots import Snapshots
from epost.post.ports import BlockStore
from epost.post.storage.message_store import MessageStore
from epost.post.storage.references import Reference


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of an account and what it is of, in words. An error says why nothing is behind it."""

    handle: Handle
    of: str
    error: str = ""


TROUBLES = (AuthenticityError, NotFoundError, PeerError, UnavailableError)


class AccountReach:
    """Walks from the account's name to every block."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        blocks: BlockStore,
        messages: MessageStore,
        snapshots: Snapshots,
    ) -> None:
        self._accounts = accounts
        self._snapshots = snapshots
        self._blocks = blocks
        self._messages = messages

    async def account(self) -> AsyncIterator[Piece]:
        """Yield certificate, identity, keyring, and what belongs to each device.

        Raises UnavailableError if the account cannot be looked up now.
        """
        me = await self._accounts.resolve(self._accounts.me.name)
        certificate = Handle(BlockKind.CERTIFICATE, certificate_digest(me.name))
        yield Piece(certificate, "the account's certificate")
        yield Piece(key_block_handle(me.account.account_key), "the identity block")
        yield Piece(Handle(BlockKind.CONTENT, me.identity.keyring), "the keyring")
        for number, device_key in _device_keys(me):
            of = f"device {number}"
            yield Piece(key_block_handle(device_key), f"the block of {of}")
            async for piece in self._logs(device_key, of):
                yield piece

    async def message(self, reference: Reference, of: str) -> AsyncIterator[Piece]:
        """Yield the blocks of a stored message; without its manifest, that one alone."""
        try:
            handles = await self._messages.handles_of(reference)
        except TROUBLES as error:
            yield Piece(reference.handle, of, f"its parts are not known: {error}")
            return
        for handle in handles:
            yield Piece(handle, of)

    async def _logs(self, device_key: bytes, of: str) -> AsyncIterator[Piece]:
        handle = key_block_handle(device_key)
        logs: tuple[LogName, ...] = ()
        with suppress(*TROUBLES):  # a missing block is found when it is looked at
            reading = await self._blocks.lookup_latest(handle)
            if reading.block is not None:
                body = open_key_block(reading.block, expected=handle).body
                logs = decode_device_info(body.content).logs
        for log in logs:
            async for piece in self._log(key_block_handle(log.log_key), of):
                yield piece

    async def _log(self, handle: Handle, of: str) -> AsyncIterator[Piece]:
        """Yield a log's head and its clusters, newest first; none if it was never written."""
        try:
            reading = await self._blocks.lookup_latest(handle)
            if reading.block is None:
                return
            head = open_head(reading.block, expected=handle)
        except TROUBLES as error:
            yield Piece(handle, f"the log of {of}", str(error))
            return
        yield Piece(handle, f"the head of the log of {of}")
        async for piece in self._snapshot(head, of):
            yield piece
        name = ClusterName.in_head(head.content)
        while name.digest != NO_CLUSTER:
            yield Piece(name.handle, f"the log of {of}")
            if name.previous == NO_CLUSTER:
                return
            before = Handle(BlockKind.CLUSTER, name.previous)
            try:
                _, proof = await self._blocks.lookup_cluster(before)
            except TROUBLES as error:
                yield Piece(before, f"the log of {of}", f"what is before it is unknown: {error}")
                return
            name = ClusterName.in_head(open_head(proof).content)

    async def _snapshot(self, head: Head, of: str) -> AsyncIterator[Piece]:
        """Yield the pages of the newest snapshot; what it sums up is in the clusters as well."""
        if (root := self._snapshots.root_of(head)) is None:
            return
        try:
            references = await self._snapshots.references(head)
        except TROUBLES as error:
            yield Piece(root.handle, f"a snapshot of the log of {of}", str(error))
            return
        for reference in references:
            async for piece in self.message(reference, f"a snapshot of the log of {of}"):
                yield piece


def _device_keys(me: Contact) -> Iterator[tuple[int, bytes]]:
    for device in me.devices:
        yield device.certificate.number, device.certificate.device_key
    for revoked in me.identity.revoked:
        yield revoked.number, revoked.device_key
