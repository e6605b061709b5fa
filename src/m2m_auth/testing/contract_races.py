"""Races of threads, processes and a forked child for one cache. Without pytest: each process imports this file."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from multiprocessing.synchronize import Barrier
from typing import TypeAlias, TypeVar

from ..caches.protocol import TokenCache, release_thread

OpenCache: TypeAlias = Callable[[], TokenCache]
T = TypeVar("T")

PROCESSES = 4
_DEADLINE = 60.0

# The state of one process of a race; the pool's initializer sets it once.
_cache: TokenCache
_barrier: Barrier


def by_threads(count: int, action: Callable[[], T], cache: TokenCache) -> list[T]:
    """The results of ``action`` in ``count`` threads that start at once; each releases the cache at its end."""
    barrier = threading.Barrier(count, timeout=_DEADLINE)

    def run() -> T:
        barrier.wait()
        try:
            return action()
        finally:
            release_thread(cache)

    usual = sys.getswitchinterval()
    # With the default of 5 ms between two switches most threads would pass the race one after the other.
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(count) as pool:
            return [future.result() for future in [pool.submit(run) for _ in range(count)]]
    finally:
        sys.setswitchinterval(usual)


def by_processes(open_cache: OpenCache, action: Callable[[str], T], key: str) -> list[T]:
    """The results of ``action(key)`` in four new processes; each of them opens the cache.

    Raises:
        TypeError: ``open_cache`` cannot be sent to another process.
    """
    try:
        ForkingPickler.dumps(open_cache)
    except Exception as error:
        raise TypeError(
            f"open_cache returned {open_cache!r}, which cannot be sent to another process ({error}). "
            "Fix: a module's function, a class, or functools.partial of one with plain arguments."
        ) from None
    context = get_context("spawn")
    barrier = context.Barrier(PROCESSES, timeout=_DEADLINE)
    with ProcessPoolExecutor(PROCESSES, context, _enter, (open_cache, barrier)) as pool:
        futures = [pool.submit(_run, action, key) for _ in range(PROCESSES)]
        errors = [failure for future in futures if (failure := future.exception()) is not None]
        if errors:
            # An error in one process breaks the barrier of the others: show the cause.
            raise min(errors, key=lambda failure: isinstance(failure, threading.BrokenBarrierError))
        return [future.result() for future in futures]


def _enter(open_cache: OpenCache, barrier: Barrier) -> None:
    global _cache, _barrier
    _cache, _barrier = open_cache(), barrier


def _run(action: Callable[[str], T], key: str) -> T:
    try:
        _barrier.wait()  # also ensures that each process runs one action
        return action(key)
    except BaseException:
        _barrier.abort()
        raise
    finally:
        _cache.close()


INCREMENTS = 50


def race(key: str, rounds: int, increments: int) -> tuple[list[str | None], list[int]]:
    """One process's part of a race for leases, then for counts.

    Returns, for each round, the owner id with which this process got the lease, or None; and the count that each of its
    increments returned.
    """
    owner = secrets.token_hex(8)
    won: list[str | None] = []
    for turn in range(rounds):
        _barrier.wait()
        won.append(owner if _cache.add(lease_key(key, turn), owner.encode(), 60) else None)
    _barrier.wait()
    return won, [_cache.increment(key, 60) for _ in range(increments)]


def lease_key(key: str, turn: int) -> str:
    """The key of one round's lease, as long as ``key`` and never equal to it: keys are hexadecimal."""
    return f"L{turn:03}{key[4:]}"


def in_forked_child(action: Callable[[], object], timeout: float = 20.0) -> str | None:
    """Runs ``action`` in a forked child; returns its error as text, or None."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, which is what this function tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        problem = b""
        try:
            action()
        except BaseException as error:  # the child must not return into the test runner
            problem = f"{type(error).__name__}: {error}".encode()
        finally:
            os.write(writer, problem[:4096])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        until = time.monotonic() + timeout
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return f"the child was still running after {timeout} s"
            time.sleep(0.005)
        return report.read().decode() or None
