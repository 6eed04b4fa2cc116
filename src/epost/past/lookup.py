"""Finding the replicas of a key, and fetching blocks from them, as stories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeVar

from epost.foundation.calls import Calls
from epost.foundation.codec import encode
from epost.foundation.errors import (
    AuthenticityError,
    NoSuchBlock,
    PeerError,
    UnavailableError,
    UnexpectedPacket,
)
from epost.foundation.ids import BlockKind, Handle, Id, NodeHandle, NodeId
from epost.foundation.ports import Entropy
from epost.foundation.wire import Application
from epost.past.attestations import NONCE_BYTES
from epost.past.blocks import Proven, Prover
from epost.past.messages import (
    REPLY,
    Absent,
    Candidates,
    Elsewhere,
    Fetch,
    Found,
    Has,
    Holds,
    LookupQuery,
    OnTheWay,
    ReplicaSetQuery,
    Reply,
    Request,
)
from epost.past.spread import Outcome, spread
from epost.past.surroundings import Surroundings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An authentic block and the node that gave it."""

    block: bytes
    proven: Proven


@dataclass(frozen=True, slots=True)
class Said:
    """What one replica said about a mutable block, verified; `fetched` is None if it has none."""

    node: NodeId
    fetched: Fetched | None
    is_catching_up: bool
    statement: bytes


class CatchingUp(UnavailableError):  # noqa: N818 - the domain's words read better without "Error"
    """A node does not hold the block, but was away and may only not have it yet."""


class Lookups:
    """Asks other nodes about blocks."""

    def __init__(
        self, around: Surroundings, prover: Prover, calls: Calls, entropy: Entropy
    ) -> None:
        self._around = around
        self._prover = prover
        self._calls = calls
        self._entropy = entropy

    async def replica_set(self, place: Id, size: int) -> Sequence[NodeHandle]:
        """Return the live nodes closest to a place, closest first, this one perhaps included.

        Answered here if this node is near enough, else by the place's root. Raises
        UnavailableError, PeerError.
        """
        if self._around.overlay.covers(place, size):
            return self._around.overlay.replica_set(place, size)
        nodes, _ = await self._ask_root(place, lambda call_id: ReplicaSetQuery(call_id, size))
        return nodes[:size]

    async def _ask_root(
        self, place: Id, query: Callable[[bytes], ReplicaSetQuery | LookupQuery]
    ) -> tuple[Sequence[NodeHandle], bool]:
        """Return the nodes that a routed query names, and whether it ended on its way."""
        config = self._around.config

        def send(call_id: int) -> None:
            body = encode(query(call_id.to_bytes(8, "big")))
            self._around.overlay.route(place, Application.PAST, body)

        answer = await self._calls.expect(
            send, timeout_seconds=config.set_query_timeout_seconds, tries=config.call_tries
        )
        match REPLY.decode(answer.body):
            case Candidates(nodes):
                return [node for node in nodes if node.ring == self._around.ring], False
            case OnTheWay(holder) if holder.ring == self._around.ring:
                return [holder], True
            case _:
                raise UnexpectedPacket("not the answer to a replica-set query")

    async def proven_replica_set(self, place: Id, size: int) -> Sequence[NodeHandle]:
        """Return the same although some nodes lie: for what nothing else proves.

        An insertion at nodes that a liar names is lost, and a key block that the true replicas
        were not asked for may be an old one. Raises UnavailableError.
        """

        def ask(tell: Callable[[Sequence[NodeHandle]], None]) -> None:
            self._around.overlay.route_securely(place, size, tell)

        config = self._around.config
        nodes = await self._calls.learn(ask, timeout_seconds=config.secure_route_seconds)
        if not nodes:
            raise UnavailableError("the replica roots could not be proven")
        return nodes

    async def ask(self, node: NodeHandle, request: Request) -> Reply:
        """Ask one node; raises CallTimedOut, PeerRefused, Overloaded, PeerError."""
        return await self.ask_encoded(node, encode(request))

    async def ask_encoded(self, node: NodeHandle, body: bytes) -> Reply:
        """Ask one node what was encoded once for several."""
        return await self._call(node, body, self._around.config.call_timeout_seconds)

    async def _ask_in_time(self, node: NodeHandle, request: Request) -> Reply:
        """Ask one node of several that must all answer by the deadline of a reading.

        It is asked again before that: with five replicas and every hundredth message lost, each
        tenth reading would lack an answer.
        """
        config = self._around.config
        return await self._call(
            node, encode(request), config.read_deadline_seconds / config.call_tries
        )

    async def _call(self, node: NodeHandle, body: bytes, timeout_seconds: float) -> Reply:
        tries = self._around.config.call_tries
        answer = await self._calls.call(
            node, Application.PAST, body, timeout_seconds=timeout_seconds, tries=tries
        )
        return REPLY.decode(answer)

    async def fetch(self, handle: Handle, *, version_min: int = 0) -> Fetched:
        """Return an authentic copy from any other node: the first on the way, or a replica.

        What comes proves itself; that nothing comes does not, so it is asked for once more where
        liars have no say. Raises NoSuchBlock if every node that should hold it says that it does
        not, else UnavailableError.
        """
        place, size = handle.place, self._size_asked
        try:
            return await self._fetch_cheaply(handle, version_min)
        except (NoSuchBlock, UnavailableError):
            if self._around.overlay.covers(place, size):
                raise
        nodes = await self.proven_replica_set(place, size)
        return await self._fetch_any(nodes, handle, version_min=version_min)

    async def _fetch_cheaply(self, handle: Handle, version_min: int) -> Fetched:
        """Ask whom one route leads to."""
        if handle.kind is not BlockKind.CONTENT or version_min:
            return await self.fetch_replica(handle, version_min=version_min)
        if self._around.is_near(handle):
            return await self.fetch_replica(handle)
        nodes, is_on_the_way = await self._find(handle)
        if not is_on_the_way:
            return await self._fetch_any(nodes[: self._size_asked], handle)
        outcome = await spread(
            [partial(self._fetch_cached, nodes[0], handle), partial(self.fetch_replica, handle)],
            needed=1,
            at_once=1,
            hedge_seconds=self._around.config.hedge_seconds,
            deadline_seconds=self._around.config.lookup_deadline_seconds,
        )
        return _first(outcome, f"{handle}: no copy can be reached")

    async def _find(self, handle: Handle) -> tuple[Sequence[NodeHandle], bool]:
        """Have a look-up travel to the root; a root of version 1 knows only the other query."""
        size, place = self._size_asked, handle.place
        outcome = await spread(
            [
                partial(self._ask_root, place, lambda call: LookupQuery(call, size, handle)),
                partial(self._ask_root, place, lambda call: ReplicaSetQuery(call, size)),
            ],
            needed=1,
            at_once=1,
            hedge_seconds=self._around.config.hedge_seconds,
            deadline_seconds=self._around.config.lookup_deadline_seconds,
        )
        return _first(outcome, f"{handle}: its root cannot be reached")

    async def _fetch_cached(self, node: NodeHandle, handle: Handle) -> Fetched:
        try:
            return await self._fetch_from(node, handle, 0)
        except NoSuchBlock as error:  # only the replicas can say that
            raise UnavailableError(f"{handle}: not where it was said to be") from error

    async def fetch_replica(self, handle: Handle, *, version_min: int = 0) -> Fetched:
        """Return an authentic replica, from those who should hold it; raises as `fetch`."""
        nodes = await self.replica_set(handle.place, self._size_asked)
        return await self._fetch_any(nodes, handle, version_min=version_min)

    @property
    def _size_asked(self) -> int:
        return self._around.issuers.replication_factor() + self._around.config.stand_ins

    async def _fetch_any(
        self, nodes: Sequence[NodeHandle], handle: Handle, *, version_min: int = 0
    ) -> Fetched:
        config, wanted = self._around.config, self._around.issuers.replication_factor()
        nearest_first = [*sorted(nodes[:wanted], key=self._round_trip), *nodes[wanted:]]
        others = [node for node in nearest_first if node.node_id != self._around.me.node_id]
        outcome = await spread(
            [partial(self._fetch_from, node, handle, version_min) for node in others],
            needed=1,
            at_once=1,
            hedge_seconds=config.hedge_seconds,
            deadline_seconds=config.lookup_deadline_seconds,
        )
        if outcome.successes:
            return outcome.successes[0]
        absent = sum(isinstance(error, NoSuchBlock) for error in outcome.failures)
        here = any(node.node_id == self._around.me.node_id for node in nodes[:wanted])
        if absent + here >= wanted:
            raise NoSuchBlock(str(handle))
        raise UnavailableError(f"{handle}: no replica can be reached")

    def _round_trip(self, node: NodeHandle) -> float:
        seconds = self._around.overlay.round_trip(node)
        return inf if seconds is None else seconds

    async def ask_all(
        self, handle: Handle, nodes: Sequence[NodeHandle], nonce: bytes
    ) -> Sequence[Said]:
        """Return what each of the nodes says about a mutable block, in time and authentic."""
        config = self._around.config
        proven: dict[bytes, Proven] = {}  # honest replicas say the same: verify it once
        outcome = await spread(
            [partial(self._said_by, node, handle, nonce, proven) for node in nodes],
            needed=len(nodes),
            at_once=len(nodes),
            hedge_seconds=config.read_deadline_seconds,
            deadline_seconds=config.read_deadline_seconds,
        )
        return outcome.successes

    async def holders(self, handle: Handle, nodes: Sequence[NodeHandle]) -> Sequence[NodeId]:
        """Return which of the nodes say that they hold a block."""
        config = self._around.config
        outcome = await spread(
            [partial(self._holds, node, handle) for node in nodes],
            needed=len(nodes),
            at_once=len(nodes),
            hedge_seconds=config.read_deadline_seconds,
            deadline_seconds=config.read_deadline_seconds,
        )
        return [node for node in outcome.successes if node is not None]

    async def fetch_each(
        self, handle: Handle, nodes: Sequence[NodeHandle]
    ) -> Sequence[tuple[NodeId, Fetched]]:
        """Return the copies of a block that prove themselves, and who gave them."""
        config = self._around.config

        async def fetch(node: NodeHandle) -> tuple[NodeId, Fetched]:
            return node.id, await self._fetch_from(node, handle, 0)

        outcome = await spread(
            [partial(fetch, node) for node in nodes],
            needed=len(nodes),
            at_once=len(nodes),
            hedge_seconds=config.lookup_deadline_seconds,
            deadline_seconds=config.lookup_deadline_seconds,
        )
        return outcome.successes

    def nonce(self) -> bytes:
        """Return a fresh nonce for the statements of one reading."""
        return self._entropy.token(NONCE_BYTES)

    async def _fetch_from(self, node: NodeHandle, handle: Handle, version_min: int) -> Fetched:
        reply = await self.ask(node, Fetch(handle, b""))
        if isinstance(reply, Elsewhere):  # once only: whoever keeps it does not pass it on
            if reply.holder.ring != self._around.ring:
                raise UnexpectedPacket("sent on to a node of another ring")
            reply = await self.ask(reply.holder, Fetch(handle, b""))
        match reply:
            case Found(block, proof, _, _):
                fetched = Fetched(block, self._prove(handle, block, proof))
                if fetched.proven.version < version_min:
                    raise CatchingUp(f"{handle}: only an older version")
                return fetched
            case Absent(is_catching_up, _):
                raise CatchingUp(str(handle)) if is_catching_up else NoSuchBlock(str(handle))
            case _:
                raise UnexpectedPacket("not the answer to a fetch")

    async def _said_by(
        self, node: NodeHandle, handle: Handle, nonce: bytes, proven: dict[bytes, Proven]
    ) -> Said:
        reply = await self._ask_in_time(node, Fetch(handle, nonce))
        match reply:
            case Found(block, proof, is_catching_up, statement):
                if proof + block not in proven:
                    try:
                        proven[proof + block] = self._prove(handle, block, proof)
                    except (AuthenticityError, PeerError):
                        # It has spoken and proves nothing: waiting for it would let one rotten or
                        # dishonest replica keep everybody from ever being sure.
                        return Said(node.id, None, True, b"")
                fetched = Fetched(block, proven[proof + block])
                return Said(node.id, fetched, is_catching_up, statement)
            case Absent(is_catching_up, statement):
                return Said(node.id, None, is_catching_up, statement)
            case _:
                raise UnexpectedPacket("not the answer to a fetch")

    async def _holds(self, node: NodeHandle, handle: Handle) -> NodeId | None:
        reply = await self._ask_in_time(node, Has((handle,)))
        if not isinstance(reply, Holds):
            raise UnexpectedPacket("not the answer to a question")
        return node.id if handle in reply.handles else None

    def _prove(self, handle: Handle, block: bytes, proof: bytes) -> Proven:
        # A reader takes what was accepted once: certificates in it may have expired since.
        now_ms = self._around.clock.wall_ms()
        return self._prover.prove(handle, block, proof=proof, now_ms=now_ms, is_fresh=False)


def _first(outcome: Outcome[T], failed: str) -> T:
    """Return what came first; raises NoSuchBlock if that was found, else UnavailableError."""
    if outcome.successes:
        return outcome.successes[0]
    for error in outcome.failures:
        if isinstance(error, NoSuchBlock):
            raise error
    raise UnavailableError(failed)


def newest(answers: Sequence[Said]) -> Fetched | None:
    """Return the newest authentic block of all answers (paper 3.5: the rollback defence)."""
    fetched = [said.fetched for said in answers if said.fetched is not None]
    return max(fetched, key=lambda f: (f.proven.version, f.proven.body_hash), default=None)
