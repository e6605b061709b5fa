"""The totals that each process counts in memory, and their sum over all processes. No answer waits for the cache.

A process counts in memory, and within two seconds a thread writes its totals under a key of its own. The key ends in a
number that the process gets in every period by an increment, so two processes never write to the same key. A reader
adds up the totals of all numbers.
"""

from __future__ import annotations

import atexit
import json
import threading
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ..lifecycle.utc_periods import PERIODS
from ..runtime.fork_safety import on_fork
from ..shared_cache.counters import SharedCounters
from .allowances import counted_period

__all__ = ["ProcessTotals", "VendorTotals"]

SOON = 2.0
"""Seconds after which a process writes its totals."""
_MOST_PROCESSES = 4096
"""Processes of one period whose totals are added up. The bound keeps reports short after a crash loop."""


class VendorTotals(NamedTuple):
    """One vendor's counts in one period. Refusals over the budget are also counted exactly."""

    asked: int = 0
    served: int = 0
    minted: int = 0
    refused: int = 0
    over_budget: int = 0

    def plus(self, other: VendorTotals, times: int = 1) -> VendorTotals:
        """The sum of this and ``times`` the other."""
        return VendorTotals(*(mine + more * times for mine, more in zip(self, other, strict=True)))


class _Page:
    """The totals of this process in one period, and the number in its key; 0: it has none yet."""

    def __init__(self, at: str) -> None:
        self.at, self.number, self.written = at, 0, True
        self.rows: dict[str, VendorTotals] = {}


class ProcessTotals:
    """The totals of all vendors.

    Args:
        counters: the shared cache.
        name: the first part of the keys.
    """

    def __init__(self, counters: SharedCounters, name: str) -> None:
        self._counters, self._name = counters, name
        self.after_fork()
        on_fork(self)
        _all.add(self)

    def after_fork(self) -> None:
        """In a forked child: the parent writes its own totals, so the child starts with none."""
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._pending: dict[tuple[str, VendorTotals], int] = {}
        """How many times each change was counted. There are few different ones."""
        self._pages: dict[str, _Page] = {}
        self._writer: threading.Thread | None = None
        self._write_now = threading.Event()

    def add(self, vendor: str, row: VendorTotals) -> None:
        """Counts under the vendor's keyed name. Reads neither the cache nor the clock."""
        with self._lock:
            counted = vendor, row
            self._pending[counted] = self._pending.get(counted, 0) + 1
            if self._writer is None:
                self._writer = self._write_soon()

    def _write_soon(self) -> threading.Thread | None:
        write_now = self._write_now

        def body() -> None:
            write_now.wait(SOON)
            self.flush()
            self._counters.release_thread()

        writer = threading.Thread(target=body, name="m2m-auth-proxy-ledger", daemon=True)
        try:
            writer.start()
        except RuntimeError:  # the interpreter shuts down, or there are too many threads: it is written at exit
            return None
        return writer

    def flush(self) -> None:
        """Writes the totals of this process. If the cache fails, they are written the next time."""
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, {}
                self._writer = None
            now = self._counters.wall()
            for period in PERIODS:
                at = counted_period(period, now).key_suffix
                page = self._pages.get(period)
                if page is None or page.at != at:
                    page = self._pages[period] = _Page(at)
                for (vendor, row), times in pending.items():
                    page.rows[vendor] = page.rows.get(vendor, VendorTotals()).plus(row, times)
                    page.written = False
                self._write(page, counted_period(period, now).kept)

    def _write(self, page: _Page, kept: float) -> None:
        if page.written:
            return
        stem = f"{self._name}.{page.at}"
        page.number = page.number or self._counters.increment_shared(stem, kept) or 0
        if page.number:
            written = json.dumps(page.rows).encode()
            page.written = self._counters.set_shared(f"{stem}.{page.number}", written, kept)

    def close(self) -> None:
        """Writes what is left. A waiting thread writes at once, and has ended when this returns."""
        with self._lock:
            writer, write_now, self._write_now = self._writer, self._write_now, threading.Event()
        write_now.set()
        if writer is not None:
            writer.join(SOON * 5)
        self.flush()

    def read(self, period: str, at: float) -> dict[str, VendorTotals]:
        """The sum over all processes, by vendor, for the period that Unix time ``at`` is in."""
        stem = f"{self._name}.{counted_period(period, at).key_suffix}"
        rows: dict[str, VendorTotals] = {}
        for number in range(1, min(self._counters.count(stem), _MOST_PROCESSES) + 1):
            for vendor, row in _rows(self._counters.get(f"{stem}.{number}")).items():
                rows[vendor] = rows.get(vendor, VendorTotals()).plus(row)
        return rows


def _rows(written: bytes | None) -> Mapping[str, VendorTotals]:
    """The totals that a process wrote; empty if the value has another format."""
    try:
        data = cast("dict[str, Any]", json.loads(written or b"{}"))
        return {str(vendor): VendorTotals(*(int(count) for count in row)) for vendor, row in data.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


_all: weakref.WeakSet[ProcessTotals] = weakref.WeakSet()


@atexit.register
def _write_at_exit() -> None:
    for totals in list(_all):
        totals.close()
