"""Subscribers for ``on_event`` that turn events into metrics and spans, for OpenTelemetry and for Prometheus.

Each name is imported when it is first used, so that only its own library is needed: ``m2m-auth[opentelemetry]``
or ``m2m-auth[prometheus]``. See ``docs/observability.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .opentelemetry import OpenTelemetrySubscriber
    from .prometheus import PrometheusSubscriber

__all__ = ["OpenTelemetrySubscriber", "PrometheusSubscriber"]


def __getattr__(name: str) -> object:
    if name == "OpenTelemetrySubscriber":
        from .opentelemetry import OpenTelemetrySubscriber

        return OpenTelemetrySubscriber
    if name == "PrometheusSubscriber":
        from .prometheus import PrometheusSubscriber

        return PrometheusSubscriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
