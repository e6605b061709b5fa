"""What the processes of a fleet share about one key: the token, the lease, the last failure, the bar.

This is the only place that talks to a :class:`~m2m_auth.caches.TokenCache`. A fault of the cache never
reaches a caller: a read becomes a miss, a write an event, and a lease says ERROR, which is not "held".
After a fault the cache is left alone for :data:`BREAKER` seconds.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from .caches import TokenCache
from .errors import CacheUnavailable
from .events import Reporter
from .failure import Failure
from .lifecycle import Bar
from .seal import Seal
from .token import Secret

__all__ = ["BREAKER", "CacheNames", "Entry", "Lease", "Rotation", "SharedState"]

BREAKER = 5.0
"""Seconds that a cache is left alone after a fault."""
REFRESH_TOKEN_KEPT = 29 * 86400.0
"""Seconds that a rotated refresh token is kept after its last use: some caches take no longer time to live."""
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
        return Entry(rejected=(*(old for old in self.rejected if old != mark), mark)[-_KEPT_REJECTED:])


class Rotation(NamedTuple):
    """A refresh token, and how many exchanges led to it."""

    generation: int
    refresh_token: Secret


class CacheNames:
    """The cache keys of one token request: one digest, one prefix per kind of entry; 50 ASCII characters."""

    __slots__ = ("bar", "digest", "failure", "lease", "refresh", "token")

    def __init__(self, digest: bytes) -> None:
        text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        self.digest = text
        self.token, self.lease, self.failure, self.bar, self.refresh = (f"m2m1.{kind}.{text}" for kind in "tlfbr")


class _Sealer(Protocol):
    def seal(self, key: str, value: bytes) -> bytes: ...
    def open(self, key: str, sealed: bytes) -> bytes | None: ...


class _Plain:
    """For a cache that never leaves the process."""

    def seal(self, key: str, value: bytes) -> bytes:  # noqa: ARG002
        return value

    def open(self, key: str, sealed: bytes) -> bytes | None:  # noqa: ARG002
        return sealed


class SharedState:
    """One key's entries in one cache; with ``cache=None`` it is always empty and the lease always free."""

    def __init__(
        self,
        cache: TokenCache | None,
        seal: Seal | None,
        names: CacheNames,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._seal: _Sealer = seal if seal is not None and cache is not None and cache.capabilities.shared else _Plain()
        self._names = names
        self._monotonic, self._wall = monotonic, wall
        self._broken_until = float("-inf")
        self._faulty = False

    @classmethod
    def absent(cls) -> SharedState:
        """Nothing shared."""
        return cls(None, None, CacheNames(b""), time.monotonic, time.time)

    def read(self, report: Reporter) -> Entry | None:
        """The shared token entry, or None."""
        data = self._read(self._names.token, report)
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
        self._write(self._names.token, entry._asdict(), ttl, report)

    def forget(self, report: Reporter) -> None:
        """Deletes the token and failure entries."""
        for name in (self._names.token, self._names.failure, self._names.bar):
            self._delete(name, report)

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
        """Forgets the failure after a success."""
        self._delete(self._names.failure, report)

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

    @property
    def answers(self) -> bool:
        """True if there is a cache, and it is not left alone after a fault."""
        return self._cache is not None and not self.failing

    @property
    def failing(self) -> bool:
        """True while the cache is left alone after a fault."""
        return self._monotonic() < self._broken_until

    def read_rotation(self, report: Reporter) -> Rotation | None:
        """The newest refresh token that a process has shared, or None."""
        data = self._read(self._names.refresh, report)
        try:
            return None if data is None else Rotation(int(data["generation"]), Secret(str(data["refresh_token"])))
        except (KeyError, TypeError, ValueError):
            report.tell("undecryptable", reason="schema")
            return None

    def write_rotation(self, rotation: Rotation, report: Reporter) -> None:
        """Shares a rotated refresh token, which replaces the one before."""
        data = {"generation": rotation.generation, "refresh_token": rotation.refresh_token.reveal()}
        self._write(self._names.refresh, data, REFRESH_TOKEN_KEPT, report)

    def take_lease(self, owner: bytes, ttl: float, report: Reporter) -> Lease:
        """Asks for the right to mint for ``ttl`` seconds."""
        cache = self._cache
        if cache is None or not cache.capabilities.atomic_add:
            return Lease.ACQUIRED
        won = self._do(report, None, lambda cache: cache.add(self._names.lease, owner, ttl))
        return Lease.ERROR if won is None else Lease.ACQUIRED if won else Lease.HELD

    def lease_holder(self, report: Reporter) -> bytes | None:
        """Whose lease it is; None if it is nobody's."""
        return self._do(report, None, lambda cache: cache.get(self._names.lease))

    def release_lease(self, owner: bytes, report: Reporter) -> None:
        """Gives the lease back, if it is still this owner's."""
        self._do(report, None, lambda cache: cache.delete_if(self._names.lease, owner))

    def increment(self, name: str, ttl: float, report: Reporter) -> None:
        """Adds one to a counter of the ledger."""
        self._do(report, None, lambda cache: cache.increment(name, ttl))

    def count(self, name: str, report: Reporter) -> int | None:
        """A counter of the ledger; None where no shared cache can say."""
        if self._cache is None or not self._cache.capabilities.shared:
            return None
        digits: object = self._do(report, b"", lambda cache: cache.get(name) or b"0")
        return int(digits) if isinstance(digits, bytes) and digits.isdigit() else None

    def release_thread(self) -> None:
        """At the end of a flight: lets the cache close what it opened for this thread."""
        release = getattr(self._cache, "release_thread", None)
        if release is not None:
            release()

    def _read(self, name: str, report: Reporter) -> dict[str, Any] | None:
        sealed: object = self._do(report, None, lambda cache: cache.get(name))
        if sealed is None:
            return None
        opened = self._seal.open(name, sealed) if isinstance(sealed, bytes) else None
        if opened is None:
            report.tell("undecryptable", reason="seal")
            return None
        try:
            data: Any = json.loads(opened)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            report.tell("undecryptable", reason="schema")
            return None
        return cast("dict[str, Any]", data)

    def _delete(self, name: str, report: Reporter) -> None:
        self._do(report, None, lambda cache: cache.delete(name))

    def _write(self, name: str, data: dict[str, Any], ttl: float, report: Reporter) -> None:
        if self._cache is not None and ttl > 0:
            sealed = self._seal.seal(name, json.dumps(data, separators=(",", ":")).encode())
            self._do(report, None, lambda cache: cache.set(name, sealed, ttl))

    def _do(self, report: Reporter, default: _T, operation: Callable[[TokenCache], _T]) -> _T:
        """One cache operation; ``default`` where the cache is absent, broken or left alone."""
        cache = self._cache
        if cache is None or self._monotonic() < self._broken_until:
            return default
        try:
            result = operation(cache)
        except Exception as error:  # a user's own cache may raise anything; no call fails for it
            self._broken_until = self._monotonic() + BREAKER
            self._faulty = True
            reason = str(error) if isinstance(error, CacheUnavailable) else type(error).__name__
            report.tell("cache_fault", reason=reason, holds=BREAKER)
            return default
        if self._faulty:
            self._faulty = False
            report.tell("cache_recovered")
        return result


def new_owner() -> bytes:
    """A random owner id for a lease."""
    return os.urandom(16).hex().encode()
