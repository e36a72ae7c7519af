"""A bounded cache on a clock that the caller reads."""

from syncapi.server.domain.expiring_cache import ExpiringCache


def test_an_entry_lasts_until_its_end_and_no_longer() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    cache.put("a", 1, until=5)
    assert cache.get("a", now=4.9) == 1
    assert cache.get("a", now=5) is None
    assert len(cache) == 0


def test_a_new_value_has_its_own_end() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    cache.put("a", 1, until=5)
    cache.put("a", 2, until=9)
    assert cache.get("a", now=8) == 2


def test_who_was_not_used_for_longest_makes_room() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(2)
    cache.put("a", 1, until=9)
    cache.put("b", 2, until=9)
    assert cache.get("a", now=0) == 1
    cache.put("c", 3, until=9)
    assert [cache.get(key, now=0) for key in "abc"] == [1, None, 3]


def test_dropping_takes_what_matches() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(10)
    for key in ("a1", "a2", "b1"):
        cache.put(key, 1, until=9)
    cache.drop_where(lambda key: key.startswith("a"))
    assert [cache.get(key, now=0) for key in ("a1", "a2", "b1")] == [None, None, 1]
    cache.clear()
    assert len(cache) == 0
