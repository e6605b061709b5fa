"""The record of the hosts that minted: shared, sealed, cheap, and harmless to mints if it fails."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import pytest
from operations_support import Server, SharedMemory, source_on

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
    """Each test starts without tokens of other tests."""
    forget_everything()


def only(source: TokenSource) -> ClientReport:
    """The report of one source."""
    (found,) = reports({"billing": source})
    return found


class Counting(SharedMemory):
    """A shared cache that records its operations, and can fail for keys with the prefix ``broken``."""

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
        """Note the thread whose connections are closed."""
        self.released.append(threading.get_ident())

    def of_history(self) -> list[str]:
        """The operations on the record of hosts."""
        return [operation for operation, key in self.asked if key.startswith("m2m1.h.")]


def test_another_process_sees_who_minted() -> None:
    """A process that minted nothing reports the host that did, with its mints, their time and the hour's attempts."""
    server, clock, cache = Server(), FakeClock(), SharedMemory()
    source = source_on(server, cache=cache, clock=clock)
    source.token()
    clock.advance(100)
    renew(source)
    clock.advance(10)
    forget_everything()
    seen = only(source_on(server, cache=SharedMemory(cache), clock=clock))
    assert [(each.host, each.mints, seen.at - each.last_at) for each in seen.hosts] == [(socket.gethostname(), 2, 10)]
    assert seen.hours[-1] == HourCounts(minted=2)
    assert len(server.minted) == 2


def test_several_hosts_and_a_failure() -> None:
    """Each host has its own line; failed attempts are counted in their hour and for no host."""
    server, clock, cache = Server(), FakeClock(), SharedMemory()
    source = source_on(server, cache=cache, clock=clock)
    context, credential = engine_of(source).context, engine_of(source).resolved_credential()
    assert not isinstance(credential, Failure)
    names = LedgerKeys(context.request.token_endpoint, context.request.client_id)
    for host in ("web-1", "web-2", "web-1"):
        Ledger(names, clock.wall, partial(str, host)).record("renewal", credential.store, context.events)
        clock.advance(1)
    server.down = TransportError("connection refused", "connection")
    with pytest.raises(TokenUnavailable):
        source.token()
    seen = only(source)
    assert [(each.host, each.mints) for each in seen.hosts] == [("web-1", 2), ("web-2", 1)]
    assert seen.hours[-1] == HourCounts(minted=3, failed=2)


def test_the_record_is_sealed_and_costs_two_requests_a_mint() -> None:
    """The record is encrypted; a mint reads it once and writes it once, and a held token does neither."""
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


def test_a_fault_of_the_record_does_not_fail_a_mint() -> None:
    """The mint succeeds, and the report has the hosts that this process knows."""
    server, cache = Server(), Counting()
    cache.broken = "m2m1.h."
    source = source_on(server, "client-of-a-broken-cache", cache=cache)
    assert source.token().value == server.minted[0]
    assert [(each.host, each.mints) for each in only(source).hosts] == [(socket.gethostname(), 1)]


def test_a_garbled_record_is_replaced() -> None:
    """A record that cannot be opened counts as empty, and the next mint overwrites it."""
    server, cache = Server(), Counting()
    source = source_on(server, cache=cache)
    source.token()
    (key,) = {key for _, key in cache.asked if key.startswith("m2m1.h.")}
    cache.set(key, b"garbage", 3600)
    assert only(source).hosts == ()
    renew(source)
    assert [each.mints for each in only(source).hosts] == [1]


def test_without_a_cache_the_process_remembers() -> None:
    """Without a cache this process keeps the record in memory, per client."""
    source = source_on(Server(), "client-in-memory")
    source.token()
    seen = only(source)
    assert [(each.host, each.mints) for each in seen.hosts] == [(socket.gethostname(), 1)]
    assert seen.hours[-1] == HourCounts(minted=1)


def test_status_does_not_use_the_callers_connections() -> None:
    """The cache is read on a worker thread, whose connections are closed and which ends."""
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


@pytest.mark.processes
def test_status_when_no_thread_can_be_started(tmp_path: Any) -> None:
    """While the interpreter shuts down, when no thread can start, status still answers."""
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, str(tmp_path / "tokens")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("none\n", "")
