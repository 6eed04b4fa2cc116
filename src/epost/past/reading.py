"""Reading mutable blocks: all replicas are asked, the newest authentic one wins (paper 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    NoSuchBlock,
    PeerError,
    StaleVersion,
    UnavailableError,
)
from epost.foundation.ids import Handle, NodeHandle, NodeId
from epost.past.attestations import Statement, open_statement
from epost.past.blocks import Proven
from epost.past.log_format import RECORDS_PER_CLUSTER_MAX, split_records
from epost.past.lookup import Fetched, Lookups, Said, newest
from epost.past.pins import Order, Pins
from epost.past.replica import Replica
from epost.past.shelf import is_held
from epost.past.surroundings import Surroundings
from epost.past.versions import order
from epost.past.witness import Witness

READ_TRIES = 2


class Answered(Enum):
    """How many of the replicas that were asked for a mutable block answered in time."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest version of a mutable block that was found, and how sure that is.

    `confirmed`: every reachable replica answered, one at least is not catching up, and nothing
    newer was ever seen here. Showing may rest on less; signing, rotating and revoking may not.
    """

    block: bytes | None
    answered: Answered
    confirmed: bool


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the replicas said; `asked` includes this node if it is one of them."""

    asked: Sequence[NodeHandle]
    said: Sequence[Said]

    @property
    def answered(self) -> Answered:
        if not self.said:
            return Answered.NONE
        return Answered.ALL if len(self.said) == len(self.asked) else Answered.SOME

    def silent(self) -> set[NodeId]:
        """Return who did not answer."""
        return {node.id for node in self.asked} - {said.node for said in self.said}


class Readings:
    """Surveys the replicas of a block, this node among them."""

    def __init__(
        self,
        around: Surroundings,
        replica: Replica,
        lookups: Lookups,
        *,
        witness: Witness,
        cache: Callable[[Fetched], None],
    ) -> None:
        self._around = around
        self._vault = around.vault
        self._replica = replica
        self._lookups = lookups
        self._witness = witness
        self._cache = cache
        self._pins = Pins(around.vault, around.outbox.write)

    async def latest(self, handle: Handle) -> Reading:
        """Return the newest version and how sure it is; raises StaleVersion."""
        for _ in range(READ_TRIES):
            survey = await self._survey(handle)
            own = await self._own(handle)
            best = _newer(newest(survey.said), own)
            if best is None and self._pin(handle) is None:
                return Reading(None, self._said_none(survey), self._is_confirmed(handle, survey))
            if best is not None and order(best.proven) >= (self._pin(handle) or (0, b"")):
                return self._read(handle, survey, best, own)
        raise StaleVersion(f"{handle}: only versions older than one seen before")

    async def cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return the newest body and head of a cluster; raises NoSuchBlock, UnavailableError."""
        own = await self._own(handle)
        if own is not None and _is_full(own):
            return own.block, own.proven.proof
        if own is None and (full := await self._full_elsewhere(handle)) is not None:
            self._cache(full)
            return full.block, full.proven.proof
        survey = await self._survey(handle)
        best = _newer(newest(survey.said), own)
        if best is None and self._is_confirmed(handle, survey):
            raise NoSuchBlock(str(handle))
        if best is None:
            raise UnavailableError(f"{handle}: no replica can be reached")
        if best is not own:
            self._cache(best)
        return best.block, best.proven.proof

    async def _full_elsewhere(self, handle: Handle) -> Fetched | None:
        """Return a cluster that is full from the nearest replica: nobody can have more of it.

        Reading a long log this way asks one node for each cluster instead of all, and does not
        wait for who is silent.
        """
        try:
            found = await self._lookups.fetch_replica(handle)
        except (AuthenticityError, NoSuchBlock, PeerError, UnavailableError):
            return None
        return found if _is_full(found) else None

    async def holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return which of the nodes that should hold a block do, closest first."""
        nodes, others = await self._responsible(handle)
        holding = set(await self._lookups.holders(handle, others))
        entry = self._vault.entry(handle)
        if entry is not None and is_held(entry):
            holding.add(self._around.me.id)
        return [node.id for node in nodes if node.id in holding]

    async def proven_holders(self, handle: Handle) -> Sequence[NodeId]:
        """Return the same by reading every copy: whose proves itself, and is none the older.

        A node that finds its copy rotten when it reads it fetches another.
        """
        nodes, others = await self._responsible(handle)
        copies = dict(await self._lookups.fetch_each(handle, others))
        entry = self._vault.entry(handle)
        if entry is not None and is_held(entry) and (own := await self._own(handle)) is not None:
            copies[self._around.me.id] = own
        newest_of_all = max((order(copy.proven) for copy in copies.values()), default=None)
        current = {node for node, copy in copies.items() if order(copy.proven) == newest_of_all}
        return [node.id for node in nodes if node.id in current]

    async def keepers(self, handle: Handle) -> Sequence[NodeId]:
        """Return the k nodes of those that should hold a block whose it is, closest first."""
        nodes, _ = await self._responsible(handle)
        return [node.id for node in nodes[: self._around.issuers.replication_factor()]]

    async def copies(self, handle: Handle) -> Sequence[bytes]:
        """Return what each other node that should hold a block gives, authentic, each once."""
        _, others = await self._responsible(handle)
        given = await self._lookups.fetch_each(handle, others)
        return list(dict.fromkeys(copy.block for _, copy in given))

    async def statements(self, handle: Handle) -> Sequence[tuple[NodeId, Statement]]:
        """Ask the other replicas of a mutable block what they hold; return what they sign now."""
        _, others = await self._responsible(handle)
        nonce, now_ms = self._lookups.nonce(), self._around.clock.wall_ms()
        certificates = self._replica.certificates
        signed: list[tuple[NodeId, Statement]] = []
        for said in await self._lookups.ask_all(handle, others, nonce):
            with suppress(EpostError):  # then it says nothing
                node, statement = open_statement(said.statement, certificates, now_ms, nonce=nonce)
                if node.id == said.node and statement.handle == handle:
                    signed.append((node.id, statement))
        return signed

    async def _responsible(
        self, handle: Handle
    ) -> tuple[Sequence[NodeHandle], Sequence[NodeHandle]]:
        """Return the nodes that should hold a block, and those of them that are not this one."""
        size = self._around.issuers.replication_factor() + self._around.config.stand_ins
        nodes = await self._lookups.replica_set(handle.place, size)
        return nodes, [node for node in nodes if node.node_id != self._around.me.node_id]

    def _read(self, handle: Handle, survey: _Survey, best: Fetched, own: Fetched | None) -> Reading:
        self._pins.saw(handle, order(best.proven))
        if best is not own:
            self._cache(best)
        return Reading(best.block, survey.answered, self._is_confirmed(handle, survey))

    async def _survey(self, handle: Handle) -> _Survey:
        around = self._around
        size = around.issuers.replication_factor() + around.config.stand_ins
        try:
            nodes = await self._lookups.proven_replica_set(handle.place, size)
        except EpostError:
            return _Survey((), ())
        nonce, asked_at = self._lookups.nonce(), around.clock.now()
        others = [node for node in nodes if node.node_id != around.me.node_id]
        said = list(await self._lookups.ask_all(handle, others, nonce))
        self._witness.saw_statements(handle, said, nonce, asked_at=asked_at)
        if len(others) < len(nodes) and self._replica.is_storage_node:
            is_catching_up = self._replica.is_catching_up(handle)
            said.append(Said(around.me.id, await self._own(handle), is_catching_up, b""))
        return _Survey(nodes, said)

    def _said_none(self, survey: _Survey) -> Answered:
        """Return who answered, where nobody has the block: not all, if those who have it are away.

        The nodes that were asked are the closest that live, whoever lived when it was stored.
        """
        membership, now = self._replica.membership, self._around.clock.now()
        if survey.answered is Answered.ALL and membership.may_miss_holders(now):
            return Answered.SOME
        return survey.answered

    def _is_confirmed(self, handle: Handle, survey: _Survey) -> bool:
        if all(said.is_catching_up for said in survey.said):
            return False  # nobody answered, or nobody who cannot have missed anything
        return not self._still_reachable(handle, survey)

    def _still_reachable(self, handle: Handle, survey: _Survey) -> set[NodeId]:
        """Return who did not answer and has not been found absent by now."""
        overlay = self._around.overlay
        if not overlay.covers(handle.place, len(survey.asked)):
            return survey.silent()
        live = {node.id for node in overlay.replica_set(handle.place, len(survey.asked))}
        return survey.silent() & live

    async def _own(self, handle: Handle) -> Fetched | None:
        """Return what the own vault holds, in whatever role."""
        entry = self._vault.entry(handle)
        if entry is None:
            return None
        body = await self._vault.load(handle)
        if body is None:
            self._replica.on_rotten(handle)
            return None
        proven = Proven(handle, len(body), entry.version, entry.body_hash, proof=entry.proof)
        return Fetched(body, proven)

    def _pin(self, handle: Handle) -> Order | None:
        """Return the newest version ever seen: pinned, or in the own vault."""
        entry = self._vault.entry(handle)
        seen = [self._pins.get(handle), order(entry) if entry else None]
        return max((one for one in seen if one is not None), default=None)


def _is_full(cluster: Fetched) -> bool:
    return len(split_records(cluster.block)) == RECORDS_PER_CLUSTER_MAX


def _newer(one: Fetched | None, other: Fetched | None) -> Fetched | None:
    """Return the newer of two; the second if they are the same version."""
    if one is None or other is None:
        return one or other
    return one if order(one.proven) > order(other.proven) else other
