"""The ledger: every mint and every failed attempt, counted per client and UTC hour, day and month.

Its counters are in the shared cache, so they survive restarts and crash loops. Without a cache, or while it fails, this
process's own counters are used. Beside them, a small history says which hosts minted, and when.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

from ..events import EventEmitter
from ..lifecycle.mint_budget import MintCounts
from ..lifecycle.utc_periods import PERIODS
from ..shared_cache.keys import ALL, FAILED, LedgerKeys
from ..shared_cache.mint_history import HostMints, HourCounts, MintHistory
from ..shared_cache.shared_store import SharedStore
from ..values import Value
from .registry import own_counts
from .renewal_context import COLD, FORCED, REJECTED, RENEWAL, RenewalContext

__all__ = ["Ledger", "LedgerReport", "ledger_of"]

_REASONS = (COLD, RENEWAL, REJECTED, FORCED)


class LedgerReport(Value):
    """One client's mints, from the ledger."""

    mints: MintCounts
    """Mints in the current UTC hour, day and month, for all reasons together."""
    failed: MintCounts
    """Attempts that failed."""
    reasons: dict[str, int]
    """This month's mints by reason: cold, renewal, rejected, forced."""
    hosts: tuple[HostMints, ...]
    """The hosts that minted this source's tokens, the latest first; of very many, only the latest."""
    hours: tuple[HourCounts, ...]
    """The last 24 UTC hours of this source's tokens, the current one last."""


def ledger_of(context: RenewalContext) -> Ledger:
    """The ledger of this source's client."""
    return Ledger(LedgerKeys(context.request.token_endpoint, context.request.client_id), context.clock.wall)


class Ledger:
    """One client's counters.

    Args:
        keys: the counters' cache keys.
        wall: the wall clock.
        host: returns this host's name.
    """

    def __init__(
        self, keys: LedgerKeys, wall: Callable[[], float], host: Callable[[], str] = socket.gethostname
    ) -> None:
        self._keys = keys
        self._wall = wall
        self._host = host

    def record(self, reason: str, store: SharedStore, events: EventEmitter) -> None:
        """Counts a mint under its reason."""
        self._add(ALL, store, events)
        self._add(reason, store, events)
        self._note(lambda history: history.with_mint(self._host(), self._wall()), store, events)

    def record_failure(self, store: SharedStore, events: EventEmitter) -> None:
        """Counts an attempt that failed."""
        self._add(FAILED, store, events)
        self._note(lambda history: history.with_failure(self._wall()), store, events)

    def counts(self, store: SharedStore, events: EventEmitter) -> MintCounts:
        """The mints of the current hour, day and month."""
        return self._counts(ALL, store, events)

    def read(self, store: SharedStore, events: EventEmitter) -> LedgerReport:
        """Everything that the ledger knows."""
        shared_history, now = store.read_history(events), self._wall()
        history = self._own_history() if shared_history is None else shared_history
        return LedgerReport(
            mints=self._counts(ALL, store, events),
            failed=self._counts(FAILED, store, events),
            reasons={reason: self._count("month", reason, store, events) for reason in _REASONS},
            hosts=history.this_month(now),
            hours=history.last_hours(now),
        )

    def _add(self, what: str, store: SharedStore, events: EventEmitter) -> None:
        for period in PERIODS:
            key, ttl = self._keys.counter(period, what, self._wall())
            own_counts().increment(key, ttl)
            store.increment(key, ttl, events)

    def _note(self, change: Callable[[MintHistory], MintHistory], store: SharedStore, events: EventEmitter) -> None:
        """Two requests to the shared cache. The caller has the lease, so no other process writes between them."""
        known = store.read_history(events)
        if known is not None:
            store.write_history(change(known), events)
        else:
            key, ttl = self._history_key()
            own_counts().set(key, json.dumps(change(self._own_history()).to_json()).encode(), ttl)

    def _own_history(self) -> MintHistory:
        """The history of all the client's tokens in this process: used while there is no shared one."""
        known = own_counts().get(self._history_key()[0])
        return MintHistory() if known is None else MintHistory.from_json(json.loads(known))

    def _history_key(self) -> tuple[str, float]:
        return self._keys.counter("month", "history", self._wall())

    def _counts(self, what: str, store: SharedStore, events: EventEmitter) -> MintCounts:
        return MintCounts(**{period: self._count(period, what, store, events) for period in PERIODS})

    def _count(self, period: str, what: str, store: SharedStore, events: EventEmitter) -> int:
        key, _ = self._keys.counter(period, what, self._wall())
        counted = store.count(key, events)
        return int(own_counts().get(key) or b"0") if counted is None else counted
