"""Work on a thread of its own, which does not use the caller's connections."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["on_worker_thread"]

_T = TypeVar("_T")


def on_worker_thread(work: Callable[[], _T]) -> _T:
    """Runs the work on a thread that ends with it, in the caller's context, and returns its result.

    So work with a cache can close its thread's connections. It is outside the caller's database transactions.
    Frameworks that forbid I/O on the event loop's thread allow it. While the interpreter shuts down no thread can
    start; then the work runs on the caller's thread.
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
