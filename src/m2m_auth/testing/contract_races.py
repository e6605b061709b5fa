"""Races over a cache: by threads, by processes, and across a fork. Without pytest: every process imports this."""

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

from ..caches.protocol import TokenCache

OpenCache: TypeAlias = Callable[[], TokenCache]
T = TypeVar("T")

PROCESSES = 4
_DEADLINE = 60.0

# What one process of a race has at hand; set once by the pool's initializer.
_cache: TokenCache
_barrier: Barrier


def by_threads(count: int, action: Callable[[], T]) -> list[T]:
    """What ``action`` returned to each of ``count`` threads that were let go at the same moment."""
    barrier = threading.Barrier(count, timeout=_DEADLINE)

    def run() -> T:
        barrier.wait()
        return action()

    usual = sys.getswitchinterval()
    # The default 5 ms between two switches would let most threads through a race unharmed.
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(count) as pool:
            return [future.result() for future in [pool.submit(run) for _ in range(count)]]
    finally:
        sys.setswitchinterval(usual)


def by_processes(open_cache: OpenCache, action: Callable[[str], T], key: str) -> list[T]:
    """What ``action(key)`` returned in each of four new processes, which all hold a cache of their own.

    Raises:
        TypeError: ``open_cache`` cannot be sent to another process.
    """
    try:
        ForkingPickler.dumps(open_cache)
    except Exception as error:
        raise TypeError(
            f"open_cache gave {open_cache!r}, which cannot be sent to another process ({error}). "
            "Fix: a module's function, a class, or functools.partial of one with plain arguments."
        ) from None
    context = get_context("spawn")
    barrier = context.Barrier(PROCESSES, timeout=_DEADLINE)
    with ProcessPoolExecutor(PROCESSES, context, _enter, (open_cache, barrier)) as pool:
        futures = [pool.submit(_run, action, key) for _ in range(PROCESSES)]
        faults = [fault for future in futures if (fault := future.exception()) is not None]
        if faults:
            # One process's fault breaks the barrier of the others: the cause is the one to show.
            raise min(faults, key=lambda fault: isinstance(fault, threading.BrokenBarrierError))
        return [future.result() for future in futures]


def _enter(open_cache: OpenCache, barrier: Barrier) -> None:
    global _cache, _barrier
    _cache, _barrier = open_cache(), barrier


def _run(action: Callable[[str], T], key: str) -> T:
    try:
        _barrier.wait()  # also makes sure that each process takes one action
        return action(key)
    except BaseException:
        _barrier.abort()
        raise
    finally:
        _cache.close()


INCREMENTS = 50


def take_leases(key: str, rounds: int) -> list[str | None]:
    """Races for a new lease in each round; the owner id with which this process won, or None."""
    owner = secrets.token_hex(8)
    won: list[str | None] = []
    for turn in range(rounds):
        _barrier.wait()
        won.append(owner if _cache.add(f"{turn:03}{key[3:]}", owner.encode(), 60) else None)
    return won


def count_up(key: str) -> list[int]:
    """Increments one counter; what each increment returned."""
    return [_cache.increment(key, 60) for _ in range(INCREMENTS)]


def in_forked_child(action: Callable[[], object], timeout: float = 20.0) -> str | None:
    """Runs ``action`` in a forked child; returns what went wrong there, or None."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads. That is the very thing to try here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        trouble = b""
        try:
            action()
        except BaseException as error:  # the child must never get back into the test runner
            trouble = f"{type(error).__name__}: {error}".encode()
        finally:
            os.write(writer, trouble[:4096])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        until = time.monotonic() + timeout
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return f"it was still running after {timeout} s"
            time.sleep(0.005)
        return report.read().decode() or None
