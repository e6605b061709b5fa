"""The limits of one vendor on mints, requests and memory, and the ledger that counts them."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from proxy_steps import ACME, AUDIENCE, PEPPER, RIGHT, basic, keeper, kept_secrets, own_secrets, post, running, vendor

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.proxy import Counts, TokenProxy, VendorReport
from m2m_auth.proxy.allowances import Allowance
from m2m_auth.runtime.clock import SYSTEM_CLOCK
from m2m_auth.serving import Request
from m2m_auth.shared_cache.counters import SharedCounters
from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache

HOUR_START = 1_699_999_200.0
"""Unix time of a full UTC hour: 2023-11-14 22:00."""


@pytest.fixture
def clock() -> FakeClock:
    """A minute after the hour."""
    return FakeClock(HOUR_START + 60)


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """An authorization server with the test's clock."""
    with FakeAuthorizationServer(clock=clock) as running_server:
        yield running_server


def report_of(proxy: TokenProxy, name: str = ACME) -> VendorReport:
    """One vendor's report."""
    return next(report for report in proxy.ledger.report() if report.vendor == name)


@pytest.mark.loopback
@pytest.mark.parametrize("configure", [own_secrets, kept_secrets])
def test_a_vendor_over_its_budget(server: FakeAuthorizationServer, clock: FakeClock, configure: object) -> None:
    """A request that needs a mint gets 429 with Retry-After; held tokens and the other vendor are still served."""
    made = vendor if configure is own_secrets else keeper
    vendors = {ACME: made(mints_per_hour=2, scopes=("a", "b", "c")), "bolt": made(**_bolt(configure))}
    config = configure(server, vendors=vendors)  # type: ignore[operator]
    with running(config, clock=clock) as (proxy, ask):
        held = [ask.token(scope=scope).token for scope in "ab"]
        refused = ask.token(scope="c")
        assert (refused.status, refused.error) == (429, "temporarily_unavailable")
        assert refused.headers["retry-after"] == str(3600 - 60)
        assert [ask.token(scope=scope).token for scope in "ab"] == held
        assert ask.token("bolt", "bolt's secret").status == 200
        assert server.mints == 3
        assert report_of(proxy).hour == Counts(asked=5, served=2, minted=2, refused=1)
        clock.advance(3600)
        assert ask.token(scope="c").status == 200


def _bolt(configure: object) -> dict[str, str]:
    return {"client_id": "bolt", "secret": "bolt's secret"} if configure is own_secrets else {}


@pytest.mark.loopback
def test_a_budget_of_a_month(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The refusal lasts until the UTC month ends, and Retry-After says so."""
    config = own_secrets(server, vendors={ACME: vendor(mints_per_month=1, mints_per_hour=10)})
    with running(config, clock=clock) as (_, ask):
        assert ask.token(scope="read").status == 200
        refused = ask.token(scope="write")
        assert refused.status == 429
        left = 16 * 86400 + 2 * 3600 - 60
        assert int(refused.headers["retry-after"]) == left
        clock.advance(left)
        assert ask.token(scope="write").status == 200


@pytest.mark.loopback
def test_a_budget_is_not_overdrawn_by_a_crowd(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Forty different requests at once, budget ten: ten mints and thirty refusals, counted exactly."""
    scopes = tuple(f"s{number}" for number in range(40))
    config = own_secrets(server, vendors={ACME: vendor(mints_per_hour=10, scopes=scopes)})
    with running(config, clock=clock) as (proxy, ask), ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(lambda scope: ask.token(scope=scope).status, scopes))
        assert (statuses.count(200), statuses.count(429)) == (10, 30)
        assert server.mints == 10
        assert report_of(proxy).month == Counts(asked=40, served=0, minted=10, refused=30)


@pytest.mark.loopback
def test_what_failed_costs_nothing(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """An outage does not use up the budget."""
    config = own_secrets(server, vendors={ACME: vendor(mints_per_hour=1)})
    with running(config, clock=clock) as (proxy, ask):
        server.fail("500")
        for _ in range(5):
            assert ask.token().status == 503
            clock.advance(61)
        assert server.token_requests > 1
        server.recover()
        assert ask.token().status == 200
        assert report_of(proxy).hour == Counts(asked=6, served=0, minted=1, refused=5)


@pytest.mark.loopback
def test_requests_per_minute(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A vendor over its rate gets 429 until the minute ends; another vendor is not affected."""
    vendors = {ACME: vendor(requests_per_minute=3), "bolt": vendor("bolt", "b")}
    with running(own_secrets(server, vendors=vendors), clock=clock) as (_, ask):
        assert [ask.token().status for _ in range(4)] == [200, 200, 200, 429]
        assert ask.token().headers["retry-after"] == "60"
        assert ask.token("bolt", "b").status == 200
        clock.advance(60)
        assert ask.token().status == 200


@pytest.mark.loopback
def test_upstream_calls_at_once(server: FakeAuthorizationServer) -> None:
    """No more token requests are under way at once than the limit allows."""
    under_way, most, lock = [], [0], threading.Lock()

    def transport(request: HttpRequest) -> HttpResponse:
        with lock:
            under_way.append(request)
            most[0] = max(most[0], len(under_way))
            assert 0 < request.timeout <= 10
        threading.Event().wait(0.03)
        with lock:
            under_way.remove(request)
        return HttpResponse(200, {}, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 600}')

    scopes = tuple(f"s{number}" for number in range(24))
    config = own_secrets(server, vendors={ACME: vendor(scopes=scopes)}, max_upstream_calls=3)
    with running(config, transport=transport) as (_, ask), ThreadPoolExecutor(24) as pool:
        assert set(pool.map(lambda scope: ask.token(scope=scope).status, scopes)) == {200}
    assert most == [3]


@pytest.mark.loopback
def test_a_transport_that_fails(server: FakeAuthorizationServer) -> None:
    """If the transport fails, the answer is 503, no mint is counted, and the place among the calls is free again."""

    def transport(request: HttpRequest) -> HttpResponse:
        raise TransportError("no server listens")

    config = own_secrets(server, max_upstream_calls=1, vendors={ACME: vendor(scopes=("a", "b", "c"))})
    with running(config, transport=transport) as (proxy, ask):
        assert [ask.token(scope=scope).status for scope in "abc"] == [503, 503, 503]
        assert report_of(proxy).hour == Counts(asked=3, served=0, minted=0, refused=3)


@pytest.mark.loopback
def test_the_ledger_separates_periods(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Hour, day and month by UTC, the last 24 hours hour by hour, and a projection once the month is old enough."""
    server.lifetime = 600
    with running(own_secrets(server), clock=clock) as (proxy, ask):
        for _ in range(3):
            assert ask.token().status == 200
        report_of(proxy)
        clock.advance(3600)
        assert ask.token().status == 200
        report = report_of(proxy)
        assert report.hour == Counts(asked=1, served=0, minted=1, refused=0)
        assert report.day == report.month == Counts(asked=4, served=2, minted=2, refused=0)
        assert report.hours[-2:] == (
            Counts(asked=3, served=2, minted=1, refused=0),
            Counts(asked=1, served=0, minted=1, refused=0),
        )
        assert report.hours[:-2] == (Counts(),) * 22
        # 13 days and 23 hours of 30 days are over.
        assert report.projection == round(2 * 30 / (13 + 23 / 24 + 1 / 1440))
        clock.advance(3600)
        report = report_of(proxy)
        assert (report.hour, report.day, report.month) == (
            Counts(),
            Counts(),
            Counts(asked=4, served=2, minted=2, refused=0),
        )
        clock.advance(16 * 86400)
        report = report_of(proxy)
        assert (report.month, report.projection) == (Counts(), None)


@pytest.mark.loopback
def test_two_workers_write_one_ledger(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Each worker writes its own totals, and both read the sum, also after one has ended."""
    config = own_secrets(server)
    with running(config, clock=clock) as (_, one):
        with running(config, clock=clock) as (other, two):
            assert [one.token().status, one.token().status] == [200] * 2
            clock.advance(1)
            assert two.token().status == 200
        with running(config, clock=clock) as (third, three):
            assert three.token().status == 200
            assert report_of(third).hour == Counts(asked=2, served=2, minted=1, refused=0)
            assert report_of(other).hour == report_of(third).hour
    assert report_of(third).hour == Counts(asked=4, served=3, minted=1, refused=0)


@pytest.mark.loopback
def test_the_ledger_outlives_a_fault_of_the_cache(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Totals of an outage are written when the cache is back, never under another worker's number."""
    cache = FaultyCache(MemoryTokenCache())
    config = own_secrets(server, cache=cache)
    with running(config, clock=clock) as (one, first), running(config, clock=clock) as (two, second):
        assert [first.token().status, second.token().status] == [200, 200]
        two.ledger.flush()
        cache.down = True
        one.ledger.flush()
        assert first.token().status == 200
        one.ledger.flush()
        cache.down = False
        clock.advance(10)  # the circuit breaker lets the next operation through
        assert report_of(one).month.asked == report_of(two).month.asked == 3


@pytest.mark.loopback
def test_the_shared_cache_holds_no_names(server: FakeAuthorizationServer) -> None:
    """No vendor, address, secret or token is in the cache in the clear."""
    cache = RecordingCache()
    with running(kept_secrets(server, cache=cache)) as (proxy, ask):
        token = ask.token().token
        assert ask.token("stranger", "guessed").status == 401
        assert proxy.ledger.report()
    seen = repr(cache.written)
    assert "m2m1.pv." in seen
    assert "m2m1.pt." in seen
    for clear in (ACME, "bolt", "stranger", "127.0.0.1", "guessed", RIGHT, token):
        assert clear not in seen


@pytest.mark.loopback
def test_the_worst_offender_is_first(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Reports are sorted by the used share of the budget, then by mints."""
    vendors = {
        "idle": vendor("idle", "s"),
        "many": vendor("many", "s"),
        "tight": vendor("tight", "s", mints_per_month=2),
        "wide": vendor("wide", "s", mints_per_month=100),
    }
    with running(own_secrets(server, vendors=vendors), clock=clock) as (proxy, ask):
        for name, scopes in (("many", ("read", "write")), ("tight", ("read",)), ("wide", ("read", "write"))):
            for scope in scopes:
                assert ask.token(name, "s", scope=scope).status == 200
        assert [report.vendor for report in proxy.ledger.report()] == ["tight", "wide", "many", "idle"]


@pytest.mark.loopback
def test_hits_do_not_touch_the_cache(server: FakeAuthorizationServer) -> None:
    """A hundred answers from memory cost the shared cache one write, that of the ledger."""
    cache = CountingCache()
    with running(own_secrets(server, cache=cache)) as (proxy, ask):
        assert ask.token().status == 200
        proxy.ledger.flush()
        cache.operations = 0
        assert {ask.token().status for _ in range(100)} == {200}
        assert cache.operations <= 6 * 3  # a flush is three writes; the hundred took a few seconds at most
        assert report_of(proxy).month.served == 100


def request(body: str, secret: str = RIGHT) -> Request:
    """A token request that needs no socket."""
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "authorization": basic(ACME, secret)["Authorization"],
    }
    return post("/oauth/token", headers, body.encode())


@pytest.mark.loopback
def test_memory_is_flat(server: FakeAuthorizationServer) -> None:
    """10,000 different requests, good and bad, leave a bounded number of sources and a bounded use of memory."""
    scopes = tuple(f"s{number}" for number in range(60))
    config = own_secrets(
        server,
        vendors={ACME: vendor(scopes=scopes, extra_parameters={"tenant": tuple(map(str, range(20)))})},
        max_entries=50,
        failures_per_minute=1_000_000,
        cache=MemoryTokenCache(200),
    )
    answer = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 600}'
    proxy = TokenProxy(config, transport=lambda _: HttpResponse(200, {}, answer))

    def ask(numbers: range) -> None:
        for number in numbers:
            body = f"grant_type=client_credentials&audience={AUDIENCE}&scope=s{number % 60}&tenant={number // 60 % 20}"
            allowed = number % 10 == 0
            stranger = request(f"{body}&audience{number}=x" if allowed else f"{body}{number}", "wrong" * (number % 3))
            assert proxy.answer(request(body)).status == 200 if allowed else proxy.answer(stranger).status >= 400

    try:
        ask(range(4000))
        gc.collect()
        before = sys.getallocatedblocks()
        ask(range(4000, 10_000))
        gc.collect()
        assert sys.getallocatedblocks() - before < 1000  # 6,000 requests, most of them refused
        assert len(proxy.sources) == 50
    finally:
        proxy.close()


def test_an_allowance_is_exact_among_threads() -> None:
    """Of 64 threads that take one each, exactly ``limit`` succeed; one that is given back can be taken again."""
    counters = SharedCounters(MemoryTokenCache(), "token proxy", SYSTEM_CLOCK)
    allowance = Allowance(counters, "a", {"hour": None, "month": 20})
    with ThreadPoolExecutor(64) as pool:
        taken = list(pool.map(lambda _: allowance.take(), range(64)))
        granted = [each for each in taken if each.granted]
        assert len(granted) == allowance.used("month") == 20
        assert all(each.retry_after > 0 for each in taken if not each.granted)
        assert allowance.retry_after() > 0
        list(pool.map(allowance.give_back, granted[:5]))
        assert allowance.used("month") == 15
        assert allowance.retry_after() == 0
        assert [each.granted for each in pool.map(lambda _: allowance.take(), range(6))].count(True) == 5


@pytest.mark.loopback
def test_no_repr_shows_a_secret(server: FakeAuthorizationServer) -> None:
    """No repr of the proxy, its configuration or a report shows the pepper, a verifier or a secret."""
    with running(own_secrets(server)) as (proxy, ask):
        assert ask.token().status == 200
        shown = f"{proxy!r} {proxy.config!r} {proxy.config.upstreams!r} {proxy.__dict__!r} {proxy.ledger.report()!r}"
        for secret in (PEPPER, RIGHT, "'secret'", proxy.config.vendors[ACME].verifiers[0]):
            assert secret not in shown


class RecordingCache(MemoryTokenCache):
    """Records all keys and values that are written; not the tokens, which are sealed in a shared cache only."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, bytes]] = []

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Records the entry."""
        if not key.startswith("m2m1.t."):
            self.written.append((key, value))
        super().set(key, value, ttl)

    def increment(self, key: str, ttl: float) -> int:
        """Records the key."""
        self.written.append((key, b""))
        return super().increment(key, ttl)


class CountingCache(MemoryTokenCache):
    """Counts its operations."""

    operations = 0

    def get(self, key: str) -> bytes | None:
        """Counts the operation."""
        self.operations += 1
        return super().get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Counts the operation."""
        self.operations += 1
        super().set(key, value, ttl)

    def increment(self, key: str, ttl: float) -> int:
        """Counts the operation."""
        self.operations += 1
        return super().increment(key, ttl)


@pytest.mark.loopback
@pytest.mark.parametrize("planted", [b"9" * 5000, b"{", b'{"a": [Infinity]}', b"[" * 50_000, b"\xff", b"-1"])
def test_foreign_values_in_the_cache(server: FakeAuthorizationServer, planted: bytes) -> None:
    """Foreign values under the keys of counts and totals count as nothing, and break no request and no report."""
    cache = Planted(planted)
    with running(own_secrets(server, cache=cache)) as (proxy, ask):
        assert ask.token().status == 200
        cache.planting = True
        assert ask.token("bolt", "bolt's secret").status == 200
        assert ask.token(secret="wrong").status == 401
        assert len(proxy.ledger.report()) == 2


class Planted(MemoryTokenCache):
    """Every read of a count or a total returns the same foreign value."""

    def __init__(self, planted: bytes) -> None:
        super().__init__()
        self.planted, self.planting = planted, False

    def get(self, key: str) -> bytes | None:
        """For a process's total, "1" where the number of processes stands, so that the total is read."""
        if not self.planting or not key.startswith("m2m1.p"):
            return super().get(key)
        return (
            b"1" if key.startswith("m2m1.pt.") and key.count(".") == 3 and self.planted != b"9" * 5000 else self.planted
        )
