"""``doctor``: what it says of good caches, and of each fault that a cache can have."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import tools_caches as bad
from real_servers.stores import Store, free_port, start_valkey

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.caches.tiered import TieredCache
from m2m_auth.operations import Finding, doctor


@pytest.fixture(scope="module")
def valkey() -> Iterator[Store]:
    """A Valkey server."""
    with start_valkey() as store:
        yield store


def wrong(findings: list[Finding]) -> list[Finding]:
    """Those that are not in order; each of them says what to do."""
    assert all(finding.what and (finding.ok or finding.fix) for finding in findings)
    return [finding for finding in findings if not finding.ok]


def texts(findings: list[Finding]) -> str:
    """All that was found."""
    return "\n".join(finding.what for finding in findings)


def test_memory_is_in_order_and_alone() -> None:
    """Nothing is wrong with this process's memory, and doctor says that it is this process's alone."""
    found = doctor({"default": "memory:"})
    assert wrong(found) == []
    assert [finding.what for finding in found if finding.fix] == [
        "it is this process's alone: several workers mint a token each"
    ]
    assert "two threads raced for 20 leases: one winner each time" in texts(found)
    assert {finding.alias for finding in found} == {"default"}


def test_disk_is_proved_by_two_processes(tmp_path: Path) -> None:
    """The embedded disk cache: its lease and its counters hold between processes."""
    found = doctor({"disk": f"disk:{tmp_path / 'cache'}"})
    assert wrong(found) == []
    assert "two processes raced for 20 leases: one winner each time" in texts(found)
    assert "two processes counted to 100 together, and lost nothing" in texts(found)
    assert "a sealed token of 4 kB came back whole" in texts(found)


def test_valkey_is_proved_by_two_processes_and_left_clean(valkey: Store) -> None:
    """A real server; afterwards it holds none of the examination's keys but the one for the clocks."""
    import redis

    found = doctor({"shared": f"valkey://{valkey.address}"})
    assert wrong(found) == []
    assert not any(finding.fix for finding in found)
    assert "two processes raced for 20 leases: one winner each time" in texts(found)
    with redis.Redis(port=valkey.port) as client:
        assert client.keys("m2m1.d*") == [b"m2m1.doctor.clock"]


def test_an_opener_is_used_for_a_cache_object(tmp_path: Path) -> None:
    """Where the caller says how another process opens the cache, processes race for an object's lease, too."""
    from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache

    folder = tmp_path / "cache"
    found = doctor({"disk": DiskTokenCache(folder)}, open_cache={"disk": partial(DiskTokenCache, folder)})
    assert wrong(found) == []
    assert "two processes raced" in texts(found)


def test_a_server_that_is_down() -> None:
    """The cache's own words, and the fix; nothing else is tried, and the password is not shown."""
    found = doctor({"default": f"redis://:pa55w0rd@127.0.0.1:{free_port()}"})
    assert [finding.ok for finding in found] == [False]
    assert "does not answer" in found[0].what
    assert "refused" in found[0].what
    assert "server runs" in found[0].fix
    assert "pa55w0rd" not in str(found)


def test_a_server_that_never_answers() -> None:
    """A black hole: doctor comes back, and says that nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        found = doctor({"default": f"redis://127.0.0.1:{hole.getsockname()[1]}"})
    assert len(wrong(found)) == 1
    assert "does not answer" in found[0].what


FAULTS: list[tuple[Callable[[], TokenCache], str]] = [
    (bad.AlwaysWins, "its add always wins"),
    (bad.NeverWins, "its add never wins"),
    (bad.Dummy, "loses values: one was not there right after it was set, and its add always wins"),
    (bad.Full, "loses values: one was not there right after it was set"),
    (bad.ForgetsWhose, "does not heed whose lease"),
    (bad.TooShort, "s: leases end while their holders still mint"),
    (bad.Miscounts, "counted to 100 together, and counts were lost or given twice"),
    (bad.Garbles, "a sealed token of 4 kB did not come back whole"),
    (bad.Garbles, "it has no atomic add, so it cannot give a lease"),
    (bad.Down, "it does not answer: the connection was lost"),
    (bad.Raises, "it does not answer: RuntimeError"),
]


@pytest.mark.parametrize(("cache", "words"), FAULTS, ids=[f"{cache.__name__}-{words[:20]}" for cache, words in FAULTS])
def test_each_fault_is_found_and_named(cache: Callable[[], TokenCache], words: str) -> None:
    """One fault, one finding that is not in order, with a fix; what a foreign exception says is left out."""
    found = doctor({"default": cache()})
    assert words in texts(wrong(found))
    assert "pa55w0rd" not in str(found)


def test_entries_that_never_end(tmp_path: Path) -> None:
    """A lease that never lapses would keep the fleet from minting for ever: found, after a bounded wait."""
    found = doctor({"default": bad.ForEver()})
    assert "is still there after" in texts(wrong(found))


def test_one_of_the_two_fails() -> None:
    """The other one does not wait for it until the race's deadline of 30 s, and what failed is said."""
    began = time.monotonic()
    found = doctor({"default": bad.FailsInTheRace()})
    assert [finding.what for finding in wrong(found)] == [
        "two threads at once: an operation failed: too many connections"
    ]
    assert time.monotonic() - began < 20


def test_missing_release_and_counters_are_advice() -> None:
    """What the engine can do without is told with its consequence, and is not wrong."""
    found = doctor({"default": bad.Garbles()})
    advice = [finding for finding in found if finding.ok and finding.fix]
    assert "the ledger and budgets are estimates" in texts(advice)


def test_a_cache_that_is_not_shared_as_it_claims() -> None:
    """Two processes, two memories: found out, and named as that rather than as an add that is not atomic."""
    found = doctor({"default": bad.ClaimsToBeShared()}, open_cache={"default": bad.ClaimsToBeShared})
    assert [finding.what for finding in wrong(found)] == [
        "another process does not see what this one has stored, though the cache claims to be shared"
    ]


def test_an_add_that_looks_first(tmp_path: Path) -> None:
    """A file-based cache's add has two winners now and then: two processes find it out."""
    opener = partial(bad.LooksThenAdds, tmp_path / "cache")
    found = doctor({"default": opener()}, open_cache={"default": opener})
    assert "two winners: add is not atomic" in texts(wrong(found))


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        (lambda: MemoryTokenCache(), "no second process could be started"),
        (bad.cannot_open, "another process could not open the cache: RuntimeError"),
    ],
    ids=["not picklable", "raises"],
)
def test_where_no_process_can_race_threads_do(opener: Callable[[], TokenCache], words: str, tmp_path: Path) -> None:
    """Doctor says why, without the exception's message, and lets threads race."""
    from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache

    found = doctor({"default": DiskTokenCache(tmp_path / "cache")}, open_cache={"default": opener})
    assert wrong(found) == []
    assert words in texts(found)
    assert "pa55w0rd" not in str(found)
    assert "two threads raced for 20 leases: one winner each time" in texts(found)


def test_each_tier_is_examined() -> None:
    """Of a tiered cache every tier is tried, by its own name; a fault of one is that one's."""
    tiers = TieredCache("memory:", bad.AlwaysWins())
    found = doctor({"default": tiers})
    assert {finding.alias.partition(":")[0] for finding in found} == {
        "default (tier 1 of 2",
        "default (tier 2 of 2",
    }
    assert {finding.alias.partition(":")[0] for finding in wrong(found)} == {"default (tier 2 of 2"}


def test_a_clock_that_is_ahead() -> None:
    """An examination on another host whose clock is an hour ahead left its time: the next one says so, once."""
    cache = bad.ClaimsToBeShared()
    cache.set("m2m1.doctor.clock", f"{time.time() + 3600:.3f}".encode(), 60)
    (found,) = wrong(doctor({"default": cache}))
    assert found.what.startswith("an earlier examination is dated 59 min")
    assert wrong(doctor({"default": cache})) == [], "it has left its own time"


def test_a_url_that_is_none() -> None:
    """A spelling mistake is a finding, and the other caches are examined all the same."""
    found = doctor({"typo": "reddis://cache", "good": "memory:"})
    assert [(finding.alias, finding.ok) for finding in found][:2] == [("typo", False), ("good", True)]
    assert "did you mean 'redis'?" in found[0].what


def test_processes_race_for_each_tier(tmp_path: Path) -> None:
    """With an opener of the tiered cache, two processes race for the lease of each of its tiers."""
    opener = partial(TieredCache, f"disk:{tmp_path / 'near'}", f"disk:{tmp_path / 'far'}")
    found = doctor({"default": opener()}, open_cache={"default": opener})
    assert wrong(found) == []
    assert texts(found).count("two processes raced for 20 leases: one winner each time") == 2


@pytest.mark.parametrize("base", [bad.Dummy, MemoryTokenCache], ids=["stops early", "goes through"])
def test_every_thread_s_connections_are_let_go(base: type[MemoryTokenCache]) -> None:
    """A cache with connections per thread is told on each thread that used it, and that is never the caller's."""
    used: set[int] = set()
    released: list[int] = []

    class PerThread(base):  # type: ignore[valid-type, misc]
        def set(self, key: str, value: bytes, ttl: float) -> None:
            used.add(threading.get_ident())
            super().set(key, value, ttl)

        def increment(self, key: str, ttl: float) -> int:
            used.add(threading.get_ident())
            return super().increment(key, ttl)

        def release_thread(self) -> None:
            released.append(threading.get_ident())

    assert doctor({"default": PerThread()})
    assert used == set(released)
    assert threading.get_ident() not in used
