"""Events as OpenTelemetry metrics and spans, read back through the SDK's own exporters."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from telemetry_support import TOOK, SlowServer, event, settle, source_on

from m2m_auth import TokenUnavailable
from m2m_auth.telemetry import OpenTelemetrySubscriber
from m2m_auth.testing import FakeClock
from m2m_auth.values import replace

CLIENT = "m2m_auth.client.id"
ID = {CLIENT: "client"}


class Backend:
    """An SDK that keeps its metrics and spans in memory, and a subscriber that writes to it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reader, self.spans = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.subscriber = OpenTelemetrySubscriber(self.meters, self.tracers, clock=self.clock)

    def metric(self, name: str) -> Any:
        """The exported metric below m2m_auth.client, or None."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics]
        return next((metric for metric in metrics if metric.name == f"m2m_auth.client.{name}"), None)

    def points(self, name: str, attribute: str = CLIENT) -> dict[Any, Any]:
        """The metric's points by an attribute: the value, or (count, sum) of a histogram."""
        metric = self.metric(name)
        return {
            point.attributes.get(attribute): getattr(point, "value", None)
            if hasattr(point, "value")
            else (point.count, pytest.approx(point.sum))
            for point in (metric.data.data_points if metric else ())
        }


@pytest.fixture
def backend() -> Backend:
    """A backend of the test's own."""
    return Backend()


def test_the_mints_are_the_ledgers(backend: Backend) -> None:
    """A token that may not be used is a mint, too, and a failed attempt; its request is measured once."""
    server = SlowServer(backend.clock)
    source = source_on(server, backend.subscriber, "counted-as-the-ledger-does")
    source.token()
    server.extra = {"token_type": "mac"}
    backend.clock.advance(1001)
    with pytest.raises(TokenUnavailable):
        source.token()
    reason = "m2m_auth.token.request.reason"
    assert backend.points("token.mints", reason) == {"cold": 1, "renewal": 1}
    assert source.status().ledger.mints.month == 2
    assert backend.points("token.failures", "error.type") == {"malformed_response": 1}
    assert sum(point.count for point in backend.metric("token.request.duration").data.data_points) == 2


def test_a_mint_and_a_failure_of_a_real_source(backend: Backend) -> None:
    """The duration of each token request, with the reason, or with error.type; the unit is seconds."""
    server = SlowServer(backend.clock)
    source = source_on(server, backend.subscriber, "measured")
    source.token()
    server.down = "connection"
    backend.clock.advance(1001)
    with pytest.raises(TokenUnavailable):
        source.token()
    metric = backend.metric("token.request.duration")
    assert metric.unit == "s"
    found = {
        tuple(sorted(point.attributes.items())): (point.count, round(point.sum, 3)) for point in metric.data.data_points
    }
    assert found == {
        ((CLIENT, "measured"), ("m2m_auth.token.request.reason", "cold")): (1, TOOK),
        (("error.type", "connection"), (CLIENT, "measured")): (1, TOOK),
    }
    assert 20.0 in metric.data.data_points[0].explicit_bounds, "buckets for seconds, not for milliseconds"
    assert backend.points("token.failures", "error.type") == {"connection": 1}


def test_the_remaining_lifetime_counts_down(backend: Backend) -> None:
    """Read at each collection, from the expiry of the latest token; 0 once it has expired, never below."""
    source_on(SlowServer(backend.clock), backend.subscriber, "counted").token()
    assert backend.points("token.remaining_lifetime") == {"counted": pytest.approx(1000 - TOOK)}
    backend.clock.advance(400)
    assert backend.points("token.remaining_lifetime") == {"counted": pytest.approx(600 - TOOK)}
    backend.clock.advance(4000)
    assert backend.points("token.remaining_lifetime") == {"counted": 0}


def test_an_adopted_token_has_a_remaining_lifetime_too(backend: Backend) -> None:
    """A process that never mints shows how long its token lives on; each audience has its own value."""
    backend.subscriber(event("adopted", "renewal", holds=300))
    backend.subscriber(event("adopted", "renewal", holds=70, audience="https://api.example"))
    assert backend.points("token.remaining_lifetime", "m2m_auth.audience") == {None: 300, "https://api.example": 70}


def test_two_subscribers_on_one_provider_share_the_gauge(backend: Backend) -> None:
    """A provider knows one gauge of a name; the second subscriber's tokens are on it all the same."""
    second = OpenTelemetrySubscriber(backend.meters, backend.tracers, clock=backend.clock)
    backend.subscriber(event("minted", "cold", 0.1, 100))
    second(replace(event("minted", "cold", 0.1, 50), client_id="other"))
    assert backend.points("token.remaining_lifetime") == {"client": 100, "other": 50}


def test_the_counters(backend: Backend) -> None:
    """Lookups by result, lease waits in seconds, rejections, stale servings by cause, and everything by kind."""
    for each in (
        event("cache_hit"),
        event("cache_miss"),
        event("cache_miss"),
        event("cache_fault", "a sentence of the cache's own"),
        event("lease_wait", "renewal", 1.5),
        event("rejected"),
        event("served_stale", "http_503", holds=20),
        event("clock_skew", seconds=300),
    ):
        backend.subscriber(each)
    assert backend.points("cache.lookups", "m2m_auth.cache.result") == {"hit": 1, "miss": 2, "fault": 1}
    assert backend.points("lease.wait.duration") == {"client": (1, 1.5)}
    assert backend.points("token.rejections") == {"client": 1}
    assert backend.points("token.served_stale", "error.type") == {"http_503": 1}
    kinds = backend.points("events", "m2m_auth.event.kind")
    assert kinds["cache_miss"] == 2
    assert kinds["clock_skew"] == 1


def test_a_span_for_each_token_request(backend: Backend) -> None:
    """Of kind CLIENT, over the time that the request took, below the span that was current in the call."""
    server = SlowServer(backend.clock)
    source = source_on(server, backend.subscriber, "traced")
    tracer = backend.tracers.get_tracer("the caller's")
    with tracer.start_as_current_span("handling an order") as outer:
        source.token()
    span = backend.spans.get_finished_spans()[0]
    assert (span.name, span.kind) == ("m2m_auth token request", SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    assert span.end_time - span.start_time == pytest.approx(TOOK * 1e9, abs=1000)
    assert span.end_time == pytest.approx(backend.clock.wall() * 1e9, abs=1000)
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        CLIENT: "traced",
        "m2m_auth.token.request.reason": "cold",
        "m2m_auth.token.fingerprint": source.status().fingerprint,
    }


def test_a_failed_request_is_a_span_in_error(backend: Backend) -> None:
    """Status ERROR and error.type; a renewal in the background belongs to the call that started it."""
    server = SlowServer(backend.clock)
    source = source_on(server, backend.subscriber, "in-error")
    source.token()
    server.down = "invalid_client"
    backend.clock.advance(890)
    with backend.tracers.get_tracer("the caller's").start_as_current_span("a later order") as outer:
        source.token()
        settle(source)
    span = next(span for span in backend.spans.get_finished_spans() if span.status.status_code is StatusCode.ERROR)
    assert span.attributes == {CLIENT: "in-error", "error.type": "invalid_client"}
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id


def test_a_failure_without_a_request_is_no_request(backend: Backend) -> None:
    """A secret manager that fails is counted; it has neither a span nor a duration."""

    def secret() -> str:
        raise OSError("canary")

    source = source_on(SlowServer(backend.clock), backend.subscriber, client_secret=secret)
    with pytest.raises(TokenUnavailable):
        source.token()
    assert backend.points("token.failures", "error.type") == {"secret_unavailable": 1}
    assert backend.metric("token.request.duration") is None
    assert backend.spans.get_finished_spans() == ()


def test_error_types_are_bounded(backend: Backend) -> None:
    """An authorization server with a new error in every answer adds no time series for each."""
    for number in range(1000):
        backend.subscriber(event("renewal_failed", f"error-{number}", 0.1, 1.0))
    types = backend.points("token.failures", "error.type")
    assert len(types) == 33
    assert types["_OTHER"] == 1000 - 32


def test_metrics_carry_neither_fingerprint_nor_secret(backend: Backend) -> None:
    """A label per token would be a time series per token; a token or a secret is in neither metrics nor spans."""
    server = SlowServer(backend.clock)
    source = source_on(server, backend.subscriber)
    token = source.token()
    source.reject(token)
    backend.clock.advance(2000)
    source.token()
    exported = backend.reader.get_metrics_data()
    assert exported is not None
    metrics, spans = exported.to_json(), "".join(span.to_json() for span in backend.spans.get_finished_spans())
    assert "token.rejections" in metrics or "forced_mint_ban" in metrics
    assert token.fingerprint not in metrics
    for canary in ("canary-secret", *server.tokens):
        assert canary not in metrics + spans
