"""The observers of one context: they see what a piece of work does.

An observer belongs to the context (contextvars) in which it was added: it sees one request and its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

__all__ = ["Observer", "is_observed", "notify", "observers", "observing"]

Observer = Callable[[Any], object]

observers: list[Observer] = []
"""The observers of all contexts. While the list is empty, nothing is built for them."""
_observer: ContextVar[Observer | None] = ContextVar("m2m_auth_observer", default=None)


@contextmanager
def observing(observer: Observer) -> Generator[None]:
    """Calls ``observer`` with every notification of this context until the block ends."""
    token = _observer.set(observer)
    observers.append(observer)
    try:
        yield
    finally:
        observers.remove(observer)
        _observer.reset(token)


def is_observed() -> bool:
    """True if this context has an observer."""
    return _observer.get() is not None


def notify(what: object) -> None:
    """Calls this context's observer with ``what``; an exception of the observer is ignored."""
    observer = _observer.get()
    if observer is not None and observer in observers:  # a flight may outlive the block
        with suppress(Exception):
            observer(what)
