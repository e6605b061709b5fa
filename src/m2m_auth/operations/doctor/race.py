"""Two that race for one cache's leases and count together: processes, which import this file, or threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple, Protocol

from ...caches.protocol import TokenCache, release_thread

__all__ = ["COUNTS", "ROUNDS", "OpenCache", "Race", "by_processes", "by_threads", "words"]

OpenCache = Callable[[], TokenCache]
ROUNDS = 20
"""How often the two ask for a lease at the same moment."""
COUNTS = 50
"""How often each of the two adds one."""
_DEADLINE = 30.0
_TTL = 300.0


class Race(NamedTuple):
    """What the two saw, or one of them."""

    winners: tuple[int, ...] = ()
    """By round: how many of the two got the lease. Empty where the cache has none to give."""
    counts: tuple[int, ...] = ()
    """Every count that an increment returned. Empty where the cache cannot count."""
    saw: bool = True
    """Whether what the caller had stored was seen by both."""
    problem: str = ""
    """Why the race could not be run."""


class _Barrier(Protocol):
    def wait(self) -> int: ...
    def abort(self) -> None: ...


def by_processes(open_cache: OpenCache, key: str) -> Race:
    """Two new processes, each with a cache of its own. A ``problem`` says why none could be started."""
    context = get_context("spawn")
    barrier = context.Barrier(2, timeout=_DEADLINE)
    try:
        with ProcessPoolExecutor(2, context, _enter, (open_cache, barrier)) as pool:
            return _both(*[future.result() for future in [pool.submit(_in_process, key) for _ in range(2)]])
    except Exception as error:  # not picklable, no main module to import, no memory: whatever keeps a process from work
        return Race(problem=f"no second process could be started: {words(error)}")


def by_threads(cache: TokenCache, key: str) -> Race:
    """Two threads with one cache, switched as often as Python can."""
    barrier = threading.Barrier(2, timeout=_DEADLINE)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            return _both(*[future.result() for future in [pool.submit(_run, cache, barrier, key) for _ in range(2)]])
    finally:
        sys.setswitchinterval(usual)


def words(error: Exception) -> str:
    """An exception in words: its message where it is one of ours, else its type; a message might hold an address."""
    ours = type(error).__module__.startswith("m2m_auth.")
    return str(error) if ours else type(error).__name__


_open_cache: OpenCache
_barrier: _Barrier


def _enter(open_cache: OpenCache, barrier: _Barrier) -> None:
    global _open_cache, _barrier
    _open_cache, _barrier = open_cache, barrier


def _in_process(key: str) -> Race:
    try:
        cache = _open_cache()
    except Exception as error:  # a user's own
        _barrier.abort()
        return Race(problem=f"another process could not open the cache: {words(error)}")
    try:
        return _run(cache, _barrier, key)
    finally:
        cache.close()


def _run(cache: TokenCache, barrier: _Barrier, key: str) -> Race:
    """One of the two. Its ``winners`` are its own wins."""
    able = cache.capabilities
    try:
        saw = cache.get(key) is not None
        won: list[int] = []
        for turn in range(ROUNDS if able.atomic_add else 0):
            barrier.wait()
            won.append(int(cache.add(f"{key}.{turn:02}", b"owner", _TTL)))
        barrier.wait()
        counts = [cache.increment(f"{key}.n", _TTL) for _ in range(COUNTS if able.atomic_increment else 0)]
    except threading.BrokenBarrierError:
        return Race()  # the other one has the problem
    except Exception as error:  # a user's own cache
        barrier.abort()
        return Race(problem=f"an operation failed: {words(error)}")
    finally:
        release_thread(cache)
    return Race(tuple(won), tuple(counts), saw)


def _both(one: Race, other: Race) -> Race:
    winners = tuple(map(sum, zip(one.winners, other.winners, strict=False)))
    return Race(winners, one.counts + other.counts, one.saw and other.saw, one.problem or other.problem)
