"""The ledger's reports in Prometheus' text format, by the library prometheus-client.

A scrape reads the ledger, which all workers and hosts share, and keeps nothing itself: so each worker gives the same
numbers, and no directory of files is needed. Labels are vendors, which the configuration bounds, and words of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, missing_extra
from .ledger import VendorReport
from .upstream_durations import SECONDS, Durations

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["exposition"]

_OUTCOMES = ("served", "minted", "refused")
_NAMESPACE = "m2m_auth_proxy"
_MONTHLY = "Begins again at 0 with each UTC month."


def exposition(reports: Sequence[VendorReport], durations: Sequence[Durations] = ()) -> tuple[str, bytes]:
    """The content type and the body of an answer to a scrape.

    Args:
        reports: the ledger's.
        durations: the upstreams'.

    Raises:
        ConfigurationError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError as error:
        raise ConfigurationError(missing_extra("/metrics", error, "proxy")) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reports(reports, durations))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Reports:
    """A collector of one scrape's reports."""

    def __init__(self, reports: Sequence[VendorReport], durations: Sequence[Durations]) -> None:
        self._reports, self._durations = reports, durations

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are looked at when they are collected, once."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric, with a sample for each vendor."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        asked = CounterMetricFamily(f"{_NAMESPACE}_asked", f"Token requests of a vendor. {_MONTHLY}", labels=["vendor"])
        words = (
            f"A vendor's token requests from the cache or refused, and its mints, ahead of a request too. {_MONTHLY}"
        )
        outcomes = CounterMetricFamily(f"{_NAMESPACE}_outcomes", words, labels=["vendor", "outcome"])
        words = "Mints that a vendor may have in a UTC hour or month."
        budgets = GaugeMetricFamily(f"{_NAMESPACE}_budget_mints", words, labels=["vendor", "period"])
        for report in self._reports:
            asked.add_metric([report.vendor], report.month.asked)
            for outcome in _OUTCOMES:
                outcomes.add_metric([report.vendor, outcome], getattr(report.month, outcome))
            for period, limit in (("hour", report.mints_per_hour), ("month", report.mints_per_month)):
                if limit is not None:
                    budgets.add_metric([report.vendor, period], limit)
        words = f"Duration of token requests to the authorization server. {_MONTHLY}"
        upstream = HistogramMetricFamily(f"{_NAMESPACE}_upstream_seconds", words, labels=["upstream", "outcome"])
        for each in self._durations:
            ends = [*(str(end) for end in SECONDS), "+Inf"]
            buckets = list(zip(ends, accumulate(each.counts), strict=True))
            upstream.add_metric([each.upstream, each.outcome], buckets, sum_value=None)
        yield from (asked, outcomes, budgets, upstream)
