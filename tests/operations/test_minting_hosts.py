"""Which hosts minted, as every process of the fleet reports it: shared, sealed, cheap, and never in a mint's way."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest
from tools_support import Server, SharedMemory, source_on

from m2m_auth import TokenSource, TokenUnavailable
from m2m_auth.lifecycle.failure import Failure
from m2m_auth.oauth2.transport import TransportError
from m2m_auth.operations import ClientReport, HourCounts, renew, reports
from m2m_auth.shared_cache.keys import LedgerKeys
from m2m_auth.source.ledger import Ledger
from m2m_auth.source.registry import forget_everything
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock


@pytest.fixture(autouse=True)
def cold_registry() -> None:
    """No test meets another's token."""
    forget_everything()


def only(source: TokenSource) -> ClientReport:
    """The report of one source."""
    (found,) = reports({"billing": source})
    return found


class Counting(SharedMemory):
    """A shared cache that knows what was asked for, and may fail for the record of hosts alone."""

    def __init__(self, base: SharedMemory | None = None) -> None:
        super().__init__(base)
        self.asked: list[tuple[str, str]] = []
        self.values: dict[str, bytes] = {}
        self.released: list[int] = []
        self.broken = ""

    def _note(self, operation: str, key: str) -> None:
        self.asked.append((operation, key))
        if self.broken and key.startswith(self.broken):
            raise OSError("broken")

    def get(self, key: str) -> bytes | None:
        """Read."""
        self._note("get", key)
        return super().get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Write."""
        self._note("set", key)
        self.values[key] = value
        super().set(key, value, ttl)

    def increment(self, key: str, ttl: float) -> int:
        """Count."""
        self._note("increment", key)
        return super().increment(key, ttl)

    def release_thread(self) -> None:
        """Note whose connections would be closed."""
        self.released.append(threading.get_ident())

    def of_history(self) -> list[str]:
        """The operations on the record."""
        return [operation for operation, key in self.asked if key.startswith("m2m1.h.")]


def test_another_process_sees_who_minted() -> None:
    """A process that minted nothing reports the host that did, its mints, and when; and the hour's attempts."""
    server, clock, cache = Server(), FakeClock(), SharedMemory()
    source = source_on(server, cache=cache, clock=clock)
    source.token()
    clock.advance(100)
    renew(source)
    clock.advance(10)
    forget_everything()
    seen = only(source_on(server, cache=SharedMemory(cache), clock=clock))
    assert [(each.host, each.mints, seen.at - each.last_at) for each in seen.hosts] == [(socket.gethostname(), 2, 10)]
    assert seen.hours[-1] == HourCounts(2, 0)
    assert len(server.minted) == 2


def test_several_hosts_and_a_failure() -> None:
    """Each host has its own line; a failed attempt is counted in its hour, and is nobody's mint."""
    server, clock, cache = Server(), FakeClock(), SharedMemory()
    source = source_on(server, cache=cache, clock=clock)
    context, identity = engine_of(source).context, engine_of(source).resolved_credential()
    assert not isinstance(identity, Failure)
    names = LedgerKeys(context.request.token_endpoint, context.request.client_id)
    for host in ("web-1", "web-2", "web-1"):
        Ledger(names, clock.wall, partial(str, host)).record("renewal", identity.shared, context.events)
        clock.advance(1)
    server.down = TransportError("nobody there", "connection")
    with pytest.raises(TokenUnavailable):
        source.token()
    seen = only(source)
    assert [(each.host, each.mints) for each in seen.hosts] == [("web-1", 2), ("web-2", 1)]
    assert seen.hours[-1] == HourCounts(3, 1)


def test_the_record_is_sealed_and_costs_two_requests_a_mint() -> None:
    """No host's name is legible in the cache; a mint reads it once and writes it once, a held token does neither."""
    server, cache = Server(), Counting()
    source = source_on(server, cache=cache)
    source.token()
    assert cache.of_history() == ["get", "set"]
    for _ in range(10):
        source.token()
    assert cache.of_history() == ["get", "set"]
    (stored,) = [value for key, value in cache.values.items() if key.startswith("m2m1.h.")]
    assert socket.gethostname().encode() not in stored
    assert b"hosts" not in stored
    other = source_on(server, "billing-client", cache=SharedMemory(cache), client_secret="another secret")
    assert only(other).hosts == (), "another credential has another record"


def test_a_cache_that_fails_there_is_in_no_mints_way() -> None:
    """The mint succeeds, and this process tells what it knows itself."""
    server, cache = Server(), Counting()
    cache.broken = "m2m1.h."
    source = source_on(server, "client-of-a-broken-cache", cache=cache)
    assert source.token().value == server.minted[0]
    assert [(each.host, each.mints) for each in only(source).hosts] == [(socket.gethostname(), 1)]


def test_a_record_that_does_not_open_is_begun_anew() -> None:
    """Garbage under its key is no history, and is overwritten by the next mint."""
    server, cache = Server(), Counting()
    source = source_on(server, cache=cache)
    source.token()
    (key,) = {key for _, key in cache.asked if key.startswith("m2m1.h.")}
    cache.set(key, b"garbage", 3600)
    assert only(source).hosts == ()
    renew(source)
    assert [each.mints for each in only(source).hosts] == [1]


def test_without_a_cache_the_process_remembers() -> None:
    """In this process's memory, per client."""
    source = source_on(Server(), "client-in-memory")
    source.token()
    seen = only(source)
    assert [(each.host, each.mints) for each in seen.hosts] == [(socket.gethostname(), 1)]
    assert seen.hours[-1] == HourCounts(1, 0)


def test_status_leaves_the_callers_connections_alone() -> None:
    """The cache is read, and its thread's connections closed, on a thread of its own; without a cache there is none."""
    cache = Counting()
    source = source_on(Server(), cache=cache)
    before = len(cache.released)
    assert source.status().ledger.mints.month == 0
    assert len(cache.released) == before + 1
    assert threading.get_ident() not in cache.released
    alive: list[Any] = [thread for thread in threading.enumerate() if thread.name.startswith("m2m-auth-tool")]
    assert alive == []


AT_EXIT = """
import atexit
from m2m_auth import TokenSource
source = TokenSource("https://as.example/token", "client", "s3cr3t", cache="disk:" + __import__("sys").argv[1])
atexit.register(lambda: print(source.status().state))
"""


def test_status_when_no_thread_can_be_started(tmp_path: Any) -> None:
    """While the interpreter shuts down it still answers."""
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, str(tmp_path / "tokens")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("none\n", "")
