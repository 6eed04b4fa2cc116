"""Giving blocks to those who ask, as a part of the replica machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import VaultEntry
from epost.foundation.wire import Application
from epost.past.attestations import NONCE_BYTES, Attestor, Statement
from epost.past.maintenance import Maintenance
from epost.past.messages import Absent, Elsewhere, Found, Reply
from epost.past.shelf import is_pointer
from epost.past.surroundings import Surroundings
from epost.past.versions import order

RELOADS_MAX = 3


@dataclass(frozen=True, slots=True)
class Fetching:
    """Purpose of a load: somebody asked for the block, whose row was this."""

    caller: Caller
    nonce: bytes
    entry: VaultEntry
    loads: int


class Serving:
    """Answers fetches."""

    def __init__(
        self,
        around: Surroundings,
        maintenance: Maintenance,
        attestor: Attestor,
        holder_of: Callable[[VaultEntry], NodeHandle | None],
    ) -> None:
        """`holder_of` says where a pointer leads, if that node is live."""
        self._around = around
        self._vault = around.vault
        self._outbox = around.outbox
        self._maintenance = maintenance
        self._attestor = attestor
        self._holder_of = holder_of

    def fetch(self, caller: Caller, handle: Handle, nonce: bytes) -> None:
        """Answer with the block, with the neighbour that keeps it, or that it is not here."""
        entry = self._vault.entry(handle)
        if entry is not None and not is_pointer(entry):
            self._outbox.load(Application.PAST, handle, Fetching(caller, nonce, entry, 1))
            return
        holder = self._holder_of(entry) if entry is not None else None
        if holder is not None:
            self._reply(caller, Elsewhere(holder))
            return
        is_catching_up = entry is not None or self._maintenance.is_catching_up(handle)
        self._reply(caller, Absent(is_catching_up, self._statement(handle, nonce, None)))

    def on_loaded(self, purpose: Fetching, body: bytes | None) -> None:
        """The body came off the disk."""
        handle = purpose.entry.handle
        entry = self._vault.entry(handle)
        if body is None or entry is None:
            self._maintenance.on_rotten(handle)
            self._reply(purpose.caller, Absent(True, self._statement(handle, purpose.nonce, None)))
        elif order(entry) != order(purpose.entry) and purpose.loads < RELOADS_MAX:
            # Replaced while its body was read: row and body must be of one version.
            again = Fetching(purpose.caller, purpose.nonce, entry, purpose.loads + 1)
            self._outbox.load(Application.PAST, handle, again)
        else:
            head = purpose.entry.proof if handle.kind is BlockKind.CLUSTER else b""
            statement = self._statement(handle, purpose.nonce, purpose.entry)
            is_catching_up = self._maintenance.is_catching_up(handle)
            self._reply(purpose.caller, Found(body, head, is_catching_up, statement))

    def _statement(self, handle: Handle, nonce: bytes, entry: VaultEntry | None) -> bytes:
        if len(nonce) != NONCE_BYTES:
            return b""
        version, body_hash = (entry.version, entry.body_hash) if entry else (0, b"")
        now_ms = self._around.clock.wall_ms()
        return self._attestor.statement(Statement(1, nonce, handle, version, body_hash, now_ms))

    def _reply(self, caller: Caller, reply: Reply) -> None:
        self._outbox.reply(caller, encode(reply))
