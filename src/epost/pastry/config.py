"""Settings and limits of the overlay; the defaults suit an office, the comments say why."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.durations import DAY_SECONDS
from epost.foundation.ids import ID_BYTES

HOPS_MAX = 64
"""Transmissions of one routed message; 100,000 nodes need 6, so more is a loop."""

BODY_SIZE_MAX = 256 * 1024
"""Bytes of a routed body: questions and small news; blocks travel directly."""

HANDLES_MAX = 64
"""Node handles in one packet: the largest leaf set, or a few rows of a routing table."""

PROBES_MAX = 96
"""Nodes probed at one time; hints beyond it are dropped, they come again."""

TABLE_PROBES_MAX = 48
"""Of these, probes that only fill the routing table, so that they cannot crowd out the others."""

IN_FLIGHT_MAX = 4096
"""Routed messages that wait for the acknowledgement of their next hop."""

WAITING_MAX = 1024
"""Routed messages that wait until this node is ready, or until a suspicion is settled."""

SEEN_MAX = 8192
"""Ids remembered to recognise a message that comes twice."""

REROUTES_MAX = 10
"""How often one node tries to send one message another way."""

BURIED_MAX = 512
"""Silent nodes remembered, so that stale hints do not have them probed again at once."""

SEEKS_AT_ONCE_MAX = 16
"""Lost contacts that a node without company asks at one time: one that answers is enough."""

SEEK_PAUSE_SECONDS = 0.5
"""Until it asks the next ones."""

HEALING_FACTOR_MAX = 10
"""How much less often than every `healing_seconds` a node of a large ring asks a lost contact."""

ABSENT_MAX = 64
"""Contacts remembered that do not answer at present."""

COMPARISON_SECONDS_MIN = 300.0
"""How often at most the answer about a hole serves to compare the rest of its row as well: each
node in it that was never measured is pinged then, which was a fifth of the messages under churn."""

FAR_CONTACTS_MAX = 2
"""Contacts kept by a member although they would not be in its leaf set, in case they are in a ring
that it does not know; what its neighbours lost leads there as well."""

SEARCHES_MAX = 256
"""Keys whose replica roots are looked for securely at one time."""

ORIGINS_MAX = 1024
"""Nodes of which is remembered how many root sets they asked for lately."""

ROUND_TRIPS_MAX = 256
"""Nodes whose round trip is remembered: leaf set, tables and candidates for them."""

APPROACH_STEPS_MAX = 8
"""Rows that a newcomer looks at on its way to a member nearby."""

PROVEN_ARCS_MAX = 64
"""Arcs that redundant routes have shown."""

CONTACTS_MAX = 64
"""Contacts written to the vault for the next start."""


@dataclass(frozen=True, slots=True)
class PastryConfig:
    """Times in seconds. A dead leaf-set member is noticed by all others after about
    suspect_after + 2 * probe_tries * probe_timeout (21 s; 1.5 s if the transport reports it)."""

    # Middleware 2001 evaluates 16 and b = 4.
    leaf_set_size: int = 16
    bits_per_digit: int = 4
    # Only `org init` makes a ring; everybody else waits until a member answers.
    is_first: bool = False

    # Heartbeats go to the predecessor only, which watches us (MSPastry): 0.1 messages a second.
    heartbeat_seconds: float = 10.0
    # A neighbour silent for so long is probed; a node that slept for so long must join again.
    suspect_after_seconds: float = 15.0
    probe_timeout_seconds: float = 1.0
    probe_tries: int = 3
    # A full leaf set is compared with the next member on each side so long after it changed (a
    # smaller one earlier, with all members, at the same rate of messages), and with each member
    # once in the quiet period: comparing with all soon was half of the messages under churn.
    exchange_seconds: float = 60.0
    exchange_quiet_seconds: float = 900.0
    # Hints about a node that was found silent are ignored for so long: the time in which all its
    # leaf set learns of a failure.
    burial_seconds: float = 10.0

    # After one silent try another way is taken while the hop is probed (MSPastry); copies that
    # arrive twice are recognised. Both timeouts adapt to the node's round trip (round_trips.py).
    hop_timeout_seconds: float = 1.0
    hop_tries: int = 1
    # A message that arrives before this node is ready waits at most so long.
    hold_seconds: float = 10.0

    # Former members that find only one another form the ring again after this silence.
    quiet_seconds: float = 3.0
    # A joiner that still waits for hinted nodes after so long goes ahead without them.
    settle_seconds_max: float = 15.0
    # Contacts that do not answer are asked again after pauses of min, 2 min, ... max.
    seek_seconds_min: float = 1.0
    seek_seconds_max: float = 30.0
    # A node that has company asks only one contact in this time, in turn: it searches for a part of
    # the ring that was cut off. All nodes of both parts do, so the first meeting comes much sooner;
    # in a ring of n leaf sets each waits n times as long, so that meetings are as frequent.
    healing_seconds: float = 30.0
    absence_kept_seconds: float = 14 * DAY_SECONDS

    # Secure routing: how long an answer is waited for; how many copies take the redundant route at
    # most (32 fail for 1 % of keys among 100,000 nodes with 30 % accomplices); how many nodes
    # beyond the replica roots are asked themselves, in so many rounds at most.
    root_set_seconds: float = 1.5
    redundant_copies: int = 64
    root_set_margin: int = 2
    root_set_rounds: int = 3
    # Answers of some 20 KB that one origin is given by this node. A search asks a node twice; who
    # inserts much all over a ring knows most arcs after some hundred searches.
    root_sets_per_second: float = 5.0
    root_sets_burst: int = 256

    # FreePastry's period: table holes cost hops, not correctness.
    table_upkeep_seconds: float = 900.0
    # A row is asked for at most so often when one of its entries fails.
    row_repair_seconds: float = 5.0
    contacts_write_seconds: float = 5.0

    @classmethod
    def brisk(cls, *, is_first: bool = False) -> PastryConfig:
        """Return settings for daemons on one machine: a death is noticed within 5 to 9 s.

        They take five times as many heartbeats, and a process that stalls for 4 s joins again.
        """
        return cls(
            is_first=is_first,
            heartbeat_seconds=2.0,
            suspect_after_seconds=4.0,
            probe_timeout_seconds=0.5,
            exchange_seconds=30.0,
            hop_timeout_seconds=0.5,
            quiet_seconds=1.5,
        )

    def __post_init__(self) -> None:
        if self.leaf_set_size % 2 or not 2 <= self.leaf_set_size <= HANDLES_MAX:
            raise ValueError(f"leaf_set_size must be even and 2..{HANDLES_MAX}")
        if self.bits_per_digit < 1 or 8 * ID_BYTES % self.bits_per_digit:
            raise ValueError("bits_per_digit must divide the length of an id")
        if self.probe_tries < 1 or self.hop_tries < 1:
            raise ValueError("probe_tries and hop_tries must be at least 1")
        if not 0 < self.heartbeat_seconds * 1.2 < self.suspect_after_seconds:
            raise ValueError("suspect_after_seconds must exceed heartbeat_seconds by a fifth")
        if not 0 < self.seek_seconds_min <= self.seek_seconds_max:
            raise ValueError("seek_seconds_min must be positive and at most seek_seconds_max")
        self._require_positive_times()

    def _require_positive_times(self) -> None:
        times = (
            self.probe_timeout_seconds,
            self.exchange_seconds,
            self.exchange_quiet_seconds,
            self.hop_timeout_seconds,
            self.quiet_seconds,
            self.table_upkeep_seconds,
        )
        if min(times) <= 0:
            raise ValueError("times must be positive")
