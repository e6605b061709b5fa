"""What the processes of a fleet share about one key: the token, the lease, the last failure, the bar.

This is the only place that talks to a :class:`~m2m_auth.caches.TokenCache`, through its guard. A fault of the cache
never reaches a caller: a read becomes a miss, a write an event, and a lease says ERROR, which is not "held".

Of several tiers (see ``caches/tiered.py``) the farthest one counts; the next nearer one stands in while it fails. Only
tokens are also kept in the nearer tiers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from enum import Enum
from operator import methodcaller
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from .caches import TokenCache
from .events import Reporter
from .failure import Failure
from .guarded import Guard
from .history import HISTORY, MintHistory
from .lifecycle import Bar
from .seal import Seal
from .token import Secret

__all__ = ["NOTHING_SHARED", "CacheNames", "Entry", "Lease", "Rotation", "SharedState"]

REFRESH_TOKEN_KEPT = 29 * 86400.0
"""Seconds that a rotated refresh token is kept after its last use: some caches take no longer time to live."""
HISTORY_KEPT = 29 * 86400.0
"""Seconds that the record of hosts and hours is kept after the last attempt."""
_KEPT_REJECTED = 4
_T = TypeVar("_T")


class Lease(Enum):
    """The answer to "may I mint?"."""

    ACQUIRED = "yes"
    HELD = "another process does"
    ERROR = "the cache cannot say"


class Entry(NamedTuple):
    """A token as it is shared, and the marks of tokens that an API has refused. No token: only the marks."""

    value: str | None = None
    scope: str | None = None
    issued_at: float = 0.0
    lifetime: float = 0.0
    rejected: tuple[str, ...] = ()
    thrifty: bool = False
    """Renew it late: the server said that little is left of its quota."""

    def __repr__(self) -> str:
        return f"<Entry issued_at={self.issued_at:.0f} lifetime={self.lifetime:g}>"

    def without(self, mark: str) -> Entry:
        """The tombstone: no token any more, and this one's mark remembered."""
        rejected = (*(old for old in self.rejected if old != mark), mark)[-_KEPT_REJECTED:]
        return Entry(issued_at=self.issued_at, rejected=rejected)


class Rotation(NamedTuple):
    """A refresh token, and how many exchanges led to it."""

    generation: int
    refresh_token: Secret


class CacheNames:
    """The cache keys of one token request: one digest, one prefix per kind of entry; 50 ASCII characters."""

    __slots__ = ("digest",)

    def __init__(self, digest: bytes) -> None:
        self.digest = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def token(self) -> str:
        """The token's, or the tombstone's."""
        return f"m2m1.t.{self.digest}"

    @property
    def lease(self) -> str:
        """The lease's."""
        return f"m2m1.l.{self.digest}"

    @property
    def failure(self) -> str:
        """The last failure's."""
        return f"m2m1.f.{self.digest}"

    @property
    def bar(self) -> str:
        """The bar's against forced mints."""
        return f"m2m1.b.{self.digest}"

    @property
    def refresh(self) -> str:
        """The rotated refresh token's."""
        return f"m2m1.r.{self.digest}"

    @property
    def history(self) -> str:
        """That of the record which host minted, and when."""
        return f"{HISTORY}{self.digest}"


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


class SharedState:
    """One key's entries in a cache; without any guards it is always empty and the lease always free.

    Args:
        guards: the cache's tiers, the nearest first.
        seal: seals what leaves the process; None where nothing does.
        names: the entries' keys.
        wall: the wall clock.
    """

    __slots__ = ("_farthest_first", "_leased", "_names", "_nearest_first", "_seal", "_seen", "_turn", "_wall")

    def __init__(
        self, guards: tuple[Guard, ...], seal: Seal | None, names: CacheNames, wall: Callable[[], float]
    ) -> None:
        self._nearest_first, self._farthest_first = guards, guards if len(guards) < 2 else guards[::-1]
        self._seal: _Sealer = seal or _PLAIN
        self._names = names
        self._wall = wall
        self._seen: dict[tuple[Guard, str], bytes] | None = None
        """A digest of what was in a tier under a key when it was last looked at, where that matters."""
        if self.tiered or any(not guard.capabilities.compare_delete for guard in guards):
            self._seen = {}
        self._leased: tuple[Guard, str] | None = None
        self._turn = 0.0
        """When the latest token that was seen was issued; kept when it ends, since its lease may be under way."""

    @property
    def tiered(self) -> bool:
        """True if a nearer tier may hold an older token than the farthest one."""
        return len(self._nearest_first) > 1

    def read(self, report: Reporter, *, newest: bool = False) -> Entry | None:
        """The shared token entry of the nearest tier that has one, or None; ``newest``: of the farthest."""
        name = self._names.token
        order = self._farthest_first if newest else self._nearest_first
        for place, guard in enumerate(order):
            sealed = self._look(guard, name, report)[1]
            entry = self._entry(self._opened(name, sealed, report), report)
            if entry is not None:
                if guard is self._nearest_first[-1]:
                    self._turn = entry.issued_at
                if self.tiered:
                    self._spread(entry, sealed, self._nearest_first[: self._nearest_first.index(guard)], report)
                    if newest:
                        self._offer(entry, sealed, order[:place], report)
                return entry
        return None

    def _entry(self, data: dict[str, Any] | None, report: Reporter) -> Entry | None:
        if data is None:
            return None
        try:
            value, scope = data["value"], data["scope"]
            if not (value is None or isinstance(value, str)) or not (scope is None or isinstance(scope, str)):
                raise TypeError
            rejected = tuple(str(mark) for mark in data["rejected"])
            thrifty = bool(data.get("thrifty"))
            return Entry(value, scope, float(data["issued_at"]), float(data["lifetime"]), rejected, thrifty)
        except (KeyError, TypeError, ValueError):
            report.tell("undecryptable", reason="schema")
            return None

    def write(self, entry: Entry, ttl: float, report: Reporter) -> None:
        """Shares a token entry for ``ttl`` seconds."""
        if self._farthest_first and ttl > 0:
            sealed = self._sealed(self._names.token, entry._asdict())
            for guard in self._farthest_first:
                self._put(guard, sealed, ttl, report)

    def read_failure(self, report: Reporter) -> tuple[Failure, float] | None:
        """The last shared failure, and the seconds until its next attempt (negative: it is due)."""
        data = self._read(self._names.failure, report)
        if data is None:
            return None
        try:
            failure = Failure.from_json(data["failure"])
            hold = float(data["hold"])
            return failure, min(float(data["next_attempt_at"]) - self._wall(), hold)
        except (KeyError, TypeError, ValueError, AttributeError):
            report.tell("undecryptable", reason="schema")
            return None

    def write_failure(self, failure: Failure, hold: float, report: Reporter) -> None:
        """Tells every process to hold off for ``hold`` seconds. Kept longer, so that attempts are counted on."""
        data = {"failure": failure.to_json(), "hold": hold, "next_attempt_at": self._wall() + hold}
        self._write(self._names.failure, data, hold * 3 + 60, report)

    def clear_failure(self, report: Reporter) -> None:
        """Forgets the failure after a success; also where a nearer tier stood in when it was written."""
        for guard in self._farthest_first:
            guard.do(report, lambda cache: cache.delete(self._names.failure))

    def read_bar(self, report: Reporter) -> Bar | None:
        """The shared bar against forced mints; its ``until`` is Unix time."""
        data = self._read(self._names.bar, report)
        try:
            return None if data is None else Bar(float(data["until"]), int(data["level"]))
        except (KeyError, TypeError, ValueError):
            return None

    def write_bar(self, bar: Bar, report: Reporter) -> None:
        """Shares the bar; kept longer than it lasts, so that it can double."""
        self._write(self._names.bar, bar._asdict(), bar.until - self._wall() + 600, report)

    def forget(self, report: Reporter) -> bool:
        """Deletes the token, the last failure and the bar from every tier; False if one of them did not answer."""
        names = self._names.token, self._names.failure, self._names.bar
        told = [guard.do(report, methodcaller("delete", name))[0] for guard in self._nearest_first for name in names]
        return all(told)

    @property
    def answers(self) -> bool:
        """True if there is a cache, and it is not left alone after a fault."""
        return bool(self._farthest_first) and not self.failing

    @property
    def failing(self) -> bool:
        """True while the cache, or its farthest tier, is left alone after a fault."""
        return bool(self._farthest_first) and self._farthest_first[0].failing

    def read_rotation(self, report: Reporter) -> Rotation | None:
        """The newest refresh token in any tier, or None: one may have been written while the farthest was down."""
        found: list[Rotation] = []
        for guard in self._farthest_first:
            data = self._opened(self._names.refresh, self._look(guard, self._names.refresh, report)[1], report)
            try:
                if data is not None:
                    found.append(Rotation(int(data["generation"]), Secret(str(data["refresh_token"]))))
            except (KeyError, TypeError, ValueError):
                report.tell("undecryptable", reason="schema")
        return max(found, key=lambda rotation: rotation.generation, default=None)

    def write_rotation(self, rotation: Rotation, report: Reporter) -> None:
        """Shares a rotated refresh token, which replaces the one before."""
        data = {"generation": rotation.generation, "refresh_token": rotation.refresh_token.reveal()}
        name, sealed = self._names.refresh, self._sealed(self._names.refresh, data)
        for guard in self._farthest_first:
            guard.do(report, lambda cache: cache.set(name, sealed, REFRESH_TOKEN_KEPT))

    def take_lease(self, owner: bytes, ttl: float, report: Reporter) -> Lease:
        """Asks for the right to mint for ``ttl`` seconds."""
        self._leased = None
        able = [guard for guard in self._farthest_first if guard.capabilities.atomic_add]
        for guard in able:
            name = self._lease_name(guard)
            answered, won = guard.do(report, methodcaller("add", name, owner, ttl))
            if answered:
                self._leased = guard, name
                return Lease.ACQUIRED if won else Lease.HELD
        return Lease.ERROR if able else Lease.ACQUIRED

    def longest_lease(self, ttl: float) -> float:
        """Seconds that a lease of ``ttl`` may stand: a cache of whole seconds rounds up, and counts its ticks."""
        return ttl if self._leased is None else ttl + 2 * self._leased[0].capabilities.resolution

    def lease_holder(self, report: Reporter) -> bytes | None:
        """Whose lease it is that was asked for last; None if it is nobody's."""
        if self._leased is None:
            return None
        guard, name = self._leased
        return guard.do(report, lambda cache: cache.get(name))[1]

    def release_lease(self, owner: bytes, report: Reporter) -> None:
        """Gives the lease back, if it is still this owner's. Where the cache cannot compare, it lapses."""
        if self._leased is not None:
            guard, name = self._leased
            if guard.capabilities.compare_delete:
                guard.do(report, lambda cache: cache.delete_if(name, owner))

    def _lease_name(self, guard: Guard) -> str:
        """The lease's key. Where no lease can be given back, it is another one as soon as its holder has had its turn.

        That is when there is a newer token than the one that everybody has seen last, or another failure.
        """
        if guard.capabilities.compare_delete:
            return self._names.lease
        seen = repr(self._turn).encode() + (self._seen or {}).get((guard, self._names.failure), b"-")
        return f"{self._names.lease}.{hashlib.sha256(seen).hexdigest()[:8]}"

    def increment(self, name: str, ttl: float, report: Reporter) -> None:
        """Adds one to a counter of the ledger."""
        self._do(report, None, lambda cache: cache.increment(name, ttl))

    def count(self, name: str, report: Reporter) -> int | None:
        """A counter of the ledger; None where no shared cache can say."""
        if not any(guard.capabilities.shared for guard in self._farthest_first):
            return None
        digits: object = self._do(report, b"", lambda cache: cache.get(name) or b"0")
        return int(digits) if isinstance(digits, bytes) and digits.isdigit() and len(digits) < 20 else None

    def read_history(self, report: Reporter) -> MintHistory | None:
        """Which hosts have minted this key's tokens, and when; None where no cache answers."""
        name = self._names.history
        for guard in self._farthest_first:
            answered, sealed = self._look(guard, name, report)
            if answered:
                data = self._opened(name, sealed, report)
                try:
                    return MintHistory() if data is None else MintHistory.from_json(data)
                except (KeyError, TypeError, ValueError, OverflowError):
                    report.tell("undecryptable", reason="schema")
                    return MintHistory()
        return None

    def write_history(self, history: MintHistory, report: Reporter) -> None:
        """Shares that record."""
        self._write(self._names.history, history.to_json(), HISTORY_KEPT, report)

    def release_thread(self) -> None:
        """At the end of a flight: lets the cache close what it opened for this thread."""
        for guard in self._farthest_first:
            release = getattr(guard.cache, "release_thread", None)
            if release is not None:
                with contextlib.suppress(Exception):  # a user's own cache may raise anything
                    release()

    def _read(self, name: str, report: Reporter) -> dict[str, Any] | None:
        """An entry of the farthest tier that answers, opened."""
        for guard in self._farthest_first:
            answered, sealed = self._look(guard, name, report)
            if answered:
                return self._opened(name, sealed, report)
        return None

    def _look(self, guard: Guard, name: str, report: Reporter) -> tuple[bool, object]:
        """Whether a tier answered, and what is there."""
        answered, sealed = guard.do(report, lambda cache: cache.get(name))
        if answered:
            self._note(guard, name, sealed)
        return answered, sealed

    def _note(self, guard: Guard, name: str, sealed: object) -> None:
        if self._seen is not None:
            self._seen[guard, name] = hashlib.sha256(sealed).digest() if isinstance(sealed, bytes) else b"-"

    def _opened(self, name: str, sealed: object, report: Reporter) -> dict[str, Any] | None:
        if sealed is None:
            return None
        opened = self._seal.open(name, sealed) if isinstance(sealed, bytes) else None
        if opened is None:
            report.tell("undecryptable", reason="seal")
            return None
        try:
            data: Any = json.loads(opened.decode())
        except ValueError:
            data = None
        if not isinstance(data, dict):
            report.tell("undecryptable", reason="schema")
            return None
        return cast("dict[str, Any]", data)

    def _write(self, name: str, data: dict[str, Any], ttl: float, report: Reporter) -> None:
        if self._farthest_first and ttl > 0:
            sealed = self._sealed(name, data)
            self._do(report, None, lambda cache: cache.set(name, sealed, ttl))

    def _spread(self, entry: Entry, sealed: object, guards: Sequence[Guard], report: Reporter) -> None:
        """Puts a token into tiers before the one where it was found, unless they have it, for the rest of its life."""
        if not guards or not isinstance(sealed, bytes) or self._seen is None:
            return
        ttl = min(entry.issued_at + entry.lifetime - self._wall(), entry.lifetime)
        known = hashlib.sha256(sealed).digest()
        for guard in guards:
            if ttl > 0 and self._seen.get((guard, self._names.token)) != known:
                self._put(guard, sealed, ttl, report)

    def _offer(self, entry: Entry, sealed: object, guards: Sequence[Guard], report: Reporter) -> None:
        """To farther tiers that had nothing: unless somebody has put a newer one there in the meantime."""
        ttl = min(entry.issued_at + entry.lifetime - self._wall(), entry.lifetime)
        name = self._names.token
        for guard in guards:
            if ttl > 0 and isinstance(sealed, bytes):
                guard.do(report, lambda cache: cache.add(name, sealed, ttl))

    def _put(self, guard: Guard, sealed: bytes, ttl: float, report: Reporter) -> None:
        name = self._names.token
        guard.do(report, lambda cache: cache.set(name, sealed, ttl))
        self._note(guard, name, sealed)

    def _sealed(self, name: str, data: dict[str, Any]) -> bytes:
        return self._seal.seal(name, json.dumps(data, separators=(",", ":")).encode())

    def _do(self, report: Reporter, default: _T, operation: Callable[[TokenCache], _T]) -> _T:
        """One operation on the farthest tier that answers; ``default`` where none does."""
        for guard in self._farthest_first:
            answered, result = guard.do(report, operation)
            if answered:
                return cast("_T", result)
        return default


NOTHING_SHARED = SharedState((), None, CacheNames(b""), time.time)
"""What a source without a cache shares."""


def new_owner() -> bytes:
    """A random owner id for a lease."""
    return os.urandom(16).hex().encode()
