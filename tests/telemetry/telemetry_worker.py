"""One process of the multi-process test: mints or adopts on the shared disk cache, and leaves its metrics behind."""

from __future__ import annotations

import sys

from m2m_auth import TokenSource
from m2m_auth.telemetry import PrometheusSubscriber

if __name__ == "__main__":
    endpoint, folder = sys.argv[1:]
    on_event = PrometheusSubscriber()
    source = TokenSource(endpoint, "client", "secret", cache=f"disk:{folder}", on_event=on_event)
    source.token()
    source.renew()
    source.close()
