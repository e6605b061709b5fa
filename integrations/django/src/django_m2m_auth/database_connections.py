"""Closes the database connections that a cache or a signal's receiver opened on a flight's thread.

Django keeps one connection per thread and database, and closes it at the end of a request. A flight's thread serves no
request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from django.db import connections

__all__ = ["close_databases", "closing_new_databases", "open_databases"]


def open_databases() -> frozenset[str]:
    """The aliases of the databases that this thread is connected to."""
    wrappers: Any = connections.all(initialized_only=True)
    return frozenset(wrapper.alias for wrapper in wrappers if wrapper.connection is not None)


def close_databases(*, but: frozenset[str]) -> None:
    """Closes this thread's connections, except those that were open before."""
    for alias in open_databases() - but:
        with contextlib.suppress(Exception):  # a lost connection needs no closing
            connections[alias].close()


@contextlib.contextmanager
def closing_new_databases() -> Generator[None, None, None]:
    """Leaves this thread with the connections that it had before."""
    before = open_databases()
    try:
        yield
    finally:
        close_databases(but=before)
