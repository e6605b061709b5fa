"""What the processes of a fleet share for one key: the token, the lease, the last failure, the ban, the counters.

Of several tiers (see ``caches/tiered.py``) the farthest one counts; while it fails, the next nearer one does. The
nearer tiers keep only tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..events import EventEmitter
from ..lifecycle.failure import Failure
from ..lifecycle.forced_mint_ban import LONGEST_BAN, ForcedMintBan
from ..oauth2.secrets import Secret
from ..runtime.clock import SYSTEM_CLOCK
from .circuit_breaker import CircuitBreaker
from .entries import Entry, RotatedRefreshToken
from .keys import CacheKeys
from .lease import SharedLease
from .sealed_tiers import SealedTiers
from .sealing import Seal

if TYPE_CHECKING:
    from .mint_history import MintHistory

__all__ = ["NOTHING_SHARED", "SharedStore"]

REFRESH_TOKEN_KEPT = 29 * 86400.0
"""Seconds that a rotated refresh token is kept after its last use: some caches take no longer time to live."""
HISTORY_KEPT = 29 * 86400.0
"""Seconds that the mint history is kept after the last attempt."""
_WRONG_SCHEMA = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class SharedStore:
    """One key's entries in a cache; without any breakers it is always empty and the lease always free.

    Args:
        breakers: the cache's tiers, the nearest first.
        seal: seals what leaves the process; None where nothing does.
        keys: the entries' cache keys.
        wall: the wall clock.
    """

    __slots__ = ("_keys", "_tiers", "_wall", "lease")

    def __init__(
        self, breakers: tuple[CircuitBreaker, ...], seal: Seal | None, keys: CacheKeys, wall: Callable[[], float]
    ) -> None:
        self._tiers = SealedTiers(breakers, seal)
        self._keys = keys
        self._wall = wall
        self.lease = SharedLease(self._tiers, keys)
        """The right to mint."""

    @property
    def tiered(self) -> bool:
        """True if a nearer tier may hold an older token than the farthest one."""
        return self._tiers.several

    @property
    def answers(self) -> bool:
        """True if there is a cache, and it is in use."""
        return self._tiers.answers

    @property
    def failing(self) -> bool:
        """True while the cache, or its farthest tier, is not used after a fault."""
        return self._tiers.failing

    # the token

    def read(self, events: EventEmitter, *, newest: bool = False) -> Entry | None:
        """The token entry of the nearest tier that has one, or None; ``newest``: of the farthest."""
        tiers, key = self._tiers, self._keys.token
        order = tiers.farthest_first if newest else tiers.nearest_first
        for place, breaker in enumerate(order):
            sealed = tiers.get(breaker, key, events)[1]
            entry = _entry(tiers.opened(key, sealed, events), events)
            if entry is not None:
                if breaker is tiers.nearest_first[-1]:
                    self.lease.newest_issued_at = entry.issued_at
                if tiers.several and isinstance(sealed, bytes):
                    nearer = tiers.nearest_first[: tiers.nearest_first.index(breaker)]
                    self._copy_to_nearer(entry, sealed, nearer, events)
                    if newest:
                        self._offer_to_farther(entry, sealed, order[:place], events)
                return entry
        return None

    def write(self, entry: Entry, ttl: float, events: EventEmitter) -> None:
        """Shares a token entry for ``ttl`` seconds."""
        self._tiers.write_all(self._keys.token, entry._asdict(), ttl, events)

    def forget(self, events: EventEmitter) -> bool:
        """Deletes the token, the last failure, the wait and the ban from every tier; False if a tier did not answer."""
        keys = self._keys
        return self._tiers.delete_all((keys.token, keys.failure, keys.wait, keys.forced_mint_ban), events)

    def _copy_to_nearer(
        self, entry: Entry, sealed: bytes, breakers: Sequence[CircuitBreaker], events: EventEmitter
    ) -> None:
        """Stores a token in the nearer tiers that lack it, for the rest of its life."""
        ttl, key = self._rest(entry), self._keys.token
        for breaker in breakers:
            if ttl > 0 and not self._tiers.has(breaker, key, sealed):
                self._tiers.put(breaker, key, sealed, ttl, events)

    def _offer_to_farther(
        self, entry: Entry, sealed: bytes, breakers: Sequence[CircuitBreaker], events: EventEmitter
    ) -> None:
        """Adds a token to the farther tiers that had none, unless another process has just written a newer one."""
        ttl, key = self._rest(entry), self._keys.token
        for breaker in breakers:
            if ttl > 0:
                breaker.do(events, lambda cache: cache.add(key, sealed, ttl))

    def _rest(self, entry: Entry) -> float:
        return min(entry.issued_at + entry.lifetime - self._wall(), entry.lifetime)

    # the last failure, and the ban on forced mints

    def read_failure(self, events: EventEmitter) -> tuple[Failure, float] | None:
        """The last shared failure, and the seconds until its next attempt (0 or less: the attempt is due)."""
        return self._read_failure(self._keys.failure, events)

    def read_wait(self, events: EventEmitter) -> tuple[Failure, float] | None:
        """The failure with which the token endpoint asked the client to wait, and the seconds that are left of it."""
        return self._read_failure(self._keys.wait, events)

    def _read_failure(self, key: str, events: EventEmitter) -> tuple[Failure, float] | None:
        data = self._tiers.read(key, events)[1]
        if data is None:
            return None
        try:
            hold = float(data["hold"])
            return Failure.from_json(data["failure"]), min(float(data["next_attempt_at"]) - self._wall(), hold)
        except _WRONG_SCHEMA:
            events.emit("undecryptable", reason="schema")
            return None

    def write_failure(self, failure: Failure, hold: float, events: EventEmitter) -> None:
        """Shares a failure: no process asks for ``hold`` seconds. The entry lives longer, so that attempts add up."""
        self._write_failure(self._keys.failure, failure, hold, hold * 3 + 60, events)

    def write_wait(self, failure: Failure, hold: float, events: EventEmitter) -> None:
        """Shares a wait of ``hold`` seconds with the client's other token requests."""
        self._write_failure(self._keys.wait, failure, hold, hold, events)

    def _write_failure(self, key: str, failure: Failure, hold: float, ttl: float, events: EventEmitter) -> None:
        data = {"failure": failure.to_json(), "hold": hold, "next_attempt_at": self._wall() + hold}
        self._tiers.write(key, data, ttl, events)

    def clear_failure(self, events: EventEmitter) -> None:
        """Deletes the failure after a success, in every tier: if the farthest one was down, a nearer one has it."""
        self._tiers.delete_all((self._keys.failure,), events)

    def clear_wait(self, events: EventEmitter) -> None:
        """Deletes the wait after a success, in every tier."""
        self._tiers.delete_all((self._keys.wait,), events)

    def read_ban(self, events: EventEmitter) -> ForcedMintBan | None:
        """The shared ban on forced mints; its ``until`` is Unix time."""
        data = self._tiers.read(self._keys.forced_mint_ban, events)[1]
        try:
            return None if data is None else ForcedMintBan.from_json(data)
        except _WRONG_SCHEMA:
            return None

    def write_ban(self, ban: ForcedMintBan, events: EventEmitter) -> None:
        """Shares the ban. The entry lives longer than the ban, so that the next one can be twice as long."""
        ttl = ban.until - self._wall() + LONGEST_BAN
        self._tiers.write(self._keys.forced_mint_ban, ban._asdict(), ttl, events)

    # the rotated refresh token

    def read_rotation(self, events: EventEmitter) -> RotatedRefreshToken | None:
        """The newest refresh token in any tier, or None: one may have been written while the farthest was down."""
        entries = (_rotation(data, events) for data in self._tiers.read_all(self._keys.refresh_token, events))
        return max(
            (rotation for rotation in entries if rotation is not None),
            key=lambda rotation: rotation.generation,
            default=None,
        )

    def write_rotation(self, rotation: RotatedRefreshToken, events: EventEmitter) -> None:
        """Shares a rotated refresh token, which replaces the one before."""
        data = {"generation": rotation.generation, "refresh_token": rotation.refresh_token.reveal()}
        self._tiers.write_all(self._keys.refresh_token, data, REFRESH_TOKEN_KEPT, events)

    # the ledger's counters, and the mint history

    def increment(self, key: str, ttl: float, events: EventEmitter) -> None:
        """Adds one to a counter of the ledger."""
        self._tiers.do(events, None, lambda cache: cache.increment(key, ttl))

    def count(self, key: str, events: EventEmitter) -> int | None:
        """A counter of the ledger; None where no shared cache can say."""
        if not any(breaker.capabilities.shared for breaker in self._tiers.farthest_first):
            return None
        digits: object = self._tiers.do(events, b"", lambda cache: cache.get(key) or b"0")
        return int(digits) if isinstance(digits, bytes) and digits.isdigit() and len(digits) < 20 else None

    def read_history(self, events: EventEmitter) -> MintHistory | None:
        """Which hosts have minted this key's tokens, and when; None where no cache answers."""
        from .mint_history import MintHistory  # the ledger has imported it: not on a flight, and not with a front door

        answered, data = self._tiers.read(self._keys.history, events)
        if not answered:
            return None
        try:
            return MintHistory() if data is None else MintHistory.from_json(data)
        except _WRONG_SCHEMA:
            events.emit("undecryptable", reason="schema")
            return MintHistory()

    def write_history(self, history: MintHistory, events: EventEmitter) -> None:
        """Shares the mint history."""
        self._tiers.write(self._keys.history, history.to_json(), HISTORY_KEPT, events)

    def release_thread(self) -> None:
        """At the end of a flight: the cache closes the connections that it opened for this thread."""
        self._tiers.release_thread()


def _entry(data: dict[str, Any] | None, events: EventEmitter) -> Entry | None:
    if data is None:
        return None
    try:
        return Entry.from_json(data)
    except _WRONG_SCHEMA:
        events.emit("undecryptable", reason="schema")
        return None


def _rotation(data: dict[str, Any], events: EventEmitter) -> RotatedRefreshToken | None:
    try:
        return RotatedRefreshToken(int(data["generation"]), Secret(str(data["refresh_token"])))
    except _WRONG_SCHEMA:
        events.emit("undecryptable", reason="schema")
        return None


NOTHING_SHARED = SharedStore((), None, CacheKeys(b""), SYSTEM_CLOCK.wall)
"""The store of a source without a cache."""
