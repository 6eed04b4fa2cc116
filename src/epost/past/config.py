"""Settings and limits of the block store; times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.durations import DAY_SECONDS
from epost.foundation.errors import ConfigError

MEBIBYTE = 1024 * 1024

SET_SIZE_MAX = 24
"""Nodes in the answer to a replica-set query: k of at most 16, stand-ins, and some."""

ROWS_MAX = 1000
"""Blocks listed in one maintenance message: 60 KB."""

HANDLES_MAX = 256
"""Handles in one question whether a node has them."""

PULLS_WAITING_MAX = 20_000
"""Missing blocks remembered at one time; the next comparison finds the others again."""

KEYS_LIMITED_MAX = 10_000
"""Public keys (or peers) whose rate is remembered; the longest unused is forgotten."""

CACHED_BLOCKS_MAX = 4096
"""Blocks kept in spare space because look-ups asked for them on their way."""

PASSED_MAX = 10_000
"""Blocks whose look-ups were seen passing that are remembered."""

FILLS_WAITING_MAX = 64
"""Blocks that wait to be fetched into the cache; more are not missed for long."""

RIVALS_MAX = 1000
"""Second bodies of one version that are kept as evidence."""

PINS_MAX = 100_000
"""Newest versions ever seen that are remembered (crypto 4.3)."""


@dataclass(frozen=True, slots=True)
class PastConfig:
    """What an operator may change; the replication factor itself is the authority's policy."""

    # Stand-ins are the next closest reachable nodes after the k (crypto 4.3).
    stand_ins: int = 2
    # A replica silent for so long is hedged by a stand-in (design 4).
    hedge_seconds: float = 0.25
    # After this long an insertion is called held locally; the pusher goes on.
    insert_deadline_seconds: float = 5.0
    # Mutable blocks: all replicas are waited for, but not longer (design 3).
    read_deadline_seconds: float = 2.0
    lookup_deadline_seconds: float = 8.0
    call_timeout_seconds: float = 2.0
    call_tries: int = 2
    set_query_timeout_seconds: float = 1.5
    # Six waits of PastryConfig.root_set_seconds: the cheap way, two waves of copies, three rounds.
    secure_route_seconds: float = 9.5

    # A missing replica is copied elsewhere after this; `epost demo` sets 20 s (design 4).
    repair_delay_seconds: float = 900.0
    # Every member is compared with this often even if nothing seems to have changed; after a
    # change sooner, at an eighth, a quarter and half of it.
    maintenance_interval_seconds: float = 600.0
    # A comparison that found differences is repeated soon, to see them settled; as long as it
    # finds the same, after a quarter of the time since it first did.
    recheck_seconds: float = 10.0
    # What lies far from its place, and is with all who should hold it, is offered again so often,
    # until it is given up.
    strays_seconds: float = DAY_SECONDS
    tick_seconds: float = 1.0
    # After a change of the leaf set: changes seldom come alone, a newcomer enters member by member.
    gathering_seconds: float = 0.2
    reply_seconds: float = 10.0
    rounds_open_max: int = 4
    # Answers of a peer in one round, then it ends: a difference of a million blocks takes as many.
    answers_max: int = 10_000
    slice_rows: int = 400
    pulls_open_max: int = 16
    pulls_open_per_source_max: int = 8
    pull_timeout_seconds: float = 20.0
    # A node that does not give what it said it holds, so often within so long, is not asked again
    # for as long: it lies, or its disk fails.
    broken_claims_max: int = 8
    broken_claims_seconds: float = 60.0
    unreliable_seconds: float = 300.0
    # So is one that stays silent so often, and gives nothing between: a lost message or a slow
    # line is no lie, but whoever claims much and says nothing would keep all others waiting.
    silences_max: int = 16
    repair_bytes_per_second: int = 8 * MEBIBYTE
    # Surplus of a shifted replica set is kept so long after all k members confirmed (design 4).
    surplus_kept_seconds: float = 14 * DAY_SECONDS
    # In larger rings, if this part of the leaf set vanished within the time, these nodes are
    # asleep, not lost: nothing of theirs is copied elsewhere, for a long weekend at most.
    mass_absence_ring_min: int = 32
    mass_absence_part: float = 0.3
    mass_absence_seconds: float = 3600.0
    mass_absence_seconds_max: float = 4 * DAY_SECONDS
    # The whole own disk is read again in this time, a little at a time and never faster than
    # that; what rotted is fetched again (a drive loses a sector in years, a store in months).
    scrub_seconds: float = 30 * DAY_SECONDS
    scrub_bytes_per_second: int = 4 * MEBIBYTE
    # Pending notices and receipts past their time are looked for this often.
    sweep_seconds: float = 3600.0

    # In what is contributed and still free, so much is used for copies of blocks that look-ups
    # asked for on their way through this node; none at 0. It gives way to everything else.
    cache_part: float = 0.25
    # A block is fetched for that when so many look-ups passed within the time: what one reader
    # reads once is not worth a copy.
    cache_after_passings: int = 2
    cache_interest_seconds: float = 3600.0
    cache_bytes_per_second: int = MEBIBYTE

    # Leases (design 8): off unless the operator says otherwise. The clock is looked at this often.
    frees_expired: bool = False
    lease_sweep_seconds: float = 600.0
    # Leases prolonged for whoever asks; a member of many mails asks for some 10,000 a month.
    renewals_per_second: float = 2000.0
    renewals_burst: float = 20_000.0
    trash_seconds: float = 90 * DAY_SECONDS
    freed_part_per_day: float = 0.05
    # The wall clock must have gone along with the monotonic one, and the peers', for so long.
    steady_clock_seconds: float = 3600.0

    # crypto 10 says 20 updates/s per key. A device log signs one head per group commit, and a
    # busy submission commits up to 100 groups a second, retries and hedges included: 200.
    key_updates_per_second: float = 200.0
    key_updates_burst: float = 400.0
    # Per peer; crypto 10 says 200/s. A put costs one or two checks, and at 100 submissions a
    # second one node may offer another 800 puts a second; 2,000 checks are 17 % of one core.
    signature_checks_per_second: float = 2000.0
    signature_checks_burst: float = 10_000.0
    # Blocks read for one peer, and rows compared with it: both can be asked for with few bytes.
    reads_per_second: float = 1000.0
    reads_burst: float = 4000.0
    rows_per_second: float = 100_000.0
    rows_burst: float = 400_000.0
    # Three invalid blocks originated by one peer within a minute: it is refused ten minutes.
    invalid_blocks_max: int = 3
    invalid_blocks_seconds: float = 60.0
    distrust_seconds: float = 600.0
    # Pending notices of one origin for one recipient (crypto 10).
    pending_count_max: int = 1000
    pending_bytes_max: int = 64 * MEBIBYTE
    # What a member may fill of one node besides her share of the quota (crypto 10).
    allowance_free_bytes: int = 64 * MEBIBYTE
    # Left free for the node's own user, whatever others want to store.
    disk_reserve_bytes: int = 64 * MEBIBYTE

    push_parallel: int = 8
    push_backoff_seconds_min: float = 1.0
    push_backoff_seconds_max: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            may_be_none = {"stand_ins", "frees_expired", "cache_part"}
            if getattr(self, name) <= 0 and name not in may_be_none:
                raise ConfigError(f"past.{name} must be positive, is {getattr(self, name)}")
        if not 0 <= self.stand_ins <= 8:
            raise ConfigError(f"past.stand_ins must be 0..8, is {self.stand_ins}")
        if not 0 <= self.cache_part <= 1:
            raise ConfigError(f"past.cache_part must be 0..1, is {self.cache_part}")
        if not 16 <= self.slice_rows <= ROWS_MAX // 2:
            raise ConfigError(f"past.slice_rows must be 16..{ROWS_MAX // 2}")
