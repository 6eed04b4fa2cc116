"""A pending notice goes only for a receipt that its recipient signed."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.errors import AuthenticityError, PeerError
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Clock, DeleteBlock, PutBlock, Write
from epost.past.pending import FINAL_STATUSES, PENDING_MARK, open_receipt, receipt_handle
from epost.simulation.contents import Contents
from epost.simulation.host import SimulatedHost
from epost.simulation.invariants.violations import Findings, Invariant
from epost.simulation.office import Office


class PendingNotices:
    """Watches every disk: whoever deletes a notice must have the receipt."""

    def __init__(self, office: Office, clock: Clock, findings: Findings) -> None:
        self._trust = office.organisation.trust
        self._clock = clock
        self._findings = findings
        self._proven: dict[bytes, bytes] = {}
        self.settled = 0
        office.disk_watchers.append(self._on_durable)

    def _on_durable(self, host: SimulatedHost, writes: Sequence[Write], before: Contents) -> None:
        for write in writes:
            if isinstance(write, DeleteBlock) and write.handle.kind is BlockKind.PENDING:
                self._on_deleted(host, write.handle, writes, before)

    def _on_deleted(
        self, host: SimulatedHost, pending: Handle, writes: Sequence[Write], before: Contents
    ) -> None:
        entry = before.entry(pending)
        if entry is None:
            return
        recipient = PENDING_MARK.decode(entry.proof).to_account
        receipt = _receipt_after(receipt_handle(pending.digest), writes, before)
        if receipt is not None and self._signer(receipt, pending) == recipient:
            self.settled += 1
        else:
            text = f"{host.name} dropped {pending} without its recipient's signature"
            self._findings.violated(Invariant.NOTICES_WAIT, text)

    def _signer(self, receipt: bytes, pending: Handle) -> bytes | None:
        """Return the account that signed a final receipt for a notice."""
        if receipt not in self._proven:
            try:
                opened = open_receipt(receipt, self._trust.verify_account, self._clock.wall_ms())
            except (AuthenticityError, PeerError):
                return None
            is_for_it = opened.receipt.pending == pending.digest
            if not is_for_it or opened.receipt.status not in FINAL_STATUSES:
                return None
            self._proven[receipt] = opened.receipt.account_id
        return self._proven[receipt]


def _receipt_after(handle: Handle, writes: Sequence[Write], before: Contents) -> bytes | None:
    """Return the receipt that is on the disk once the writes are."""
    for write in reversed(writes):
        if isinstance(write, PutBlock) and write.entry.handle == handle:
            return write.body
    stored = before.blocks.get(handle)
    return None if stored is None else stored.body
