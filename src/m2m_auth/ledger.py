"""The ledger: every mint, and every failed attempt apart, counted per client and UTC hour, day and month.

It is kept in the shared cache, so it survives restarts and crash loops; without one, or while it fails, this
process's own counts stand in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .budget import FAILED, PERIODS, LedgerNames, MintCounts
from .caches.memory import MemoryTokenCache
from .events import Reporter
from .kit import Kit
from .shared import SharedState

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


def ledger_of(kit: Kit) -> Ledger:
    """Return the page of this source's client."""
    return Ledger(LedgerNames(kit.request.token_endpoint, kit.request.client_id), kit.clock.wall)


class Ledger:
    """One client's page of the ledger."""

    def __init__(self, names: LedgerNames, wall: Callable[[], float]) -> None:
        self._names = names
        self._wall = wall

    def record(self, reason: str, shared: SharedState, report: Reporter) -> None:
        """Count a mint under its reason."""
        self._add(_ALL, shared, report)
        self._add(reason, shared, report)

    def record_failure(self, shared: SharedState, report: Reporter) -> None:
        """Count an attempt that failed."""
        self._add(FAILED, shared, report)

    def counts(self, shared: SharedState, report: Reporter) -> MintCounts:
        """Return the mints of the current hour, day and month."""
        return MintCounts(*(self._count(period, _ALL, shared, report) for period in PERIODS))

    def read(self, shared: SharedState, report: Reporter) -> LedgerReport:
        """Return the whole page."""
        failed = MintCounts(*(self._count(period, FAILED, shared, report) for period in PERIODS))
        reasons = {reason: self._count("month", reason, shared, report) for reason in _REASONS}
        return LedgerReport(self.counts(shared, report), failed, reasons)

    def _add(self, what: str, shared: SharedState, report: Reporter) -> None:
        for period in PERIODS:
            name, ttl = self._names.counter(period, what, self._wall())
            _own.increment(name, ttl)
            shared.increment(name, ttl, report)

    def _count(self, period: str, what: str, shared: SharedState, report: Reporter) -> int:
        name, _ = self._names.counter(period, what, self._wall())
        counted = shared.count(name, report)
        return int(_own.get(name) or b"0") if counted is None else counted
