"""Settings and limits of the groups."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS_MAX = 4096
"""Trees that one node takes part in for others; and as many as a member, whoever floods it."""

GROUPS_OF_CHILD_MAX = GROUPS_MAX // 4
"""Trees in which one node may be the child of another: in other trees it finds other parents."""

CHILDREN_MAX = 512
"""Children of one node in one tree; a join request beyond it goes on towards the root."""

PATH_MAX = 32
"""Nodes between a member and the root; a longer path is taken for a loop."""

BODY_SIZE_MAX = 64 * 1024
"""Bytes of a multicast: news of a user or of a shared object, not content."""

REFRESH_GROUPS_MAX = 64
"""Groups in one packet between a child and its parent."""

SEEN_MAX = 8192
"""Multicasts remembered to recognise one that comes twice."""

HEIRS = 4
"""Nodes next to the root that know what it knows (JSAC 2002 replicates a root's state on k = 5)."""

ESTATES_MAX = 4096
"""Groups of other roots that this node would take over."""

HEIR_CHILDREN_MAX = 64
"""Children of a root that its heirs know."""

ANYCAST_BODY_SIZE_MAX = 16 * 1024
"""Bytes of an anycast: a question, not content."""

ANYCAST_VISITS_MAX = 64
"""Nodes that one anycast asks, and that wait to be asked."""

SIBLINGS_MAX = 16
"""Other parents offered to a child that is handed over."""

HAND_OVER_CHILDREN_MIN = 4
"""A tree with fewer children is not the bottleneck."""

TERMS_MAX = 4096
"""Chartered groups whose terms a node keeps."""

PUBLISHERS_MAX = 64
ADMITTERS_MAX = 16
CHARTER_NAME_BYTES_MAX = 64
CHARTER_SIZE_MAX = 4096
PERMIT_SIZE_MAX = 256
STATEMENT_SIZE_MAX = 256


@dataclass(frozen=True, slots=True)
class ScribeConfig:
    """Times in seconds. An orphan finds a new parent after refresh + tries * answer (26 s) at
    the latest, at once if the overlay or the transport knows of the death."""

    refresh_seconds: float = 20.0
    answer_timeout_seconds: float = 2.0
    refresh_tries: int = 3
    # A join request that nobody answers is sent again after min, 2 min, ... max.
    seek_seconds_min: float = 2.0
    seek_seconds_max: float = 30.0
    # A child that does not refresh for so long is forgotten.
    child_kept_seconds: float = 70.0
    # Children in all trees together, beyond which some are handed over (JSAC 2002, V-B: 64).
    children_limit: int = 64
    # A child that was handed over and stays may be handed over again after so long.
    hand_over_seconds: float = 30.0
    # A root's heirs learn of changes so long after the first.
    heirs_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.refresh_tries < 1:
            raise ValueError("refresh_tries must be at least 1")
        if self.children_limit < HAND_OVER_CHILDREN_MIN:
            raise ValueError("children_limit must leave room for one tree")
        if not 0 < self.answer_timeout_seconds <= self.refresh_seconds:
            raise ValueError("answer_timeout_seconds must be positive and within refresh_seconds")
        if not 0 < self.seek_seconds_min <= self.seek_seconds_max:
            raise ValueError("seek_seconds_min must be positive and at most seek_seconds_max")
        longest = self.refresh_seconds * 1.25 + self.refresh_tries * self.answer_timeout_seconds
        if self.child_kept_seconds <= longest:
            raise ValueError("child_kept_seconds must outlast a refresh with all its tries")
