"""What leaves through one side's queue arrives whole at the other: order, fairness, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epost.daemon.tls.frames import (
    CHUNK_BYTES,
    FIRST,
    HEADER,
    SMALL_BYTES,
    U32,
    WINDOW_BYTES,
    Frame,
    parse_header,
)
from epost.daemon.tls.incoming import RATE_BYTES_MIN, Incoming
from epost.daemon.tls.outgoing import (
    MESSAGE_OVERHEAD_BYTES,
    SMALL_RESERVE_BYTES,
    Outgoing,
    QueueBudget,
)
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.wire import MESSAGE_SIZE_MAX

MIB = 1024 * 1024


def queue(bytes_max: int = 8 * MIB, budget: QueueBudget | None = None) -> Outgoing:
    return Outgoing(bytes_max=bytes_max, budget=budget or QueueBudget(1 << 40))


def frames_of(batch: bytes) -> list[tuple[Frame, memoryview]]:
    frames, at, view = [], 0, memoryview(batch)
    while at < len(view):
        kind, size = parse_header(view, at)
        frames.append((kind, view[at + HEADER.size : at + HEADER.size + size]))
        at += HEADER.size + size
    return frames


class Receiver:
    """Reads frames as a session does, and gives credit back at once."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.incoming = Incoming()

    def take(self, batch: bytes, sender: Outgoing) -> None:
        for kind, payload in frames_of(batch):
            if kind is Frame.WHOLE:
                self.messages.append(bytes(payload))
                continue
            take = self.incoming.begin if kind is Frame.FIRST else self.incoming.go_on
            message = take(payload, 0.0)
            if message is not None:
                self.messages.append(message)
                sender.grant(len(message))

    def take_all(self, sender: Outgoing) -> None:
        while batch := sender.next_batch():
            self.take(batch, sender)


@given(st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=30))
def test_every_message_arrives_once_and_whole(sizes: list[int]) -> None:
    messages = [n.to_bytes(2, "big") + bytes(size) for n, size in enumerate(sizes)]
    sender, receiver = queue(), Receiver()
    for message in messages:
        assert sender.push(message)
    receiver.take_all(sender)
    assert sorted(receiver.messages) == sorted(messages)
    small = [m for m in messages if len(m) <= SMALL_BYTES]
    assert [m for m in receiver.messages if len(m) <= SMALL_BYTES] == small
    assert sender.bytes_waiting == 0


def test_a_message_of_the_largest_size_passes() -> None:
    sender, receiver = queue(), Receiver()
    assert sender.push(bytes(MESSAGE_SIZE_MAX))
    receiver.take_all(sender)
    assert [len(m) for m in receiver.messages] == [MESSAGE_SIZE_MAX]


def test_a_small_message_overtakes_what_is_under_way() -> None:
    sender, receiver = queue(), Receiver()
    sender.push(bytes(4 * MIB))
    receiver.take(sender.next_batch(), sender)
    sender.push(b"small")
    receiver.take(sender.next_batch(), sender)
    assert receiver.messages == [b"small"]


def test_many_small_messages_do_not_starve_a_large_one() -> None:
    sender, receiver = queue(), Receiver()
    sender.push(bytes(2 * CHUNK_BYTES))
    for _ in range(1000):
        sender.push(bytes(1000))
    receiver.take(sender.next_batch(), sender)
    receiver.take(sender.next_batch(), sender)
    assert bytes(2 * CHUNK_BYTES) in receiver.messages
    assert len(receiver.messages) < 200


def test_large_messages_take_turns() -> None:
    sender, receiver = queue(), Receiver()
    sender.push(b"a" * 4 * MIB)
    sender.push(b"b" * 2 * CHUNK_BYTES)
    for _ in range(4):
        receiver.take(sender.next_batch(), sender)
    assert receiver.messages == [b"b" * 2 * CHUNK_BYTES]


def test_no_more_is_begun_than_the_window_allows_until_credit_comes_back() -> None:
    sender = queue(bytes_max=20 * MIB)
    for _ in range(2):
        sender.push(bytes(5 * MIB))
    sent = 0
    while batch := sender.next_batch():
        sent += len(batch)
    assert 5 * MIB < sent < 5.1 * MIB
    sender.grant(5 * MIB)
    assert sender.next_batch()


def test_one_frame_messages_need_no_credit() -> None:
    sender, receiver = queue(bytes_max=20 * MIB), Receiver()
    sender.push(bytes(5 * MIB))
    sender.push(bytes(5 * MIB))
    sender.push(bytes(CHUNK_BYTES))
    while batch := sender.next_batch():
        for kind, payload in frames_of(batch):
            if kind is Frame.WHOLE:
                receiver.messages.append(bytes(payload))
    assert [len(m) for m in receiver.messages] == [CHUNK_BYTES]


def test_credit_that_was_never_spent_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        queue().grant(1)


def test_the_queue_is_bounded_and_keeps_room_for_small_messages() -> None:
    sender = queue(bytes_max=6 * MIB)
    assert sender.push(bytes(6 * MIB - MESSAGE_OVERHEAD_BYTES))
    assert not sender.push(bytes(SMALL_BYTES + 1))
    pushed = 0
    while sender.push(b""):
        pushed += 1
    assert pushed == SMALL_RESERVE_BYTES // MESSAGE_OVERHEAD_BYTES
    assert sender.bytes_waiting == 6 * MIB + SMALL_RESERVE_BYTES


def test_all_queues_together_are_bounded() -> None:
    budget = QueueBudget(MIB)
    one, other = queue(budget=budget), queue(budget=budget)
    assert one.push(bytes(MIB - MESSAGE_OVERHEAD_BYTES))
    assert not other.push(b"x")
    one.clear()
    assert budget.used == 0
    assert other.push(b"x")


def test_on_another_link_what_was_unfinished_begins_anew_and_nothing_else_is_repeated() -> None:
    sender, lost, receiver = queue(), Receiver(), Receiver()
    sender.push(b"small")
    sender.push(b"a" * 3 * CHUNK_BYTES)
    sender.push(b"b" * CHUNK_BYTES)
    sender.push(b"c" * 3 * CHUNK_BYTES)
    for _ in range(5):
        lost.take(sender.next_batch(), sender)
    sender.restart()
    receiver.take_all(sender)
    assert lost.messages == [b"small", b"b" * CHUNK_BYTES]
    assert receiver.messages == [b"a" * 3 * CHUNK_BYTES, b"c" * 3 * CHUNK_BYTES]
    assert sender.bytes_waiting == 0


def first(stream: int, total: int, chunk: bytes) -> memoryview:
    return memoryview(FIRST.pack(stream, total) + chunk)


def more(stream: int, chunk: bytes) -> memoryview:
    return memoryview(U32.pack(stream) + chunk)


TOTAL = CHUNK_BYTES + 1


@pytest.mark.parametrize(
    "payload",
    [
        first(1, TOTAL, b""),
        memoryview(b"\0"),
        first(7, TOTAL, b"x"),
        first(1, TOTAL, bytes(TOTAL + 1)),
    ],
    ids=["no bytes", "short", "begun twice", "too long"],
)
def test_beginnings_that_are_malformed(payload: memoryview) -> None:
    incoming = Incoming()
    incoming.begin(first(7, TOTAL, b"x"), 0.0)
    with pytest.raises(MalformedPacket):
        incoming.begin(payload, 0.0)


@pytest.mark.parametrize("total", [0, CHUNK_BYTES, MESSAGE_SIZE_MAX + 1, 2**32 - 1])
def test_only_messages_that_need_several_frames_and_are_allowed_begin(total: int) -> None:
    with pytest.raises(LimitExceeded):
        Incoming().begin(first(1, total, b"x"), 0.0)


def test_more_than_the_window_cannot_be_begun() -> None:
    incoming = Incoming()
    incoming.begin(first(1, 6 * MIB, b"x"), 0.0)
    incoming.begin(first(2, WINDOW_BYTES - 6 * MIB, b"x"), 0.0)
    with pytest.raises(LimitExceeded):
        incoming.begin(first(3, TOTAL, b"x"), 0.0)


@pytest.mark.parametrize(
    "payload",
    [more(1, b""), memoryview(b"\0"), more(2, b"x"), more(1, bytes(TOTAL))],
    ids=["no bytes", "short", "not begun", "too long"],
)
def test_continuations_that_are_malformed(payload: memoryview) -> None:
    incoming = Incoming()
    incoming.begin(first(1, TOTAL, b"x"), 0.0)
    with pytest.raises(MalformedPacket):
        incoming.go_on(payload, 0.0)


def test_a_message_may_come_whole_in_its_first_frame() -> None:
    assert Incoming().begin(first(1, TOTAL, bytes(TOTAL)), 0.0) == bytes(TOTAL)


def test_a_message_that_stops_is_noticed_and_so_is_one_that_trickles() -> None:
    incoming = Incoming()
    assert not incoming.is_stalled(1e9, 30.0)
    incoming.begin(first(1, 6 * MIB, b"x"), 0.0)
    assert not incoming.is_stalled(30.0, 30.0)
    assert incoming.is_stalled(30.1, 30.0)
    incoming.excuse(30.0)
    assert not incoming.is_stalled(30.1, 30.0)
    slowest = 30.0 + WINDOW_BYTES / RATE_BYTES_MIN
    incoming.go_on(more(1, b"x"), slowest)
    assert not incoming.is_stalled(slowest, 30.0)
    assert incoming.is_stalled(slowest + 0.1, 30.0)
