"""A mapping of bounded size that keeps the entries used latest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .fork_safety import ForkSafeLock

__all__ = ["BoundedMap"]

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class BoundedMap(Generic[_Key, _Value]):
    """Holds at most ``capacity`` entries; the least recently used one is evicted first. Thread-safe, and safe to fork.

    Args:
        capacity: the number of entries that are kept.
        on_evict: called with each evicted value, without the lock; not for values that are removed or replaced.
    """

    __slots__ = ("_capacity", "_entries", "_lock", "_on_evict")

    def __init__(self, capacity: int, on_evict: Callable[[_Value], object] | None = None) -> None:
        self._capacity = capacity
        self._on_evict = on_evict
        self._entries: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = ForkSafeLock()

    def get(self, key: _Key) -> _Value | None:
        """The value, which is now the one used latest; None if the key is not there."""
        with self._lock.current:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def set(self, key: _Key, value: _Value) -> None:
        """Stores the value."""
        with self._lock.current:
            self._entries[key] = value
            self._entries.move_to_end(key)
            evicted = self._excess()
        self._let_go(evicted)

    def get_or_add(self, key: _Key, build: Callable[[], _Value]) -> _Value:
        """The value of ``key``; ``build()`` makes it if it is missing. Two threads get the same value."""
        found = self.get(key)
        if found is not None:
            return found
        built = build()  # outside of the lock: it may take a while, or use this map
        with self._lock.current:
            value = self._entries.setdefault(key, built)
            self._entries.move_to_end(key)
            evicted = self._excess()
        self._let_go(evicted)
        return value

    def pop(self, key: _Key) -> _Value | None:
        """Removes the entry and returns its value; None if the key is not there."""
        with self._lock.current:
            return self._entries.pop(key, None)

    def clear(self) -> None:
        """Removes everything."""
        with self._lock.current:
            self._entries.clear()

    def values(self) -> list[_Value]:
        """A copy of the values, the least recently used first."""
        with self._lock.current:
            return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _excess(self) -> list[_Value]:
        found: list[_Value] = []
        while len(self._entries) > self._capacity:
            found.append(self._entries.popitem(last=False)[1])
        return found

    def _let_go(self, evicted: list[_Value]) -> None:
        if self._on_evict is not None:
            for value in evicted:
                self._on_evict(value)
