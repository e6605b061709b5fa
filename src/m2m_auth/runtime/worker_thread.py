"""Work on a thread of its own, for whoever must not let go of the caller's own connections."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["on_worker_thread"]

_T = TypeVar("_T")


def on_worker_thread(work: Callable[[], _T]) -> _T:
    """Runs what talks to a cache as a flight does: on a thread that ends with it, in the caller's context.

    So it may let go of that thread's connections afterwards, it is in none of the caller's database transactions,
    and a framework that forbids I/O on an event loop's thread has no objection. Where no thread can be started any
    more, since the interpreter shuts down, it runs here.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, "m2m-auth-tool") as pool:
        try:
            running = pool.submit(context.run, work)
        except RuntimeError:
            running = None
        if running is not None:
            return running.result()
    return context.run(work)
