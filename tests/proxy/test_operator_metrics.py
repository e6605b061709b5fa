"""``/metrics``: the ledger's numbers and the upstreams' durations, read by the parser of Prometheus."""

from __future__ import annotations

import sys

import pytest
from operator_support import NOW, VENDORS, an_operator, asked, bearer, counts, vendor
from prometheus_client.parser import text_string_to_metric_families

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.proxy.metrics import exposition
from m2m_auth.proxy.upstream_durations import SECONDS, UpstreamDurations
from m2m_auth.shared_cache.counters import SharedCounters
from m2m_auth.testing import FakeClock

Samples = dict[tuple[str, tuple[str, ...]], float]
LABELS = ("vendor", "upstream", "outcome", "period", "le")


def samples(body: bytes) -> Samples:
    """Every sample by its name and its labels' values, in the order of LABELS."""
    return {
        (sample.name, tuple(sample.labels[each] for each in LABELS if each in sample.labels)): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_counters_of_each_vendor() -> None:
    """Each vendor has its counts of this month, and its budgets if it has any."""
    month = counts(12000, 11500, 300, 200)
    reports = [vendor("acme", month=month, limit=1000, per_hour=10), vendor("free", limit=None)]
    content_type, body = exposition(reports)
    assert content_type.startswith("text/plain; version=")
    assert samples(body) == {
        ("m2m_auth_proxy_asked_total", ("acme",)): 12000,
        ("m2m_auth_proxy_asked_total", ("free",)): 0,
        ("m2m_auth_proxy_outcomes_total", ("acme", "served")): 11500,
        ("m2m_auth_proxy_outcomes_total", ("acme", "minted")): 300,
        ("m2m_auth_proxy_outcomes_total", ("acme", "refused")): 200,
        ("m2m_auth_proxy_outcomes_total", ("free", "served")): 0,
        ("m2m_auth_proxy_outcomes_total", ("free", "minted")): 0,
        ("m2m_auth_proxy_outcomes_total", ("free", "refused")): 0,
        ("m2m_auth_proxy_budget_mints", ("acme", "hour")): 10,
        ("m2m_auth_proxy_budget_mints", ("acme", "month")): 1000,
    }


def test_a_vendors_name_is_quoted() -> None:
    """Quotes, backslashes and line ends in a name do not make another sample."""
    name = 'a"} 1\nm2m_auth_proxy_asked_total{vendor="b\\'
    found = samples(exposition([vendor(name, month=counts(7, 7, 0, 0))])[1])
    assert {labels[0] for _, labels in found} == {name}
    assert found["m2m_auth_proxy_asked_total", (name,)] == 7


def test_durations_are_counted_over_all_workers() -> None:
    """Two workers with one cache have one histogram per upstream and outcome, with cumulative buckets."""
    clock, cache = FakeClock(NOW), MemoryTokenCache()
    workers = [
        UpstreamDurations(["main", "other"], SharedCounters(cache, "token proxy", clock), b"key") for _ in range(2)
    ]
    for number, seconds in enumerate((0.01, 0.025, 0.03, 3.0, 60.0)):
        workers[number % 2].observe("main", seconds, minted=True)
    workers[0].observe("main", 20.0, minted=False)
    assert workers[0].read() == workers[1].read()
    found = samples(exposition([], workers[1].read())[1])
    name = "m2m_auth_proxy_upstream_seconds_bucket"
    ends = [*(str(end) for end in SECONDS), "+Inf"]
    assert [found[name, ("main", "minted", end)] for end in ends] == [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5]
    assert [found[name, ("main", "failed", end)] for end in ends] == [0] * 9 + [1, 1]
    assert {found[name, ("other", outcome, end)] for outcome in ("minted", "failed") for end in ends} == {0}
    clock.advance(31 * 86400)
    assert {count for each in workers[0].read() for count in each.counts} == {0}, "a new month begins at 0"


def test_a_scrape(clock: FakeClock) -> None:
    """The service returns every vendor, with the content type of Prometheus."""
    answer = an_operator(clock).answer(asked(path="/metrics", headers=bearer()))
    assert dict(answer.headers)["Content-Type"].startswith("text/plain; version=")
    found = samples(answer.body)
    for report in VENDORS:
        assert found["m2m_auth_proxy_asked_total", (report.vendor,)] == report.month.asked


def test_without_the_library(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus-client a scrape says what to install, and the page works."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    operator = an_operator(clock)
    answer = operator.answer(asked(path="/metrics", headers=bearer()))
    assert answer.status == 501
    assert b"pip install 'm2m-auth[proxy]'" in answer.body
    assert operator.answer(asked(headers=bearer())).status == 200
