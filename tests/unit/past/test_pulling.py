"""Fetching what is missing: bounded, shared among the sources, not from who breaks his word."""

from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import Handle, NodeHandle
from epost.foundation.wire import unpack
from epost.past.blocks import content_handle
from epost.past.config import PULLS_WAITING_MAX, PastConfig
from epost.past.messages import UPKEEP, Want
from epost.past.pulling import Pulls

CONFIG = PastConfig(pulls_open_max=16, pulls_open_per_source_max=8, broken_claims_max=3)
LIAR, HONEST, GONE = (NodeHandle(bytes(20), name * 20, ()) for name in (b"l", b"h", b"g"))


def handles(count: int, name: str = "") -> list[Handle]:
    return [content_handle(f"{name}{n}".encode()) for n in range(count)]


def asked(outbox: Outbox) -> dict[NodeHandle, list[Handle]]:
    found: dict[NodeHandle, list[Handle]] = {}
    for effect in outbox.drain():
        assert isinstance(effect, Send)
        wanted = UPKEEP.decode(unpack(effect.message).body)
        assert isinstance(wanted, Want)
        found.setdefault(effect.to, []).extend(wanted.handles)
    return found


def test_a_source_that_claims_much_leaves_room_for_the_others() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    for handle in handles(100, "claimed"):
        pulls.add(handle, LIAR)
    for handle in handles(5, "real"):
        pulls.add(handle, HONEST)
    pulls.pump(1.0)
    found = asked(outbox)
    assert len(found[LIAR]) == CONFIG.pulls_open_per_source_max
    assert found[HONEST] == handles(5, "real")


def test_who_does_not_give_what_he_claims_is_not_asked_for_a_while() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    for handle in handles(20, "claimed"):
        pulls.add(handle, LIAR)
    pulls.pump(1.0)
    for handle in asked(outbox)[LIAR][: CONFIG.broken_claims_max]:
        pulls.failed(handle, LIAR.id)
    pulls.pump(2.0)
    assert asked(outbox) == {}
    pulls.add(handles(1, "again")[0], LIAR)
    assert handles(1, "again")[0] not in pulls
    pulls.pump(3.0 + CONFIG.unreliable_seconds)
    pulls.add(handles(1, "again")[0], LIAR)
    pulls.pump(4.0 + CONFIG.unreliable_seconds)
    assert handles(1, "again")[0] in asked(outbox)[LIAR]


def test_silence_is_no_lie_and_the_next_source_is_asked() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    wanted = handles(4, "slow")
    for handle in wanted:
        pulls.add(handle, LIAR)
        pulls.add(handle, HONEST)
    pulls.pump(1.0)
    assert asked(outbox) == {LIAR: wanted}
    pulls.pump(2.0 + CONFIG.pull_timeout_seconds)
    assert asked(outbox) == {HONEST: wanted}
    pulls.add(handles(1, "more")[0], LIAR)
    pulls.pump(3.0 + CONFIG.pull_timeout_seconds)
    assert LIAR in asked(outbox)


def test_who_claims_much_and_stays_silent_leaves_room_for_what_others_have() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    for handle in handles(PULLS_WAITING_MAX, "claimed"):
        pulls.add(handle, LIAR)
    assert pulls.is_crowded
    pulls.pump(1.0)
    for times in range(1, 3):
        pulls.pump(1.0 + times * CONFIG.pull_timeout_seconds)
    assert len(pulls) == 0
    pulls.add(handles(1, "real")[0], HONEST)
    pulls.add(handles(1, "more")[0], LIAR)
    pulls.pump(2.0 + 2 * CONFIG.pull_timeout_seconds)
    assert asked(outbox)[HONEST] == handles(1, "real")
    assert handles(1, "more")[0] not in pulls


def test_who_gives_something_now_and_then_is_only_slow() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    now = 1.0
    for round_ in range(CONFIG.silences_max + 1):
        pulls.add(handles(1, f"late {round_}")[0], LIAR)
        pulls.pump(now)
        now += 1.0 + CONFIG.pull_timeout_seconds
        pulls.pump(now)
        (given,) = handles(1, f"given {round_}")
        pulls.add(given, LIAR)
        pulls.pump(now)
        pulls.done(given, 1)
    assert LIAR in asked(outbox)
    pulls.add(handles(1, "more")[0], LIAR)
    pulls.pump(now)
    assert LIAR in asked(outbox)


def test_what_was_asked_of_a_node_that_went_away_is_asked_of_the_next_at_once() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    wanted = handles(CONFIG.pulls_open_per_source_max)
    for handle in wanted:
        pulls.add(handle, GONE)
        pulls.add(handle, HONEST)
    pulls.add(handles(1, "nobody else's")[0], GONE)
    pulls.pump(1.0)
    assert asked(outbox) == {GONE: wanted}
    pulls.left({GONE.id})
    pulls.pump(1.1)
    assert asked(outbox) == {HONEST: wanted}
    assert len(pulls) == len(wanted)


def test_who_went_away_while_much_was_asked_of_it_is_asked_again_when_it_is_back() -> None:
    outbox = Outbox()
    pulls = Pulls(outbox, CONFIG)
    for times in range(CONFIG.silences_max):
        pulls.add(handles(1, f"{times}")[0], GONE)
        pulls.pump(1.0)
        pulls.left({GONE.id})
        pulls.pump(2.0 + CONFIG.pull_timeout_seconds)
    asked(outbox)
    pulls.add(handles(1, "back")[0], GONE)
    pulls.pump(3.0 + CONFIG.pull_timeout_seconds)
    assert asked(outbox) == {GONE: handles(1, "back")}
