"""The secret is checked first: wrong secrets and unknown clients learn nothing, and cost almost nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from proxy_steps import (
    ACME,
    AUDIENCE,
    RIGHT,
    Asking,
    Got,
    basic,
    kept_secrets,
    own_secrets,
    running,
    unguessable,
    vendor,
)

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.proxy.secret_verifiers import SecretVerifiers, verifier
from m2m_auth.shared_cache.counters import SharedCounters
from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache
from m2m_auth.values import replace

MANY = 1_000_000
PERIOD_START = 1_699_999_200.0
"""Unix time of a full UTC hour."""


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """An authorization server."""
    with FakeAuthorizationServer() as running_server:
        yield running_server


def visible(got: Got) -> tuple[object, ...]:
    """Everything in an answer that a client without a secret could compare."""
    headers = {name: value for name, value in got.headers.items() if name not in ("date", "retry-after")}
    return got.status, got.body, tuple(sorted(headers.items()))


@pytest.mark.loopback
@pytest.mark.parametrize("configure", [own_secrets, kept_secrets])
def test_a_wrong_secret_is_an_unknown_client(server: FakeAuthorizationServer, configure: object) -> None:
    """The same status, headers and words, first as a refusal and then as a limit, in both modes."""
    config = configure(server, failures_per_minute=8, secret_attempts_per_minute=3)  # type: ignore[operator]
    with running(config, clock=FakeClock(PERIOD_START)) as (_, ask):
        assert ask.token().status == 200
        wrong = [visible(ask.token(secret=unguessable())) for _ in range(8)]
        unknown = [visible(ask.token("stranger", unguessable())) for _ in range(8)]
        assert wrong == unknown
        assert {each[0] for each in wrong} == {401}
        assert visible(ask.token("bolt", "wrong"))[0] == 401


@pytest.mark.loopback
def test_a_thousand_guesses(server: FakeAuthorizationServer) -> None:
    """No guess gets the cached token, and at most the bounded number reaches the upstream."""
    config = kept_secrets(server, failures_per_minute=MANY, secret_attempts_per_minute=5)
    with running(config, clock=FakeClock(PERIOD_START)) as (_, ask), ThreadPoolExecutor(8) as pool:
        held = ask.token().token
        asked = server.token_requests
        statuses = list(pool.map(lambda _: ask.token(secret=unguessable()).status, range(1000)))
        assert set(statuses) == {401}
        assert server.token_requests - asked <= 5
        assert ask.token().token == held
        assert server.mints == 1


@pytest.mark.loopback
def test_a_thousand_guesses_of_the_proxy_s_own_secret(server: FakeAuthorizationServer) -> None:
    """No guess reaches the upstream."""
    with running(own_secrets(server, failures_per_minute=MANY)) as (_, ask), ThreadPoolExecutor(8) as pool:
        assert ask.token().status == 200
        assert set(pool.map(lambda _: ask.token(secret=unguessable()).status, range(1000))) == {401}
        assert server.token_requests == 1


@pytest.mark.loopback
def test_a_wrong_secret_is_refused_before_the_cache_is_read(server: FakeAuthorizationServer) -> None:
    """For a wrong secret no entry with a token is read, in this process or in the shared cache."""
    cache = Watched()
    with running(own_secrets(server, cache=cache)) as (_, ask):
        assert ask.token().status == 200
        cache.read.clear()
        ask.token(secret="wrong")
        ask.token("stranger")
        assert cache.read
        assert not [key for key in cache.read if key.startswith("m2m1.t.")]


@pytest.mark.loopback
def test_both_kinds_of_refusal_cost_the_same(server: FakeAuthorizationServer) -> None:
    """A wrong secret and an unknown client make the same operations on the shared cache, in both modes."""
    for configure in (own_secrets, kept_secrets):
        cache = FaultyCache(MemoryTokenCache())
        config = configure(server, cache=cache, secret_attempts_per_minute=1)
        with running(config, clock=FakeClock(PERIOD_START)) as (_, ask):
            ask.token(secret=unguessable())
            costs = []
            for client in (ACME, "stranger"):
                cache.calls.clear()
                assert ask.token(client, unguessable()).status == 401
                costs.append(list(cache.calls))
            assert costs[0] == costs[1] != []


@pytest.mark.loopback
def test_a_vendor_keeps_its_credentials(server: FakeAuthorizationServer) -> None:
    """The first success enrols a verifier; after that the upstream does not check the secret again."""
    with running(kept_secrets(server)) as (_, ask):
        first = ask.token().token
        assert {ask.token().token for _ in range(5)} == {first}
        (sent,) = server.requests
        assert sent.client_id == ACME
        assert ask.token(audience="https://other.example.com").token != first
        assert server.mints == 2


@pytest.mark.loopback
def test_fifty_first_requests_with_the_right_secret(server: FakeAuthorizationServer) -> None:
    """Fifty first requests at once are one attempt upstream, and none is refused."""
    server.latency = 0.3
    with running(kept_secrets(server, secret_attempts_per_minute=1)) as (_, ask), ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(lambda _: ask.token().token, range(50)))) == 1
        assert server.token_requests == 1


@pytest.mark.loopback
def test_another_worker_learns_it(server: FakeAuthorizationServer) -> None:
    """A worker learns what another has enrolled from the shared cache, without the upstream."""
    config = kept_secrets(server)
    with running(config) as (_, one), running(config) as (_, two):
        held = one.token().token
        assert two.token().token == held
        assert two.token(secret=unguessable()).status == 401
        assert server.mints == 1


@pytest.mark.loopback
def test_an_enrolment_ends_with_its_token(server: FakeAuthorizationServer) -> None:
    """When the token ends, the authorization server decides again, so a revoked secret is refused."""
    clock = FakeClock()
    server.lifetime = 600
    with running(kept_secrets(server), clock=clock) as (_, ask):
        assert ask.token().status == 200
        server.clients = {ACME: "changed"}
        assert ask.token().status == 200
        clock.advance(601)
        assert ask.token().status == 401
        clock.advance(60)
        assert ask.token(secret="changed").status == 200


@pytest.mark.loopback
def test_a_changed_secret_passes(server: FakeAuthorizationServer) -> None:
    """While the old one is still enrolled the new one is tried upstream, and both work until the old one ends."""
    clock = FakeClock()
    server.lifetime = 600
    with running(kept_secrets(server), clock=clock) as (_, ask):
        assert ask.token().status == 200
        server.clients = {ACME: "the next one"}
        assert [ask.token(secret="the next one").status, ask.token().status] == [200, 200]
        assert server.token_requests == 2
        clock.advance(601)
        assert [ask.token(secret="the next one").status for _ in range(2)] == [200, 200]
        clock.advance(545)  # the secret is still known, but its token is no longer vended, so its source renews
        assert ask.token(secret="the next one").status == 200


def test_a_forged_enrolment_does_not_count() -> None:
    """An enrolment that was copied to another key or prolonged does not count, and it does not hold the secret."""
    cache, clock, pepper = Watched(), FakeClock(), Secret("a pepper of sixteen bytes and more")
    one, two = (
        SecretVerifiers(pepper, {ACME: (), "bolt": ()}, SharedCounters(cache, "token proxy", clock)) for _ in range(2)
    )
    mac, other = one.mac(ACME, Secret(RIGHT)), one.mac("bolt", Secret(RIGHT))
    one.enrol(ACME, mac, clock.wall() + 600)
    ((name, value),) = cache.written.items()
    assert RIGHT.encode() not in value
    until, _, tag = value.partition(b".")
    cache.set(name, str(int(until) + 3600).encode() + b"." + tag, 3600)
    assert not two.learn(ACME, mac)
    for text in (b"", b".", b"x.y", until, b"." + tag, b"-1." + tag):
        cache.set(name, text, 3600)
        assert not two.learn(ACME, mac)
    cache.set(name, value, 3600)
    assert two.learn(ACME, mac)
    assert two.knows(ACME, mac)
    one.enrol("bolt", other, clock.wall() + 600)
    cache.set(list(cache.written)[-1], value, 3600)
    assert not two.learn("bolt", other)


def test_a_verifier_ends() -> None:
    """A verifier ends with its token, in every process that knows it; a later token prolongs it."""
    clock = FakeClock()
    counters, pepper = (
        SharedCounters(MemoryTokenCache(), "token proxy", clock),
        Secret("a pepper of sixteen bytes and more"),
    )
    one, two = (SecretVerifiers(pepper, {ACME: ()}, counters) for _ in range(2))
    mac = one.mac(ACME, Secret(RIGHT))
    one.enrol(ACME, mac, clock.wall() + 600)
    one.enrol(ACME, mac, clock.wall() + 300)  # another audience's token that ends earlier
    assert two.learn(ACME, mac)
    clock.advance(599)
    assert [each.knows(ACME, mac) for each in (one, two)] == [True, True]
    clock.advance(2)
    assert [each.knows(ACME, mac) for each in (one, two)] == [False, False]
    assert not two.learn(ACME, mac)
    one.enrol(ACME, mac, clock.wall() + 600)
    assert two.learn(ACME, mac)
    two.forget(ACME, mac)
    assert [two.knows(ACME, mac), two.learn(ACME, mac)] == [False, False]


@pytest.mark.loopback
def test_limits_per_client_and_per_address(server: FakeAuthorizationServer) -> None:
    """Too many wrong secrets of one client, or from one address, get 429 with Retry-After until the minute ends."""
    clock = FakeClock(PERIOD_START + 15)
    config = own_secrets(server, failures_per_minute=4, trusted_proxies=1)
    with running(config, clock=clock) as (_, ask):

        def tried(client: str, secret: str, address: str) -> Got:
            pairs = [("grant_type", "client_credentials"), ("audience", AUDIENCE)]
            return ask.form(pairs, {**basic(client, secret), "X-Forwarded-For": f"198.51.100.1, {address}"})

        assert tried(ACME, RIGHT, "192.0.2.9").status == 200
        assert [tried(ACME, "wrong", f"192.0.2.{last}").status for last in range(1, 6)] == [401] * 4 + [429]
        refused = tried(ACME, RIGHT, "192.0.2.77")
        assert (refused.status, refused.headers["retry-after"]) == (429, "45")
        # The client's own address, which sent the right secret, is not blocked, and neither are other clients.
        assert tried(ACME, RIGHT, "192.0.2.9").status == 200
        assert tried("bolt", "bolt's secret", "192.0.2.77").status == 200
        # One address tries many clients.
        many = [tried(f"client{number}", "wrong", "192.0.2.200").status for number in range(13)]
        assert many == [401] * 12 + [429]
        clock.advance(45)
        assert tried(ACME, RIGHT, "192.0.2.77").status == 200
        assert tried(ACME, RIGHT, "192.0.2.200").status == 200


@pytest.mark.loopback
def test_a_vendor_is_known_to_every_worker(server: FakeAuthorizationServer) -> None:
    """Guesses from elsewhere do not block a vendor at a worker that it has never used, and let no other client in."""
    clock = FakeClock(PERIOD_START)
    cache = Watched()
    config = own_secrets(server, failures_per_minute=2, trusted_proxies=1, cache=cache)
    pairs = [("grant_type", "client_credentials"), ("audience", AUDIENCE)]
    with running(config, clock=clock) as (_, one), running(config, clock=clock) as (_, two):

        def tried(ask: Asking, secret: str, address: str) -> int:
            return ask.form(pairs, {**basic(ACME, secret), "X-Forwarded-For": address}).status

        assert tried(one, RIGHT, "192.0.2.9") == 200
        assert not [name for name in cache.written if "192.0.2.9" in name or ACME in name]
        assert [tried(two, "wrong", "192.0.2.66") for _ in range(3)] == [401, 401, 429]
        assert tried(two, RIGHT, "192.0.2.9") == 200
        cache.read.clear()
        assert [tried(two, RIGHT, f"192.0.2.{last}") for last in (66, 66, 77, 77, 9)] == [429] * 4 + [200]
        assert len([name for name in cache.read if name.startswith("m2m1.pk.")]) == 1, "once for each that is blocked"


@pytest.mark.loopback
def test_a_clock_that_is_set_back(server: FakeAuthorizationServer) -> None:
    """After the clock is set back, no client stays blocked until the earlier time."""
    clock = FakeClock(PERIOD_START + 3600)
    with running(own_secrets(server, failures_per_minute=1), clock=clock) as (_, ask):
        assert [ask.token(secret="wrong").status, ask.token().status] == [401, 429]
        clock.jump_wall(-3000)
        assert ask.token().status == 200


@pytest.mark.loopback
@pytest.mark.parametrize("configure", [own_secrets, kept_secrets])
def test_credentials_that_are_not_encoded(server: FakeAuthorizationServer, configure: object) -> None:
    """curl and others send HTTP Basic without encoding: both readings are tried, and each request counts once."""
    odd = "a+b%2Fc/d"
    config = configure(server, failures_per_minute=3)  # type: ignore[operator]
    if configure is own_secrets:
        config = replace(config, vendors={ACME: vendor(ACME, odd)})
    else:
        server.clients = {ACME: odd}
    pairs = [("grant_type", "client_credentials"), ("audience", AUDIENCE)]
    with running(config, clock=FakeClock(PERIOD_START)) as (_, ask):

        def raw(secret: str, client_id: str = ACME) -> Got:
            credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
            return ask.form(pairs, {"Authorization": f"Basic {credentials}"})

        assert {raw(odd).token, raw(odd).token, ask.token(secret=odd).token} == {raw(odd).token}
        assert server.mints == 1
        assert visible(raw("a+b%2Fc/e")) == visible(ask.token("guest", "a+b"))
        assert [raw("x+y", "stranger").status for _ in range(4)] == [401, 401, 401, 429], "each counts once"


@pytest.mark.loopback
def test_an_ipv6_network_is_one_address(server: FakeAuthorizationServer) -> None:
    """All addresses of a /64 count as one, because one subscriber has all of them; the next /64 is another."""
    config = own_secrets(server, failures_per_minute=2, trusted_proxies=1)
    with running(config, clock=FakeClock(PERIOD_START)) as (_, ask):

        def tried(number: int, address: str) -> int:
            headers = {**basic(f"c{number}", "x"), "X-Forwarded-For": address}
            return ask.form([("grant_type", "client_credentials")], headers).status

        assert [tried(number, f"2001:db8::{number:x}:1") for number in range(7)] == [401] * 6 + [429]
        assert tried(8, "2001:db8:0:1::1") == 401


@pytest.mark.loopback
def test_without_trusted_proxies_the_header_says_nothing(server: FakeAuthorizationServer) -> None:
    """The client can write X-Forwarded-For, so another address in each request does not reset the limit."""
    with running(own_secrets(server, failures_per_minute=2), clock=FakeClock(PERIOD_START)) as (_, ask):
        headers = [{**basic(f"c{number}", "x"), "X-Forwarded-For": f"192.0.2.{number}"} for number in range(7)]
        pairs = [("grant_type", "client_credentials")]
        assert [ask.form(pairs, each).status for each in headers] == [401] * 6 + [429]


@pytest.mark.loopback
def test_an_outage_is_no_wrong_secret(server: FakeAuthorizationServer) -> None:
    """In an outage an unknown secret cannot be checked: the answer is 503, so the client retries, and not 401."""
    clock = FakeClock()
    with running(kept_secrets(server, secret_attempts_per_minute=2), clock=clock) as (_, ask):
        server.fail("503")
        statuses = set()
        for _ in range(30):
            statuses.add(ask.token().status)
            clock.advance(1)
        assert statuses == {503}
        assert ask.token("stranger").status == 503
        server.recover()
        clock.advance(60)
        assert ask.token().status == 200


@pytest.mark.loopback
def test_an_outage_is_no_time_to_guess(server: FakeAuthorizationServer) -> None:
    """Wrong secrets are counted during an outage as well, and are blocked after the limit."""
    config = kept_secrets(server, failures_per_minute=3, secret_attempts_per_minute=1, trusted_proxies=1)
    with running(config, clock=FakeClock(PERIOD_START)) as (_, ask):
        pairs = [("grant_type", "client_credentials"), ("audience", AUDIENCE)]

        def tried(client: str, secret: str, address: str) -> int:
            return ask.form(pairs, {**basic(client, secret), "X-Forwarded-For": address}).status

        assert tried(ACME, RIGHT, "192.0.2.9") == 200
        server.fail("503")
        assert {tried("bolt", unguessable(), "192.0.2.66") for _ in range(5)} == {503}
        assert tried(ACME, RIGHT, "192.0.2.66") == 200, "others may share the address: it is not blocked"
        assert {tried(ACME, unguessable(), f"192.0.2.{last}") for last in range(70, 74)} == {503}
        assert tried(ACME, RIGHT, "192.0.2.70") == 503, "the right one is not checked, so no guess is"
        assert tried(ACME, RIGHT, "192.0.2.9") == 200
        assert {tried("stranger", "x", "192.0.2.70") for _ in range(5)} == {503}


@pytest.mark.loopback
def test_two_verifiers_while_a_secret_is_changed(server: FakeAuthorizationServer) -> None:
    """The old and the new secret of a vendor are both good; a third one is not."""
    pepper = Secret("a pepper that no test is to show")
    both = tuple(verifier(pepper, ACME, Secret(secret)) for secret in ("new", "old"))
    with running(own_secrets(server, vendors={ACME: replace(vendor(), verifiers=both)})) as (_, ask):
        assert [ask.token(secret=secret).status for secret in ("new", "old", RIGHT)] == [200, 200, 401]
        assert server.mints == 1


@pytest.mark.loopback
def test_an_impossible_secret(server: FakeAuthorizationServer) -> None:
    """A blank secret, white space around it, or control characters are refused like any wrong secret."""
    with running(kept_secrets(server)) as (_, ask):
        for odd in (" ", " padded ", "line\nbreak", "\x00", "ü" * 500):
            assert ask.token(secret=odd).status == 401


class Watched(MemoryTokenCache):
    """A cache that records which keys are read and which values are written."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.written: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Notes the key."""
        self.read.append(key)
        return super().get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Notes the value."""
        self.written[key] = value
        super().set(key, value, ttl)


def ask_twice(ask: Asking) -> list[int]:
    """The statuses of two usual requests."""
    return [ask.token().status, ask.token().status]


@pytest.mark.loopback
@pytest.mark.parametrize("configure", [own_secrets, kept_secrets])
def test_without_the_shared_cache_the_proxy_works(server: FakeAuthorizationServer, configure: object) -> None:
    """Without the shared cache each process serves tokens, refuses wrong secrets and keeps the limits by itself."""
    cache = FaultyCache(MemoryTokenCache())
    cache.down = True
    config = configure(server, cache=cache, failures_per_minute=3)  # type: ignore[operator]
    # Each in another hour, because the counts of a process outlive the proxy.
    with running(config, clock=FakeClock(PERIOD_START + 3600 * len(server.clients))) as (_, ask):
        assert ask_twice(ask) == [200, 200]
        assert [ask.token("stranger", "x").status for _ in range(4)] == [401, 401, 401, 429]
        assert server.mints == 1
