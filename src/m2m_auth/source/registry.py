"""What this process remembers: the token states by key, and its own counts of mints."""

from __future__ import annotations

import weakref
from collections.abc import Hashable

from ..caches.memory import MemoryTokenCache
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import SYSTEM_CLOCK
from ..runtime.fork_safety import ForkSafeLock, on_fork
from .token_state import EndpointWait, TokenState

__all__ = [
    "endpoint_wait_for",
    "forget_everything",
    "forget_held_tokens",
    "own_counts",
    "token_state_for",
    "unregistered_token_state",
]


class _Registry:
    """Token states by key. A state that a source uses is always found; of the others the latest 1,024 are kept."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._in_use: weakref.WeakValueDictionary[Hashable, TokenState] = weakref.WeakValueDictionary()
        self._recent: BoundedMap[Hashable, TokenState] = BoundedMap(1024)
        self._alive: weakref.WeakSet[TokenState] = weakref.WeakSet()
        """Every state that a source uses, those that were forgotten and those of an unknown key included."""
        self.waits: BoundedMap[Hashable, EndpointWait] = BoundedMap(1024)
        self.own_counts = MemoryTokenCache()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: the states' locks are new, and the parent's flights do not exist."""
        for state in list(self._alive):
            state.after_fork()

    def find(self, key: Hashable) -> TokenState:
        """The state of the key, a new one if there is none."""
        with self._lock.current:
            state = self._in_use.get(key)
            if state is None:
                state = self._in_use[key] = TokenState()
                self._alive.add(state)
            self._recent.set(key, state)
            return state

    def forget(self) -> None:
        """Forgets the states and the counts."""
        with self._lock.current:
            self._in_use.clear()
            self._recent.clear()
            self.waits.clear()
            self.own_counts = MemoryTokenCache()

    def unregistered(self) -> TokenState:
        """A new state without a key."""
        state = TokenState()
        with self._lock.current:
            self._alive.add(state)
        return state

    def alive(self) -> list[TokenState]:
        """Every state that a source uses."""
        with self._lock.current:
            return list(self._alive)


_registry = _Registry()


def token_state_for(key: Hashable) -> TokenState:
    """The process's state for ``key``, one for all equal sources."""
    return _registry.find(key)


def endpoint_wait_for(key: Hashable) -> EndpointWait:
    """The process's record of a client's wait, one for all of its token requests at one endpoint."""
    return _registry.waits.get_or_add(key, EndpointWait)


def unregistered_token_state() -> TokenState:
    """A state that no other source finds: its key is not known yet."""
    return _registry.unregistered()


def own_counts() -> MemoryTokenCache:
    """The process's own counters of mints: they are used while no shared cache can count."""
    return _registry.own_counts


def forget_everything() -> None:
    """Forgets every token state and count: sources that are built from now on start cold. For tests."""
    _registry.forget()


def forget_held_tokens(patience: float) -> None:
    """Makes every source start cold, those that exist included. For tests.

    A flight that is under way would bring a token of the past. So it first has ``patience`` seconds to land.
    """
    until = SYSTEM_CLOCK.monotonic() + patience
    for state in _registry.alive():
        for flight in (state.flight, state.beside):
            if flight is not None:
                flight.wait(max(until - SYSTEM_CLOCK.monotonic(), 0.0))
        state.forget()
    for wait in _registry.waits.values():
        wait.pause = None
    _registry.own_counts.clear()
