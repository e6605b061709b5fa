"""A process that forks again and again while a thread emits events; it prints how many of its children hung."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings

from telemetry_support import event

from m2m_auth.events import Subscriber
from m2m_auth.telemetry import OpenTelemetrySubscriber, PrometheusSubscriber


def subscriber(name: str) -> Subscriber:
    """Prometheus, or OpenTelemetry's SDK."""
    if name == "prometheus":
        return PrometheusSubscriber()
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    return OpenTelemetrySubscriber(MeterProvider([InMemoryMetricReader()]), TracerProvider())


def hangs(child: int) -> bool:
    """Whether the child does not end within five seconds; it is then killed."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return True


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
    on_event = subscriber(sys.argv[1])
    minted = event("minted", "renewal", 0.1, 100)

    def emit_for_ever() -> None:
        """What flights do, a thousand times as often."""
        while True:
            on_event(minted)

    threading.Thread(target=emit_for_ever, daemon=True).start()
    hung = 0
    for _ in range(100):
        child = os.fork()
        if child == 0:
            on_event(minted)
            os._exit(0)
        hung += hangs(child)
        if hung:
            break
    sys.stdout.write(str(hung))
    sys.stdout.flush()
    os._exit(0)
