"""``reports``, ``renew`` and ``clear``: what an operator sees and does, also from a process that holds nothing."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from real_servers.stores import Store, start_valkey
from tools_support import SECRET, Server, SharedMemory, source_on

from m2m_auth import CacheUnavailable, MintBudget, TokenSource, TokenUnavailable
from m2m_auth.caches.tiered import TieredCache
from m2m_auth.errors import TokenEndpointUnavailable
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.operations.actions import clear, renew
from m2m_auth.operations.client_reports import ClientReport, reports
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeClock

OUTAGE = TransportError("nobody there", "connection")


@pytest.fixture(autouse=True)
def cold_registry() -> None:
    """No test meets another's token."""
    forget_everything()


@pytest.fixture
def server() -> Server:
    """A token endpoint."""
    return Server()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only moves when the test says so; jitter falls on the early edge."""
    clock = FakeClock()
    clock.uniform = lambda: 0.0
    return clock


@pytest.fixture(scope="module")
def valkey() -> Iterator[Store]:
    """A Valkey server that tests do not stop."""
    with start_valkey() as store:
        yield store


def only(source: TokenSource) -> ClientReport:
    """The report of one source."""
    found = reports({"billing": source})
    assert [each.alias for each in found] == ["billing"]
    return found[0]


def elsewhere(server: Server, clock: Any, memory: SharedMemory, **options: Any) -> TokenSource:
    """The same client in another process: nothing held, the same cache."""
    return source_on(server, clock=clock, cache=SharedMemory(memory), **options)


def test_a_client_that_has_asked_for_nothing(server: Server, clock: FakeClock) -> None:
    """No token, no times; who it is and what it may spend is there all the same; and a report mints nothing."""
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
    """The state follows the token's age, and the three edges are those of its life: 2700, 3540 and 3600 s."""
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
    """A command line starts cold: it shows the token of the shared cache, its edges, and the ledger; it mints none."""
    memory = SharedMemory()
    token = source_on(server, clock=clock, cache=memory).token()
    clock.advance(age)
    found = only(elsewhere(server, clock, memory))
    assert found.state == state
    if state != "none":
        assert found.fingerprint == token.fingerprint
        assert [found.renew_at, found.expiring_at, found.expires_at] == [
            token.issued_at + edge for edge in (2700, 3540, 3600)
        ]
    assert found.mints.month == 1
    assert found.reasons["cold"] == 1
    assert len(server.minted) == 1


def test_a_renewal_elsewhere_is_seen_at_once(server: Server, clock: FakeClock) -> None:
    """A worker that holds the old token shows the new one after another worker's renewal, and serves its own on."""
    memory = SharedMemory()
    ours, theirs = source_on(server, clock=clock, cache=memory), elsewhere(server, clock, memory)
    old = ours.token()
    assert theirs.token() == old
    clock.advance(10)
    new = renew(theirs)
    assert new != old
    assert only(ours).fingerprint == new.fingerprint
    assert ours.status().fingerprint == old.fingerprint


def test_a_held_token_keeps_its_own_schedule(server: Server, clock: FakeClock) -> None:
    """A process that drew a late renewal for its token shows that edge, and not the earliest of the fleet's."""
    clock.uniform = lambda: 1.0
    source = source_on(server, clock=clock, cache=SharedMemory())
    token = source.token()
    assert only(source).renew_at == token.issued_at + 3150


def test_the_farthest_tier_counts(server: Server, clock: FakeClock) -> None:
    """A near cache with an older token does not hide what another host has renewed."""
    far = SharedMemory()
    here = TieredCache(SharedMemory(), far)
    source_on(server, clock=clock, cache=here).token()
    clock.advance(10)
    new = renew(elsewhere(server, clock, far))
    forget_everything()
    assert only(source_on(server, clock=clock, cache=here)).fingerprint == new.fingerprint


def test_a_clock_that_is_ahead_promises_nothing(server: Server, clock: FakeClock) -> None:
    """A token that was minted an hour in the future, by another host's clock, ends after its lifetime at the latest."""
    memory = SharedMemory()
    ahead = FakeClock(wall=clock.wall() + 3600)
    source_on(server, clock=ahead, cache=memory).token()
    assert only(elsewhere(server, clock, memory)).expires_at == clock.wall() + 3600


def test_a_refused_token_is_not_shown_as_held(server: Server, clock: FakeClock) -> None:
    """A token that an API refused is out, also while the shared cache still has it."""
    memory = SharedMemory()
    source = source_on(server, clock=clock, cache=memory)
    token = source.token()
    clock.advance(10)
    source.reject(token)
    assert only(source).state == "none"


def test_a_failure_elsewhere_is_seen(server: Server, clock: FakeClock) -> None:
    """Another process's failed attempt: its words, and when the next one is; a failed attempt is counted apart."""
    memory = SharedMemory()
    server.down = OUTAGE
    with pytest.raises(TokenEndpointUnavailable) as raised:
        source_on(server, clock=clock, cache=memory).token()
    found = only(elsewhere(server, clock, memory))
    assert found.last_failure == str(raised.value)
    assert found.retry_in is not None
    assert 0 < found.retry_in <= 1
    assert (found.mints, found.failed) == (MintCounts(), MintCounts(hour=1, day=1, month=1))
    clock.advance(5)
    assert only(elsewhere(server, clock, memory)).retry_in is None, "it is due"


def test_a_secret_that_cannot_be_fetched(server: Server, clock: FakeClock) -> None:
    """A secret manager that is down is told as the failure, by type; the page still comes."""

    def gone() -> str:
        raise ConnectionError(SECRET)

    found = only(source_on(server, clock=clock, client_secret=gone))
    assert (found.state, found.last_failure) == (
        "none",
        "No client secret: the client_secret callable raised ConnectionError",
    )


def test_a_secret_from_a_callable_finds_the_fleet_s_token(server: Server, clock: FakeClock) -> None:
    """A cold process whose secret must be fetched finds the shared token by it."""
    memory = SharedMemory()
    token = source_on(server, clock=clock, cache=memory).token()
    assert only(elsewhere(server, clock, memory, client_secret=lambda: SECRET)).fingerprint == token.fingerprint


def test_renew_mints_where_the_fleet_has_a_good_token(server: Server, clock: FakeClock) -> None:
    """From a cold process, and with a secret that must be fetched: the shared token is not taken for a new one."""
    memory = SharedMemory()
    old = source_on(server, clock=clock, cache=memory).token()
    clock.advance(10)
    new = renew(elsewhere(server, clock, memory, client_secret=lambda: SECRET))
    assert new != old
    assert len(server.minted) == 2


def test_renew_says_why_not(server: Server, clock: FakeClock) -> None:
    """The attempt failed: the error's words, and the held token is kept."""
    source = source_on(server, clock=clock)
    token = source.token()
    server.down = OUTAGE
    with pytest.raises(TokenEndpointUnavailable):
        renew(source)
    assert source.token() == token


def test_clear_forgets_here_and_in_the_shared_cache(server: Server, clock: FakeClock) -> None:
    """The next call mints, in this process and in one that starts cold; the ledger keeps its counts."""
    memory = SharedMemory()
    source = source_on(server, clock=clock, cache=memory)
    old = source.token()
    clear(source)
    assert only(source).state == "none"
    assert only(elsewhere(server, clock, memory)).state == "none"
    new = source.token()
    assert new != old
    assert len(server.minted) == 2
    assert only(source).mints.month == 2


def test_clear_from_a_cold_process(server: Server, clock: FakeClock) -> None:
    """The command line clears what another process has put into the cache; that process serves its own token on."""
    memory = SharedMemory()
    worker = source_on(server, clock=clock, cache=memory)
    token = worker.token()
    clear(elsewhere(server, clock, memory, client_secret=lambda: SECRET))
    assert worker.token() == token
    assert elsewhere(server, clock, memory).token() != token


def test_clear_forgets_the_failure(server: Server, clock: FakeClock) -> None:
    """After an outage that is over: the next call asks the server at once, everywhere."""
    memory = SharedMemory()
    source, other = source_on(server, clock=clock, cache=memory), elsewhere(server, clock, memory)
    server.down = OUTAGE
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


def test_clear_forgets_the_bar(server: Server, clock: FakeClock) -> None:
    """An API that refused a new token barred forced mints for a minute: cleared, the next refusal may mint."""
    source = source_on(server, clock=clock, cache=SharedMemory())
    young = source.token()
    source.reject(young)
    clock.advance(6)
    source.reject(young)
    assert source.token() == young, "barred"
    clear(source)
    token = source.token()
    clock.advance(6)
    source.reject(token)
    assert source.token() != token


def test_clear_waits_for_a_flight_that_is_under_way(server: Server, clock: FakeClock) -> None:
    """A renewal that began before would put its token back: it lands first, and its token is forgotten, too."""
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


def test_clear_empties_every_tier(server: Server, tmp_path: Path, valkey: Store) -> None:
    """A near cache that kept the token would bring it back."""
    tiers = TieredCache(f"disk:{tmp_path / 'near'}", f"redis://{valkey.address}")
    source = source_on(server, cache=tiers)
    old = source.token()
    clear(source)
    forget_everything()
    again = TieredCache(f"disk:{tmp_path / 'near'}", f"redis://{valkey.address}")
    assert source_on(server, cache=again).token() != old


def test_clear_says_when_the_cache_did_not_answer(server: Server) -> None:
    """A real server that is gone: forgotten here, and told in words that the cache may have it still."""
    with start_valkey() as store:
        source = source_on(server, client_id="of-a-lost-cache", cache=f"redis://{store.address}")
        source.token()
        store.stop()
        with pytest.raises(CacheUnavailable, match=r"'of-a-lost-cache' is forgotten in this process.*Fix: "):
            clear(source)
        assert source.status().state == "none"
        found = only(source)
    assert found.cache_answers is False
    assert found.mints.month == 1, "this process's own count stands in"


def test_clear_without_a_secret_forgets_nothing(server: Server, clock: FakeClock) -> None:
    """Without the secret nobody knows which token it is: the error says so."""

    def gone() -> str:
        raise ConnectionError(SECRET)

    with pytest.raises(TokenUnavailable, match="No client secret"):
        clear(source_on(server, clock=clock, client_secret=gone))


def test_two_processes_and_valkey(server: Server, valkey: Store) -> None:
    """On a real server: what one source mints, a cold one reports."""
    url = f"redis://{valkey.address}/0"
    token = source_on(server, client_id="on-valkey", cache=url).token()
    forget_everything()
    found = only(source_on(server, client_id="on-valkey", cache=url))
    assert (found.state, found.fingerprint) == ("fresh", token.fingerprint)
    assert found.mints.month == 1
    assert valkey.address in found.cache


def test_the_context_of_the_caller_goes_along(server: Server) -> None:
    """A cache that needs its framework's context (Flask's current app) has it, though it is asked on another thread."""
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


def test_a_cache_s_name_has_no_password(server: Server) -> None:
    """A cache of the user's own is called by its repr, without passwords in URLs and without control characters."""

    class Own(SharedMemory):
        def __repr__(self) -> str:
            return "Own('redis://user:pa55w0rd@host',\x1b[2J)"

    name = only(source_on(server, cache=Own())).cache
    assert name == "Own('redis://***@host',\ufffd[2J)"
    assert only(source_on(server, client_id="other", cache=SharedMemory())).cache == "SharedMemory"
