"""``ForkSafeLock``: excludes threads, and is free in a forked child, whichever thread held it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from m2m_auth.runtime.fork_safety import ForkSafeLock, on_fork

FORK = """if True:
    import os, sys, threading
    from m2m_auth.runtime.fork_safety import ForkSafeLock
    lock, held, over = ForkSafeLock(), threading.Event(), threading.Event()
    def hold():
        with lock.current:
            held.set()
            over.wait()
    def in_child():
        child = os.fork()
        if child == 0:
            for _ in range(2):
                with lock.current: pass
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    print(in_child())
    over.set()
    holder.join()
    with lock.current:
        child = os.fork()
    if child == 0:
        with lock.current: os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_one_thread_at_a_time() -> None:
    """A read and a write in two steps lose no count under eight threads."""
    lock, count = ForkSafeLock(), [0]

    def add() -> None:
        for _ in range(2000):
            with lock.current:
                before = count[0]
                if before % 100 == 0:
                    threading.Event().wait(0.0001)
                count[0] = before + 1

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == [16_000]


def test_it_is_released_by_an_exception() -> None:
    """The block's exception passes, and the lock is free."""
    lock = ForkSafeLock()
    with pytest.raises(KeyError), lock.current:
        raise KeyError
    with lock.current:
        pass


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_finds_it_free() -> None:
    """Another thread of the parent holds it, or the forking thread itself: the child takes and releases it."""
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["0", "0"], done.stderr


INTERRUPTED = """if True:
    import random, signal, time
    from m2m_auth.runtime.bounded_map import BoundedMap
    entries = BoundedMap(8)
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))
            while True:
                with entries._lock.current:
                    pass
        except KeyboardInterrupt:
            if entries._lock.current.locked():
                raise SystemExit("the lock stays taken")
    print("free")
"""


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals")
def test_a_signal_handler_that_raises_leaves_it_free() -> None:
    """Ctrl-C, or Celery's soft time limit, at any moment around the block: no thread waits for the lock for ever."""
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["free"], done.stderr


BUSY = """if True:
    import os, sys, threading, time, warnings
    from m2m_auth.runtime.fork_safety import FLIGHT_THREAD, PATIENCE, _delaying, delaying_forks
    warnings.simplefilter("ignore", DeprecationWarning)
    def fly():
        while True:
            with delaying_forks():
                time.sleep(0.003)
    for _ in range(6):
        threading.Thread(target=fly, name=FLIGHT_THREAD, daemon=True).start()
    start, inside = time.monotonic(), []
    os.register_at_fork(after_in_parent=lambda: inside.append(len(_delaying)))
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    print(time.monotonic() - start < PATIENCE, inside)
"""


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_busy_flights_do_not_keep_a_fork_waiting() -> None:
    """Flights that use a cache without a pause: each fork gets its turn after a moment, while no flight is inside."""
    command = [sys.executable, "-c", BUSY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "[0, 0, 0]\n"], done.stderr


HOOKS = """if True:
    import os
    def use():
        from m2m_auth.runtime.fork_safety import delaying_forks
        with delaying_forks():
            print("used", flush=True)
    os.register_at_fork(before=use, after_in_parent=use)
    import m2m_auth.runtime.fork_safety
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_program_with_fork_hooks_may_use_a_cache_in_them() -> None:
    """The forking thread does not wait for its own fork."""
    command = [sys.executable, "-c", HOOKS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == ["used", "used"]


def test_a_lock_is_freed_with_its_owner() -> None:
    """The list of what a fork renews keeps no lock alive."""
    import weakref

    lock = ForkSafeLock()
    seen = weakref.ref(lock)
    on_fork(lock)
    del lock
    assert seen() is None
