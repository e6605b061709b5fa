"""Several subscribers at once, and what an installation without the libraries says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from telemetry_support import SlowServer, event, source_on

from m2m_auth.events import Event, all_of
from m2m_auth.testing import FakeClock


def test_all_of_calls_each_one() -> None:
    """In order, and one that raises keeps nothing from the next."""
    heard: list[tuple[str, Event]] = []

    def broken(_: Event) -> None:
        raise RuntimeError("canary")

    subscriber = all_of(lambda each: heard.append(("first", each)), broken, lambda each: heard.append(("last", each)))
    subscriber(event("rejected"))
    assert heard == [("first", event("rejected")), ("last", event("rejected"))]


def test_all_of_serves_a_source() -> None:
    """Two lists receive the same events of a real source."""
    first: list[Event] = []
    second: list[Event] = []
    source_on(SlowServer(FakeClock()), all_of(first.append, second.append)).token()
    assert "minted" in [event.kind for event in first]
    assert first == second


def test_events_name_the_audience() -> None:
    """One client may have tokens for several APIs: a gauge must not mix them up."""
    heard: list[Event] = []
    source_on(SlowServer(FakeClock()), heard.append, audience="https://api.example").token()
    assert {event.audience for event in heard} == {"https://api.example"}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("OpenTelemetrySubscriber", "opentelemetry", "opentelemetry"),
        ("PrometheusSubscriber", "prometheus_client", "prometheus"),
    ],
)
def test_without_its_library_a_subscriber_names_the_extra(name: str, package: str, extra: str) -> None:
    """The package itself can be imported; the name says what to install, and does not need the other library."""
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import m2m_auth.telemetry\n"
        f"try: m2m_auth.telemetry.{name}\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == (
        f"m2m_auth.telemetry.{name} needs the package {package!r}, which is not installed. "
        f"Fix: pip install 'm2m-auth[{extra}]'\n"
    )


@pytest.mark.processes
@pytest.mark.parametrize("name", ["prometheus", "opentelemetry"])
def test_a_fork_during_events(name: str, tmp_path: Path) -> None:
    """The libraries' locks are not inherited locked: of 100 children forked beside a busy flight none hangs."""
    script = Path(__file__).with_name("telemetry_forks.py")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, str(script), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "0", done.stderr
