from epost.pastry.seen import Seen


def test_a_key_is_new_only_once() -> None:
    seen = Seen(2)
    assert seen.add(b"a", 1.0)
    assert not seen.add(b"a", 2.0)
    assert b"a" in seen


def test_the_oldest_key_is_forgotten_beyond_the_limit() -> None:
    seen = Seen(2)
    for at, key in enumerate((b"a", b"b", b"c")):
        seen.add(key, at)
    assert len(seen) == 2
    assert b"a" not in seen
    assert b"b" in seen


def test_the_age_counts_from_when_a_key_was_added() -> None:
    seen = Seen(2)
    seen.add(b"a", 10.0)
    assert seen.age(b"a", 13.0) == 3.0
    seen.forget(b"a")
    assert seen.age(b"a", 13.0) is None
    seen.forget(b"a")
