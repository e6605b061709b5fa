"""``reports``, ``renew`` and ``clear``, from a process that holds the token and from one that does not."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from operations_support import SECRET, Server, SharedMemory, source_on
from real_servers.stores import Store, start_valkey

from m2m_auth import CacheUnavailable, MintBudget, TokenSource, TokenUnavailable
from m2m_auth.caches.tiered import TieredCache
from m2m_auth.errors import TokenEndpointUnavailable
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.operations import ClientReport, clear, renew, reports
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeClock

OUTAGE = TransportError("connection refused", "connection")


@pytest.fixture(autouse=True)
def cold_registry() -> None:
    """Each test starts without tokens of other tests."""
    forget_everything()


@pytest.fixture
def server() -> Server:
    """A token endpoint."""
    return Server()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves; jitter falls on the early edge."""
    clock = FakeClock()
    clock.uniform = lambda: 0.0
    return clock


@pytest.fixture(scope="module")
def valkey() -> Iterator[Store]:
    """A Valkey server for all tests; they must not stop it."""
    with start_valkey() as store:
        yield store


def only(source: TokenSource) -> ClientReport:
    """The report of one source."""
    found = reports({"billing": source})
    assert [each.alias for each in found] == ["billing"]
    return found[0]


def in_another_process(server: Server, clock: Any, memory: SharedMemory, **options: Any) -> TokenSource:
    """The same client in another process, which holds nothing and has the same cache."""
    return source_on(server, clock=clock, cache=SharedMemory(memory), **options)


def test_a_client_that_has_asked_for_nothing(server: Server, clock: FakeClock) -> None:
    """Without a token the report has the client and its budget, and it mints nothing."""
    found = only(source_on(server, clock=clock, audience="https://api.example", budget=MintBudget(per_month=7)))
    assert (found.state, found.fingerprint, found.expires_at, found.expiring_at) == ("none", None, None, None)
    assert (found.client_id, found.audience) == ("billing-client", "https://api.example")
    assert found.budget == MintBudget(per_month=7)
    assert found.cache == "this process's memory"
    assert (found.at, found.cache_answers) == (clock.wall(), True)
    assert server.minted == []


@pytest.mark.parametrize(
    ("age", "state"), [(0, "fresh"), (2699, "fresh"), (2701, "stale"), (3541, "expiring"), (3601, "expired")]
)
def test_each_state_of_a_held_token(server: Server, clock: FakeClock, age: float, state: str) -> None:
    """The state follows the token's age; the edges of a life of 3600 s are 2700, 3540 and 3600 s."""
    source = source_on(server, clock=clock)
    token = source.token()
    clock.advance(age)
    found = only(source)
    assert (found.state, found.fingerprint) == (state, token.fingerprint)
    assert found.issued_at == token.issued_at
    edges = [found.renew_at, found.expiring_at, found.expires_at]
    assert edges == [token.issued_at + edge for edge in (2700, 3540, 3600)]
    assert len(server.minted) == 1


@pytest.mark.parametrize(("age", "state"), [(0, "fresh"), (2701, "stale"), (3541, "expiring"), (3601, "none")])
def test_a_process_that_holds_nothing_sees_the_fleet_s_token(
    server: Server, clock: FakeClock, age: float, state: str
) -> None:
    """A new process shows the shared cache's token, its edges and the ledger, and mints nothing."""
    memory = SharedMemory()
    token = source_on(server, clock=clock, cache=memory).token()
    clock.advance(age)
    found = only(in_another_process(server, clock, memory))
    assert found.state == state
    if state != "none":
        assert found.fingerprint == token.fingerprint
        assert [found.renew_at, found.expiring_at, found.expires_at] == [
            token.issued_at + edge for edge in (2700, 3540, 3600)
        ]
    assert found.mints.month == 1
    assert found.reasons["cold"] == 1
    assert len(server.minted) == 1


def test_a_renewal_of_another_process_is_seen_at_once(server: Server, clock: FakeClock) -> None:
    """After another worker's renewal a worker reports the new token, while it still uses its old one."""
    memory = SharedMemory()
    first, second = source_on(server, clock=clock, cache=memory), in_another_process(server, clock, memory)
    old = first.token()
    assert second.token() == old
    clock.advance(10)
    new = renew(second)
    assert new != old
    assert only(first).fingerprint == new.fingerprint
    assert first.status().fingerprint == old.fingerprint


def test_a_held_token_keeps_its_own_schedule(server: Server, clock: FakeClock) -> None:
    """A process shows its own renewal time, which its jitter made late, and not the earliest possible one."""
    clock.uniform = lambda: 1.0
    source = source_on(server, clock=clock, cache=SharedMemory())
    token = source.token()
    assert only(source).renew_at == token.issued_at + 3150


def test_the_far_tier_is_read(server: Server, clock: FakeClock) -> None:
    """An older token in a near cache does not hide the token that another host has renewed."""
    far = SharedMemory()
    tiers = TieredCache(SharedMemory(), far)
    source_on(server, clock=clock, cache=tiers).token()
    clock.advance(10)
    new = renew(in_another_process(server, clock, far))
    forget_everything()
    assert only(source_on(server, clock=clock, cache=tiers)).fingerprint == new.fingerprint


def test_a_clock_that_is_ahead_does_not_lengthen_a_life(server: Server, clock: FakeClock) -> None:
    """A token minted by a host whose clock is an hour ahead ends after its lifetime at the latest."""
    memory = SharedMemory()
    ahead = FakeClock(wall=clock.wall() + 3600)
    source_on(server, clock=ahead, cache=memory).token()
    assert only(in_another_process(server, clock, memory)).expires_at == clock.wall() + 3600


def test_a_refused_token_is_not_shown_as_held(server: Server, clock: FakeClock) -> None:
    """A token that an API refused is not reported, even while the shared cache still has it."""
    memory = SharedMemory()
    source = source_on(server, clock=clock, cache=memory)
    token = source.token()
    clock.advance(10)
    source.reject(token)
    assert only(source).state == "none"


def test_a_failure_of_another_process_is_seen(server: Server, clock: FakeClock) -> None:
    """Another process's failed attempt is reported with its reason and the next attempt, and is counted."""
    memory = SharedMemory()
    server.down = OUTAGE
    with pytest.raises(TokenEndpointUnavailable) as raised:
        source_on(server, clock=clock, cache=memory).token()
    found = only(in_another_process(server, clock, memory))
    assert found.last_failure == str(raised.value)
    assert found.retry_in is not None
    assert 0 < found.retry_in <= 1
    assert (found.mints, found.failed) == (MintCounts(), MintCounts(hour=2, day=2, month=2)), "two attempts at once"
    clock.advance(5)
    assert only(in_another_process(server, clock, memory)).retry_in is None, "it is due"


def test_a_secret_that_cannot_be_fetched(server: Server, clock: FakeClock) -> None:
    """A failing secret manager is the last failure, by the type of its error; the report is still made."""

    def gone() -> str:
        raise ConnectionError(SECRET)

    found = only(source_on(server, clock=clock, client_secret=gone))
    assert (found.state, found.last_failure) == (
        "none",
        "No client secret: the client_secret callable raised ConnectionError",
    )


def test_a_secret_from_a_callable_finds_the_fleet_s_token(server: Server, clock: FakeClock) -> None:
    """A new process fetches the secret first, and finds the shared token with it."""
    memory = SharedMemory()
    token = source_on(server, clock=clock, cache=memory).token()
    assert (
        only(in_another_process(server, clock, memory, client_secret=lambda: SECRET)).fingerprint == token.fingerprint
    )


def test_renew_mints_although_the_fleet_has_a_token(server: Server, clock: FakeClock) -> None:
    """In a new process that must fetch its secret, renew does not return the shared token as a new one."""
    memory = SharedMemory()
    old = source_on(server, clock=clock, cache=memory).token()
    clock.advance(10)
    new = renew(in_another_process(server, clock, memory, client_secret=lambda: SECRET))
    assert new != old
    assert len(server.minted) == 2


def test_a_failed_renewal(server: Server, clock: FakeClock) -> None:
    """A failed renewal raises its error, and the held token is kept."""
    source = source_on(server, clock=clock)
    token = source.token()
    server.down = OUTAGE
    with pytest.raises(TokenEndpointUnavailable):
        renew(source)
    assert source.token() == token


def test_clear_forgets_in_the_process_and_in_the_shared_cache(server: Server, clock: FakeClock) -> None:
    """After clear this process and a new one know no token, and the next call mints; the ledger keeps its counts."""
    memory = SharedMemory()
    source = source_on(server, clock=clock, cache=memory)
    old = source.token()
    clear(source)
    assert only(source).state == "none"
    assert only(in_another_process(server, clock, memory)).state == "none"
    new = source.token()
    assert new != old
    assert len(server.minted) == 2
    assert only(source).mints.month == 2


def test_clear_from_a_cold_process(server: Server, clock: FakeClock) -> None:
    """A command clears the token in the cache; the worker that stored it still uses it, and a new process mints."""
    memory = SharedMemory()
    worker = source_on(server, clock=clock, cache=memory)
    token = worker.token()
    clear(in_another_process(server, clock, memory, client_secret=lambda: SECRET))
    assert worker.token() == token
    assert in_another_process(server, clock, memory).token() != token


@pytest.mark.parametrize("down", [OUTAGE, HttpResponse(429, {"retry-after": "600"}, b"")], ids=["outage", "wait"])
def test_clear_forgets_the_failure(server: Server, clock: FakeClock, down: HttpResponse | TransportError) -> None:
    """After an outage, or where the server asked to wait, the next call of every process asks it at once."""
    memory = SharedMemory()
    source, other = source_on(server, clock=clock, cache=memory), in_another_process(server, clock, memory)
    server.down = down
    with pytest.raises(TokenUnavailable):
        source.token()
    server.down = None
    with pytest.raises(TokenUnavailable):
        source.token()
    clear(source)
    assert only(source).last_failure is None
    source.token()
    other.token()
    assert len(server.minted) == 1


def test_clear_ends_the_forced_mint_ban(server: Server, clock: FakeClock) -> None:
    """An API that refuses the new token, too, bans forced mints for a minute; after clear the next refusal mints."""
    source = source_on(server, clock=clock, cache=SharedMemory())
    source.reject(source.token())
    refused = source.token()
    source.reject(refused)
    clock.advance(6)
    source.reject(refused)
    assert source.token() == refused, "forced mints are banned"
    clear(source)
    token = source.token()
    clock.advance(6)
    source.reject(token)
    assert source.token() != token


def test_clear_waits_for_a_flight_that_is_under_way(server: Server, clock: FakeClock) -> None:
    """Clear waits for a renewal under way, which would store its token again, and forgets that token as well."""
    gate = threading.Event()
    gate.set()

    def slow(request: HttpRequest) -> HttpResponse:
        assert gate.wait(30)
        return server(request)

    source = source_on(server, transport=slow, clock=clock, cache=SharedMemory())
    old = source.token()
    gate.clear()
    clock.advance(2800)
    assert source.token() == old, "a renewal is under way in the background"
    with ThreadPoolExecutor(1) as pool:
        clearing = pool.submit(clear, source)
        wait([clearing], 0.2)
        assert not clearing.done()
        gate.set()
        clearing.result(30)
    assert only(source).state == "none"
    assert len(server.minted) == 2


@pytest.mark.processes
def test_clear_empties_every_tier(server: Server, tmp_path: Path, valkey: Store) -> None:
    """Clear deletes the token from every tier, or the near one would bring it back."""
    tiers = TieredCache(f"disk:{tmp_path / 'near'}", f"redis://{valkey.address}")
    source = source_on(server, cache=tiers)
    old = source.token()
    clear(source)
    forget_everything()
    again = TieredCache(f"disk:{tmp_path / 'near'}", f"redis://{valkey.address}")
    assert source_on(server, cache=again).token() != old


@pytest.mark.processes
def test_clear_says_when_the_cache_did_not_answer(server: Server) -> None:
    """With its server gone, the process forgets the token, and the error says that the cache may still have it."""
    with start_valkey() as store:
        source = source_on(server, client_id="of-a-lost-cache", cache=f"redis://{store.address}")
        source.token()
        store.stop()
        with pytest.raises(CacheUnavailable, match=r"this process has forgotten the token of 'of-a-lost-cache'.*Fix: "):
            clear(source)
        assert source.status().state == "none"
        found = only(source)
    assert found.cache_answers is False
    assert found.mints.month == 1, "the count of this process"


def test_clear_without_a_secret_forgets_nothing(server: Server, clock: FakeClock) -> None:
    """Without the secret the token cannot be found: clear raises the reason."""

    def gone() -> str:
        raise ConnectionError(SECRET)

    with pytest.raises(TokenUnavailable, match="No client secret"):
        clear(source_on(server, clock=clock, client_secret=gone))


@pytest.mark.processes
def test_reports_through_valkey(server: Server, valkey: Store) -> None:
    """On a real server a new process reports the token that another one minted."""
    url = f"redis://{valkey.address}/0"
    token = source_on(server, client_id="on-valkey", cache=url).token()
    forget_everything()
    found = only(source_on(server, client_id="on-valkey", cache=url))
    assert (found.state, found.fingerprint) == ("fresh", token.fingerprint)
    assert found.mints.month == 1
    assert valkey.address in found.cache


def test_the_context_of_the_caller_goes_along(server: Server) -> None:
    """A cache that needs its framework's context (Flask's current app) has it on the worker thread."""
    seen: set[tuple[str, bool]] = set()
    app = contextvars.ContextVar("app", default="none")

    class Contextual(SharedMemory):
        def get(self, key: str) -> bytes | None:
            seen.add((app.get(), threading.current_thread() is threading.main_thread()))
            return super().get(key)

    source = source_on(server, cache=Contextual())
    app.set("shop")
    reports({"billing": source})
    assert seen == {("shop", False)}
