"""Events as Prometheus metrics, in one process or in many (``PROMETHEUS_MULTIPROC_DIR``)."""

from __future__ import annotations

from ..errors import ConfigurationError, missing_extra
from ..events import Event
from ..runtime.clock import Clock
from ..runtime.fork_safety import delaying_forks
from .measures import INSTRUMENTS, SECONDS, ErrorTypes, Instrument, life, measures

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ModuleNotFoundError as error:
    what = "m2m_auth.telemetry.PrometheusSubscriber"
    raise ModuleNotFoundError(missing_extra(what, error, "prometheus"), name=error.name) from None

__all__ = ["PrometheusSubscriber"]

_CLIENT = ("client_id", "audience")


class PrometheusSubscriber:
    """An ``on_event`` subscriber: the metrics of OpenTelemetry, under the names that its Prometheus exporter uses.

    One metric differs: the token's expiry time stands for its remaining life, because a gauge that many processes
    write to a file cannot count down.

    Args:
        registry: where the metrics are registered; the default one by default. One subscriber serves any number of
            sources; a registry takes one.
        namespace: what the metrics' names begin with.
        clock: the clocks; for tests.

    Raises:
        ConfigurationError: the registry has these metrics already.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        namespace: str = "m2m_auth",
        *,
        clock: Clock | None = None,
    ) -> None:
        self._wall = (clock or Clock()).wall
        self._error_type = ErrorTypes()
        registry = REGISTRY if registry is None else registry
        try:
            self._instruments = {each: _made(each, namespace, registry) for each in INSTRUMENTS}
            # The latest answer of all processes counts: it is about the newest token.
            self._expiry = Gauge(
                "client_token_expiry_timestamp_seconds",
                "When the latest token expires, in Unix time.",
                _CLIENT,
                namespace,
                registry=registry,
                multiprocess_mode="livemostrecent",
            )
        except ValueError as error:
            raise ConfigurationError(
                f"PrometheusSubscriber cannot register its metrics: {error}. "
                "Fix: build one subscriber and give it to every source, or another registry or namespace"
            ) from None

    def __call__(self, event: Event) -> None:
        """Records the event."""
        with delaying_forks():  # prometheus_client's lock would stay locked in a forked child
            self._record(event)

    def _record(self, event: Event) -> None:
        client = event.client_id, event.audience
        for measure in measures(event, self._error_type):
            instrument = self._instruments[measure.instrument]
            if isinstance(instrument, Counter):
                instrument.labels(*client, *measure.labels).inc(measure.value)
            else:
                instrument.labels(*client, *measure.labels).observe(measure.value)
        lives = life(event)
        if lives is not None:
            self._expiry.labels(*client).set(self._wall() + lives)


def _made(instrument: Instrument, namespace: str, registry: CollectorRegistry) -> Counter | Histogram:
    name = "client_" + instrument.name.replace(".", "_")
    labels = (*_CLIENT, *(label.replace(".", "_") for label in instrument.labels))
    if instrument.kind == "count":
        return Counter(name, instrument.description, labels, namespace, registry=registry)
    return Histogram(
        name, instrument.description, labels, namespace, unit="seconds", registry=registry, buckets=SECONDS
    )
