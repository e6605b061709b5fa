"""``doctor``: its findings for good caches, and for each fault that a cache can have."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import faulty_caches as faulty
import pytest
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
    """The findings that are not ok. Each of them says what to do."""
    assert all(finding.what and (finding.ok or finding.fix) for finding in findings)
    return [finding for finding in findings if not finding.ok]


def texts(findings: list[Finding]) -> str:
    """The texts of all findings."""
    return "\n".join(finding.what for finding in findings)


def test_memory_is_good_and_private() -> None:
    """Memory has no fault; doctor advises that it is private to this process."""
    found = doctor({"default": "memory:"})
    assert wrong(found) == []
    assert [finding.what for finding in found if finding.fix] == [
        "it is private to this process: several workers mint a token each"
    ]
    assert "two threads raced for 20 leases: one winner each time" in texts(found)
    assert {finding.alias for finding in found} == {"default"}


def test_disk_is_proved_by_two_processes(tmp_path: Path) -> None:
    """Two processes prove the lease and the counters of the disk cache."""
    found = doctor({"disk": f"disk:{tmp_path / 'cache'}"})
    assert wrong(found) == []
    assert "two processes raced for 20 leases: one winner each time" in texts(found)
    assert "two processes counted to 100 together, and lost nothing" in texts(found)
    assert "a sealed token of 4 kB came back whole" in texts(found)


def test_valkey_is_proved_by_two_processes_and_left_clean(valkey: Store) -> None:
    """A real server passes; afterwards it holds none of the examination's keys except the one for the clocks."""
    import redis

    found = doctor({"shared": f"valkey://{valkey.address}"})
    assert wrong(found) == []
    assert not any(finding.fix for finding in found)
    assert "two processes raced for 20 leases: one winner each time" in texts(found)
    with redis.Redis(port=valkey.port) as client:
        assert client.keys("m2m1.d*") == [b"m2m1.doctor.clock"]


def test_an_opener_is_used_for_a_cache_object(tmp_path: Path) -> None:
    """With ``open_cache`` two processes race for the lease of a cache object as well."""
    from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache

    folder = tmp_path / "cache"
    found = doctor({"disk": DiskTokenCache(folder)}, open_cache={"disk": partial(DiskTokenCache, folder)})
    assert wrong(found) == []
    assert "two processes raced" in texts(found)


def test_a_server_that_is_down() -> None:
    """One finding has the cache's error and the fix; no other step is taken, and no password is shown."""
    found = doctor({"default": f"redis://:pa55w0rd@127.0.0.1:{free_port()}"})
    assert [finding.ok for finding in found] == [False]
    assert "does not answer" in found[0].what
    assert "refused" in found[0].what
    assert "server runs" in found[0].fix
    assert "pa55w0rd" not in str(found)


def test_a_server_that_never_answers() -> None:
    """A server that accepts and never answers is one finding, and doctor returns."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        found = doctor({"default": f"redis://127.0.0.1:{hole.getsockname()[1]}"})
    assert len(wrong(found)) == 1
    assert "does not answer" in found[0].what


FAULTS: list[tuple[Callable[[], TokenCache], str]] = [
    (faulty.AlwaysWins, "its add always wins"),
    (faulty.NeverWins, "its add never wins"),
    (faulty.Dummy, "loses values: one was not there right after it was set, and its add always wins"),
    (faulty.Full, "loses values: one was not there right after it was set"),
    (faulty.IgnoresTheHolder, "deletes the lease of another holder"),
    (faulty.TooShort, "s: leases end while their holders are minting"),
    (faulty.Miscounts, "counted to 100 together, and counts were lost or returned twice"),
    (faulty.Garbles, "a sealed token of 4 kB did not come back whole"),
    (faulty.Garbles, "it has no atomic add and so no lease"),
    (faulty.Down, "it does not answer: the connection was lost"),
    (faulty.Raises, "it does not answer: RuntimeError"),
]


@pytest.mark.parametrize(("cache", "words"), FAULTS, ids=[f"{cache.__name__}-{words[:20]}" for cache, words in FAULTS])
def test_each_fault_is_found_and_named(cache: Callable[[], TokenCache], words: str) -> None:
    """Each fault is a finding with a fix; the message of a foreign exception is not shown."""
    found = doctor({"default": cache()})
    assert words in texts(wrong(found))
    assert "pa55w0rd" not in str(found)


def test_entries_that_never_end(tmp_path: Path) -> None:
    """A lease that never ends would stop the fleet's mints: doctor finds it after a bounded wait."""
    found = doctor({"default": faulty.ForEver()})
    assert "is still there after" in texts(wrong(found))


def test_one_of_the_two_fails() -> None:
    """If one of the two fails, the other stops before the race's deadline of 30 s, and the finding has the error."""
    began = time.monotonic()
    found = doctor({"default": faulty.FailsInTheRace()})
    assert [finding.what for finding in wrong(found)] == [
        "two threads at once: an operation failed: too many connections"
    ]
    assert time.monotonic() - began < 20


def test_missing_release_and_counters_are_advice() -> None:
    """What the engine can do without is advice with its consequence, and not wrong."""
    found = doctor({"default": faulty.Garbles()})
    advice = [finding for finding in found if finding.ok and finding.fix]
    assert "ledger and budgets are estimates" in texts(advice)


def test_a_cache_that_is_not_shared_as_it_claims() -> None:
    """Two processes with a memory each: the finding says that, and not that add is not atomic."""
    found = doctor({"default": faulty.ClaimsToBeShared()}, open_cache={"default": faulty.ClaimsToBeShared})
    assert [finding.what for finding in wrong(found)] == [
        "another process does not see this process's entries, although the cache claims to be shared"
    ]


def test_an_add_that_reads_first(tmp_path: Path) -> None:
    """Two processes find an add that reads first and writes later, as a file-based cache's does."""
    opener = partial(faulty.ReadsThenAdds, tmp_path / "cache")
    found = doctor({"default": opener()}, open_cache={"default": opener})
    assert "two winners: add is not atomic" in texts(wrong(found))


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        (lambda: MemoryTokenCache(), "no second process could be started"),
        (faulty.cannot_open, "another process could not open the cache: RuntimeError"),
    ],
    ids=["not picklable", "raises"],
)
def test_threads_race_if_no_process_can(opener: Callable[[], TokenCache], words: str, tmp_path: Path) -> None:
    """Doctor says why without the exception's message, and two threads race."""
    from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache

    found = doctor({"default": DiskTokenCache(tmp_path / "cache")}, open_cache={"default": opener})
    assert wrong(found) == []
    assert words in texts(found)
    assert "pa55w0rd" not in str(found)
    assert "two threads raced for 20 leases: one winner each time" in texts(found)


def test_each_tier_is_examined() -> None:
    """Each tier of a tiered cache is examined under its own name, and a fault belongs to its tier."""
    tiers = TieredCache("memory:", faulty.AlwaysWins())
    found = doctor({"default": tiers})
    assert {finding.alias.partition(":")[0] for finding in found} == {
        "default (tier 1 of 2",
        "default (tier 2 of 2",
    }
    assert {finding.alias.partition(":")[0] for finding in wrong(found)} == {"default (tier 2 of 2"}


def test_a_clock_that_is_ahead() -> None:
    """A stored time of a host whose clock is an hour ahead is a finding of the next examination, once."""
    cache = faulty.ClaimsToBeShared()
    cache.set("m2m1.doctor.clock", f"{time.time() + 3600:.3f}".encode(), 60)
    (found,) = wrong(doctor({"default": cache}))
    assert found.what.startswith("an earlier examination is dated 59 min")
    assert wrong(doctor({"default": cache})) == [], "it stored its own time"


def test_a_mistyped_url() -> None:
    """A mistyped URL is a finding, and the other caches are still examined."""
    found = doctor({"typo": "reddis://cache", "good": "memory:"})
    assert [(finding.alias, finding.ok) for finding in found][:2] == [("typo", False), ("good", True)]
    assert "did you mean 'redis'?" in found[0].what


def test_processes_race_for_each_tier(tmp_path: Path) -> None:
    """With an opener for a tiered cache, two processes race for the lease of each tier."""
    opener = partial(TieredCache, f"disk:{tmp_path / 'near'}", f"disk:{tmp_path / 'far'}")
    found = doctor({"default": opener()}, open_cache={"default": opener})
    assert wrong(found) == []
    assert texts(found).count("two processes raced for 20 leases: one winner each time") == 2


@pytest.mark.parametrize("base", [faulty.Dummy, MemoryTokenCache], ids=["stops early", "goes through"])
def test_every_thread_s_connections_are_closed(base: type[MemoryTokenCache]) -> None:
    """``release_thread`` is called on each thread that used the cache, and the caller's thread never used it."""
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
