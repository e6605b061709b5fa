"""What the tests of the operator's page share: made-up reports of a dozen vendors, and requests."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.proxy.ledger import Counts, VendorReport
from m2m_auth.proxy.operator_access import Operator
from m2m_auth.runtime.clock import Clock
from m2m_auth.serving import Request
from m2m_auth.shared_cache.counters import SharedCounters

NOW = 1_700_000_000.0
"""Tuesday, 14 November 2023, 22:13:20 UTC: 13.93 days of the month are over."""


def counts(asked: int = 0, served: int = 0, minted: int = 0, refused: int = 0) -> Counts:
    """One period's counts."""
    return Counts(asked=asked, served=served, minted=minted, refused=refused)


def vendor(
    name: str,
    *,
    month: Counts | None = None,
    day: Counts | None = None,
    hours: Sequence[Counts] | None = None,
    limit: int | None = 1000,
    projection: int | None = None,
    per_hour: int | None = None,
) -> VendorReport:
    """A report. By default the vendor has asked for nothing."""
    last = tuple(hours or [counts()] * 24)
    return VendorReport(
        vendor=name,
        hour=last[-1],
        day=day or counts(),
        month=month or counts(),
        hours=last,
        mints_per_hour=per_hour,
        mints_per_month=limit,
        projection=projection,
    )


def _busy(
    name: str, asked: float, minted: float, refused: float, limit: int | None, *, per_hour: int | None = None
) -> VendorReport:
    """A vendor with these averages an hour: more by day than by night, the same on every day of the month."""
    drawn = random.Random(name)
    hours: list[Counts] = []
    for hour in range(24):
        bright = (0.4 + max(0.0, math.sin((hour - 6) / 24 * 2 * math.pi))) * drawn.uniform(0.8, 1.2)
        questions = round(asked * bright)
        mints = min(round(minted * drawn.uniform(0.5, 1.5)), questions)
        refusals = min(round(refused * bright), questions - mints)
        hours.append(counts(questions, questions - mints - refusals, mints, refusals))
    names = ("asked", "served", "minted", "refused")
    sums = {name: sum(getattr(each, name) for each in hours) for name in names}
    day, month = counts(**sums), counts(**{name: round(count * 13.93) for name, count in sums.items()})
    if limit is not None and month.minted > limit:
        month = counts(month.asked, month.served, limit, month.refused + month.minted - limit)
    pace = round(month.minted / 13.93 * 30)
    return vendor(name, month=month, day=day, hours=hours, limit=limit, projection=pace, per_hour=per_hour)


LONG = "a-vendor-with-quite-a-long-name-that-a-terraform-module-made-up.prod.eu-central-1.internal"
VENDORS = [
    _busy("acme-logistics", 1200, 1.2, 2, 1000),
    _busy("globex", 4200, 4.5, 180, 900),
    _busy("hooli", 6100, 1.8, 12, 1100, per_hour=10),
    _busy("initech-reporting", 90, 1, 0, 1000),
    _busy(LONG, 300, 1, 0, 1000),
    _busy("northwind", 800, 1.2, 0, 700),
    _busy("soylent <b>&amp;", 12, 0.6, 0, 500),
    _busy("stark-industries", 2600, 1, 0, None),
    _busy("tyrell", 45, 0.7, 0, 1000),
    _busy("umbrella", 0, 0, 0, 500),
    _busy("wayne", 150, 0.9, 1, 1000),
    _busy("wonka", 700, 1, 0, 1000),
]
"""One is over its budget, two on the way there, one without a budget, one silent, one with a long name."""


TOKEN = "0perator-t0ken-of-the-tests"
PEPPER = b"pepper-of-the-tests-32-bytes-long"


def an_operator(clock: Clock, token: str | None = TOKEN, **options: Any) -> Operator:
    """The operator's service over the dozen vendors."""
    counters = SharedCounters(options.pop("cache", None) or MemoryTokenCache(), "token proxy", clock)
    return Operator(token, lambda: list(VENDORS), counters, pepper=options.pop("pepper", PEPPER), **options)


def asked(method: str = "GET", path: str = "/operator", **given: Any) -> Request:
    """A request with this ``form`` or ``body``, and these ``headers``."""
    body = given.pop("body", None) or urlencode(given.pop("form", {})).encode()
    headers = {name.lower(): value for name, value in given.pop("headers", {}).items()}
    usual = {"query": "", "too_large": False, "address": "198.51.100.7", "scheme": "http"}
    return Request(method=method, path=path, headers=headers, body=body, **{**usual, **given})


def bearer(token: str = TOKEN) -> dict[str, str]:
    """What curl and Prometheus send."""
    return {"Authorization": f"Bearer {token}"}
