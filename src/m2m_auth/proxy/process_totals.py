"""What each process has counted, and the sum of it: no answer waits for the cache.

A process counts in memory, and within two seconds a thread writes its totals under a key of its own. In every period
it is given a number, by an increment, so no two processes ever write to the same key; whoever reads adds all up.
"""

from __future__ import annotations

import atexit
import json
import threading
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ..runtime.fork_safety import on_fork
from .allowances import KEPT, PERIODS, Counters, label

__all__ = ["Row", "Totals"]

SOON = 2.0
"""Seconds after which a process has written what it counted."""
_MOST_PROCESSES = 4096
"""Processes whose totals are added up, of one period: crash loops do not make a report endless."""


class Row(NamedTuple):
    """One vendor's counts in one period; what was refused over the budget apart, since that is also counted exactly."""

    asked: int = 0
    served: int = 0
    minted: int = 0
    refused: int = 0
    over_budget: int = 0

    def plus(self, other: Row, times: int = 1) -> Row:
        """The sum."""
        return Row(*(mine + more * times for mine, more in zip(self, other, strict=True)))


class _Page:
    """What this process has counted in one period, and the number that its key has there; 0: none yet."""

    def __init__(self, at: str) -> None:
        self.at, self.number, self.written = at, 0, True
        self.rows: dict[str, Row] = {}


class Totals:
    """The counts of all vendors.

    Args:
        counters: the shared cache.
        name: the beginning of the keys.
    """

    def __init__(self, counters: Counters, name: str) -> None:
        self._counters, self._name = counters, name
        self.after_fork()
        on_fork(self)
        _all.add(self)

    def after_fork(self) -> None:
        """In a forked child: what the parent has counted is the parent's to write."""
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._pending: dict[tuple[str, Row], int] = {}
        """How often each has been counted; there are few different ones."""
        self._pages: dict[str, _Page] = {}
        self._writer: threading.Thread | None = None
        self._hurry = threading.Event()

    def add(self, vendor: str, row: Row) -> None:
        """Counts, under a name that may be written in the clear; without a look at the cache, or at the clock."""
        with self._lock:
            counted = vendor, row
            self._pending[counted] = self._pending.get(counted, 0) + 1
            if self._writer is None:
                self._writer = self._write_soon()

    def _write_soon(self) -> threading.Thread | None:
        hurry = self._hurry

        def body() -> None:
            hurry.wait(SOON)
            self.flush()
            self._counters.release()

        writer = threading.Thread(target=body, name="m2m-auth-proxy-ledger", daemon=True)
        try:
            writer.start()
        except RuntimeError:  # the interpreter shuts down, or there are too many threads: at exit, then
            return None
        return writer

    def flush(self) -> None:
        """Writes what this process has counted so far. What the cache does not take now is written next time."""
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, {}
                self._writer = None
            now = self._counters.wall()
            for period in PERIODS:
                at = label(period, now)
                page = self._pages.get(period)
                if page is None or page.at != at:
                    page = self._pages[period] = _Page(at)
                for (vendor, row), times in pending.items():
                    page.rows[vendor] = page.rows.get(vendor, Row()).plus(row, times)
                    page.written = False
                self._write(page, period)

    def _write(self, page: _Page, period: str) -> None:
        if page.written:
            return
        stem = f"{self._name}.{page.at}"
        page.number = page.number or self._counters.number(stem, KEPT[period]) or 0
        if page.number:
            written = json.dumps(page.rows).encode()
            page.written = self._counters.publish(f"{stem}.{page.number}", written, KEPT[period])

    def close(self) -> None:
        """Writes what is left; a thread that waits to write does it at once, and has ended afterwards."""
        with self._lock:
            writer, hurry, self._hurry = self._writer, self._hurry, threading.Event()
        hurry.set()
        if writer is not None:
            writer.join(SOON * 5)
        self.flush()

    def read(self, period: str, at: float) -> dict[str, Row]:
        """By vendor, the sum of what all processes have written for the period that Unix time ``at`` is in."""
        stem = f"{self._name}.{label(period, at)}"
        rows: dict[str, Row] = {}
        for number in range(1, min(self._counters.count(stem), _MOST_PROCESSES) + 1):
            for vendor, row in _rows(self._counters.get(f"{stem}.{number}")).items():
                rows[vendor] = rows.get(vendor, Row()).plus(row)
        return rows


def _rows(written: bytes | None) -> Mapping[str, Row]:
    """What a process wrote; nothing, if somebody else has written there."""
    try:
        data = cast("dict[str, Any]", json.loads(written or b"{}"))
        return {str(vendor): Row(*(int(count) for count in row)) for vendor, row in data.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


_all: weakref.WeakSet[Totals] = weakref.WeakSet()


@atexit.register
def _write_at_exit() -> None:
    for totals in list(_all):
        totals.close()
