"""The ledger's reports in the text format of Prometheus, made by the library prometheus-client.

A scrape reads the ledger, which all workers and hosts share, and keeps no numbers itself. So every worker returns the
same numbers, without a directory of multiprocess files. Labels are vendors of the configuration and fixed words.
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
    """Return the content type and the body of the answer to a scrape.

    Args:
        reports: the ledger's reports.
        durations: the upstreams' histograms.

    Raises:
        ConfigurationError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError as error:
        raise ConfigurationError(missing_extra("/metrics", error, "proxy")) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReportCollector(reports, durations))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _ReportCollector:
    """A collector for one scrape."""

    def __init__(self, reports: Sequence[VendorReport], durations: Sequence[Durations]) -> None:
        self._reports, self._durations = reports, durations

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry then takes the names from :meth:`collect`."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, with a sample for each vendor."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        asked = CounterMetricFamily(f"{_NAMESPACE}_asked", f"Token requests of a vendor. {_MONTHLY}", labels=["vendor"])
        words = (
            "A vendor's token requests served from the cache or refused, and its mints, those ahead of a request "
            f"included. {_MONTHLY}"
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
