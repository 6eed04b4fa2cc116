from epost.foundation.effects import Outbox, SetTimer
from epost.foundation.wire import Application
from epost.pastry.alarm import Alarm


def test_the_timer_is_kept_at_the_earliest_time() -> None:
    outbox = Outbox()
    alarm = Alarm(outbox, Application.PASTRY, "bell")
    alarm.set_by(20.0, now=10.0)
    alarm.set_by(30.0, now=10.0)
    alarm.set_by(15.0, now=10.0)
    assert outbox.drain() == [
        SetTimer(Application.PASTRY, "bell", 10.0),
        SetTimer(Application.PASTRY, "bell", 5.0),
    ]


def test_it_rings_in_the_next_turn_for_those_who_do_not_know_the_time() -> None:
    outbox = Outbox()
    alarm = Alarm(outbox, Application.PASTRY, "bell")
    alarm.set_by(20.0, now=10.0)
    alarm.set_now()
    alarm.set_now()
    alarm.set_by(15.0, now=10.0)
    assert [effect.delay_seconds for effect in outbox.drain()] == [10.0, 0.0]  # type: ignore[union-attr]


def test_after_it_rang_any_time_is_set_again_and_the_past_is_now() -> None:
    outbox = Outbox()
    alarm = Alarm(outbox, Application.PASTRY, "bell")
    alarm.set_by(20.0, now=10.0)
    alarm.rang()
    outbox.drain()
    alarm.set_by(5.0, now=20.0)
    assert outbox.drain() == [SetTimer(Application.PASTRY, "bell", 0.0)]
