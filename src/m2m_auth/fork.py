"""After ``fork()`` the child starts clean: locks and flights are new, held tokens stay.

A lock that another thread of the parent held would stay locked for ever in the child, so every object with
a lock registers here and gets a new one. Lazy imports in a flight take :func:`importing`'s gate, and a fork
waits for it: CPython does not release a vanished thread's module locks, so a child forked in the middle of an
import would hang at the same import.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["StartsClean", "importing", "on_fork"]

_gate = threading.RLock()
_children: weakref.WeakSet[StartsClean] = weakref.WeakSet()


class StartsClean(Protocol):
    """What has locks to renew in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, where only the forking thread exists."""
        ...


def on_fork(target: StartsClean) -> None:
    """Calls ``target.after_fork()`` in every forked child, as long as ``target`` lives."""
    _children.add(target)


@contextmanager
def importing() -> Iterator[None]:
    """Holds off forks while a flight imports a library."""
    with _gate:
        yield


def _before() -> None:
    _gate.acquire()


def _after_in_parent() -> None:
    _gate.release()


def _after_in_child() -> None:
    global _gate
    _gate = threading.RLock()
    for target in list(_children):
        target.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
