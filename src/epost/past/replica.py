"""The storage node (PAST): answers puts, extensions and fetches (paper section 2).

A machine (Application.PAST) and the overlay's application of that name. Whatever it acknowledges
is verified first and durable before. Which blocks are acceptable is `admission`, in which role
they are kept `shelf`, how replica sets stay complete `maintenance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from epost.crypto.certificates import NODE_CERT, NodeRole
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.errors import EpostError, NotPermitted, UnavailableError
from epost.foundation.ids import MUTABLE_KINDS, BlockKind, Handle, Id, NodeHandle, NodeId
from epost.foundation.wire import Application, RefusalCode
from epost.past.admission import Admission, Admitted, InvalidBlock
from epost.past.allowances import Attribution
from epost.past.attestations import Attestor, Deposit, Stored
from epost.past.blocks import Proven, Prover
from epost.past.caching.route_cache import RouteCache
from epost.past.leases.renewals import Renewals
from epost.past.leases.sweep import LeaseSweep
from epost.past.leases.words import Prolong
from epost.past.limits import Distrust, Rates
from epost.past.maintenance import Giving, Maintenance
from epost.past.messages import (
    REQUEST,
    Accepted,
    Differs,
    Extend,
    Fetch,
    Has,
    Holds,
    Incomplete,
    Put,
    Reply,
    Settled,
)
from epost.past.notice_keeping import FindingPending, NoticeKeeping
from epost.past.observed import BlockRefused, NodeDistrusted
from epost.past.pending import PENDING_MARK, claimed_device
from epost.past.queries import Queries
from epost.past.ring_view import Membership
from epost.past.rivals import Rivals
from epost.past.scrubbing import Checking
from epost.past.serving import Fetching, Serving
from epost.past.shelf import Delegation, Shelf, is_held, is_pointer
from epost.past.space.elsewhere import Elsewhere
from epost.past.space.words import NOTIFICATION, SpaceWord
from epost.past.surroundings import Surroundings
from epost.past.tickets import LEASE_MS_MAX, NodeCertificates, Vouchers
from epost.past.versions import Verdict, judge_fresh, order

ALLOWANCE_WRITE_SECONDS = 60.0
TICK = "tick"
_NOTICES = "notices"
_LEASES = "leases"
_ALLOWANCES = "allowances"


@dataclass(frozen=True, slots=True)
class _Differing:
    """Purpose of a load: a put met something that is not older."""

    caller: Caller
    admitted: Admitted
    block: bytes = field(repr=False)


class Replica:
    """One node's share of the ring's blocks."""

    def __init__(
        self,
        around: Surroundings,
        *,
        delegation: Delegation | None = None,
        is_clock_sound: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_clock_sound` says whether the wall clock agrees with the peers' (crypto 7.2)."""
        self._around = around
        self._vault, self._outbox = around.vault, around.outbox
        config, issuers = around.config, around.issuers
        self.certificates = NodeCertificates(lambda: issuers.trust)
        self.prover = Prover(around.ring, lambda: issuers.trust)
        self.membership = Membership(around)
        vouchers = Vouchers(self.certificates, around.ring)
        self._admission = Admission(
            around,
            prover=self.prover,
            vouchers=vouchers,
            is_own=lambda place: place in self.membership.view.own_arc,
        )
        self._delegation = delegation
        node = NODE_CERT.decode(parse(around.node_certificate, Kind.NODE).body)
        self.is_storage_node = bool(node.roles & NodeRole.STORAGE)
        self.cache = RouteCache(
            around.vault,
            around.outbox.write,
            config,
            around.observer,
            may_copy=around.may_copy,
            is_near=around.is_near,
        )
        self.shelf = Shelf(
            around,
            cache=self.cache,
            membership=self.membership,
            admission=self._admission,
            delegation=delegation,
            is_storage_node=self.is_storage_node,
            divert=lambda admitted, block: self._elsewhere.divert(admitted, block),
        )
        self._elsewhere = Elsewhere(around, self.membership, self._admission, self.shelf)
        self._renewals = Renewals(around, self.membership, self.shelf)
        self._queries = Queries(around, self.cache, self._renewals, self._holds)
        self._maintenance = Maintenance(
            around, membership=self.membership, admission=self._admission, shelf=self.shelf
        )
        self.scrubbing = self._maintenance.scrubbing
        self._notices = NoticeKeeping(around, self.shelf, is_clock_sound=is_clock_sound)
        self._leases = LeaseSweep(around, self.shelf, is_clock_sound=is_clock_sound)
        self._rivals = Rivals(around)
        self._attestor = Attestor(around.node_key, around.node_certificate)
        self._serving = Serving(around, self._maintenance, self._attestor, self._elsewhere.holder)
        self._looks_soon = False
        self._reads: Rates[NodeId] = Rates(config.reads_per_second, config.reads_burst)
        self._distrust = Distrust(
            config.invalid_blocks_max, config.invalid_blocks_seconds, config.distrust_seconds
        )

    def below_k(self) -> int:
        """Return an estimate of how many blocks lie on fewer than k machines."""
        return self._maintenance.below_k()

    def attribution(self) -> Attribution:
        """Return what members had this node keep, in all, and how often their quota forbade it."""
        return self._admission.allowances.attribution()

    def renew(self, node_certificate: bytes) -> None:
        """Attest under this renewed certificate of the own node from now on."""
        self._attestor.renew(node_certificate)

    def is_catching_up(self, handle: Handle) -> bool:
        """May this node have missed a newer version of a block while it was away?"""
        return self._maintenance.is_catching_up(handle)

    def judge_own(self, proven: Proven) -> Verdict:
        """Judge a block of this node's own user against what is stored here."""
        return self._admission.judge(proven)

    def attest(self, proven: Proven) -> bytes:
        """Sign that a block is kept here: `stored`, `deposit`, or nothing for other kinds."""
        now_ms = self._around.clock.wall_ms()
        if proven.handle.kind in MUTABLE_KINDS:
            until = now_ms + LEASE_MS_MAX
            stored = Stored(1, proven.handle, proven.version, proven.body_hash, until, now_ms)
            return self._attestor.stored(stored)
        if proven.handle.kind is BlockKind.PENDING:
            until = PENDING_MARK.decode(proven.proof).expires_at
            return self._attestor.deposit(Deposit(1, proven.handle.digest, until, now_ms))
        return b""

    def on_rotten(self, handle: Handle) -> None:
        """Somebody found that the body on the own disk is damaged."""
        self._maintenance.on_rotten(handle)

    # Machine.

    def on_start(self, now: float) -> None:
        """Look at the ring, and at the notices that were held before."""
        self._outbox.set_timer(Application.PAST, _ALLOWANCES, ALLOWANCE_WRITE_SECONDS)
        self._tick(now)
        self._next_notices()
        self._next_leases(now)

    def on_timer(self, name: str, now: float) -> None:
        """Go on with maintenance, with the notices, or write the allowances."""
        if name == TICK:
            self._tick(now)
        elif name == _NOTICES:
            self._next_notices()
        elif name == _LEASES:
            self._next_leases(now)
        else:
            for note in self._admission.allowances.changes():
                self._outbox.write(note)
            self._outbox.set_timer(Application.PAST, _ALLOWANCES, ALLOWANCE_WRITE_SECONDS)

    def on_notify(self, sender: NodeHandle, body: bytes, now: float) -> None:
        """Maintenance between replicas, and words about replicas that do not fit."""
        word = NOTIFICATION.decode(body)
        if isinstance(word, SpaceWord):
            self._reads.take(sender.id, now)
            if self.is_storage_node:
                self._elsewhere.on_word(sender, word, now)
        elif isinstance(word, Prolong):
            self._renewals.prolong(word.handles, word.until, now)
        else:
            self._maintenance.on_message(sender, word, now)

    def on_request(self, caller: Caller, body: bytes, now: float) -> None:
        """Serve a put, an extension, a fetch or a question."""
        request = REQUEST.decode(body)
        match request:
            case Put():
                self._put(caller, request, now)
            case Extend():
                self._extend(caller, request, now)
            case Fetch(handle, nonce):
                self._reads.take(caller.node.id, now)
                self._serving.fetch(caller, handle, nonce)
            case Has(handles):
                self._reads.take(caller.node.id, now)
                self._reply(caller, Holds(tuple(h for h in handles if self._holds(h))))
            case _:
                assert_never(request)

    def on_loaded(self, purpose: object, body: bytes | None, now: float) -> None:
        """A body came off the disk, for whatever it was needed."""
        match purpose:
            case Fetching():
                self._serving.on_loaded(purpose, body)
            case _Differing():
                self._answer_differing(purpose, body)
            case Giving() | Checking():
                self._maintenance.on_loaded(purpose, body, now)
            case FindingPending():
                self._notices.on_loaded(purpose, body)
            case _:
                raise AssertionError(f"a load for an unknown purpose: {purpose!r}")

    def on_unreachable(self, node: NodeId, now: float) -> None:
        """The overlay judges who is absent."""

    def deliver(self, key: Id, origin: NodeHandle, body: bytes, now: float) -> None:
        """This node is the root of a key."""
        self._queries.deliver(key, origin, body, now)

    def forward(
        self, key: Id, origin: NodeHandle, body: bytes, next_hop: NodeHandle, now: float
    ) -> bool:
        """Let queries pass to their root; a look-up ends here if the block is here."""
        return not self.is_storage_node or self._queries.passes(key, origin, body, now)

    def update(self, node: NodeHandle, joined: bool, now: float) -> None:
        """The leaf set changed: look at it soon, with what changes in the same moment."""
        if not self._looks_soon:
            self._looks_soon = True
            self._outbox.set_timer(Application.PAST, TICK, self._around.config.gathering_seconds)

    def _tick(self, now: float) -> None:
        self._looks_soon = False
        self._maintenance.tick(now)
        self._elsewhere.tick(now)
        self.cache.tick()
        self._outbox.set_timer(Application.PAST, TICK, self._around.config.tick_seconds)

    def _next_notices(self) -> None:
        config = self._around.config
        has_more = self._notices.next_page()
        pause = config.tick_seconds if has_more else config.sweep_seconds
        self._outbox.set_timer(Application.PAST, _NOTICES, pause)

    def _next_leases(self, now: float) -> None:
        config = self._around.config
        has_more = self._leases.next_page(now)
        pause = config.tick_seconds if has_more else config.lease_sweep_seconds
        self._outbox.set_timer(Application.PAST, _LEASES, pause)

    # Putting.

    def _put(self, caller: Caller, put: Put, now: float) -> None:
        admitted = self._admit(caller, put, now)
        handle = admitted.proven.handle
        match admitted.verdict:
            case Verdict.STORE if not admitted.fits:
                self._elsewhere.divert(admitted, put.block, caller)
            case Verdict.STORE:
                self._require_signer_in_force(handle, put.block)
                self.shelf.store(admitted, put.block)
                self._accept(caller, admitted)
            case Verdict.STORED_ALREADY:
                if self._holds(handle):
                    self.shelf.renew(handle, put.voucher)
                else:
                    self.shelf.store(admitted, put.block)
                self._accept(caller, admitted)
            case Verdict.SETTLED:
                self._reply(caller, Settled())
            case Verdict.CONFLICT | Verdict.STALE:
                self._differ(caller, admitted, put.block)

    def _admit(self, caller: Caller, put: Put, now: float) -> Admitted:
        self._require_welcome(caller, now)
        by = caller.node.id, now
        try:
            return self._admission.admit(
                put.handle, put.block, proof=put.proof, voucher=put.voucher, inserter=by
            )
        except EpostError as error:
            self._refused(caller, put.handle, error, now)
            raise

    def _extend(self, caller: Caller, extend: Extend, now: float) -> None:
        self._require_welcome(caller, now)
        by = caller.node.id, now
        try:
            admitted = self._admission.admit_extension(
                extend.cluster, extend.suffix, extend.head, extend.voucher, by
            )
        except EpostError as error:
            self._refused(caller, extend.cluster, error, now)
            raise
        if admitted is None:
            self._reply(caller, Incomplete())
        elif admitted.verdict is Verdict.STORE:
            self._append(admitted, extend.suffix)
            self._accept(caller, admitted)
        elif admitted.verdict is Verdict.STORED_ALREADY:
            if self._holds(extend.cluster):
                self._accept(caller, admitted)
            else:
                self._reply(caller, Incomplete())
        else:
            self._differ(caller, admitted, b"")

    def _append(self, admitted: Admitted, suffix: bytes) -> None:
        if self._vault.entry(admitted.proven.handle) is None:
            self.shelf.store(admitted, suffix)
        else:
            self.shelf.extend(admitted, suffix)

    def _require_welcome(self, caller: Caller, now: float) -> None:
        if not self.is_storage_node:
            raise UnavailableError("not a storage node")
        if self._distrust.is_refused(caller.node.id, now):
            raise UnavailableError("refused for a while after several invalid blocks")

    def _refused(self, caller: Caller, handle: Handle, error: EpostError, now: float) -> None:
        observer = self._around.observer
        observer.record(BlockRefused(caller.node.id, handle, str(error)))
        if isinstance(error, InvalidBlock) and self._distrust.blame(caller.node.id, now):
            observer.record(NodeDistrusted(caller.node.id))

    def _require_signer_in_force(self, handle: Handle, block: bytes) -> None:
        if handle.kind is not BlockKind.RECEIPT or self._delegation is None:
            return
        if self._delegation.is_device_revoked(claimed_device(block)):
            raise NotPermitted("a receipt by a device that was revoked")

    def _accept(self, caller: Caller, admitted: Admitted) -> None:
        self._outbox.reply_when_durable(caller, encode(Accepted(self.attest(admitted.proven))))

    # What is not older.

    def _differ(self, caller: Caller, admitted: Admitted, block: bytes) -> None:
        handle = admitted.proven.handle
        entry = self._vault.entry(handle)
        if handle.kind is BlockKind.CLUSTER and entry is not None:
            is_conflict = admitted.verdict is Verdict.CONFLICT
            self._reply(caller, Differs(is_conflict, (entry.proof,)))
        else:
            self._outbox.load(Application.PAST, handle, _Differing(caller, admitted, block))

    def _answer_differing(self, purpose: _Differing, body: bytes | None) -> None:
        """Show the writer what she did not know of; of two bodies of one version keep both."""
        proven = purpose.admitted.proven
        entry = self._vault.entry(proven.handle)
        if body is None or entry is None:
            self._maintenance.on_rotten(proven.handle)
            self._outbox.refuse(purpose.caller, RefusalCode.LATER, "the stored block is damaged")
            return
        verdict = judge_fresh(entry, proven)
        is_fork = verdict is Verdict.CONFLICT and entry.version == proven.version
        if not is_fork:
            differs = Differs(verdict is Verdict.CONFLICT, (body,))
        elif order(proven) > order(entry):
            self.shelf.store(purpose.admitted, purpose.block)
            self._rivals.keep(entry, loser=body, winner=purpose.block)
            differs = Differs(True, (purpose.block, body))
        else:
            self._rivals.keep(entry, loser=purpose.block, winner=body)
            differs = Differs(True, (body, purpose.block))
        self._outbox.reply_when_durable(purpose.caller, encode(differs))

    def _holds(self, handle: Handle) -> bool:
        entry = self._vault.entry(handle)
        if entry is None or not is_held(entry):
            return False
        return not is_pointer(entry) or self._elsewhere.holder(entry) is not None

    def _reply(self, caller: Caller, reply: Reply) -> None:
        self._outbox.reply(caller, encode(reply))
