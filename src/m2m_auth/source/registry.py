"""What this process remembers: the token states by key, and its own counts of mints."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable

from ..caches.memory import MemoryTokenCache
from ..runtime.bounded_map import BoundedMap
from ..runtime.fork_safety import ForkSafeLock, on_fork
from .token_state import EndpointWait, TokenState

__all__ = ["endpoint_wait_for", "forget_everything", "own_counts", "token_state_for", "unregistered_token_state"]


class _Registry:
    """Token states by key. A state that a source uses is always found; of the others the latest 1,024 are kept."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._in_use: weakref.WeakValueDictionary[Hashable, TokenState] = weakref.WeakValueDictionary()
        self._recent: BoundedMap[Hashable, TokenState] = BoundedMap(1024)
        self.waits: BoundedMap[Hashable, EndpointWait] = BoundedMap(1024)
        self.own_counts = MemoryTokenCache()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: the states' locks are new, and the parent's flights do not exist."""
        for state in list(self._in_use.values()):
            state.after_fork()

    def find(self, key: Hashable, build: Callable[[], TokenState]) -> TokenState:
        """The state of the key; ``build`` makes it if there is none."""
        with self._lock.current:
            state = self._in_use.get(key)
            if state is None:
                state = self._in_use[key] = build()
            self._recent.set(key, state)
            return state

    def forget(self) -> None:
        """Forgets the states and the counts."""
        with self._lock.current:
            self._in_use.clear()
            self._recent.clear()
            self.waits.clear()
            self.own_counts = MemoryTokenCache()


_registry = _Registry()


def token_state_for(key: Hashable, build: Callable[[], TokenState]) -> TokenState:
    """The process's state for ``key``, one for all equal sources; ``build`` makes it if there is none."""
    return _registry.find(key, build)


def endpoint_wait_for(key: Hashable, build: Callable[[], EndpointWait]) -> EndpointWait:
    """The process's record of a client's wait, one for all of its token requests at one endpoint."""
    return _registry.waits.get_or_add(key, build)


def unregistered_token_state() -> TokenState:
    """A state that no other source finds: its key is not known yet."""
    state = TokenState()
    on_fork(state)
    return state


def own_counts() -> MemoryTokenCache:
    """The process's own counters of mints: they are used while no shared cache can count."""
    return _registry.own_counts


def forget_everything() -> None:
    """Forgets every token state and count: sources that are built from now on start cold. For tests."""
    _registry.forget()
