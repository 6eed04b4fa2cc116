"""Rates, distrust, allowances: everything that keeps one node from filling another."""

import pytest

from epost.crypto.certificates import NODE_CERT, NodeCert
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.foundation.bounded import BoundedDict
from epost.foundation.errors import ConfigError, Overloaded, QuotaExceeded
from epost.foundation.ids import Id, NodeId
from epost.foundation.rates import Rates
from epost.past.allowances import NOTES, Allowances, Attribution, PendingAllowances, Usage
from epost.past.config import MEBIBYTE, PastConfig
from epost.past.durability import Durability
from epost.past.limits import Distrust
from epost.past.pending import PendingMark
from tests.support.organisation import Organisation

ORG = Organisation()
ANN, BEN = NodeId(Id(b"a" * 20)), NodeId(Id(b"b" * 20))


class Notes:
    def __init__(self, **used: int | bytes) -> None:
        self.used = used

    def notes(self, table: str) -> list[tuple[bytes, bytes]]:
        assert table == NOTES
        values = {
            k: v if isinstance(v, bytes) else v.to_bytes(8, "big") for k, v in self.used.items()
        }
        return [(k.encode(), value) for k, value in values.items()]


def node(**changes: object) -> NodeCert:
    return NODE_CERT.decode(parse(ORG.node("ann", **changes).certificate, Kind.NODE).body)


def test_a_bucket_empties_and_fills_again() -> None:
    rates: Rates[str] = Rates(10.0, 2.0, keys_max=10)
    rates.take("a", 0.0)
    rates.take("a", 0.0)
    with pytest.raises(Overloaded):
        rates.take("a", 0.0)
    rates.take("b", 0.0)
    rates.take("a", 0.1)
    with pytest.raises(Overloaded):
        rates.take("a", 0.15)
    rates.take("a", 100.0, cost=2.0)


def test_three_faults_within_a_minute_are_one_too_many() -> None:
    distrust = Distrust(3, 60.0, 600.0)
    assert [distrust.blame(ANN, at) for at in (0.0, 50.0, 70.0)] == [False, False, False]
    assert distrust.blame(ANN, 80.0)
    assert distrust.is_refused(ANN, 679.0)
    assert not distrust.is_refused(ANN, 681.0)
    assert not distrust.is_refused(BEN, 100.0)
    assert not distrust.blame(ANN, 700.0)


def test_a_bounded_dictionary_forgets_the_longest_unused() -> None:
    entries: BoundedDict[str, int] = BoundedDict(2)
    assert entries.put("a", 1) is None
    assert entries.put("b", 2) is None
    assert entries.get("a") == 1
    assert entries.put("c", 3) == "b"
    assert list(entries) == ["a", "c"]
    assert "b" not in entries
    entries.remove("b")
    entries.remove("a")
    assert len(entries) == 1
    entries.clear()
    assert entries.get("c") is None


def test_a_member_may_fill_its_share_of_one_node_and_no_more() -> None:
    policy = ORG.policy(k=3, enrolled=240, quotas=(8,))
    config = PastConfig(allowance_free_bytes=1)
    allowances = Allowances(Notes(), lambda: policy, config)
    allowed = 8 * 8 * MEBIBYTE * 3 // 240 + 1
    allowances.require(node(), allowed)
    allowances.charge(node(), allowed, blocks=1)
    with pytest.raises(QuotaExceeded):
        allowances.require(node(), 1)
    assert allowances.attribution() == Attribution(1, Usage(allowed, 1, 0), refused=1)
    allowances.require(node(member_tag=b"x" * 16), 1)
    allowances.charge(node(), -10 * allowed, blocks=-1)
    allowances.require(node(), allowed)
    assert [note.value for note in allowances.changes()] == [bytes(24)]
    assert allowances.changes() == []


def test_in_a_small_ring_the_quota_itself_is_the_bound() -> None:
    policy = ORG.policy(k=3, enrolled=5, quotas=(8,))
    allowances = Allowances(Notes(), lambda: policy, PastConfig())
    allowances.require(node(), 8 * MEBIBYTE)
    with pytest.raises(QuotaExceeded):
        allowances.require(node(), 8 * MEBIBYTE + 1)


def test_who_is_over_quota_can_still_write_that_mail_is_deleted() -> None:
    policy = ORG.policy(k=3, enrolled=5, quotas=(8,))
    allowances = Allowances(Notes(), lambda: policy, PastConfig())
    allowances.charge(node(), 9 * MEBIBYTE, blocks=9)
    with pytest.raises(QuotaExceeded):
        allowances.require(node(), 1)
    allowances.require(node(), MEBIBYTE, is_of_log=True)
    with pytest.raises(QuotaExceeded):
        allowances.require(node(), 64 * MEBIBYTE, is_of_log=True)


def test_usage_is_remembered_and_no_quota_is_no_limit() -> None:
    tag = "t" * 16
    policy = ORG.policy(k=3, enrolled=3, quotas=(1, 0))
    config = PastConfig(allowance_free_bytes=1)
    full = Allowances(Notes(**{tag: 100 * MEBIBYTE}), lambda: policy, config)
    with pytest.raises(QuotaExceeded):
        full.require(node(member_tag=tag.encode()), 1)
    for quota_class in (1, 7):
        full.require(node(member_tag=tag.encode(), quota_class=quota_class), 1 << 40)
    full.charge(node(member_tag=tag.encode()), 7, notices=2)
    (note,) = full.changes()
    again = Allowances(Notes(**{tag: note.value}), lambda: policy, config)
    assert again.attribution().used == Usage(100 * MEBIBYTE + 7, 0, 2)


def test_notices_from_one_ring_for_one_recipient_are_bounded() -> None:
    config = PastConfig(pending_count_max=4, pending_bytes_max=100)
    pending = PendingAllowances(config)
    mark, other = PendingMark(b"r" * 32, 0), PendingMark(b"o" * 32, 0)
    ann, ben = (node(member_tag=tag * 16) for tag in (b"a", b"b"))
    pending.add(ann, mark, 40)
    with pytest.raises(QuotaExceeded):
        pending.require(ben, mark, 61)
    pending.require(ben, mark, 60)
    pending.add(ben, mark, 10)
    pending.add(ann, mark, 10)
    pending.require(node(member_tag=b"c" * 16), mark, 40)
    pending.add(node(member_tag=b"c" * 16), mark, 10)
    with pytest.raises(QuotaExceeded):
        pending.require(node(member_tag=b"d" * 16), mark, 1)
    pending.require(node(ring=b"o" * 20, member_tag=b"d" * 16), mark, 1)
    pending.require(ann, other, 1)
    pending.remove(ann, mark, 10)
    pending.require(node(member_tag=b"d" * 16), mark, 1)
    for inserter in (ann, ann, ben, node(member_tag=b"c" * 16)):
        pending.remove(inserter, mark, 10)
    pending.require(ann, mark, 100)


def test_one_member_leaves_half_of_a_recipient_s_notices_to_the_others() -> None:
    pending = PendingAllowances(PastConfig(pending_count_max=100, pending_bytes_max=10_000))
    mark, flooder = PendingMark(b"r" * 32, 0), node(member_tag=b"f" * 16)
    for _ in range(50):
        pending.require(flooder, mark, 1)
        pending.add(flooder, mark, 1)
    with pytest.raises(QuotaExceeded):
        pending.require(flooder, mark, 1)
    for n in range(20):
        pending.require(node(member_tag=bytes([n]) * 16), mark, 1)
        pending.add(node(member_tag=bytes([n]) * 16), mark, 1)


def test_durability_is_that_of_the_weakest_part() -> None:
    safe, held = Durability(3, 3, True), Durability(1, 3, False)
    assert safe.combine() == safe
    assert safe.combine(held) == held


@pytest.mark.parametrize(
    "bad", [{"repair_delay_seconds": 0}, {"stand_ins": 9}, {"stand_ins": -1}, {"slice_rows": 8}]
)
def test_settings_that_make_no_sense_are_refused(bad: dict) -> None:
    with pytest.raises(ConfigError):
        PastConfig(**bad)
