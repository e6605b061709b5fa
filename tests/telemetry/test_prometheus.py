"""Events as Prometheus metrics, as a scrape reads them: in one process, and in three that share a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.parser import text_string_to_metric_families
from telemetry_support import TOOK, SlowServer, event, source_on

from m2m_auth import ConfigurationError, TokenUnavailable
from m2m_auth.telemetry import PrometheusSubscriber
from m2m_auth.testing import FakeAuthorizationServer, FakeClock
from m2m_auth.values import replace

Samples = dict[tuple[str, tuple[str, ...]], float]


def scrape(registry: CollectorRegistry) -> Samples:
    """What a scrape reads: name and label values (without empty ones and the audience) to value."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_mint_and_a_failure_of_a_real_source() -> None:
    """The names are those that OpenTelemetry's Prometheus exporter makes of the same instruments."""
    registry, clock = CollectorRegistry(), FakeClock()
    server = SlowServer(clock)
    source = source_on(server, PrometheusSubscriber(registry, clock=clock), "measured")
    source.token()
    minted_at = clock.wall()
    server.down = "connection"
    clock.advance(1001)
    with pytest.raises(TokenUnavailable):
        source.token()
    found = scrape(registry)
    duration = "m2m_auth_client_token_request_duration_seconds"
    assert found[f"{duration}_count", ("measured", "cold")] == 1
    assert found[f"{duration}_sum", ("measured", "cold")] == pytest.approx(TOOK)
    assert found[f"{duration}_count", ("measured", "connection")] == 1
    assert found["m2m_auth_client_token_failures_total", ("measured", "connection")] == 1
    expiry = found["m2m_auth_client_token_expiry_timestamp_seconds", ("measured",)]
    assert expiry == pytest.approx(minted_at + 1000 - TOOK)


def test_the_counters() -> None:
    """Lookups by result, lease waits in seconds, rejections, stale servings by cause, and everything by kind."""
    registry = CollectorRegistry()
    subscriber = PrometheusSubscriber(registry)
    for each in (
        event("cache_hit"),
        event("cache_miss"),
        event("cache_fault", "a sentence of the cache's own"),
        event("lease_wait", "renewal", 1.5),
        event("rejected"),
        event("served_stale", "http_503", holds=20),
        event("clock_skew", seconds=300),
    ):
        subscriber(each)
    found = scrape(registry)
    assert [found["m2m_auth_client_cache_lookups_total", ("client", word)] for word in ("hit", "miss", "fault")] == [
        1
    ] * 3
    assert found["m2m_auth_client_lease_wait_duration_seconds_sum", ("client", "renewal")] == 1.5
    assert found["m2m_auth_client_token_rejections_total", ("client",)] == 1
    assert found["m2m_auth_client_token_served_stale_total", ("client", "http_503")] == 1
    assert found["m2m_auth_client_events_total", ("client", "clock_skew")] == 1


def test_no_label_is_a_fingerprint() -> None:
    """The label names are fixed, and a scrape after a thousand tokens is as long as after one."""
    registry = CollectorRegistry()
    subscriber = PrometheusSubscriber(registry)
    subscriber(event("minted", "renewal", 0.1, 100))
    before = len(scrape(registry))
    for number in range(1000):
        subscriber(replace(event("minted", "renewal", 0.1, 100), fingerprint=f"{number:08x}"))
    assert len(scrape(registry)) == before
    labels = {label for family in registry.collect() for sample in family.samples for label in sample.labels}
    assert labels <= {"client_id", "audience", "reason", "error_type", "result", "kind", "le"}


def test_a_registry_takes_one_subscriber() -> None:
    """A second subscriber is an error that names the fix; another namespace is one."""
    registry = CollectorRegistry()
    PrometheusSubscriber(registry)
    with pytest.raises(ConfigurationError, match="give it to every source, or another registry or namespace"):
        PrometheusSubscriber(registry)
    PrometheusSubscriber(registry, "billing")(event("rejected"))
    assert scrape(registry)["billing_client_token_rejections_total", ("client",)] == 1


def test_three_processes_add_up(tmp_path: Path) -> None:
    """Multi-process mode: counts and durations are sums; the expiry is that of the newest token, without a pid."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    worker = Path(__file__).with_name("telemetry_worker.py")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with FakeAuthorizationServer(lifetime=600) as server:
        command = [sys.executable, str(worker), server.token_endpoint, str(tmp_path / "tokens")]
        workers = [subprocess.Popen(command, env=environment) for _ in range(3)]
        assert [each.wait(60) for each in workers] == [0, 0, 0]
        minted = server.mints
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    found = scrape(registry)
    counted = {
        labels: count for (name, labels), count in found.items() if name.endswith("request_duration_seconds_count")
    }
    assert sum(counted.values()) == minted
    assert counted["client", "cold"] == 1, "one mint for the three of them"
    assert counted["client", "forced"] == minted - 1
    expiry = found["m2m_auth_client_token_expiry_timestamp_seconds", ("client",)]
    assert 500 < expiry - time.time() < 601
    for each in workers:
        mark_process_dead(each.pid, str(folder))  # type: ignore[no-untyped-call]
    left = scrape(registry)
    assert {name for name, _ in left} == {name for name, _ in found} - {
        "m2m_auth_client_token_expiry_timestamp_seconds"
    }
