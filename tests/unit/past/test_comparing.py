"""Range-based set reconciliation: what it finds, what it costs, and what a liar can do."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from random import Random

import pytest

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox, Send
from epost.foundation.errors import UnexpectedPacket
from epost.foundation.ids import BlockKind, Handle, NodeHandle, NodeId
from epost.foundation.ports import PutBlock, Role, VaultEntry
from epost.foundation.wire import unpack
from epost.past.arcs import WHOLE_RING, Arc
from epost.past.comparing import LISTED_MAX, Comparisons, RoundDone
from epost.past.config import PastConfig
from epost.past.messages import UPKEEP, Compared, Have, Listing, Offer, Parts, Row, Summary
from epost.simulation.clock import run
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault
from tests.support.vaults import Recorder

CONFIG = PastConfig(answers_max=500)


def entry(n: int, version: int = 0) -> VaultEntry:
    digest = hashlib.sha256(b"%d" % n).digest()
    return VaultEntry(Handle(BlockKind.KEY, digest), 1, Role.REPLICA, version, digest)


@dataclass
class Side:
    """One node: its vault, its comparisons, and what these found."""

    name: bytes
    vault: SimulatedVault
    outbox: Outbox = field(default_factory=Outbox)
    missing: list[Handle] = field(default_factory=list)
    confirmed: list[Handle] = field(default_factory=list)
    done: list[RoundDone] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.node = NodeHandle(bytes(20), self.name * 20, ())
        self.comparisons = Comparisons(self.vault, self.outbox, self, CONFIG)

    def on_missing(self, row: Row, source: NodeHandle) -> None:
        self.missing.append(row.handle)

    def on_confirmed(self, handle: Handle, peer: NodeId) -> None:
        self.confirmed.append(handle)

    def is_settled(self, handle: Handle) -> bool:
        return False

    def on_round_done(self, done: RoundDone, now: float) -> None:
        self.done.append(done)

    def messages(self) -> list[object]:
        sends = [effect for effect in self.outbox.drain() if isinstance(effect, Send)]
        self.sent += [send.message for send in sends]
        return [UPKEEP.decode(unpack(send.message).body) for send in sends]

    def take(self, message: object, sender: NodeHandle) -> None:
        match message:
            case Summary():
                self.comparisons.on_summary(sender, message)
            case Compared():
                self.comparisons.on_compared(sender, message, 0.0)
            case Offer():
                self.comparisons.on_offer(sender, message, WHOLE_RING)
            case Have():
                self.comparisons.on_have(sender, message, 0.0)


def make_side(name: bytes, entries: list[VaultEntry]) -> Side:
    vault = SimulatedVault(SimulatedDisk(DiskConfig(), Random(1)), Recorder())
    vault.commit([PutBlock(each, b"x") for each in entries])
    return Side(name, vault)


def converse(asking: Side, answering: Side, arcs: list[Arc]) -> None:
    asking.comparisons.begin(answering.node, arcs, [], 0.0)
    for _ in range(100_000):
        questions = asking.messages()
        for message in questions:
            answering.take(message, asking.node)
        for message in answering.messages():
            asking.take(message, answering.node)
        if not questions:
            return
    raise AssertionError("it never ends")


def compare(
    ours: list[VaultEntry], theirs: list[VaultEntry], arcs: list[Arc] | None = None
) -> tuple[Side, Side]:
    async def story() -> tuple[Side, Side]:
        asking, answering = make_side(b"a", ours), make_side(b"b", theirs)
        converse(asking, answering, arcs or [WHOLE_RING])
        await asyncio.sleep(1.0)
        return asking, answering

    return run(story())


def test_a_round_in_which_nothing_differs_is_one_small_message_each_way() -> None:
    entries = [entry(n) for n in range(1500)]
    asking, answering = compare(entries, entries)
    assert (len(asking.sent), len(answering.sent)) == (1, 1)
    assert sum(map(len, asking.sent + answering.sent)) < 150
    assert [(d.missing, d.lacking) for d in asking.done] == [(0, 0)]


@pytest.mark.parametrize("count", [0, 1, 7, 200, 1500])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_difference_is_found_on_both_sides(count: int, seed: int) -> None:
    random = Random(seed)
    common = [entry(n) for n in range(count)]
    ours, theirs = [entry(10_000 + n) for n in range(40)], [entry(20_000 + n) for n in range(25)]
    newer = [entry(n, version=1) for n in range(min(count, 5))]
    random.shuffle(common)
    asking, answering = compare([*common, *ours], [*common, *theirs, *newer])
    assert set(asking.missing) == {each.handle for each in (*theirs, *newer)}
    assert set(answering.missing) == {each.handle for each in ours}


def test_only_the_arcs_in_question_are_compared() -> None:
    arc = Arc(1 << 158, 1 << 157)
    ours, theirs = [entry(n) for n in range(200)], [entry(n) for n in range(100, 300)]
    asking, answering = compare(ours, theirs, [arc])
    shown = {e.handle for e in theirs[100:] if e.handle.place in arc}
    assert set(asking.missing) == shown
    assert set(answering.missing) == {e.handle for e in ours[:100] if e.handle.place in arc}


def test_a_node_with_nothing_gets_everything_from_either_side() -> None:
    entries = [entry(n) for n in range(1500)]
    asking, _ = compare([], entries)
    assert len(set(asking.missing)) == len(entries)
    asking, answering = compare(entries, [])
    assert len(set(answering.missing)) == len(entries)
    assert asking.done


def test_the_cost_grows_with_the_difference_and_not_with_the_store() -> None:
    def messages(store: int, differences: int) -> int:
        entries = [entry(n) for n in range(store)]
        asking, answering = compare(entries[differences:], entries)
        assert len(asking.missing) == differences
        return len(asking.sent) + len(answering.sent)

    assert messages(400, 1) <= 8
    assert messages(3000, 1) <= 10
    assert messages(3000, 20) <= 50


# Liars.


def test_a_peer_that_splits_for_ever_is_left_after_a_bounded_number_of_answers() -> None:
    async def story() -> None:
        asking = make_side(b"a", [entry(n) for n in range(100)])
        liar = NodeHandle(bytes(20), b"b" * 20, ())
        asking.comparisons.begin(liar, [Arc(0, 1 << 28)], [], 0.0)
        answers = 0
        while questions := asking.messages():
            question = questions[0]
            assert isinstance(question, Summary)
            parts = tuple(
                Parts(n, tuple(b"%32d" % answers for _ in arc.parts()))
                for n, arc in enumerate(Arc(*_numbers(span)) for span in question.spans)
                if arc.size > 1
            )
            answers += 1
            asking.comparisons.on_compared(liar, Compared(question.serial, parts, ()), 0.0)
        assert answers == CONFIG.answers_max
        assert asking.done[0].compared == ()
        await asyncio.sleep(0)

    run(story())


def _numbers(span: object) -> tuple[int, int]:
    start = int.from_bytes(span.start, "big")
    return start, (int.from_bytes(span.end, "big") - start - 1) % (1 << 160) + 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda serial: Compared(serial, (Parts(0, (b"d" * 32,) * 3),), ()),
        lambda serial: Compared(serial, (Parts(1, (b"d" * 32,) * 16),), ()),
        lambda serial: Compared(serial, (), (Listing(0, ()), Listing(0, ()))),
    ],
    ids=["wrong cut", "no such span", "twice"],
)
def test_an_answer_that_does_not_fit_the_question_is_nonsense(answer: object) -> None:
    async def story() -> None:
        asking = make_side(b"a", [entry(1)])
        peer = NodeHandle(bytes(20), b"b" * 20, ())
        asking.comparisons.begin(peer, [WHOLE_RING], [], 0.0)
        [question] = asking.messages()
        with pytest.raises(UnexpectedPacket):
            asking.comparisons.on_compared(peer, answer(question.serial), 0.0)
        await asyncio.sleep(0)

    run(story())


def test_rows_outside_of_the_question_and_late_answers_are_ignored() -> None:
    async def story() -> None:
        asking = make_side(b"a", [])
        peer = NodeHandle(bytes(20), b"b" * 20, ())
        far = next(e for e in map(entry, range(100)) if e.handle.place[0] > 128)
        asking.comparisons.begin(peer, [Arc(0, 1 << 100)], [], 0.0)
        [question] = asking.messages()
        rows = (Row(far.handle, 0, b""),)
        late = Compared(question.serial + 1, (), (Listing(0, rows),))
        asking.comparisons.on_compared(peer, late, 0.0)
        assert peer.id in asking.comparisons
        answer = Compared(question.serial, (), (Listing(0, rows),))
        asking.comparisons.on_compared(peer, answer, 0.0)
        assert asking.missing == []
        await asyncio.sleep(0)

    run(story())


def test_the_largest_honest_answer_fits_its_limits() -> None:
    rows = tuple(Row(entry(n).handle, 1, b"m" * 8) for n in range(LISTED_MAX))
    answer = Compared(1, (), tuple(Listing(n, rows) for n in range(8)))
    assert UPKEEP.decode(encode(answer)) == answer
    assert len(encode(answer)) < 20_000


def test_who_says_twice_that_it_has_a_block_has_it_once() -> None:
    async def story() -> None:
        asking, answering = (make_side(name, [entry(n) for n in range(3)]) for name in (b"a", b"b"))
        asking.comparisons.begin(answering.node, [], [WHOLE_RING], 0.0)
        (offer,) = asking.messages()
        assert isinstance(offer, Offer)
        asking.take(Have(offer.serial, (offer.rows[0].handle,) * 9), answering.node)
        assert asking.confirmed == [offer.rows[0].handle]
        assert [done.lacking for done in asking.done] == [2]

    run(story())
