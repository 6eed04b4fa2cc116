"""Putting blocks at a replica: the requests of writers, as a part of the replica machine.

What is acceptable is decided by `admission`; here each verdict gets its answer. A block is
acknowledged once it is durable; a writer who did not know of the version that is here is shown it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from epost.crypto.signing import Kind
from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.errors import EpostError, NotPermitted, UnavailableError
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.wire import Application, RefusalCode
from epost.past.admission import Admission, Admitted, Inserter, InvalidBlock
from epost.past.attestations import Attestor
from epost.past.limits import Distrust
from epost.past.messages import Accepted, Differs, Extend, Incomplete, Put, Reply, Settled
from epost.past.observed import BlockRefused, NodeDistrusted
from epost.past.rivals import Rivals
from epost.past.shelf import Shelf
from epost.past.space.elsewhere import Elsewhere
from epost.past.surroundings import Surroundings
from epost.past.versions import Verdict, judge_fresh, order

IDENTITY_PROOF = bytes((Kind.IDENTITY,))
"""What is kept beside a public-key block whose purpose is an account's identity."""


@dataclass(frozen=True, slots=True)
class Differing:
    """Purpose of a load: a put met something that is not older."""

    caller: Caller
    admitted: Admitted
    block: bytes = field(repr=False)


class Putting:
    """Answers puts and extensions."""

    def __init__(
        self,
        around: Surroundings,
        admission: Admission,
        shelf: Shelf,
        elsewhere: Elsewhere,
        attestor: Attestor,
        on_rotten: Callable[[Handle], None],
    ) -> None:
        """`on_rotten` is told of a stored block that could not be read."""
        self._vault = around.vault
        self._outbox = around.outbox
        self._observer = around.observer
        self._clock = around.clock
        self._admission = admission
        self._shelf = shelf
        self._elsewhere = elsewhere
        self._attestor = attestor
        self._on_rotten = on_rotten
        self._rivals = Rivals(around)
        config = around.config
        self._distrust = Distrust(
            config.invalid_blocks_max, config.invalid_blocks_seconds, config.distrust_seconds
        )

    def put(self, caller: Caller, put: Put, now: float) -> None:
        """Take a whole block; raises RefusedError, PeerError, AuthenticityError, DiskFull."""
        admitted = self._admit(caller, put, now)
        handle = admitted.proven.handle
        match admitted.verdict:
            case Verdict.STORE if not admitted.fits:
                self._elsewhere.divert(admitted, put.block, caller)
            case Verdict.STORE:
                self._shelf.require_signer_in_force(handle, put.block)
                self._shelf.store(admitted, put.block)
                self._accept(caller, admitted)
            case Verdict.STORED_ALREADY:
                if self._elsewhere.holds(self._vault.entry(handle)):
                    self._shelf.renew(handle, put.voucher)
                else:
                    self._shelf.store(admitted, put.block)
                self._accept(caller, admitted)
            case Verdict.SETTLED:
                self._reply(caller, Settled())
            case Verdict.CONFLICT | Verdict.STALE:
                self._differ(caller, admitted, put.block)

    def extend(self, caller: Caller, extend: Extend, now: float) -> None:
        """Take more records of a cluster; raises as `put`."""
        self._require_welcome(caller, now)
        by = Inserter(caller.node.id, now)
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
            if self._elsewhere.holds(self._vault.entry(extend.cluster)):
                self._accept(caller, admitted)
            else:
                self._reply(caller, Incomplete())
        else:
            self._differ(caller, admitted, b"")

    def on_loaded(self, purpose: Differing, body: bytes | None) -> None:
        """Show the writer what she did not know of; of two bodies of one version keep both.

        An identity block, whose writers merge, stays as it is: who wrote it may have been told of
        success. Of what has one writer the later body in the order counts, wherever it came first.
        """
        proven = purpose.admitted.proven
        entry = self._vault.entry(proven.handle)
        if body is None or entry is None:
            self._on_rotten(proven.handle)
            self._outbox.refuse(purpose.caller, RefusalCode.LATER, "the stored block is damaged")
            return
        try:
            verdict = judge_fresh(entry, proven)
        except NotPermitted as error:  # a repair has brought another purpose of the key meanwhile
            self._outbox.refuse(purpose.caller, RefusalCode.NOT_PERMITTED, str(error))
            return
        is_fork = verdict is Verdict.CONFLICT and entry.version == proven.version
        if not is_fork:
            differs = Differs(verdict is Verdict.CONFLICT, (body,))
        elif order(proven) > order(entry) and entry.proof != IDENTITY_PROOF:
            self._shelf.store(purpose.admitted, purpose.block)
            self._rivals.keep(entry, loser=body, winner=purpose.block)
            differs = Differs(True, (purpose.block, body))
        else:
            self._rivals.keep(entry, loser=purpose.block, winner=body)
            differs = Differs(True, (body, purpose.block))
        self._outbox.reply_when_durable(purpose.caller, encode(differs))

    # Whom and what to accept.

    def _admit(self, caller: Caller, put: Put, now: float) -> Admitted:
        self._require_welcome(caller, now)
        by = Inserter(caller.node.id, now)
        try:
            return self._admission.admit(
                put.handle, put.block, proof=put.proof, voucher=put.voucher, inserter=by
            )
        except EpostError as error:
            self._refused(caller, put.handle, error, now)
            raise

    def _require_welcome(self, caller: Caller, now: float) -> None:
        if self._distrust.is_refused(caller.node.id, now):
            raise UnavailableError("refused for a while after several invalid blocks")

    def _refused(self, caller: Caller, handle: Handle, error: EpostError, now: float) -> None:
        self._observer.record(BlockRefused(caller.node.id, handle, str(error)))
        if isinstance(error, InvalidBlock) and self._distrust.blame(caller.node.id, now):
            self._observer.record(NodeDistrusted(caller.node.id))

    # Answers.

    def _append(self, admitted: Admitted, suffix: bytes) -> None:
        if self._vault.entry(admitted.proven.handle) is None:
            self._shelf.store(admitted, suffix)
        else:
            self._shelf.extend(admitted, suffix)

    def _accept(self, caller: Caller, admitted: Admitted) -> None:
        attestation = self._attestor.attest(admitted.proven, self._clock.wall_ms())
        self._outbox.reply_when_durable(caller, encode(Accepted(attestation)))

    def _differ(self, caller: Caller, admitted: Admitted, block: bytes) -> None:
        handle = admitted.proven.handle
        entry = self._vault.entry(handle)
        if handle.kind is BlockKind.CLUSTER and entry is not None:
            is_conflict = admitted.verdict is Verdict.CONFLICT
            self._reply(caller, Differs(is_conflict, (entry.proof,)))
        else:
            self._outbox.load(Application.PAST, handle, Differing(caller, admitted, block))

    def _reply(self, caller: Caller, reply: Reply) -> None:
        self._outbox.reply(caller, encode(reply))
