"""Client reports as a table for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..presentation.wording import iso, plain, when
from ..shared_cache.mint_history import HostMints

if TYPE_CHECKING:
    pass
from .client_reports import ClientReport

__all__ = ["as_json", "as_table"]

_HEADINGS = ("client", "state", "token", "expires", "mints h/d/month", "budget", "minted on")

_NAMED = 2
"""Hosts that the table names; the JSON has them all."""


def as_table(reports: Iterable[ClientReport]) -> str:
    """A table for a terminal: aligned columns, one line per client, then what is wrong with whom, in full."""
    found = list(reports)
    rows = [_HEADINGS, *(_row(report) for report in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *_troubles(found)]) + "\n"


def _row(report: ClientReport) -> tuple[str, ...]:
    budget, mints = report.budget, report.mints
    limits: list[str] = []
    if budget is not None and budget.per_month is not None:
        limits.append(f"{mints.month} of {budget.per_month} a month")
    if budget is not None and budget.per_hour is not None:
        limits.append(f"{mints.hour} of {budget.per_hour} an hour")
    return (
        plain(report.alias),
        report.state,
        report.fingerprint or "-",
        when(report.expires_at, report.at),
        f"{mints.hour}/{mints.day}/{mints.month}",
        ", ".join(limits) or "none",
        _hosts(report.hosts),
    )


def _hosts(hosts: tuple[HostMints, ...]) -> str:
    named = [f"{plain(each.host)} ({each.mints})" for each in hosts[:_NAMED]]
    more = len(hosts) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named) or "-"


def _troubles(reports: list[ClientReport]) -> list[str]:
    lines: list[str] = []
    for report in reports:
        if report.last_failure is not None:
            again = "now" if report.retry_in is None else when(report.at + report.retry_in, report.at)
            lines.append(f"{plain(report.alias)}: {plain(report.last_failure)} (next attempt: {again})")
        if not report.cache_answers:
            lines.append(
                f"{plain(report.alias)}: {plain(report.cache)} does not answer; this is what one process knows"
            )
    return ["", *lines] if lines else []


def as_json(reports: Iterable[ClientReport]) -> str:
    """A JSON array, one object per client, with the names of :class:`ClientReport`'s fields.

    Every time is there twice: ``expires_at`` as Unix time in seconds, ``expires_at_iso`` by ISO 8601 in UTC.
    """
    return json.dumps([_object(report) for report in reports], indent=2) + "\n"


_TIMES = ("issued_at", "renew_at", "expiring_at", "expires_at", "at")


def _object(report: ClientReport) -> dict[str, Any]:
    found: dict[str, Any] = report._asdict()
    for name in ("mints", "failed", "budget"):
        found[name] = None if found[name] is None else asdict(found[name])
    found["hosts"] = [{**each._asdict(), "last_at_iso": iso(each.last_at)} for each in report.hosts]
    found["hours"] = [each._asdict() for each in report.hours]
    return {**found, **{f"{name}_iso": iso(found[name]) for name in _TIMES}}
