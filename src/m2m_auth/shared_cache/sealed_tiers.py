"""The tiers of a cache as one place for sealed entries: each tier behind its circuit breaker, the farthest one first.

This is the only place that reads and writes entries. A fault of a cache never reaches a caller: a read becomes a miss,
and a write becomes an event. A cache without tiers is its own only tier.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, Protocol, TypeVar, cast

from ..caches.protocol import TokenCache, release_thread
from ..events import EventEmitter
from .circuit_breaker import CircuitBreaker
from .sealing import Seal

__all__ = ["SealedTiers"]

_T = TypeVar("_T")
_ABSENT = b"-"


class _Sealer(Protocol):
    def seal(self, key: str, value: bytes) -> bytes: ...
    def open(self, key: str, sealed: bytes) -> bytes | None: ...


class _Unsealed:
    """For a cache that never leaves the process."""

    def seal(self, key: str, value: bytes) -> bytes:  # noqa: ARG002
        return value

    def open(self, key: str, sealed: bytes) -> bytes | None:  # noqa: ARG002
        return sealed


_UNSEALED = _Unsealed()


class SealedTiers:
    """JSON objects under cache keys, sealed, in every tier.

    Args:
        breakers: the tiers, the nearest first.
        seal: seals what leaves the process; None where nothing does.
    """

    __slots__ = ("_seal", "_seen", "farthest_first", "nearest_first")

    def __init__(self, breakers: tuple[CircuitBreaker, ...], seal: Seal | None) -> None:
        self.nearest_first, self.farthest_first = breakers, breakers if len(breakers) < 2 else breakers[::-1]
        self._seal: _Sealer = seal or _UNSEALED
        self._seen: dict[tuple[CircuitBreaker, str], bytes] | None = None
        """A digest of what the last read or write left in a tier under a key; None where nothing needs it."""
        if self.several or any(not breaker.capabilities.compare_delete for breaker in breakers):
            self._seen = {}

    @property
    def several(self) -> bool:
        """True if a nearer tier may hold an older entry than the farthest one."""
        return len(self.nearest_first) > 1

    @property
    def failing(self) -> bool:
        """True while the farthest tier is not used after a fault."""
        return bool(self.farthest_first) and self.farthest_first[0].failing

    @property
    def answers(self) -> bool:
        """True if there is a cache, and its farthest tier is in use."""
        return bool(self.farthest_first) and not self.failing

    # entries as JSON

    def read(self, key: str, events: EventEmitter) -> tuple[bool, dict[str, Any] | None]:
        """Whether a tier answered, and the entry in the farthest tier that did."""
        for breaker in self.farthest_first:
            answered, sealed = self.get(breaker, key, events)
            if answered:
                return True, self.opened(key, sealed, events)
        return False, None

    def read_all(self, key: str, events: EventEmitter) -> list[dict[str, Any]]:
        """The entries of all tiers, the farthest one's first."""
        found = [self.opened(key, self.get(breaker, key, events)[1], events) for breaker in self.farthest_first]
        return [each for each in found if each is not None]

    def write(self, key: str, data: dict[str, Any], ttl: float, events: EventEmitter) -> None:
        """Stores an entry in the farthest tier that answers, for ``ttl`` seconds."""
        if self.farthest_first and ttl > 0:
            sealed = self.sealed(key, data)
            self.do(events, None, lambda cache: cache.set(key, sealed, ttl))

    def write_all(self, key: str, data: dict[str, Any], ttl: float, events: EventEmitter) -> None:
        """Stores an entry in every tier, for ``ttl`` seconds."""
        if self.farthest_first and ttl > 0:
            sealed = self.sealed(key, data)
            for breaker in self.farthest_first:
                self.put(breaker, key, sealed, ttl, events)

    def delete_all(self, keys: Sequence[str], events: EventEmitter) -> bool:
        """Deletes the keys from every tier; False if one of the tiers did not answer."""
        answered = [
            breaker.do(events, methodcaller("delete", key))[0] for breaker in self.nearest_first for key in keys
        ]
        return all(answered)

    # sealed bytes in one tier

    def get(self, breaker: CircuitBreaker, key: str, events: EventEmitter) -> tuple[bool, object]:
        """Whether a tier answered, and its sealed entry."""
        answered, sealed = breaker.do(events, lambda cache: cache.get(key))
        if answered:
            self._note(breaker, key, sealed)
        return answered, sealed

    def put(self, breaker: CircuitBreaker, key: str, sealed: bytes, ttl: float, events: EventEmitter) -> None:
        """Stores a sealed entry in one tier."""
        breaker.do(events, lambda cache: cache.set(key, sealed, ttl))
        self._note(breaker, key, sealed)

    def sealed(self, key: str, data: dict[str, Any]) -> bytes:
        """The entry, sealed for its key."""
        return self._seal.seal(key, json.dumps(data, separators=(",", ":")).encode())

    def opened(self, key: str, sealed: object, events: EventEmitter) -> dict[str, Any] | None:
        """The entry; None, and an event, for what does not open or is no JSON object."""
        if sealed is None:
            return None
        opened = self._seal.open(key, sealed) if isinstance(sealed, bytes) else None
        if opened is None:
            events.emit("undecryptable", reason="seal")
            return None
        try:
            data: Any = json.loads(opened.decode())
        except ValueError:
            data = None
        if not isinstance(data, dict):
            events.emit("undecryptable", reason="schema")
            return None
        return cast("dict[str, Any]", data)

    def seen(self, breaker: CircuitBreaker, key: str) -> bytes:
        """A digest of what this process last knew to be in a tier under a key."""
        return (self._seen or {}).get((breaker, key), _ABSENT)

    def has(self, breaker: CircuitBreaker, key: str, sealed: bytes) -> bool:
        """True if this process knows that the tier holds this very value."""
        return self.seen(breaker, key) == hashlib.sha256(sealed).digest()

    def _note(self, breaker: CircuitBreaker, key: str, sealed: object) -> None:
        if self._seen is not None:
            self._seen[breaker, key] = hashlib.sha256(sealed).digest() if isinstance(sealed, bytes) else _ABSENT

    # any operation

    def do(self, events: EventEmitter, default: _T, operation: Callable[[TokenCache], _T]) -> _T:
        """One operation on the farthest tier that answers; ``default`` where none does."""
        for breaker in self.farthest_first:
            answered, result = breaker.do(events, operation)
            if answered:
                return cast("_T", result)
        return default

    def release_thread(self) -> None:
        """At the end of a thread: every tier closes the connections that it opened for it."""
        for breaker in self.farthest_first:
            release_thread(breaker.cache)
