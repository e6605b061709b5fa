"""What the processes of a fleet share about one key: the token, the lease, the last failure, the ban.

This is the only place that talks to a :class:`~m2m_auth.caches.TokenCache`, through its breaker. A fault of the cache
never reaches a caller: a read becomes a miss, a write an event, and a lease says ERROR, which is not "held".

Of several tiers (see ``caches/tiered.py``) the farthest one counts; the next nearer one stands in while it fails. Only
tokens are also kept in the nearer tiers.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, Protocol, TypeVar, cast

from ..caches.protocol import TokenCache, release_thread
from ..events import EventEmitter
from ..lifecycle.failure import Failure
from ..lifecycle.forced_mint_ban import ForcedMintBan
from ..oauth2.secrets import Secret
from .circuit_breaker import CircuitBreaker
from .entries import Entry, Lease, RotatedRefreshToken
from .keys import CacheKeys
from .mint_history import MintHistory
from .sealing import Seal

__all__ = ["NOTHING_SHARED", "SharedStore"]

REFRESH_TOKEN_KEPT = 29 * 86400.0
"""Seconds that a rotated refresh token is kept after its last use: some caches take no longer time to live."""
HISTORY_KEPT = 29 * 86400.0
"""Seconds that the record of hosts and hours is kept after the last attempt."""
_T = TypeVar("_T")


class _Sealer(Protocol):
    def seal(self, key: str, value: bytes) -> bytes: ...
    def open(self, key: str, sealed: bytes) -> bytes | None: ...


class _Plain:
    """For a cache that never leaves the process."""

    def seal(self, key: str, value: bytes) -> bytes:  # noqa: ARG002
        return value

    def open(self, key: str, sealed: bytes) -> bytes | None:  # noqa: ARG002
        return sealed


_PLAIN = _Plain()


class SharedStore:
    """One key's entries in a cache; without any breakers it is always empty and the lease always free.

    Args:
        breakers: the cache's tiers, the nearest first.
        seal: seals what leaves the process; None where nothing does.
        names: the entries' keys.
        wall: the wall clock.
    """

    __slots__ = ("_farthest_first", "_leased", "_names", "_nearest_first", "_seal", "_seen", "_turn", "_wall")

    def __init__(
        self, breakers: tuple[CircuitBreaker, ...], seal: Seal | None, names: CacheKeys, wall: Callable[[], float]
    ) -> None:
        self._nearest_first, self._farthest_first = breakers, breakers if len(breakers) < 2 else breakers[::-1]
        self._seal: _Sealer = seal or _PLAIN
        self._names = names
        self._wall = wall
        self._seen: dict[tuple[CircuitBreaker, str], bytes] | None = None
        """A digest of what was in a tier under a key when it was last looked at, where that matters."""
        if self.tiered or any(not breaker.capabilities.compare_delete for breaker in breakers):
            self._seen = {}
        self._leased: tuple[CircuitBreaker, str] | None = None
        self._turn = 0.0
        """When the latest token that was seen was issued; kept when it ends, since its lease may be under way."""

    @property
    def tiered(self) -> bool:
        """True if a nearer tier may hold an older token than the farthest one."""
        return len(self._nearest_first) > 1

    def read(self, events: EventEmitter, *, newest: bool = False) -> Entry | None:
        """The shared token entry of the nearest tier that has one, or None; ``newest``: of the farthest."""
        name = self._names.token
        order = self._farthest_first if newest else self._nearest_first
        for place, breaker in enumerate(order):
            sealed = self._look(breaker, name, events)[1]
            entry = self._entry(self._opened(name, sealed, events), events)
            if entry is not None:
                if breaker is self._nearest_first[-1]:
                    self._turn = entry.issued_at
                if self.tiered:
                    self._spread(entry, sealed, self._nearest_first[: self._nearest_first.index(breaker)], events)
                    if newest:
                        self._offer(entry, sealed, order[:place], events)
                return entry
        return None

    def _entry(self, data: dict[str, Any] | None, events: EventEmitter) -> Entry | None:
        if data is None:
            return None
        try:
            value, scope = data["value"], data["scope"]
            if not (value is None or isinstance(value, str)) or not (scope is None or isinstance(scope, str)):
                raise TypeError
            rejected = tuple(str(fingerprint) for fingerprint in data["rejected"])
            quota_low = bool(data.get("quota_low"))
            return Entry(value, scope, float(data["issued_at"]), float(data["lifetime"]), rejected, quota_low)
        except (KeyError, TypeError, ValueError):
            events.emit("undecryptable", reason="schema")
            return None

    def write(self, entry: Entry, ttl: float, events: EventEmitter) -> None:
        """Shares a token entry for ``ttl`` seconds."""
        if self._farthest_first and ttl > 0:
            sealed = self._sealed(self._names.token, entry._asdict())
            for breaker in self._farthest_first:
                self._put(breaker, sealed, ttl, events)

    def read_failure(self, events: EventEmitter) -> tuple[Failure, float] | None:
        """The last shared failure, and the seconds until its next attempt (negative: it is due)."""
        data = self._read(self._names.failure, events)
        if data is None:
            return None
        try:
            failure = Failure.from_json(data["failure"])
            hold = float(data["hold"])
            return failure, min(float(data["next_attempt_at"]) - self._wall(), hold)
        except (KeyError, TypeError, ValueError, AttributeError):
            events.emit("undecryptable", reason="schema")
            return None

    def write_failure(self, failure: Failure, hold: float, events: EventEmitter) -> None:
        """Tells every process to hold off for ``hold`` seconds. Kept longer, so that attempts are counted on."""
        data = {"failure": failure.to_json(), "hold": hold, "next_attempt_at": self._wall() + hold}
        self._write(self._names.failure, data, hold * 3 + 60, events)

    def clear_failure(self, events: EventEmitter) -> None:
        """Forgets the failure after a success; also where a nearer tier stood in when it was written."""
        for breaker in self._farthest_first:
            breaker.do(events, lambda cache: cache.delete(self._names.failure))

    def read_ban(self, events: EventEmitter) -> ForcedMintBan | None:
        """The shared ban against forced mints; its ``until`` is Unix time."""
        data = self._read(self._names.forced_mint_ban, events)
        try:
            return None if data is None else ForcedMintBan(float(data["until"]), int(data["level"]))
        except (KeyError, TypeError, ValueError):
            return None

    def write_ban(self, ban: ForcedMintBan, events: EventEmitter) -> None:
        """Shares the ban; kept longer than it lasts, so that it can double."""
        self._write(self._names.forced_mint_ban, ban._asdict(), ban.until - self._wall() + 600, events)

    def forget(self, events: EventEmitter) -> bool:
        """Deletes the token, the last failure and the ban from every tier; False if one of them did not answer."""
        names = self._names.token, self._names.failure, self._names.forced_mint_ban
        told = [
            breaker.do(events, methodcaller("delete", name))[0] for breaker in self._nearest_first for name in names
        ]
        return all(told)

    @property
    def answers(self) -> bool:
        """True if there is a cache, and it is not left alone after a fault."""
        return bool(self._farthest_first) and not self.failing

    @property
    def failing(self) -> bool:
        """True while the cache, or its farthest tier, is left alone after a fault."""
        return bool(self._farthest_first) and self._farthest_first[0].failing

    def read_rotation(self, events: EventEmitter) -> RotatedRefreshToken | None:
        """The newest refresh token in any tier, or None: one may have been written while the farthest was down."""
        found: list[RotatedRefreshToken] = []
        for breaker in self._farthest_first:
            data = self._opened(self._names.refresh, self._look(breaker, self._names.refresh, events)[1], events)
            try:
                if data is not None:
                    found.append(RotatedRefreshToken(int(data["generation"]), Secret(str(data["refresh_token"]))))
            except (KeyError, TypeError, ValueError):
                events.emit("undecryptable", reason="schema")
        return max(found, key=lambda rotation: rotation.generation, default=None)

    def write_rotation(self, rotation: RotatedRefreshToken, events: EventEmitter) -> None:
        """Shares a rotated refresh token, which replaces the one before."""
        data = {"generation": rotation.generation, "refresh_token": rotation.refresh_token.reveal()}
        name, sealed = self._names.refresh, self._sealed(self._names.refresh, data)
        for breaker in self._farthest_first:
            breaker.do(events, lambda cache: cache.set(name, sealed, REFRESH_TOKEN_KEPT))

    def take_lease(self, owner: bytes, ttl: float, events: EventEmitter) -> Lease:
        """Asks for the right to mint for ``ttl`` seconds."""
        self._leased = None
        able = [breaker for breaker in self._farthest_first if breaker.capabilities.atomic_add]
        for breaker in able:
            name = self._lease_name(breaker)
            answered, won = breaker.do(events, methodcaller("add", name, owner, ttl))
            if answered:
                self._leased = breaker, name
                return Lease.ACQUIRED if won else Lease.HELD
        return Lease.ERROR if able else Lease.ACQUIRED

    def longest_lease(self, ttl: float) -> float:
        """Seconds that a lease of ``ttl`` may stand: a cache of whole seconds rounds up, and counts its ticks."""
        return ttl if self._leased is None else ttl + 2 * self._leased[0].capabilities.resolution

    def lease_holder(self, events: EventEmitter) -> bytes | None:
        """Whose lease it is that was asked for last; None if it is nobody's."""
        if self._leased is None:
            return None
        breaker, name = self._leased
        return breaker.do(events, lambda cache: cache.get(name))[1]

    def release_lease(self, owner: bytes, events: EventEmitter) -> None:
        """Gives the lease back, if it is still this owner's. Where the cache cannot compare, it lapses."""
        if self._leased is not None:
            breaker, name = self._leased
            if breaker.capabilities.compare_delete:
                breaker.do(events, lambda cache: cache.delete_if(name, owner))

    def _lease_name(self, breaker: CircuitBreaker) -> str:
        """The lease's key. Where no lease can be given back, it is another one as soon as its holder has had its turn.

        That is when there is a newer token than the one that everybody has seen last, or another failure.
        """
        if breaker.capabilities.compare_delete:
            return self._names.lease
        seen = repr(self._turn).encode() + (self._seen or {}).get((breaker, self._names.failure), b"-")
        return f"{self._names.lease}.{hashlib.sha256(seen).hexdigest()[:8]}"

    def increment(self, name: str, ttl: float, events: EventEmitter) -> None:
        """Adds one to a counter of the ledger."""
        self._do(events, None, lambda cache: cache.increment(name, ttl))

    def count(self, name: str, events: EventEmitter) -> int | None:
        """A counter of the ledger; None where no shared cache can say."""
        if not any(breaker.capabilities.shared for breaker in self._farthest_first):
            return None
        digits: object = self._do(events, b"", lambda cache: cache.get(name) or b"0")
        return int(digits) if isinstance(digits, bytes) and digits.isdigit() and len(digits) < 20 else None

    def read_history(self, events: EventEmitter) -> MintHistory | None:
        """Which hosts have minted this key's tokens, and when; None where no cache answers."""
        name = self._names.history
        for breaker in self._farthest_first:
            answered, sealed = self._look(breaker, name, events)
            if answered:
                data = self._opened(name, sealed, events)
                try:
                    return MintHistory() if data is None else MintHistory.from_json(data)
                except (KeyError, TypeError, ValueError, OverflowError):
                    events.emit("undecryptable", reason="schema")
                    return MintHistory()
        return None

    def write_history(self, history: MintHistory, events: EventEmitter) -> None:
        """Shares that record."""
        self._write(self._names.history, history.to_json(), HISTORY_KEPT, events)

    def release_thread(self) -> None:
        """At the end of a flight: lets the cache close what it opened for this thread."""
        for breaker in self._farthest_first:
            release_thread(breaker.cache)

    def _read(self, name: str, events: EventEmitter) -> dict[str, Any] | None:
        """An entry of the farthest tier that answers, opened."""
        for breaker in self._farthest_first:
            answered, sealed = self._look(breaker, name, events)
            if answered:
                return self._opened(name, sealed, events)
        return None

    def _look(self, breaker: CircuitBreaker, name: str, events: EventEmitter) -> tuple[bool, object]:
        """Whether a tier answered, and what is there."""
        answered, sealed = breaker.do(events, lambda cache: cache.get(name))
        if answered:
            self._note(breaker, name, sealed)
        return answered, sealed

    def _note(self, breaker: CircuitBreaker, name: str, sealed: object) -> None:
        if self._seen is not None:
            self._seen[breaker, name] = hashlib.sha256(sealed).digest() if isinstance(sealed, bytes) else b"-"

    def _opened(self, name: str, sealed: object, events: EventEmitter) -> dict[str, Any] | None:
        if sealed is None:
            return None
        opened = self._seal.open(name, sealed) if isinstance(sealed, bytes) else None
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

    def _write(self, name: str, data: dict[str, Any], ttl: float, events: EventEmitter) -> None:
        if self._farthest_first and ttl > 0:
            sealed = self._sealed(name, data)
            self._do(events, None, lambda cache: cache.set(name, sealed, ttl))

    def _spread(self, entry: Entry, sealed: object, breakers: Sequence[CircuitBreaker], events: EventEmitter) -> None:
        """Puts a token into tiers before the one where it was found, unless they have it, for the rest of its life."""
        if not breakers or not isinstance(sealed, bytes) or self._seen is None:
            return
        ttl = min(entry.issued_at + entry.lifetime - self._wall(), entry.lifetime)
        known = hashlib.sha256(sealed).digest()
        for breaker in breakers:
            if ttl > 0 and self._seen.get((breaker, self._names.token)) != known:
                self._put(breaker, sealed, ttl, events)

    def _offer(self, entry: Entry, sealed: object, breakers: Sequence[CircuitBreaker], events: EventEmitter) -> None:
        """To farther tiers that had nothing: unless somebody has put a newer one there in the meantime."""
        ttl = min(entry.issued_at + entry.lifetime - self._wall(), entry.lifetime)
        name = self._names.token
        for breaker in breakers:
            if ttl > 0 and isinstance(sealed, bytes):
                breaker.do(events, lambda cache: cache.add(name, sealed, ttl))

    def _put(self, breaker: CircuitBreaker, sealed: bytes, ttl: float, events: EventEmitter) -> None:
        name = self._names.token
        breaker.do(events, lambda cache: cache.set(name, sealed, ttl))
        self._note(breaker, name, sealed)

    def _sealed(self, name: str, data: dict[str, Any]) -> bytes:
        return self._seal.seal(name, json.dumps(data, separators=(",", ":")).encode())

    def _do(self, events: EventEmitter, default: _T, operation: Callable[[TokenCache], _T]) -> _T:
        """One operation on the farthest tier that answers; ``default`` where none does."""
        for breaker in self._farthest_first:
            answered, result = breaker.do(events, operation)
            if answered:
                return cast("_T", result)
        return default


NOTHING_SHARED = SharedStore((), None, CacheKeys(b""), time.time)
"""What a source without a cache shares."""


def new_owner() -> bytes:
    """A random owner id for a lease."""
    return os.urandom(16).hex().encode()
