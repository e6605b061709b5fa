"""``expires_in`` is recomputed for each answer: never too short for the client, never beyond the cap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_steps import ACME, kept_secrets, own_secrets, running

from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.proxy.upstream_transport import reserved
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when a test says so."""
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """An authorization server with the test's clock."""
    with FakeAuthorizationServer(clock=clock) as running_server:
        yield running_server


@pytest.mark.loopback
def test_expires_in_counts_down(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Each answer has the remaining life of the token."""
    with running(own_secrets(server), clock=clock) as (_, ask):
        left = []
        for _ in range(4):
            left.append(ask.token().json["expires_in"])
            clock.advance(500)
        assert left == [3600, 3100, 2600, 2100]


@pytest.mark.loopback
@pytest.mark.parametrize("lifetime", [90, 300, 3600, 86400])
def test_a_vended_token_is_good_for_min_validity(
    server: FakeAuthorizationServer, clock: FakeClock, lifetime: int
) -> None:
    """Over three lifetimes every answer says, and has, at least 60 s left, with one mint per lifetime."""
    server.lifetime = lifetime
    step, lifetimes = lifetime / 37, 3
    with running(own_secrets(server), clock=clock) as (_, ask):
        shortest = lifetime
        for _ in range(37 * lifetimes):
            got = ask.token()
            shortest = min(shortest, got.json["expires_in"])
            mints = server.mints
            clock.advance(60)
            assert server.is_active(got.token)
            clock.advance(max(step - 60, 0))
            server.wait_for_token_requests(mints, timeout=10)
        assert shortest >= 60
        served = max(step, 60) * 37 * lifetimes
        # The earliest renewal is at three quarters of the time for which a token is vended.
        assert server.mints <= served / ((lifetime - 61) * 0.75) + 2


@pytest.mark.loopback
def test_when_nothing_is_left_and_no_renewal_succeeds(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """In an outage the token is served while enough of it is left; after that the answer is 503."""
    with running(own_secrets(server), clock=clock) as (_, ask):
        assert ask.token().status == 200
        server.fail("500")
        clock.advance(3535)
        assert ask.token().json["expires_in"] == 65
        clock.advance(5)
        got = ask.token()
        assert (got.status, got.error) == (503, "temporarily_unavailable")
        assert "retry-after" in got.headers


@pytest.mark.loopback
def test_a_cap_of_an_hour_and_tokens_of_an_hour(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The cap takes nothing off a token that lives exactly as long: one mint per hour."""
    with running(own_secrets(server, lifetime_cap=3600.0), clock=clock) as (_, ask):
        assert ask.token().json["expires_in"] == 3600
        clock.advance(2600)
        assert ask.token().json["expires_in"] == 1000
        assert server.mints == 1


@pytest.mark.loopback
def test_a_token_that_lives_longer_than_the_cap(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A token that lives longer is vended as if it ended at the cap, and replaced in time."""
    server.lifetime = 86400
    with running(own_secrets(server, lifetime_cap=3600.0), clock=clock) as (_, ask):
        first = ask.token()
        assert first.json["expires_in"] == 3600
        clock.advance(3590)
        second = ask.token()
        assert second.token != first.token
        assert second.json["expires_in"] == 3600


@pytest.mark.loopback
def test_tokens_too_short_for_the_promise(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A token that never has 60 s left is vended for half its life, so not every request costs a mint."""
    server.lifetime = 40
    with running(own_secrets(server), clock=clock) as (_, ask):
        left = []
        for _ in range(40):
            left.append(ask.token().json["expires_in"])
            clock.advance(1)
        assert min(left) >= 20
        assert server.mints <= 4


@pytest.mark.loopback
def test_a_larger_min_validity(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A larger ``min_validity`` serves clients with a larger margin."""
    with running(own_secrets(server, min_validity=600.0), clock=clock) as (_, ask):
        first = ask.token().token
        clock.advance(2990)
        assert ask.token().json["expires_in"] >= 600
        clock.advance(20)
        got = ask.token()
        assert got.json["expires_in"] >= 600
        assert got.token != first


@pytest.mark.loopback
def test_a_jwt_and_a_missing_lifetime(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Without ``expires_in`` a JWT has its own lifetime, and an opaque token has 300 s."""
    server.leave_out = {"expires_in"}
    server.token_format = "jwt"
    with running(own_secrets(server), clock=clock) as (_, ask):
        assert 3598 <= ask.token().json["expires_in"] <= 3600
        server.token_format = "opaque"
        assert ask.token(scope="read").json["expires_in"] == 300


@pytest.mark.loopback
def test_a_wall_clock_that_jumps(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """After the clock is set back, no answer promises more than the token's life; after a suspended hour it is new."""
    with running(own_secrets(server), clock=clock) as (_, ask):
        first = ask.token()
        clock.jump_wall(-3600)
        assert ask.token().json["expires_in"] <= 3600
        clock.jump_wall(3600)
        clock.suspend(3600)
        assert ask.token().token != first.token


@given(lifetime=st.floats(0.1, 1e6), min_validity=st.floats(0, 86400))
def test_what_is_reserved_of_a_token(lifetime: float, min_validity: float) -> None:
    """The reserve is more than the promise if that leaves five seconds, else half the token's life."""
    reserve = reserved(lifetime, min_validity)
    assert 0 < reserve < lifetime
    assert reserve > min_validity or lifetime < min_validity + 6


@pytest.mark.loopback
@pytest.mark.parametrize("value", ["", " ", ["list"], {"a": 1}, 5, True, None])
@pytest.mark.parametrize("configure", [own_secrets, kept_secrets])
def test_what_is_no_token(server: FakeAuthorizationServer, configure: Any, value: object) -> None:
    """A 200 without a usable access_token is no token, and does not enrol the secret."""
    document = {"access_token": value, "token_type": "Bearer", "expires_in": 3600}

    def transport(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, {"content-type": "application/json"}, json.dumps(document).encode())

    with running(configure(server), transport=transport) as (proxy, ask):
        assert ask.token().status == 503
        (acme,) = [report for report in proxy.ledger.report() if report.vendor == ACME]
        assert acme.month.minted == 0


@pytest.mark.loopback
@pytest.mark.parametrize("fields", [{"token_type": "DPoP"}, {"access_token": "two words"}])
def test_a_token_that_may_not_be_used_is_a_mint(server: FakeAuthorizationServer, fields: dict[str, str]) -> None:
    """The vendor gets none, and its ledger counts what the authorization server counts."""
    document = {"access_token": "x", "token_type": "Bearer", "expires_in": 3600, **fields}

    def transport(request: HttpRequest) -> HttpResponse:
        return HttpResponse(201, {}, json.dumps(document).encode())

    with running(own_secrets(server), transport=transport) as (proxy, ask):
        assert ask.token().status == 503
        (acme,) = [report for report in proxy.ledger.report() if report.vendor == ACME]
        assert acme.month.minted == 1


@pytest.mark.loopback
def test_the_proxy_reads_what_every_client_reads(server: FakeAuthorizationServer) -> None:
    """A form with status 201 upstream is RFC 6749's JSON downstream."""
    body = b"access_token=t0k3n&token_type=BearerToken&expires_in=3600&scope=a%2Cb"

    def transport(request: HttpRequest) -> HttpResponse:
        return HttpResponse(201, {"content-type": "application/x-www-form-urlencoded"}, body)

    with running(own_secrets(server), transport=transport) as (_, ask):
        got = ask.token()
        assert (got.status, got.token, got.json["token_type"]) == (200, "t0k3n", "Bearer")
        assert 3590 < got.json["expires_in"] <= 3600


@pytest.mark.loopback
def test_never_zero_seconds(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """``expires_in`` is never 0, because many clients read that as a token that never ends."""
    server.lifetime = 1
    with running(own_secrets(server), clock=clock) as (_, ask):
        clock.advance(0.25)
        assert ask.token().json["expires_in"] == 1
        clock.advance(0.125)
        assert ask.token().json["expires_in"] == 1
