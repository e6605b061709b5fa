"""BoundedCache keeps within the limits of a small store, and keeps what does not fit in memory."""

from __future__ import annotations

import base64
import logging
import re
from typing import Any

import pytest
from bounded_stores import DictStore
from hypothesis import given
from hypothesis import strategies as st

from m2m_auth.caches import Capabilities
from m2m_auth.caches.bounded import BoundedCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache and of the store."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> DictStore:
    """An empty store."""
    return DictStore(clock)


def keys_of(store: DictStore) -> list[str]:
    """The keys in the store."""
    return sorted(store.live())


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the logger m2m_auth."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "m2m_auth" and record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize(
    ("limits", "fits", "too_much", "says"),
    [
        ({"max_key": 8}, [("k" * 8, 1)], ("k" * 9, 1), "max_key 9, and the limit is 8"),
        ({"max_value": 100}, [("key", 100)], ("kez", 101), "max_value 101, and the limit is 100"),
        ({"max_total": 50}, [("a", 24), ("b", 24)], ("c", 0), "max_total 51, and the limit is 50"),
        ({"max_total": 50}, [("a", 24)], ("b", 25), "max_total 51, and the limit is 50"),
        ({"max_entries": 2}, [("a", 1), ("b", 1)], ("c", 1), "max_entries 3, and the limit is 2"),
    ],
    ids=["key", "value", "total, by a key", "total, by a value", "entries"],
)
def test_each_limit_at_its_edge(
    store: DictStore,
    caplog: pytest.LogCaptureFixture,
    limits: dict[str, int],
    fits: list[tuple[str, int]],
    too_much: tuple[str, int],
    says: str,
) -> None:
    """An entry that fits exactly is in the store, one more is in memory and can be read. There is one warning."""
    cache = BoundedCache(store, **limits, monotonic=store.clock)  # type: ignore[arg-type]
    for key, size in fits:
        cache.set(key, b"v" * size, 60)
    assert keys_of(store) == sorted(key for key, _ in fits)
    assert warnings_of(caplog) == []
    for _ in range(2):
        cache.set(too_much[0], b"v" * too_much[1], 60)
    assert keys_of(store) == sorted(key for key, _ in fits)
    assert cache.get(too_much[0]) == b"v" * too_much[1]
    (warning,) = warnings_of(caplog)
    assert says in warning
    assert "Fix: " in warning
    cache.delete(too_much[0])
    assert cache.get(too_much[0]) is None


def test_a_key_too_long_never_reaches_the_store(store: DictStore) -> None:
    """The cache does not use the store for a key that is too long."""
    cache = BoundedCache(store, max_key=3)
    store.fault = ValueError("key too long")
    cache.set("long", b"value", 60)
    cache.delete("other")
    assert cache.get("long") == b"value"
    assert cache.delete_if("long", b"other") is False


def test_overwriting_replaces_the_room_that_was_taken(store: DictStore) -> None:
    """A key that is set again counts once, with its latest size."""
    cache = BoundedCache(store, max_total=100, max_entries=1)
    for size in (90, 97, 1, 97):
        cache.set("key", b"v" * size, 60)
        assert store.size() == 3 + size
    assert cache.get("key") == b"v" * 97


def test_deleted_and_expired_entries_free_their_room(store: DictStore, clock: Clock) -> None:
    """A deleted entry and an expired one both make room for a new one."""
    cache = BoundedCache(store, max_entries=2, monotonic=clock)
    cache.set("a", b"value", 60)
    cache.set("b", b"value", 120)
    cache.delete("a")
    cache.set("c", b"value", 60)
    assert keys_of(store) == ["b", "c"]
    clock.now += 60.5
    cache.set("d", b"value", 60)
    assert keys_of(store) == ["b", "d"]


def test_a_value_too_large_for_the_store_leaves_no_old_value(store: DictStore) -> None:
    """A value that does not fit replaces an older one in the store, and a value that fits replaces one in memory."""
    cache = BoundedCache(store, max_value=10)
    cache.set("key", b"old", 60)
    cache.set("key", b"new, and longer", 60)
    assert keys_of(store) == []
    assert cache.get("key") == b"new, and longer"
    cache.set("key", b"short", 60)
    cache.delete("key")
    assert cache.get("key") is None


def test_a_refused_set_loses_nothing(store: DictStore, caplog: pytest.LogCaptureFixture) -> None:
    """If the store's set returns False, the value is in memory, the old one is deleted, and one warning says so."""
    cache = BoundedCache(store)
    cache.set("key", b"old", 60)
    store.full = True
    for value in (b"new", b"newer"):
        cache.set("key", value, 60)
        assert cache.get("key") == value
    assert store.entries == {}
    assert len(warnings_of(caplog)) == 1


def test_times_to_live_are_cut_and_whole(store: DictStore) -> None:
    """Times to live are cut to the store's maximum and rounded up to whole seconds."""
    cache = BoundedCache(store, max_ttl=3600)
    for ttl in (86_400, 3600, 3599.2, 0.2):
        cache.set("key", b"value", ttl)
    assert [ttl for _, ttl in store.sets] == [3600, 3600, 3600, 1]
    assert all(isinstance(ttl, int) for _, ttl in store.sets)


def test_a_store_of_text_counts_the_text(store: DictStore) -> None:
    """max_value counts the base64 text, which is a third longer; a text that is not base64 reads as a miss."""
    cache = BoundedCache(store, max_value=8, text=True)
    cache.set("fits", b"\x00\xff" * 3, 60)
    cache.set("not", b"\x00\xff" * 3 + b"\x00", 60)
    assert store.live() == {"fits": base64.b64encode(b"\x00\xff" * 3).decode()}
    assert cache.get("fits") == b"\x00\xff" * 3
    for foreign in ("not base64", "é", b"bytes"):
        store.set("fits", foreign, 60)
        assert cache.get("fits") is None


def test_ledger_and_lease_take_no_room(store: DictStore) -> None:
    """Without an atomic add, lease and ledger stay in memory and work in this process."""
    cache = BoundedCache(store, max_entries=1)
    assert cache.capabilities == Capabilities(
        atomic_add=False, compare_delete=False, atomic_increment=False, resolution=1.0
    )
    assert cache.add("lease", b"owner", 60) is True
    assert cache.add("lease", b"other", 60) is False
    assert cache.delete_if("lease", b"other") is False
    assert cache.delete_if("lease", b"owner") is True
    assert [cache.increment("count", 60) for _ in range(3)] == [1, 2, 3]
    assert cache.get("count") == b"3"
    cache.set("token", b"value", 60)
    assert keys_of(store) == ["token"]


def test_a_lease_of_a_real_cache_counts_and_is_released() -> None:
    """Over a TokenCache the lease is in the inner cache. It takes room until its release."""
    inner = MemoryTokenCache()
    cache = BoundedCache(inner, max_entries=1)
    assert cache.add("lease", b"owner", 60) is True
    assert inner.get("lease") == b"owner"
    cache.set("token", b"value", 60)
    assert inner.get("token") is None
    assert cache.get("token") == b"value"
    assert cache.delete_if("lease", b"owner") is True
    cache.set("token", b"value", 60)
    assert inner.get("token") == b"value"


def test_a_lease_that_was_lost_takes_no_room() -> None:
    """Entries of other processes are not counted."""
    inner = MemoryTokenCache()
    inner.add("lease", b"other", 60)
    cache = BoundedCache(inner, max_entries=1)
    assert cache.add("lease", b"owner", 60) is False
    cache.set("token", b"value", 60)
    assert inner.get("token") == b"value"


def test_faults_of_the_store_hide_its_message(store: DictStore) -> None:
    """CacheUnavailable names the store and the error's type. Entries in memory can still be read."""
    cache = BoundedCache(store, max_value=10)
    store.fault = RuntimeError("token=hunter2")
    with pytest.raises(CacheUnavailable, match=r"^BoundedCache\(DictStore\): RuntimeError$"):
        cache.set("key", b"value", 60)
    with pytest.raises(CacheUnavailable):
        cache.delete("key")


@pytest.mark.parametrize("sizes", [(10, 90), (90, 10)], ids=["growing", "shrinking"])
def test_a_set_that_failed_counts_as_the_larger(store: DictStore, sizes: tuple[int, int]) -> None:
    """After a timeout the store may hold the old or the new value: the larger one counts."""
    cache = BoundedCache(store, max_total=110)
    cache.set("key", b"v" * sizes[0], 60)
    store.fault = TimeoutError()
    with pytest.raises(CacheUnavailable):
        cache.set("key", b"v" * sizes[1], 60)
    store.fault = None
    cache.set("other", b"v" * 13, 60)
    assert "other" not in store.live(), "key and other may be 111 bytes by now"
    cache.set("other", b"v" * 12, 60)
    assert "other" in store.live()


@pytest.mark.parametrize("name", ["max_key", "max_value", "max_total", "max_entries", "max_ttl"])
def test_limits_are_above_0(name: str) -> None:
    """A limit of 0 is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match=re.escape(f"BoundedCache: {name}=0 must be above 0")):
        BoundedCache(DictStore(), **{name: 0})  # type: ignore[arg-type]


def test_an_object_that_is_no_store_is_refused() -> None:
    """The message names the missing method."""
    nothing: Any = object()
    with pytest.raises(ConfigurationError, match=r"BoundedCache\(object\): it has no get\(\)\. Fix: "):
        BoundedCache(nothing)


KEYS = st.sampled_from(["a", "bb", "ccc", "dddd", "eeeee", "too-long-for-it"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.integers(0, 70), st.integers(1, 90)),
        st.tuples(st.just("delete"), KEYS, st.just(0), st.just(0)),
        st.tuples(st.just("add"), KEYS, st.integers(0, 30), st.integers(1, 90)),
        st.tuples(st.just("increment"), st.just("count"), st.just(0), st.just(60)),
        st.tuples(st.just("wait"), st.just(""), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("fault"), st.just(""), st.integers(0, 1), st.just(0)),
    ),
    max_size=60,
)


@given(steps=STEPS, text=st.booleans())
def test_never_more_than_the_limits(steps: list[tuple[str, str, int, int]], text: bool) -> None:
    """After any sequence of operations and faults the store is within its limits, and the last set is read back."""
    clock = Clock()
    store = DictStore(clock)
    cache = BoundedCache(
        store, max_key=10, max_value=60, max_total=150, max_entries=3, max_ttl=80, text=text, monotonic=clock
    )
    for name, key, number, ttl in steps:
        if name == "wait":
            clock.now += number
        elif name == "fault":
            store.fault = OSError() if number else None
        else:
            arguments = {"set": (b"v" * number, ttl), "add": (b"v" * number, ttl), "increment": (ttl,), "delete": ()}
            try:
                getattr(cache, name)(key, *arguments[name])
            except CacheUnavailable:
                assert store.fault is not None
            else:
                if name == "set":
                    assert cache.get(key) == b"v" * number
                if name == "delete":
                    assert cache.get(key) is None
        assert store.size() <= 150
        assert len(store.live()) <= 3
        assert all(len(key) <= 10 and len(value) <= 60 for key, value in store.live().items())
        assert all(until - clock.now <= 80 for _, until in store.entries.values())
