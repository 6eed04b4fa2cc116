"""The storage node (PAST): answers puts, extensions and fetches (paper section 2).

A machine (Application.PAST) and the overlay's application of that name. Whatever it acknowledges
is verified first and durable before. What writers are answered is `putting`, which blocks are
acceptable `admission`, in which role they are kept `shelf`, what readers are given `serving`, how
replica sets stay complete `maintenance`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from epost.foundation.codec import encode
from epost.foundation.effects import Caller
from epost.foundation.errors import UnavailableError
from epost.foundation.ids import Handle, Id, NodeHandle, NodeId
from epost.foundation.rates import Rates
from epost.foundation.wire import Application
from epost.past.admission import Admission
from epost.past.allowances import Attribution
from epost.past.attestations import Attestor
from epost.past.blocks import Proven, Prover
from epost.past.caching.route_cache import RouteCache
from epost.past.config import KEYS_LIMITED_MAX
from epost.past.displaced import Displaced
from epost.past.leases.renewals import Renewals
from epost.past.leases.sweep import LeaseSweep
from epost.past.leases.words import Prolong
from epost.past.maintenance import Giving, Maintenance
from epost.past.messages import REQUEST, Extend, Fetch, Has, Holds, Put, Reply
from epost.past.notice_keeping import FindingPending, NoticeKeeping
from epost.past.putting import Differing, Putting
from epost.past.queries import Queries
from epost.past.ring_view import Membership
from epost.past.scrubbing import Checking
from epost.past.serving import Fetching, Serving
from epost.past.shelf import Delegation, Shelf
from epost.past.space.elsewhere import Elsewhere
from epost.past.space.words import NOTIFICATION, SpaceWord
from epost.past.strays import Strays
from epost.past.surroundings import Surroundings
from epost.past.tickets import NodeCertificates, Vouchers
from epost.past.versions import Verdict

ALLOWANCE_WRITE_SECONDS = 60.0
TICK = "tick"
_NOTICES = "notices"
_LEASES = "leases"
_ALLOWANCES = "allowances"


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
        self._outbox = around.outbox
        self.is_storage_node = around.is_storage_node()
        issuers = around.issuers
        self.certificates = NodeCertificates(lambda: issuers.trust)
        self.prover = Prover(around.ring, lambda: issuers.trust)
        self.membership = Membership(around)
        vouchers = Vouchers(self.certificates, around.ring)
        self._admission = Admission(around, self.membership, self.prover, vouchers)
        self.cache = _cache_of(around)
        self.displaced = Displaced(around, self.membership)
        self.shelf = Shelf(
            around,
            cache=self.cache,
            membership=self.membership,
            admission=self._admission,
            delegation=delegation,
            divert=lambda admitted, block: self._elsewhere.divert(admitted, block),
            on_displaced=self.displaced.note,
        )
        self._elsewhere = Elsewhere(around, self.membership, self._admission, self.shelf)
        self._renewals = Renewals(around, self.membership, self.shelf)
        self._queries = Queries(around, self.cache, self._renewals, self._holds)
        self._maintenance = Maintenance(
            around, self.membership, self._admission, self.shelf, self.displaced
        )
        self.scrubbing = self._maintenance.scrubbing
        self._notices = NoticeKeeping(around, self.shelf, is_clock_sound=is_clock_sound)
        self._leases = LeaseSweep(around, self.shelf, is_clock_sound=is_clock_sound)
        self._attestor = Attestor(around.node_key, around.node_certificate)
        self._serving = Serving(around, self._maintenance, self._attestor, self._elsewhere.holder)
        self._putting = Putting(
            around,
            self._admission,
            self.shelf,
            self._elsewhere,
            self._attestor,
            self._maintenance.on_rotten,
        )
        self._looks_soon = False
        self._reads: Rates[NodeId] = Rates(
            around.config.reads_per_second, around.config.reads_burst, KEYS_LIMITED_MAX
        )

    def below_k(self) -> int:
        """Return an estimate of how many blocks lie on fewer than k machines."""
        return self._maintenance.below_k()

    def strays(self) -> int:
        """Return how many blocks are kept here that lie far from their place (`past.strays`)."""
        return self._maintenance.strays.held()

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
        return self._attestor.attest(proven, self._around.clock.wall_ms())

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
        elif name == Strays.TIMER:
            self._maintenance.strays.go_on(now)
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
        if isinstance(request, Put | Extend) and not self.is_storage_node:
            raise UnavailableError("not a storage node")
        match request:
            case Put():
                self._putting.put(caller, request, now)
            case Extend():
                self._putting.extend(caller, request, now)
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
            case Differing():
                self._putting.on_loaded(purpose, body)
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

    # What is here.

    def _holds(self, handle: Handle) -> bool:
        return self._elsewhere.holds(self._around.vault.entry(handle))

    def _reply(self, caller: Caller, reply: Reply) -> None:
        self._outbox.reply(caller, encode(reply))


def _cache_of(around: Surroundings) -> RouteCache:
    return RouteCache(
        around.vault,
        around.outbox.write,
        around.config,
        around.observer,
        may_copy=around.may_copy,
        is_near=around.is_near,
    )
