"""The log of an hour: a line per change of state, whatever fails and however the sources are built."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable

import pytest
from telemetry_support import SlowServer, settle, source_on

from m2m_auth import TokenSource, TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.errors import CacheUnavailable
from m2m_auth.events import Event, EventEmitter
from m2m_auth.testing import FakeClock

HOUR = 3600
_names = itertools.count()


@pytest.fixture
def name() -> str:
    """A client that the log does not know."""
    return f"logged-{next(_names)}"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log at the level that services run at."""
    caplog.set_level(logging.INFO, "m2m_auth")
    return caplog


def call_for_an_hour(clock: FakeClock, source: Callable[[], TokenSource]) -> None:
    """A call every two seconds."""
    for _ in range(HOUR // 2):
        clock.advance(2)
        current = source()
        with contextlib.suppress(TokenUnavailable):
            current.token()
        settle(current)


def shown(log: pytest.LogCaptureFixture) -> list[str]:
    """The first two words of each line, without the client."""
    return [" ".join(message.partition(": ")[2].split()[:2]) for message in log.messages]


@pytest.mark.parametrize("rebuilt", [False, True], ids=["one source", "a new source for every call"])
def test_an_hour_of_outage_with_short_tokens(name: str, log: pytest.LogCaptureFixture, rebuilt: bool) -> None:
    """Hundreds of attempts and three lines: no new token, the held one is served, and at last a new one."""
    clock, heard = FakeClock(), list[Event]()
    server = SlowServer(clock, lifetime=20)
    kept = source_on(server, heard.append, name)
    kept.token()
    server.down = "connection"
    log.clear()
    call_for_an_hour(clock, lambda: source_on(server, heard.append, name) if rebuilt else kept)
    server.down = None
    clock.advance(60)
    kept.token()
    assert sum(event.kind == "renewal_failed" for event in heard) > 300
    assert shown(log) == ["no new", "serving token", "minted token"]


def test_an_outage_with_alternating_causes(name: str, log: pytest.LogCaptureFixture) -> None:
    """Two causes by turns are two lines, not a line at each turn."""
    emitter = EventEmitter(name, None)
    for number in range(10_000):
        emitter.emit("renewal_failed", reason=("timeout", "connection", "http_503")[number % 3], seconds=1, holds=1)
    assert len(log.messages) == 3


class DeadCache(MemoryTokenCache):
    """A shared cache that is down."""

    capabilities = Capabilities(shared=True)

    def get(self, key: str) -> bytes | None:
        """Fail."""
        raise CacheUnavailable("cache: no answer in 100 ms")


def test_an_hour_without_the_shared_cache(name: str, log: pytest.LogCaptureFixture) -> None:
    """The fault is one line; the mints of that hour are news, each of them."""
    clock = FakeClock()
    server = SlowServer(clock, lifetime=300)
    source = source_on(server, None, name, cache=DeadCache())
    call_for_an_hour(clock, lambda: source)
    lines = shown(log)
    assert lines.count("the shared") == 1
    assert lines.count("minted token") == len(lines) - 1 == server.asked


def test_what_lasts_from_token_to_token_is_said_once(name: str, log: pytest.LogCaptureFixture) -> None:
    """A low quota at every mint is one line; after a mint without it, it is news again."""
    emitter = EventEmitter(name, None)

    def mint(*, low: bool) -> None:
        emitter.emit("minted", f"{next(_names):08x}", "renewal")
        if low:
            emitter.emit("quota_low")

    for low in (True, True, True, False, True, True):
        mint(low=low)
    said = ["minted", "the", "minted", "minted", "minted", "minted", "the", "minted"]
    assert [line.split()[0] for line in shown(log)] == said


def test_a_subscriber_that_always_raises_is_one_line(name: str, log: pytest.LogCaptureFixture) -> None:
    """However many events it raises at."""

    def subscriber(_: Event) -> None:
        raise RuntimeError("canary")

    emitter = EventEmitter(name, subscriber)
    for _ in range(1000):
        emitter.emit("cache_hit")
    assert log.messages == ["on_event raised RuntimeError; ignored"]


def test_each_audience_has_its_own_lines(name: str, log: pytest.LogCaptureFixture) -> None:
    """One API's outage does not hide another's of the same client."""
    for audience in ("a", "b", "a", "b"):
        EventEmitter(name, None, audience).emit("renewal_failed", reason="timeout")
    assert len(log.messages) == 2
