"""Whether a block may be stored here: the checks of every put and every repair.

In this order: size, ticket and scope, the block's proof of itself, the rules of versions, space.
Nothing is written here; the result says what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from epost.crypto.certificates import NodeCert
from epost.foundation.errors import (
    AuthenticityError,
    DiskFull,
    LimitExceeded,
    MalformedPacket,
    NotPermitted,
    PeerError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, Handle, NodeId
from epost.foundation.ports import Role, VaultEntry
from epost.foundation.rates import Rates
from epost.past.allowances import Allowances, PendingAllowances
from epost.past.blocks import Proven, Prover, require_fitting
from epost.past.config import KEYS_LIMITED_MAX
from epost.past.log_format import (
    CLUSTER_SIZE_MAX,
    LOG_RECORD,
    check_cluster,
    check_extension,
    cluster_handle,
    open_head,
    recall_head,
    split_records,
)
from epost.past.pending import FINAL_STATUSES, PENDING_MARK, RECEIPT_MARK, PendingMark
from epost.past.ring_view import Membership
from epost.past.space.placement import DIVERTED_PART, PRIMARY_PART, fits
from epost.past.surroundings import Surroundings
from epost.past.tickets import FRESH_MS, LEASE_MS_MAX, Vouched, Vouchers
from epost.past.versions import Verdict, judge_fresh, judge_repair
from epost.rings.scope import require_scope

_CHECKS = {
    BlockKind.CONTENT: 0,
    BlockKind.KEY: 1,
    BlockKind.CERTIFICATE: 1,
    BlockKind.CLUSTER: 1,
    BlockKind.PENDING: 0,
    BlockKind.RECEIPT: 3,
}
"""Signatures that a block of each kind costs to verify, besides its ticket."""

_OF_LOGS = frozenset(BlockKind) - {BlockKind.CONTENT}
"""Kinds that a member over quota needs to be told so and to delete; all small."""


_STORED = ~(Role.CACHED | Role.POINTER)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A verified block, what is to be done with it, and who inserted it."""

    proven: Proven
    verdict: Verdict
    inserter: NodeCert
    voucher: bytes
    fits: bool = True
    """False: one of the k, but without room; a neighbour may keep it instead."""


@dataclass(frozen=True, slots=True)
class Inserter:
    """The node that puts a block now, and the monotonic time."""

    node: NodeId
    now: float


class InvalidBlock(AuthenticityError):  # noqa: N818 - reads better without "Error"
    """A block that does not prove itself: whoever made it is to blame."""


class Admission:
    """Judges blocks for one node."""

    def __init__(
        self,
        around: Surroundings,
        membership: Membership,
        prover: Prover,
        vouchers: Vouchers,
    ) -> None:
        config = around.config
        self._membership = membership
        self._vault = around.vault
        self._issuers = around.issuers
        self._clock = around.clock
        self._dating_ms = around.dating_ms
        self._config = config
        self._prover = prover
        self._vouchers = vouchers
        self.allowances = Allowances(around.vault, lambda: around.issuers.policy, config)
        self.pending_allowances = PendingAllowances(config)
        self._updates: Rates[Handle] = Rates(
            config.key_updates_per_second, config.key_updates_burst, KEYS_LIMITED_MAX
        )
        self._checks: Rates[NodeId] = Rates(
            config.signature_checks_per_second, config.signature_checks_burst, KEYS_LIMITED_MAX
        )

    def admit(
        self,
        handle: Handle,
        block: bytes,
        *,
        proof: bytes,
        voucher: bytes,
        inserter: Inserter | None,
    ) -> Admitted:
        """Verify a whole block and judge it against what is stored here.

        `inserter` is None for a repair, which trusts the ticket that an earlier holder accepted.
        Raises RefusedError, PeerError, AuthenticityError, Overloaded, DiskFull.
        """
        require_fitting(handle.kind, block)
        self._take_checks(handle.kind, voucher, inserter)
        vouched = self._vouch(handle, len(block), voucher, inserter)
        now_ms = self._clock.wall_ms()
        fresh = inserter is not None
        with _blaming():
            proven = self._prover.prove(handle, block, proof=proof, now_ms=now_ms, is_fresh=fresh)
        stored = self._stored(handle)
        verdict = self.judge(proven, fresh=fresh)
        if verdict is Verdict.STORE and stored and handle.kind is BlockKind.CLUSTER:
            verdict = _judge_chain(stored, proven, block, fresh=fresh)
        self._take_update(handle, verdict, inserter)
        admitted = Admitted(proven, verdict, vouched.inserter, voucher)
        return admitted if self._has_room(admitted, stored) else replace(admitted, fits=False)

    def admit_extension(
        self,
        cluster: Handle,
        suffix: bytes,
        head: bytes,
        voucher: bytes,
        inserter: Inserter,
    ) -> Admitted | None:
        """Verify records to be appended to a cluster; None if earlier ones are missing here.

        The ticket is for the cluster's size after the extension. Raises as `admit`.
        """
        records = split_records(suffix)
        stored = self._vault.entry(cluster)
        if stored is not None:
            self._take_checks(cluster.kind, voucher, inserter)
        else:
            if not records or cluster_handle(records[0]) != cluster:
                return None
            return self.admit(cluster, suffix, proof=head, voucher=voucher, inserter=inserter)
        held = recall_head(stored.proof)
        continues = not records or _sequence(records[0]) == held.cluster_tip.sequence + 1
        size = stored.size + len(suffix) if continues else stored.size
        if size > CLUSTER_SIZE_MAX:
            raise LimitExceeded("a cluster has at most 1 MiB")
        if not self._vouchers.open(voucher).covers(cluster, size):
            return None
        vouched = self._vouch(cluster, size, voucher, inserter)
        with _blaming():
            opened = open_head(head)
            if opened.log_key != held.log_key or opened.cluster != cluster:
                raise MalformedPacket("the head of another log or cluster")
        proven = Proven(cluster, size, opened.version, opened.body_hash, proof=head)
        verdict = judge_fresh(stored, proven)
        if verdict is Verdict.STORE:
            if not continues:
                return None
            with _blaming():
                check_extension(cluster, held, suffix, opened)
            self._take_update(cluster, verdict, inserter)
        admitted = Admitted(proven, verdict, vouched.inserter, voucher)
        self._has_room(admitted, stored)
        return admitted

    def room(self) -> int:
        """Return how many octets this node would still take for the ring."""
        return max(0, self._vault.free_bytes() - self._config.disk_reserve_bytes)

    def is_settled(self, pending: Handle, mark: PendingMark) -> bool:
        """Has the account that the notice is for signed a final receipt that is kept here?"""
        receipt = self._vault.entry(Handle(BlockKind.RECEIPT, pending.digest))
        if receipt is None:
            return False
        held = RECEIPT_MARK.decode(receipt.proof)
        return held.account_id == mark.to_account and held.status in FINAL_STATUSES

    def require_vouched(self, handle: Handle, voucher: bytes) -> None:
        """Verify that a member of this ring inserted a block; raises as `admit`."""
        vouched = self._vouchers.open(voucher)
        if all(block.handle != handle for block in vouched.ticket.blocks):
            raise NotPermitted("the ticket is for other blocks")
        require_scope(vouched.inserter, handle.kind, self._issuers.trust.ring)

    def _take_checks(self, kind: BlockKind, voucher: bytes, inserter: Inserter | None) -> None:
        """Charge the signature checks to come to whoever puts the block; raises Overloaded."""
        if inserter is not None:
            checks = _CHECKS[kind] + (0 if self._vouchers.is_known(voucher) else 1)
            self._checks.take(inserter.node, inserter.now, checks)

    def _take_update(self, handle: Handle, verdict: Verdict, inserter: Inserter | None) -> None:
        """Charge a key with a version that it has signed and that is new here; raises Overloaded.

        Not before: whoever offers anything under somebody else's key would use up her updates.
        """
        of_key = handle.kind in {BlockKind.KEY, BlockKind.CLUSTER}
        if of_key and verdict is Verdict.STORE and inserter is not None:
            self._updates.take(handle, inserter.now)

    def _vouch(
        self, handle: Handle, size: int, voucher: bytes, inserter: Inserter | None
    ) -> Vouched:
        vouched = self._vouchers.open(voucher)
        vouched.require(handle, size)
        require_scope(vouched.inserter, handle.kind, self._issuers.trust.ring)
        if inserter is not None:
            self._require_fresh(vouched, inserter.node)
        return vouched

    def _require_fresh(self, vouched: Vouched, sender: NodeId) -> None:
        now_ms = self._dating_ms()
        if vouched.inserter.id != sender:
            raise NotPermitted("the ticket of another node")
        if abs(vouched.ticket.at - now_ms) > FRESH_MS:
            # Held locally until the clocks are put right, rather than refused for good.
            raise UnavailableError("a ticket that is not of now: the clocks differ")
        if vouched.ticket.lease_until > now_ms + LEASE_MS_MAX:
            raise NotPermitted("a lease of more than 400 days")
        if self._issuers.is_node_revoked(vouched.inserter):
            raise NotPermitted("the inserter's certificate was revoked")

    def judge(self, proven: Proven, *, fresh: bool = True) -> Verdict:
        """Judge a verified block against what is stored here; raises NotPermitted."""
        handle = proven.handle
        stored = self._stored(handle)
        if handle.kind is BlockKind.PENDING:
            if self.is_settled(handle, PENDING_MARK.decode(proven.proof)):
                return Verdict.SETTLED
        elif handle.kind is BlockKind.RECEIPT:
            stored = self._require_recipient(stored, proven)
        return judge_fresh(stored, proven) if fresh else judge_repair(stored, proven)

    def _require_recipient(self, stored: VaultEntry | None, proven: Proven) -> VaultEntry | None:
        """Judge a receipt by the notice, while it is held: only its recipient may sign for it.

        Returns the receipt to compare with: a stored one of another account is none.
        """
        pending = self._vault.entry(Handle(BlockKind.PENDING, proven.handle.digest))
        if pending is None:
            return stored
        recipient = PENDING_MARK.decode(pending.proof).to_account
        if RECEIPT_MARK.decode(proven.proof).account_id != recipient:
            raise NotPermitted("a receipt by somebody else than the recipient")
        if stored and RECEIPT_MARK.decode(stored.proof).account_id != recipient:
            return None
        return stored

    def _stored(self, handle: Handle) -> VaultEntry | None:
        """Return what is here to compare with; a cached copy or a mere pointer is nothing yet."""
        stored = self._vault.entry(handle)
        if stored is None or not stored.roles & _STORED:
            return None
        return stored

    def _has_room(self, admitted: Admitted, stored: VaultEntry | None) -> bool:
        """Judge the space; repairs too, else what was refused could be offered as one.

        Returns False for a content block that is too large for this node, one of the k. Raises
        DiskFull, QuotaExceeded. Other kinds are small, and what a full ring needs to get emptier.
        """
        if admitted.verdict is not Verdict.STORE:
            return True
        proven = admitted.proven
        growth = proven.size - (stored.size if stored else 0)
        if proven.handle.kind is BlockKind.PENDING:
            mark = PENDING_MARK.decode(proven.proof)
            self.pending_allowances.require(admitted.inserter, mark, proven.size)
        else:
            is_of_log = proven.handle.kind in _OF_LOGS
            self.allowances.require(admitted.inserter, growth, is_of_log=is_of_log)
        room = self.room()
        if proven.handle.kind is not BlockKind.CONTENT:
            if growth > room:
                raise DiskFull("no room left here")
            return True
        is_own = proven.handle.place in self._membership.view.own_arc
        if fits(growth, room, PRIMARY_PART if is_own else DIVERTED_PART):
            return True
        if not is_own:
            raise DiskFull("too little room left here")
        return False


def _judge_chain(stored: VaultEntry, proven: Proven, body: bytes, *, fresh: bool) -> Verdict:
    """Judge a whole cluster against the held one: only a longer chain replaces a shorter."""
    tips = check_cluster(proven.handle, body, recall_head(proven.proof))
    if recall_head(stored.proof).cluster_tip in tips:
        return Verdict.STORE
    return Verdict.CONFLICT if fresh else Verdict.STALE


def _sequence(record: bytes) -> int:
    return LOG_RECORD.decode(record).sequence


@contextmanager
def _blaming() -> Iterator[None]:
    try:
        yield
    except (PeerError, AuthenticityError) as error:
        raise InvalidBlock(str(error)) from error
