from epost.foundation.effects import Outbox, SetTimer
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import PutNote
from epost.pastry.config import CONTACTS_MAX, PastryConfig
from epost.pastry.contact_notes import KEY, TABLE, ContactNotes, stored_contacts
from tests.support.conversation import peer


def written(outbox: Outbox) -> list[bytes]:
    return [effect.value for effect in outbox.drain() if isinstance(effect, PutNote)]


def test_what_is_written_is_read_back_by_id() -> None:
    outbox = Outbox()
    notes = ContactNotes(PastryConfig(), outbox, lambda: [peer(0.3), peer(0.1), peer(0.3)])
    notes.on_timer(0.0)
    (effect,) = outbox.drain()
    assert isinstance(effect, PutNote)
    assert effect.table == TABLE
    assert list(stored_contacts([(KEY, effect.value)])) == [peer(0.1), peer(0.3)]


def test_the_first_change_is_written_at_once_later_ones_in_time() -> None:
    outbox = Outbox()
    members = [peer(0.1)]
    notes = ContactNotes(PastryConfig(), outbox, lambda: members)
    notes.on_change(100.0)
    notes.on_timer(100.0)
    members.append(peer(0.2))
    notes.on_change(101.0)
    timers = [effect for effect in outbox.drain() if isinstance(effect, SetTimer)]
    assert [timer.delay_seconds for timer in timers] == [0.0, 4.0]


def test_nothing_is_written_twice_nor_for_nobody() -> None:
    outbox = Outbox()
    members: list[NodeHandle] = []
    notes = ContactNotes(PastryConfig(), outbox, lambda: members)
    notes.on_timer(0.0)
    assert written(outbox) == []
    members.append(peer(0.1))
    notes.on_timer(1.0)
    notes.on_timer(2.0)
    assert len(written(outbox)) == 1


def test_the_most_useful_contacts_are_kept_within_the_limit() -> None:
    outbox = Outbox()
    many = [peer(number / 1000) for number in range(CONTACTS_MAX + 5)]
    notes = ContactNotes(PastryConfig(), outbox, lambda: many)
    notes.on_timer(0.0)
    (value,) = written(outbox)
    assert list(stored_contacts([(KEY, value)])) == many[:CONTACTS_MAX]


def test_unreadable_notes_are_left_out() -> None:
    assert list(stored_contacts([(KEY, b"\xff"), (KEY, b"")])) == []
