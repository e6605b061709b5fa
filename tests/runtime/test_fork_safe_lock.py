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
        with lock:
            held.set()
            over.wait()
    def in_child():
        child = os.fork()
        if child == 0:
            for _ in range(2):
                with lock: pass
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    print(in_child())
    over.set()
    holder.join()
    with lock:
        child = os.fork()
    if child == 0:
        with lock: os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_one_thread_at_a_time() -> None:
    """A read and a write in two steps lose no count under eight threads."""
    lock, count = ForkSafeLock(), [0]

    def add() -> None:
        for _ in range(2000):
            with lock:
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
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock:
        pass


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_finds_it_free() -> None:
    """Another thread of the parent holds it, or the forking thread itself: the child takes and releases it."""
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["0", "0"], done.stderr


def test_a_lock_is_freed_with_its_owner() -> None:
    """The list of what a fork renews keeps no lock alive."""
    import weakref

    lock = ForkSafeLock()
    seen = weakref.ref(lock)
    on_fork(lock)
    del lock
    assert seen() is None
