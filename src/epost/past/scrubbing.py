"""Re-reading the own disk slowly, all of it again and again, while good copies are elsewhere.

A body that nobody reads may rot unnoticed, until all its copies have. The vault checks each body
that it reads against its checksum; one that is not what was written is reported, counts as absent
from then on (its row stays, marked), and is fetched again from the other replicas. How far the
round is gets noted, so that a restart does not begin it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from epost.foundation.bounded import BoundedDict
from epost.foundation.codec import Format, encode
from epost.foundation.ids import RING_SIZE, U63, Handle, number, point
from epost.foundation.ports import PutNote, VaultEntry
from epost.foundation.wire import Application
from epost.past.observed import ScrubDone
from epost.past.surroundings import Surroundings

SCRUB_NOTES = "past.scrub"
_ROUND = b"round"
_NOTE_EVERY_SECONDS = 300.0
_BATCH_MAX = 8
ROTTEN_MAX = 10_000
_PAUSE_SECONDS_MAX = 3600.0
_EMPTY_PAUSE_SECONDS_MAX = 60.0
_START = point(0)


@dataclass(frozen=True, slots=True)
class Checking:
    """Purpose of a load: is the body still what was written?"""

    entry: VaultEntry


class ScrubRound(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a round is: the last block checked, how many so far, how many were rotten."""

    began_ms: U63
    last: Handle | None = None
    checked: U63 = 0
    rotten: U63 = 0


_NOTE: Format[ScrubRound] = Format(ScrubRound, size_max=256)


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What `epost status` shows: since the start, and of the round under way."""

    rotten: int
    """Blocks found rotten since this process began, by a round or by somebody who read them."""
    missing: int
    """Those of them that have not been fetched again yet."""
    checked: int
    part_done: float
    """Of the ring's points, how many the round under way has passed."""
    began_ms: int


class Scrubbing:
    """Walks along the ring through the vault, a block or a few at a time."""

    def __init__(self, around: Surroundings, on_rotten: Callable[[Handle], None]) -> None:
        self._vault = around.vault
        self._outbox = around.outbox
        self._clock = around.clock
        self._observer = around.observer
        self._config = around.config
        self._on_rotten = on_rotten
        self._round = self._noted() or ScrubRound(self._clock.wall_ms())
        self._loading = 0
        self._due = 0.0
        self._note_due = 0.0
        self._rotten: BoundedDict[Handle, bool] = BoundedDict(ROTTEN_MAX)

    def report(self) -> ScrubReport:
        """Return how far the round is."""
        done = self._round
        part = number(done.last.place) / RING_SIZE if done.last else 0.0
        missing = sum(self._vault.is_damaged(handle) for handle in self._rotten)
        return ScrubReport(len(self._rotten), missing, done.checked, part, done.began_ms)

    def found_rotten(self, handle: Handle) -> bool:
        """Remember a block whose body could not be read; False if it only went away meanwhile."""
        if not self._vault.is_damaged(handle):
            return False
        self._rotten.put(handle, True)
        return True

    def tick(self, now: float) -> None:
        """Check the next blocks, if their time has come and the last ones are done."""
        if self._loading or now < self._due:
            return
        entries = self._vault.entries_between(
            _START, _START, after=self._round.last, limit=self._batch()
        )
        if not entries:
            self._finish_round(now)
            return
        for entry in entries:
            self._outbox.load(Application.PAST, entry.handle, Checking(entry))
        self._loading = len(entries)
        size = sum(entry.size for entry in entries)
        self._due = now + max(
            min(self._pause() * len(entries), _PAUSE_SECONDS_MAX),
            size / self._config.scrub_bytes_per_second,
        )

    def on_checked(self, purpose: Checking, body: bytes | None, now: float) -> None:
        """Judge what came off the disk."""
        self._loading -= 1
        entry, done = purpose.entry, self._round
        is_rotten = body is None and self.found_rotten(entry.handle)
        self._round = ScrubRound(
            done.began_ms, entry.handle, done.checked + 1, done.rotten + is_rotten
        )
        if is_rotten:
            self._on_rotten(entry.handle)
        if now >= self._note_due:
            self._note_due = now + _NOTE_EVERY_SECONDS
            self._outbox.write(PutNote(SCRUB_NOTES, _ROUND, encode(self._round)))

    def _batch(self) -> int:
        per_tick = self._config.tick_seconds / self._pause()
        return max(1, min(_BATCH_MAX, round(per_tick)))

    def _pause(self) -> float:
        """Return the seconds between two blocks for the whole store to take its time."""
        return self._config.scrub_seconds / max(1, self._vault.counts().blocks)

    def _finish_round(self, now: float) -> None:
        done = self._round
        now_ms = self._clock.wall_ms()
        if done.checked:
            seconds = max(0, now_ms - done.began_ms) / 1000
            self._observer.record(ScrubDone(done.checked, done.rotten, seconds))
        self._round = ScrubRound(now_ms)
        self._outbox.write(PutNote(SCRUB_NOTES, _ROUND, encode(self._round)))
        self._due = now + min(self._pause(), _EMPTY_PAUSE_SECONDS_MAX)

    def _noted(self) -> ScrubRound | None:
        note = self._vault.note(SCRUB_NOTES, _ROUND)
        return None if note is None else _NOTE.decode(note)
