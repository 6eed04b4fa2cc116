"""The gate, and the pauses between dials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.dialling import NODES_REMEMBERED_MAX, Backoff
from epost.daemon.tls.gate import HOSTS_KNOWN_MAX, NETWORKS_REMEMBERED_MAX, Gate
from epost.foundation.errors import ConfigError
from epost.foundation.ids import NodeId, point

CONFIG = TransportConfig(
    handshakes_max=6,
    handshakes_per_source_max=2,
    handshakes_for_known=2,
    connects_per_second=1000,
    connects_per_network_per_second=1000,
)


def test_one_source_gets_only_its_share_until_it_is_done() -> None:
    gate = Gate(CONFIG, 0.0)
    assert gate.enter("192.0.2.1", 0.0)
    assert gate.enter("192.0.2.1", 0.0)
    assert not gate.enter("192.0.2.1", 0.0)
    assert gate.enter("192.0.2.2", 0.0)
    gate.leave("192.0.2.1")
    assert gate.enter("192.0.2.1", 0.0)
    assert gate.under_way == 3


def test_an_ipv6_network_of_64_bits_is_one_source_and_a_mapped_address_is_itself() -> None:
    gate = Gate(CONFIG, 0.0)
    assert gate.enter("2001:db8::1", 0.0)
    assert gate.enter("2001:db8::ffff:2", 0.0)
    assert not gate.enter("2001:db8::3%eth0", 0.0)
    assert gate.enter("::ffff:192.0.2.1", 0.0)
    assert gate.enter("192.0.2.1", 0.0)
    assert not gate.enter("192.0.2.1", 0.0)


def test_some_places_are_kept_for_hosts_that_were_linked_before() -> None:
    gate = Gate(CONFIG, 0.0)
    for host in range(4):
        assert gate.enter(f"192.0.2.{host}", 0.0)
    assert not gate.enter("192.0.2.9", 0.0)
    gate.know("192.0.2.9")
    assert gate.enter("192.0.2.9", 0.0)


def test_strangers_of_one_network_come_at_a_bounded_rate_and_known_hosts_at_any() -> None:
    gate = Gate(replace(CONFIG, connects_per_network_per_second=2), 0.0)

    def come_and_go(host: str, now: float) -> bool:
        entered = gate.enter(host, now)
        if entered:
            gate.leave(host)
        return entered

    assert [come_and_go("192.0.2.1", 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert not come_and_go("192.0.2.200", 0.0)
    assert come_and_go("198.51.100.1", 0.0)
    assert come_and_go("192.0.2.1", 0.5)
    gate.know("192.0.2.1")
    assert come_and_go("192.0.2.1", 0.5)


def test_all_together_come_at_a_bounded_rate() -> None:
    gate = Gate(replace(CONFIG, connects_per_second=1), 0.0)
    gate.know("192.0.2.1")
    assert [gate.enter("192.0.2.1", 0.0), gate.enter("198.51.100.1", 0.0)] == [True, True]
    assert not gate.enter("203.0.113.1", 0.0)
    assert gate.enter("203.0.113.1", 1.0)


def test_what_the_gate_remembers_is_bounded() -> None:
    gate = Gate(replace(CONFIG, connects_per_second=10**9), 0.0)
    for number in range(NETWORKS_REMEMBERED_MAX + 10):
        host = f"10.{number >> 8}.{number & 255}.1"
        assert gate.enter(host, 0.0)
        gate.leave(host)
    for number in range(HOSTS_KNOWN_MAX + 10):
        gate.know(f"10.0.{number >> 8}.{number & 255}")
    assert len(gate._networks) == NETWORKS_REMEMBERED_MAX
    assert len(gate._known) == HOSTS_KNOWN_MAX
    assert not gate._under_way


def test_each_failure_in_a_row_doubles_the_pause_up_to_a_bound() -> None:
    backoff = Backoff(TransportConfig(backoff_seconds_min=1.0, backoff_seconds_max=3.0))
    node = NodeId(point(1))
    assert backoff.pause(node, 0.0) == 0.0
    pauses = []
    for _ in range(4):
        backoff.failed(node, 0.0)
        pauses.append(backoff.pause(node, 0.0))
    assert pauses == [1.0, 2.0, 3.0, 3.0]
    assert backoff.pause(node, 2.5) == 0.5
    backoff.succeeded(node)
    assert backoff.pause(node, 0.0) == 0.0


def test_failures_remembered_are_bounded() -> None:
    backoff = Backoff(TransportConfig())
    for number in range(NODES_REMEMBERED_MAX + 1):
        backoff.failed(NodeId(point(number)), 0.0)
    assert backoff.pause(NodeId(point(0)), 0.0) == 0.0
    assert backoff.pause(NodeId(point(1)), 0.0) > 0.0


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError):
        TransportConfig(queue_bytes_max=1)
    with pytest.raises(ConfigError):
        TransportConfig(handshakes_for_known=64)
