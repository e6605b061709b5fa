"""Events as OpenTelemetry metrics and spans."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from .. import __version__
from ..errors import missing_extra
from ..events import Event
from ..runtime.clock import Clock
from ..runtime.fork_safety import delaying_forks
from .measures import INSTRUMENTS, SECONDS, ErrorTypes, Instrument, Measure, is_token_request, life, measures

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    what = "m2m_auth.telemetry.OpenTelemetrySubscriber"
    raise ModuleNotFoundError(missing_extra(what, error, "opentelemetry"), name=error.name) from None

__all__ = ["OpenTelemetrySubscriber"]

_Client = tuple[str, str]
"""Client id and audience."""
_expiries: WeakKeyDictionary[metrics.MeterProvider, dict[_Client, float]] = WeakKeyDictionary()
"""When the latest tokens end, in Unix time. A provider has one gauge for all of its subscribers."""


class OpenTelemetrySubscriber:
    """An ``on_event`` subscriber: metrics below ``m2m_auth.client``, and a CLIENT span for each token request.

    The span is a child of the span that was current in the call that started the flight. Neither a span nor a metric
    carries a token, a secret or a response; only the span has the token's fingerprint.

    Args:
        meter_provider: where the metrics go; the global one by default.
        tracer_provider: where the spans go; the global one by default.
        clock: the clocks; for tests.
    """

    def __init__(
        self,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._error_type = ErrorTypes()
        self._tracer = trace.get_tracer("m2m_auth", __version__, tracer_provider)
        provider = meter_provider or metrics.get_meter_provider()
        meter = provider.get_meter("m2m_auth", __version__)
        self._instruments = {each: _made(meter, each) for each in INSTRUMENTS}
        self._expires_at = _expiries.setdefault(provider, {})
        meter.create_observable_gauge(
            "m2m_auth.client.token.remaining_lifetime",
            [self._remaining],
            unit="s",
            description="Remaining life of the latest token; 0 once it has expired.",
        )

    def __call__(self, event: Event) -> None:
        """Records the event."""
        with delaying_forks():  # the SDK's locks would stay locked in a forked child
            for measure in measures(event, self._error_type):
                self._record(event, measure)
            lives = life(event)
            if lives is not None:
                self._expires_at[event.client_id, event.audience] = self._clock.wall() + lives
            if is_token_request(event):
                self._span(event)

    def _record(self, event: Event, measure: Measure) -> None:
        attributes = _client(event.client_id, event.audience)
        named = zip(measure.instrument.labels, measure.labels, strict=True)
        attributes.update({_ATTRIBUTES[label]: value for label, value in named if value})
        instrument = self._instruments[measure.instrument]
        if isinstance(instrument, metrics.Counter):
            instrument.add(measure.value, attributes)
        else:
            instrument.record(measure.value, attributes)

    def _remaining(self, _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        now = self._clock.wall()
        for client, expires_at in list(self._expires_at.items()):
            yield metrics.Observation(max(expires_at - now, 0.0), _client(*client))

    def _span(self, event: Event) -> None:
        """Makes the span of a request that is over, with the times that the request had."""
        end = self._clock.wall()
        failed = event.kind == "renewal_failed"
        attributes = _client(event.client_id, event.audience)
        if failed:
            attributes["error.type"] = event.reason
        else:
            attributes["m2m_auth.token.request.reason"] = event.reason
            attributes["m2m_auth.token.fingerprint"] = event.fingerprint
        span = self._tracer.start_span(
            "m2m_auth token request",
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
            start_time=int((end - event.seconds) * 1e9),
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(int(end * 1e9))


_ATTRIBUTES = {
    "reason": "m2m_auth.token.request.reason",
    "error.type": "error.type",
    "result": "m2m_auth.cache.result",
    "kind": "m2m_auth.event.kind",
}


def _client(client_id: str, audience: str) -> dict[str, str]:
    audiences = {"m2m_auth.audience": audience} if audience else {}
    return {"m2m_auth.client.id": client_id, **audiences}


def _made(meter: metrics.Meter, instrument: Instrument) -> metrics.Counter | metrics.Histogram:
    name = f"m2m_auth.client.{instrument.name}"
    if instrument.kind == "count":
        return meter.create_counter(name, instrument.unit, instrument.description)
    return meter.create_histogram(
        name, instrument.unit, instrument.description, explicit_bucket_boundaries_advisory=SECONDS
    )
