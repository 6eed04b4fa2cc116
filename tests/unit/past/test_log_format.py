"""Records chain, clusters begin with their first record, heads name where both have come."""

from __future__ import annotations

import tracemalloc

import pytest

from epost.crypto.versioned import open_key_block
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.past.log_format import (
    CLUSTER_SIZE_MAX,
    LOG_RECORD,
    NO_RECORD,
    RECORDS_PER_CLUSTER_MAX,
    TAIL_SIZE_MAX,
    Tip,
    check_cluster,
    check_extension,
    follow,
    head_of,
    join_records,
    open_head,
    recall_head,
    record_hash,
    split_records,
)
from tests.support.logs import Log
from tests.support.organisation import key_of
from tests.support.past_ring import key_block

KEY = key_of("log")


def log_of(count: int) -> Log:
    log = Log(KEY)
    log.append(*(b"%d" % n for n in range(count)))
    return log


def test_records_are_joined_so_that_a_cluster_can_grow() -> None:
    log = log_of(3)
    assert split_records(join_records(log.records)) == log.records
    assert join_records(log.records[:1]) + join_records(log.records[1:]) == log.body
    assert split_records(b"") == []


@pytest.mark.parametrize("cut", [1, 3, 5, 40])
def test_a_cluster_cut_off_is_malformed(cut: int) -> None:
    with pytest.raises(MalformedPacket):
        split_records(log_of(2).body[:-cut])


def test_clusters_are_bounded() -> None:
    assert len(split_records(log_of(RECORDS_PER_CLUSTER_MAX).body)) == RECORDS_PER_CLUSTER_MAX
    with pytest.raises(LimitExceeded):
        split_records(log_of(RECORDS_PER_CLUSTER_MAX + 1).body)
    with pytest.raises(LimitExceeded):
        split_records(bytes(CLUSTER_SIZE_MAX + 1))
    with pytest.raises(MalformedPacket):
        split_records(bytes(4))


def test_a_million_empty_records_are_not_even_cut() -> None:
    body = bytes(CLUSTER_SIZE_MAX)
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        split_records(body)
    assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    tracemalloc.stop()


def test_the_chain_is_followed_record_by_record() -> None:
    log = log_of(3)
    tips = follow(KEY.public, Tip(0, NO_RECORD), log.records)
    assert [tip.sequence for tip in tips] == [1, 2, 3]
    assert tips[-1].hash == record_hash(log.records[-1])
    for bad in (log.records[1:], log.records[::-1], [log.records[0], log.records[2]]):
        with pytest.raises(MalformedPacket):
            follow(KEY.public, Tip(0, NO_RECORD), bad)
    with pytest.raises(MalformedPacket, match="another log"):
        follow(key_of("other").public, Tip(0, NO_RECORD), log.records)


def test_the_seal_of_a_record_is_bound_to_everything_before_it() -> None:
    record = LOG_RECORD.decode(log_of(1).records[0])
    assert record.associated != LOG_RECORD.decode(log_of(2).records[1]).associated
    assert record.sealed not in record.associated


def test_a_head_says_where_the_log_and_its_cluster_have_come() -> None:
    log = log_of(5)
    head = open_head(log.head(tail=2).data)
    assert head.tip == Tip(5, record_hash(log.records[4]))
    assert head.cluster_tip == Tip(3, record_hash(log.records[2]))
    assert head.cluster == log.cluster
    assert recall_head(log.heads[0].data) == head
    assert check_cluster(log.cluster, join_records(log.records[:3]), head)[-1] == head.cluster_tip


def test_what_is_no_head_is_not_taken_for_one() -> None:
    with pytest.raises(MalformedPacket, match="not the head"):
        open_head(key_block(KEY, b"").data)
    log = Log(KEY)
    log.append(bytes(TAIL_SIZE_MAX))
    with pytest.raises(LimitExceeded):
        open_head(log.head(tail=1).data)
    short = log_of(2)
    with pytest.raises(LimitExceeded):
        head_of(open_key_block(short.head(tail=2, sequence=1).data))


@pytest.mark.parametrize(
    "changes",
    [
        {"first_sequence": 2},
        {"first_sequence": 0},
        {"cluster": bytes(32)},
        {"tip": bytes(32)},
        {"sequence": 3},
    ],
    ids=str,
)
def test_a_cluster_and_its_head_must_agree(changes: dict) -> None:
    log = log_of(2)
    good = open_head(log.head().data)
    check_cluster(log.cluster, log.body, good)
    with pytest.raises(MalformedPacket):
        check_cluster(log.cluster, log.body, open_head(log.head(**changes).data))
    with pytest.raises(MalformedPacket):
        check_cluster(log.cluster, join_records(log.records[1:]), good)
    with pytest.raises(MalformedPacket):
        check_cluster(log.cluster, b"", good)


def test_an_extension_leads_from_the_held_tip_to_the_new_one() -> None:
    log = log_of(2)
    held = open_head(log.head().data)
    added = log.append(b"three", b"four")
    check_extension(log.cluster, held, join_records(added), open_head(log.head().data))
    check_extension(log.cluster, held, join_records(added[:1]), open_head(log.head(tail=1).data))
    with pytest.raises(MalformedPacket):
        check_extension(log.cluster, held, join_records(added[:1]), open_head(log.head().data))
    with pytest.raises(MalformedPacket):
        check_extension(log.cluster, held, b"", open_head(log.head().data))
    stranger = Log(key_of("x"), list(log.records))
    with pytest.raises(MalformedPacket):
        check_extension(log.cluster, held, join_records(added), open_head(stranger.head().data))


def test_an_extension_by_nothing_brings_a_newer_head() -> None:
    log = log_of(2)
    held, newer = open_head(log.head().data), open_head(log.head().data)
    check_extension(log.cluster, held, b"", newer)


def test_a_full_cluster_is_not_extended() -> None:
    log = log_of(RECORDS_PER_CLUSTER_MAX)
    held = open_head(log.head().data)
    more = log.append(b"one too many")
    with pytest.raises(LimitExceeded):
        check_extension(log.cluster, held, join_records(more), open_head(log.head().data))
