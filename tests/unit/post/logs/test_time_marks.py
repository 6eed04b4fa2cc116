"""The log tells the time: not too often, after every start, and when the clock was set back."""

from __future__ import annotations

from dataclasses import dataclass

from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.logs.snapshot_format import TimeMark, note_in
from epost.post.logs.time_marks import LogClock
from epost.simulation.clock import run
from tests.support.post_world import World, settle


@dataclass
class Wall:
    at_ms: int = 1_800_000_000_000

    def wall_ms(self) -> int:
        return self.at_ms

    def now(self) -> float:
        return self.at_ms / 1000


def test_the_time_is_said_again_after_a_while_and_when_it_was_set_back() -> None:
    wall = Wall()
    clock = LogClock(wall, 60.0)
    (first,) = clock.due()
    assert note_in(first) == TimeMark(wall.at_ms)
    assert not clock.due()
    wall.at_ms += 59_999
    assert not clock.due()
    wall.at_ms += 1
    assert len(clock.due()) == 1
    wall.at_ms -= 10
    (back,) = clock.due()
    assert note_in(back) == TimeMark(wall.at_ms)


def test_a_mark_stands_before_the_entries_of_its_time() -> None:
    async def story() -> None:
        alice = World(time_mark_seconds=60.0).enrol("alice")
        post = await alice.start()
        for text in (b"one", b"two"):
            appended = await post.log.append([Entry(int(AppId.MAIL), text)])
            entries = dict([entry async for entry in post.log.archive.all_entries()])
            assert entries[appended.first_sequence].payload == text
            await settle(61)
        notes = [(n, note_in(e)) async for n, e in post.log.archive.all_entries()]
        marks = [n for n, note in notes if isinstance(note, TimeMark)]
        assert len(marks) == 2
        assert len(notes) == 4
        assert marks[0] == 1
        await alice.stop()

    run(story())
