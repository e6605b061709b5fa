"""The ledger: every mint, and every failed attempt apart, counted per client and UTC hour, day and month.

It is kept in the shared cache, so it survives restarts and crash loops; without one, or while it fails, this
process's own counts stand in. Beside the counters there is a small record of which hosts minted, and of the last hours.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import NamedTuple

from ..caches.memory import MemoryTokenCache
from ..events import EventEmitter
from ..lifecycle.mint_budget import MintCounts
from ..lifecycle.utc_periods import PERIODS
from ..shared_cache.keys import FAILED, LedgerKeys
from ..shared_cache.mint_history import HostMints, HourCounts, MintHistory
from ..shared_cache.shared_store import SharedStore
from .renewal_context import RenewalContext

__all__ = ["Ledger", "LedgerReport", "ledger_of"]

_ALL = "all"
_REASONS = ("cold", "renewal", "rejected", "forced")
_own = MemoryTokenCache()


class LedgerReport(NamedTuple):
    """One client's mints, by the ledger."""

    mints: MintCounts
    """Mints in the current UTC hour, day and month, for whatever reason."""
    failed: MintCounts
    """Attempts that failed."""
    reasons: dict[str, int]
    """This month's mints by reason: cold, renewal, rejected, forced."""
    hosts: tuple[HostMints, ...]
    """The hosts that minted this source's tokens, the latest first; of very many the latest only."""
    hours: tuple[HourCounts, ...]
    """The last 24 UTC hours of this source's tokens, the current one last."""


def forget() -> None:
    """Forgets this process's own counts."""
    global _own
    _own = MemoryTokenCache()


def ledger_of(context: RenewalContext) -> Ledger:
    """Return the page of this source's client."""
    return Ledger(LedgerKeys(context.request.token_endpoint, context.request.client_id), context.clock.wall)


class Ledger:
    """One client's page of the ledger.

    Args:
        names: the counters' keys.
        wall: the wall clock.
        host: tells what this host is called.
    """

    def __init__(
        self, names: LedgerKeys, wall: Callable[[], float], host: Callable[[], str] = socket.gethostname
    ) -> None:
        self._names = names
        self._wall = wall
        self._host = host

    def record(self, reason: str, shared: SharedStore, events: EventEmitter) -> None:
        """Count a mint under its reason."""
        self._add(_ALL, shared, events)
        self._add(reason, shared, events)
        self._note(lambda history: history.with_mint(self._host(), self._wall()), shared, events)

    def record_failure(self, shared: SharedStore, events: EventEmitter) -> None:
        """Count an attempt that failed."""
        self._add(FAILED, shared, events)
        self._note(lambda history: history.with_failure(self._wall()), shared, events)

    def counts(self, shared: SharedStore, events: EventEmitter) -> MintCounts:
        """Return the mints of the current hour, day and month."""
        return MintCounts(**{period: self._count(period, _ALL, shared, events) for period in PERIODS})

    def read(self, shared: SharedStore, events: EventEmitter) -> LedgerReport:
        """Return the whole page."""
        failed = MintCounts(**{period: self._count(period, FAILED, shared, events) for period in PERIODS})
        reasons = {reason: self._count("month", reason, shared, events) for reason in _REASONS}
        shared_history, now = shared.read_history(events), self._wall()
        history = self._own_history() if shared_history is None else shared_history
        hosts, hours = history.this_month(now), history.last_hours(now)
        return LedgerReport(self.counts(shared, events), failed, reasons, hosts, hours)

    def _add(self, what: str, shared: SharedStore, events: EventEmitter) -> None:
        for period in PERIODS:
            name, ttl = self._names.counter(period, what, self._wall())
            _own.increment(name, ttl)
            shared.increment(name, ttl, events)

    def _note(self, change: Callable[[MintHistory], MintHistory], shared: SharedStore, events: EventEmitter) -> None:
        """Two requests to the shared cache; the caller has the lease, so nobody writes in between."""
        known = shared.read_history(events)
        if known is not None:
            shared.write_history(change(known), events)
        else:
            name, ttl = self._names.counter("month", "history", self._wall())
            _own.set(name, json.dumps(change(self._own_history()).to_json()).encode(), ttl)

    def _own_history(self) -> MintHistory:
        """What this process knows, of all the tokens of this client: for want of a shared record."""
        known = _own.get(self._names.counter("month", "history", self._wall())[0])
        return MintHistory() if known is None else MintHistory.from_json(json.loads(known))

    def _count(self, period: str, what: str, shared: SharedStore, events: EventEmitter) -> int:
        name, _ = self._names.counter(period, what, self._wall())
        counted = shared.count(name, events)
        return int(_own.get(name) or b"0") if counted is None else counted
