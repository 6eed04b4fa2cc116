"""Limits of links and of those who want one (crypto 10)."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.errors import ConfigError
from epost.foundation.wire import MESSAGE_SIZE_MAX

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransportConfig:
    """How many, how much, how long; seconds and bytes."""

    # Before HELLO: strangers.
    handshakes_max: int = 64
    handshakes_per_source_max: int = 8  # one IPv4 address or one IPv6 /64
    handshakes_for_known: int = 16  # of all, kept for addresses that were linked before
    connects_per_second: int = 200
    connects_per_network_per_second: int = 10  # one IPv4 /24 or one IPv6 /56
    handshake_seconds: float = 5.0
    hello_seconds: float = 3.0

    # Links.
    links_max: int = 500
    queue_bytes_max: int = 8 * MIB  # waiting for one peer
    queues_bytes_max: int = 256 * MIB  # waiting for all peers
    keepalive_seconds: float = 15.0  # of silence before a peer is asked
    keepalive_answer_seconds: float = 10.0
    body_stall_seconds: float = 30.0  # without any part of a message that has begun
    linger_seconds: float = 2.0  # for what is under way on a link that is given up
    overload_pause_seconds: float = 0.02
    sweep_seconds: float = 2.0
    recheck_seconds: float = 3600.0  # certificates of open links (crypto 3.5)
    close_seconds: float = 2.0

    # Dialling.
    dials_max: int = 64
    dials_waiting_max: int = 1000
    dial_address_seconds: float = 4.0
    dial_stagger_seconds: float = 0.25
    dial_rounds: int = 4  # while the other side is too busy for a handshake
    dial_round_pause_seconds: float = 0.1
    backoff_seconds_min: float = 0.1
    backoff_seconds_max: float = 5.0

    # Source routes: one neighbour passes on what two nodes say that cannot link with each other.
    relay_after_seconds: float = 1.0  # without a direct link, while that is still tried
    relay_seconds: float = 2.0  # for one relay to lead there, HELLO included
    relay_tries: int = 3
    relay_shun_seconds: float = 300.0  # a relay that failed is asked after the others
    direct_retry_seconds: float = 60.0  # while a node is reached through another
    relayed_links_max: int = 64  # that end here ...
    relayed_links_per_relay_max: int = 32  # ... through one relay
    relayed_pairs_max: int = 64  # that pass through here ...
    relayed_pairs_per_node_max: int = 8  # ... opened by one node
    relayed_bytes_per_second: int = 2 * MIB  # of one pair, both ways

    # Peers that broke the protocol, and what is remembered of good ones.
    refuse_seconds: float = 600.0
    refused_max: int = 1000
    certificates_kept_max: int = 2000

    def __post_init__(self) -> None:
        if self.queue_bytes_max < MESSAGE_SIZE_MAX:
            raise ConfigError("queue_bytes_max must hold a message of the largest size")
        if self.handshakes_for_known >= self.handshakes_max:
            raise ConfigError("handshakes_for_known must leave some for strangers")

    @property
    def simultaneous_seconds(self) -> float:
        """How long after a link came up the other side may still be dialling unaware of it."""
        return self.dial_address_seconds + self.handshake_seconds + self.hello_seconds
