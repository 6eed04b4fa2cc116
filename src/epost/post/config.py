"""The numbers of the POST services; defaults with the section they come from."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.durations import DAY_SECONDS
from epost.foundation.errors import ConfigError


@dataclass(frozen=True)
class PostConfig:
    """All limits and delays of this package that an operator may change; times in seconds."""

    tail_in_head: bool = True
    """Unfinished clusters ride in the log's head (design 6: one round instead of two)."""
    append_deadline_seconds: float = 5.0
    """After this long an append is called held locally; it goes on (design 4)."""
    log_retry_seconds_min: float = 1.0
    log_retry_seconds_max: float = 60.0
    log_look_seconds: float = 300.0
    """How often the own log's head is compared with the ring's though nothing is logged."""
    contact_cache_seconds: float = 60.0
    """Burst cache of device lists (crypto 2.2)."""
    gather_seconds: float = 0.05
    """Records of the log that nobody waits for go to the ring with those that follow so soon; while
    more come, five times as late."""
    direct_patience_seconds: float = 0.3
    """How long a recipient's device may take before delegates are asked as well."""
    listening_delay_seconds: float = 2.0
    """So long a delegate waits before it listens for the recipient: most have it by then."""
    direct_timeout_seconds: float = 10.0
    """How long a request to a recipient's device is waited for in all."""
    send_deadline_seconds: float = 6.0
    """How long a sender is kept; recipients not reached by then are held, and retried."""
    offer_again_seconds_min: float = 10.0
    offer_again_seconds_max: float = 3600.0
    notice_lifetime_seconds: float = 180 * DAY_SECONDS
    """After this an undelivered notice bounces (crypto 7.1)."""
    unknown_name_seconds: float = 3600.0
    """For so long nobody of a name must be found before mail to it bounces: the part of the ring
    that answers may be a small one."""
    warn_held_seconds: float = 4 * 3600.0
    """A notice that is still only on this machine after so long is reported to its sender."""
    warn_delegated_seconds: float = 3 * DAY_SECONDS
    """The same for one that delegates keep: it is safe, and people are away for a weekend."""
    sibling_seconds: float = 15.0
    """How often the logs of the account's other devices are looked at, if nothing is heard."""
    sibling_seconds_alone: float = 600.0
    """How often it is looked whether there is another device, while there is none."""
    presence_seconds: float = 60.0
    presence_gap_seconds_min: float = 5.0
    """Presence is published this often, and on a change not more often than the gap."""
    prekey_seconds: float = 7 * DAY_SECONDS
    """Age of a sealing prekey at which the next one is published (crypto 7.3)."""
    prekey_check_seconds: float = 3600.0
    """How often it is looked whether a prekey is to be made or destroyed."""
    prekey_grace_seconds: float = 21 * DAY_SECONDS
    """For so long a prekey is kept after the ring has shown a newer one."""
    drain_seconds: float = DAY_SECONDS
    """For so long nobody may have brought anything sealed to an old prekey before one goes."""
    drain_settle_seconds: float = 600.0
    """How long a look waits for those who may bring something."""
    drain_away_seconds: float = 2 * DAY_SECONDS
    """Longer between two looks than this is an absence, in which the grace stands still."""
    lease_renewal_seconds: float = 30 * DAY_SECONDS
    """How often the leases of everything mirrored here are renewed (design 8: monthly)."""
    lease_check_seconds: float = 3600.0
    lease_ending_seconds: float = DAY_SECONDS
    """How often it is looked what nothing refers to any more."""
    unneeded_kept_seconds: float = 30 * DAY_SECONDS
    """For so long a block must be found unneeded before its lease is left to end."""
    snapshot_records_min: int = 1_000
    """A log shorter than this, or grown by less, is read as fast without a snapshot."""
    time_mark_seconds: float = 60.0
    """Before an entry the log says what time it is, if it did not for so long."""
    snapshot_check_seconds: float = 10.0
    """At most this often it is looked whether a snapshot of the log is to be made."""
    checkpoint_seconds: float = 10.0
    """How often the outbox and the replay set are written down beside the log."""
    progress_seconds: float = 1.0
    """Receipts of so long are logged in one record: losing them costs one more offer."""
    read_receipts: bool = False
    """Does the user let senders know when she has read what they sent?"""
    organisation_mode_size_min: int = 64 * 1024
    """Parts of at least this many bytes are shared inside the organisation (crypto 5.4)."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool) and value <= 0:
                raise ConfigError(f"post.{name} must be positive, is {value}")
