"""A race of two processes, or two threads, for the leases and the counters of one cache.

The two processes import this file.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Protocol

from ...caches.protocol import TokenCache, release_thread
from ...values import Value

__all__ = ["COUNTS", "ROUNDS", "OpenCache", "Race", "by_processes", "by_threads", "words"]

OpenCache = Callable[[], TokenCache]
ROUNDS = 20
"""Leases that the two race for."""
COUNTS = 50
"""Increments of each of the two."""
_DEADLINE = 30.0
_TTL = 300.0


class Race(Value):
    """The result of both, or of one of them."""

    winners: tuple[int, ...] = ()
    """The number of winners of each lease. Empty if the cache has no leases."""
    counts: tuple[int, ...] = ()
    """Every count that an increment returned. Empty if the cache cannot count."""
    saw: bool = True
    """True if both saw the entry that the caller had stored."""
    problem: str = ""
    """Why there was no race; empty if there was one."""


class _Barrier(Protocol):
    def wait(self) -> int: ...
    def abort(self) -> None: ...


def by_processes(open_cache: OpenCache, key: str) -> Race:
    """Let two new processes race, each with its own connection to the cache."""
    context = get_context("spawn")
    barrier = context.Barrier(2, timeout=_DEADLINE)
    try:
        with ProcessPoolExecutor(2, context, _enter, (open_cache, barrier)) as pool:
            return _both(*[future.result() for future in [pool.submit(_in_process, key) for _ in range(2)]])
    except Exception as error:  # not picklable, no main module to import, no memory, …
        return Race(problem=f"no second process could be started: {words(error)}")


def by_threads(cache: TokenCache, key: str) -> Race:
    """Let two threads race with one cache object. Python switches between them as often as it can."""
    barrier = threading.Barrier(2, timeout=_DEADLINE)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            return _both(*[future.result() for future in [pool.submit(_run, cache, barrier, key) for _ in range(2)]])
    finally:
        sys.setswitchinterval(usual)


def words(error: Exception) -> str:
    """Return an error in words: the message of this library's errors, the type of others, which may show a password."""
    is_silent = type(error).__module__.startswith("m2m_auth.")
    return str(error) if is_silent else type(error).__name__


_open_cache: OpenCache
_barrier: _Barrier


def _enter(open_cache: OpenCache, barrier: _Barrier) -> None:
    global _open_cache, _barrier
    _open_cache, _barrier = open_cache, barrier


def _in_process(key: str) -> Race:
    try:
        cache = _open_cache()
    except Exception as error:  # a user's own cache may raise anything
        _barrier.abort()
        return Race(problem=f"another process could not open the cache: {words(error)}")
    try:
        return _run(cache, _barrier, key)
    finally:
        cache.close()


def _run(cache: TokenCache, barrier: _Barrier, key: str) -> Race:
    """Run one of the two. Its ``winners`` are its own wins."""
    capabilities = cache.capabilities
    try:
        saw = cache.get(key) is not None
        won: list[int] = []
        for turn in range(ROUNDS if capabilities.atomic_add else 0):
            barrier.wait()
            won.append(int(cache.add(f"{key}.{turn:02}", b"owner", _TTL)))
        barrier.wait()
        counts = [cache.increment(f"{key}.n", _TTL) for _ in range(COUNTS if capabilities.atomic_increment else 0)]
    except threading.BrokenBarrierError:
        return Race()  # the other one returns the problem
    except Exception as error:  # a user's own cache may raise anything
        barrier.abort()
        return Race(problem=f"an operation failed: {words(error)}")
    finally:
        release_thread(cache)
    return Race(winners=tuple(won), counts=tuple(counts), saw=saw)


def _both(one: Race, other: Race) -> Race:
    return Race(
        winners=tuple(map(sum, zip(one.winners, other.winners, strict=False))),
        counts=one.counts + other.counts,
        saw=one.saw and other.saw,
        problem=one.problem or other.problem,
    )
