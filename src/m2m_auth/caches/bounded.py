"""A platform's small key-value store as a token cache: what does not fit stays in this process's memory.

Such a store takes, for example, 20 entries of 4 kB, 8 kB in all. Beyond that it refuses an entry or drops another one.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..errors import CacheUnavailable, ConfigurationError
from ..runtime.clock import SYSTEM_CLOCK
from ..runtime.fork_safety import ForkSafeLock
from ..values import replace
from .memory import MemoryTokenCache
from .protocol import OPTIONAL_KEY_PREFIX, Capabilities, TokenCache, release_thread

__all__ = ["BoundedCache", "Store"]

_log = logging.getLogger("m2m_auth")
_T = TypeVar("_T")


class Store(Protocol):
    """The three methods that a key-value store needs. They may raise anything."""

    def get(self, key: str) -> bytes | str | None:
        """The live value, or None."""
        ...

    def set(self, key: str, value: Any, ttl: Any) -> object:
        """Stores bytes (text with ``text=True``) for ``ttl`` whole seconds; False says that it did not."""
        ...

    def delete(self, key: str) -> object:
        """Deletes a key; a missing one is no error."""
        ...


class BoundedCache:
    """A small store as a token cache. This process never puts more into it than the limits allow.

    A token that does not fit stays in this process's memory, and one warning says so; each process then mints its own.
    The ledger stays in memory, so that it takes no room from tokens. Leases stay in memory too, unless ``inner`` is a
    TokenCache with an atomic ``add``. ``capabilities`` says what is shared. Entries of other processes are not counted.

    Args:
        inner: a :class:`TokenCache`, or any object with ``get(key)``, ``set(key, value, ttl)`` and ``delete(key)``.
        max_key: bytes of the longest key that the store takes.
        max_value: bytes of the largest value that it takes; with ``text=True``, of the text.
        max_total: bytes of all keys and values together.
        max_entries: the number of entries that it takes.
        max_ttl: seconds of the longest time to live that it takes; a longer one is cut.
        text: store text (base64), for a store that takes only text.
        monotonic: the clock, in seconds, by which this process knows when its entries expire.

    Raises:
        ConfigurationError: ``inner`` lacks a method, or a limit is not above 0.
    """

    def __init__(
        self,
        inner: TokenCache | Store,
        max_key: int = 64,
        max_value: int = 4096,
        max_total: int = 8192,
        max_entries: int = 20,
        max_ttl: float = 86_400,
        *,
        text: bool = False,
        monotonic: Callable[[], float] = SYSTEM_CLOCK.monotonic,
    ) -> None:
        missing = [name for name in ("get", "set", "delete") if not callable(getattr(inner, name, None))]
        if missing:
            raise ConfigurationError(
                f"BoundedCache({type(inner).__name__}): it has no {missing[0]}(). "
                "Fix: pass an object with get, set and delete"
            )
        limits = {"max_key": max_key, "max_value": max_value, "max_total": max_total, "max_entries": max_entries}
        for name, limit in {**limits, "max_ttl": max_ttl}.items():
            if not limit > 0:
                raise ConfigurationError(f"BoundedCache: {name}={limit} must be above 0")
        self._store: Any = inner
        self._cache = inner if isinstance(inner, TokenCache) else None
        self._limits, self._max_ttl, self._monotonic = limits, max_ttl, monotonic
        self._as_text = text and self._cache is None
        can = getattr(inner, "capabilities", None)
        if self._cache is None or not isinstance(can, Capabilities):
            shared = getattr(can, "shared", True)
            can = Capabilities(shared=bool(shared), atomic_add=False, compare_delete=False, resolution=1.0)
        self._leases = can.atomic_add
        self.capabilities = replace(can, atomic_increment=not can.shared)
        self._in_memory = MemoryTokenCache()
        """Entries that never go into the store: the ledger, and leases where it cannot hold them."""
        self._overflow = MemoryTokenCache()
        self._stored: dict[str, tuple[int, float]] = {}
        """Entries that this process put into the store: bytes, and until when by the monotonic clock."""
        self._warned = False
        self._lock = ForkSafeLock()

    def __repr__(self) -> str:
        return (
            f"BoundedCache({self._cache!r})"
            if self._cache is not None
            else f"BoundedCache({type(self._store).__name__})"
        )

    def get(self, key: str) -> bytes | None:
        """The live value, or None. One in the store is newer than one that did not fit: another process stored it."""
        value = self._in_memory.get(key)
        if value is None and len(key) <= self._limits["max_key"] and not key.startswith(OPTIONAL_KEY_PREFIX):
            try:
                value = self._decoded(self._do(lambda store: store.get(key)))
            except CacheUnavailable:
                value = self._overflow.get(key)
                if value is None:
                    raise
        return self._overflow.get(key) if value is None else value

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds, or keeps it in memory."""
        if key.startswith(OPTIONAL_KEY_PREFIX):
            self._in_memory.set(key, value, ttl)
            return
        with self._lock.current:
            self._in_memory.delete(key)
            done = self._into_store(key, value, ttl, lambda stored, cut: self._store.set(key, stored, cut))
            if not done:
                if done is False:
                    self._warn_once("the store refused an entry")
                self._overflow.set(key, value, ttl)
                self._remove(key)  # an older value in the store would be read as the newer one
            else:
                self._overflow.delete(key)

    def delete(self, key: str) -> None:
        """Deletes a key."""
        with self._lock.current:
            self._in_memory.delete(key)
            self._overflow.delete(key)
            self._remove(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one; in memory where ``inner`` has no atomic ``add``."""
        cache = self._cache
        if cache is None or not self._leases:
            return self._in_memory.add(key, value, ttl)
        with self._lock.current:
            if self._overflow.get(key) is not None:
                return False
            won = self._into_store(key, value, ttl, lambda stored, cut: cache.add(key, stored, cut))
            return self._overflow.add(key, value, ttl) if won is None else won

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value; False where ``inner`` cannot compare."""
        cache = self._cache
        with self._lock.current:
            if self._in_memory.delete_if(key, value) or self._overflow.delete_if(key, value):
                return True
            if cache is None or not self.capabilities.compare_delete or len(key) > self._limits["max_key"]:
                return False
            deleted = self._do(lambda _: cache.delete_if(key, value))
            if deleted:
                self._stored.pop(key, None)
            return deleted

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count of this process."""
        return self._in_memory.increment(key, ttl)

    def close(self) -> None:
        """Closes ``inner`` if it is a TokenCache. Entries in memory stay until they expire."""
        cache = self._cache
        if cache is not None:
            self._do(lambda _: cache.close())

    def release_thread(self) -> None:
        """Lets ``inner`` close what it opened for the calling thread."""
        release_thread(self._store)

    def _into_store(self, key: str, value: bytes, ttl: float, put: Callable[[Any, float], object]) -> bool | None:
        """Stores the entry: True, or False if ``put`` says so; None if it does not fit beside other keys' entries."""
        now = self._monotonic()
        self._stored = {name: entry for name, entry in self._stored.items() if entry[1] > now}
        stored: Any = self._encoded(value)
        size, cut = len(key) + len(stored), self._cut(ttl)
        if not self._fits(key, len(stored), size):
            return None
        before = self._stored.get(key)
        try:
            done = self._do(lambda _: put(stored, cut)) is not False
        except CacheUnavailable:
            # The store may hold the old entry or the new one: until both have expired, the larger one counts.
            known, until = before or (0, 0.0)
            self._stored[key] = (max(size, known), max(self._monotonic() + cut, until))
            raise
        if done:
            self._stored[key] = (size, self._monotonic() + cut)
        return done

    def _fits(self, key: str, value_size: int, size: int) -> bool:
        others = [entry[0] for name, entry in self._stored.items() if name != key]
        asked = {"max_key": len(key), "max_value": value_size}
        asked |= {"max_total": sum(others) + size, "max_entries": len(others) + 1}
        over = next((name for name, limit in self._limits.items() if asked[name] > limit), None)
        if over is not None:
            self._warn_once(f"an entry would make {over} {asked[over]}, and the limit is {self._limits[over]}")
        return over is None

    def _warn_once(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "%r: %s; what does not fit stays in this process's memory, so each process mints its own. "
                "Fix: a larger limit if the store takes more, shorter tokens, or a cache without such limits",
                *(self, what),
            )

    def _remove(self, key: str) -> None:
        if len(key) <= self._limits["max_key"]:
            self._do(lambda store: store.delete(key))
        self._stored.pop(key, None)

    def _do(self, operation: Callable[[Any], _T]) -> _T:
        """Runs one operation. Every error becomes CacheUnavailable, without its message, which may hold secrets."""
        try:
            return operation(self._store)
        except CacheUnavailable:
            raise
        except Exception as error:
            problem = f"{self!r}: {type(error).__name__}"
        raise CacheUnavailable(problem)

    def _cut(self, ttl: float) -> float:
        """At most ``max_ttl``; in whole seconds unless the store is a TokenCache."""
        cut = min(ttl, self._max_ttl)
        return cut if self._cache is not None else max(1, min(math.ceil(cut), int(self._max_ttl)))

    def _encoded(self, value: bytes) -> bytes | str:
        return base64.b64encode(value).decode("ascii") if self._as_text else value

    def _decoded(self, stored: object) -> bytes | None:
        """The value behind ``_encoded``; None for anything else."""
        if self._as_text and isinstance(stored, str):
            try:
                return base64.b64decode(stored, validate=True)
            except ValueError:  # also text beyond ASCII
                return None
        return bytes(stored) if isinstance(stored, (bytes, bytearray)) and not self._as_text else None
