"""What a cache gives up first, against a plain reading of the rule."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epost.past.caching.greedy_dual import GreedyDual


def test_the_largest_goes_first_and_of_equals_the_one_used_earlier() -> None:
    cache: GreedyDual[str] = GreedyDual()
    for name, size in (("small", 10), ("large", 1000), ("old", 100), ("new", 100)):
        cache.add(name, size)
    assert [cache.evict() for _ in range(4)] == ["large", "old", "new", "small"]
    assert (len(cache), cache.octets) == (0, 0)


def test_what_is_used_outlives_what_is_not_though_it_is_larger() -> None:
    cache: GreedyDual[str] = GreedyDual()
    cache.add("small", 90)
    cache.add("used", 100)
    for n in range(30):
        cache.add(f"once {n}", 100)
        cache.use("used")
        cache.evict()
    assert "used" in cache
    assert "small" not in cache


def test_uses_do_not_let_the_order_grow_without_bound() -> None:
    cache: GreedyDual[int] = GreedyDual()
    cache.add(1, 5)
    for _ in range(10_000):
        cache.use(1)
    assert len(cache._order) < 100
    assert cache.evict() == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["add", "use", "remove", "evict"]), st.integers(0, 8))))
def test_it_evicts_what_the_rule_says(steps: list[tuple[str, int]]) -> None:
    cache: GreedyDual[int] = GreedyDual()
    worth: dict[int, tuple[float, int]] = {}
    inflation = 0.0
    for number, (what, key) in enumerate(steps):
        if what == "add" or (what == "use" and key in worth):
            worth[key] = inflation + 1 / (key + 1), number
        if what == "add":
            cache.add(key, key + 1)
        elif what == "use":
            cache.use(key)
        elif what == "remove":
            assert cache.remove(key) is (worth.pop(key, None) is not None)
        elif worth:
            least = min(worth, key=lambda k: worth[k])
            inflation = worth.pop(least)[0]
            assert cache.evict() == least
        assert len(cache) == len(worth)
        assert cache.octets == sum(key + 1 for key in worth)
