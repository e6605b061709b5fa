"""So many things at hand, and no more: the one that was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..runtime.fork_safety import on_fork

__all__ = ["Lru"]

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Lru(Generic[_K, _V]):
    """A bounded mapping for any number of threads.

    Args:
        capacity: how many things it holds at most.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._things: OrderedDict[_K, _V] = OrderedDict()
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._things)

    def get(self, key: _K) -> _V | None:
        """What is there, which is used by that; None for nothing. Without the lock: either step is one of C's."""
        found = self._things.get(key)
        if found is not None:
            try:
                self._things.move_to_end(key)
            except KeyError:  # another thread has let it go since
                return found
        return found

    def add(self, key: _K, thing: _V) -> _V:
        """What is there; that is ``thing``, unless another thread was faster."""
        with self._lock:
            found = self._things.setdefault(key, thing)
            self._things.move_to_end(key)
            if len(self._things) > self._capacity:
                self._things.popitem(last=False)
            return found
