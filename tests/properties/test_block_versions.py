"""Whatever order versions arrive in, replicas end with the newest and never go back."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from epost.foundation.codec import encode
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import Role, VaultEntry
from epost.past.blocks import Proven
from epost.past.lookup import Fetched, Said, newest
from epost.past.pending import ReceiptMark, ReceiptStatus, receipt_order
from epost.past.versions import Verdict, judge_fresh, judge_repair, order

HANDLE = Handle(BlockKind.KEY, bytes(32))
bodies = st.binary(min_size=1, max_size=1).map(lambda b: b * 32)
versions = st.builds(
    lambda version, body, previous: Proven(HANDLE, 10, version, body, previous, b"\x08"),
    st.integers(1, 6),
    bodies,
    bodies,
)


def entry(proven: Proven) -> VaultEntry:
    return proven.entry(Role.REPLICA)


@given(st.lists(versions, min_size=1))
def test_repair_converges_to_the_newest_in_any_order(offered: Sequence[Proven]) -> None:
    stored = None
    for proven in offered:
        verdict = judge_repair(stored, proven)
        assert verdict is not Verdict.CONFLICT
        if verdict is Verdict.STORE:
            assert stored is None or order(proven) > order(stored)
            stored = entry(proven)
    assert stored is not None
    assert order(stored) == max(order(p) for p in offered)


@given(versions, versions)
def test_a_fresh_block_is_stored_only_over_what_its_writer_knew(
    held: Proven, offered: Proven
) -> None:
    verdict = judge_fresh(entry(held), offered)
    if offered.version < held.version:
        assert verdict is Verdict.STALE
    elif offered.version == held.version:
        same = offered.body_hash == held.body_hash
        assert verdict is (Verdict.STORED_ALREADY if same else Verdict.CONFLICT)
    elif offered.version == held.version + 1 and offered.previous != held.body_hash:
        assert verdict is Verdict.CONFLICT
    else:
        assert verdict is Verdict.STORE


@given(st.lists(versions), st.randoms())
def test_the_newest_of_all_answers_wins_whoever_gives_it(offered: list[Proven], random) -> None:
    said = [Said(bytes([n]), Fetched(b"", p), False, b"") for n, p in enumerate(offered)]
    said.append(Said(b"absent", None, True, b""))
    random.shuffle(said)
    best = newest(said)
    assert (best is None) == (not offered)
    assert best is None or order(best.proven) == max(order(p) for p in offered)


receipts = st.builds(
    lambda account, status, at: Proven(
        Handle(BlockKind.RECEIPT, bytes(32)),
        10,
        receipt_order(status, at),
        proof=encode(ReceiptMark(account, status, at)),
    ),
    bodies,
    st.sampled_from(ReceiptStatus),
    st.integers(0, 1 << 50),
)


@given(receipts, receipts)
def test_a_receipt_gives_way_only_to_a_more_final_or_later_one_of_its_account(
    held: Proven, offered: Proven
) -> None:
    verdict = judge_fresh(entry(held), offered)
    assert (verdict is Verdict.STORE) <= (offered.version > held.version)
    assert verdict in {Verdict.STORE, Verdict.STORED_ALREADY, Verdict.STALE}
    assert receipt_order(ReceiptStatus.ACCEPTED, 0) > receipt_order(ReceiptStatus.DEFERRED, 1 << 60)
