"""The token states of this process, by key."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable

from ..runtime.fork_safety import on_fork
from .token_state import TokenState

__all__ = ["forget_everything", "token_state_for", "unregistered_token_state"]

_CAPACITY = 1024

_lock = threading.Lock()

_states: weakref.WeakValueDictionary[Hashable, TokenState] = weakref.WeakValueDictionary()

_recent: OrderedDict[Hashable, TokenState] = OrderedDict()


def token_state_for(key: Hashable, build: Callable[[], TokenState]) -> TokenState:
    """The process's state for ``key``. States in use are always found; of the rest the latest 1,024 are kept."""
    with _lock:
        state = _states.get(key)
        if state is None:
            state = _states[key] = build()
        _recent[key] = state
        _recent.move_to_end(key)
        if len(_recent) > _CAPACITY:
            _recent.popitem(last=False)
        return state


def unregistered_token_state() -> TokenState:
    """A state that no other source finds: it has no key yet."""
    state = TokenState()
    on_fork(state)
    return state


def forget_everything() -> None:
    """Empties the registry, and this process's own ledger: sources built from now on start cold. For tests."""
    from .ledger import forget

    with _lock:
        _states.clear()
        _recent.clear()
    forget()


class _Registry:
    def after_fork(self) -> None:
        global _lock
        _lock = threading.Lock()
        for state in list(_states.values()):
            state.after_fork()


_registry = _Registry()
on_fork(_registry)
