"""Which callers get a token, how many in an hour, and token exchange."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuer import Issuer
from vending_support import PUBLISH, SHOP, SUBSCRIBE, Shop, document, error_of, token_of, user

from m2m_auth.caches.opening import from_url
from m2m_auth.errors import ConfigurationError, TokenUnavailable
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache
from m2m_auth.vending import Caller, TokenExchange, TokenVendor, by_address, by_bearer_token
from m2m_auth.verifier import JWTVerifier

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """A server with the fake clock, whose tokens live one hour."""
    forget_everything()
    with FakeAuthorizationServer(clock=clock) as running:
        running.lifetime = 3600
        yield running
    forget_everything()


@pytest.mark.loopback
def test_an_unknown_caller_gets_nothing(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """401 with a challenge that makes no browser ask for a password; the page of a listed origin may read it.

    ``str`` of an anonymous user's key is the same for all anonymous users, so it names no caller.
    """
    for unknown in [None, "", Caller(""), " ", "None", "AnonymousUser", Caller("None", "token")]:
        answer = Shop(server, clock, caller=lambda _, name=unknown: name).ask()
        assert error_of(answer) == (401, "access_denied")
        headers = dict(answer.headers)
        assert headers["WWW-Authenticate"] == "Session"
        assert "Access-Control-Allow-Origin" in headers
        assert server.token_requests == 0


@pytest.mark.loopback
def test_a_caller_that_is_no_caller_is_a_mistake_not_a_name(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A user object's str could be the same for all: 500, and the log says what to return."""
    for wrong in (object(), 1, True, b"ada", ("ada", None), Caller(1), Caller("ada", b"token")):  # type: ignore[arg-type]
        assert error_of(Shop(server, clock, caller=lambda _, wrong=wrong: wrong).ask()) == (500, "server_error")
    assert server.token_requests == 0


def explodes(*_: Any) -> Any:
    """A user's function that raises."""
    raise LookupError("canary: no row in table users")


@pytest.mark.loopback
@pytest.mark.parametrize("which", ["caller", "scopes", "source_for", "subject_token", "cipher"])
def test_a_fault_in_a_function_of_the_users_is_a_json_answer_without_detail(
    server: FakeAuthorizationServer, clock: FakeClock, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    """The page gets fixed words that it may read (CORS), the log gets the traceback, and the next request works."""
    shop = Shop(server, clock, **({which: explodes} if which in ("caller", "scopes") else {}))
    if which == "source_for":
        shop.vendor = TokenVendor(explodes, caller=user, scopes=SUBSCRIBE, origins=[SHOP], clock=clock)
    elif which == "subject_token":
        shop.source_options = {"exchange": TokenExchange(subject_token=explodes)}
    elif which == "cipher":
        shop.source_options = {"client_authentication": explodes}
    answer = shop.ask()
    assert answer.status == (503 if which == "subject_token" else 500)
    assert document(answer)["error"] in ("server_error", "temporarily_unavailable")
    assert b"canary" not in answer.body
    assert dict(answer.headers)["Access-Control-Allow-Origin"] == SHOP
    assert caplog.records
    assert server.token_requests == 0


@pytest.mark.loopback
def test_a_caller_function_sees_what_the_framework_handed_over(
    server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """``native`` is where Django's ``request.user`` and the like are."""
    shop = Shop(server, clock, caller=lambda request: request.native["user"])
    ada, bob = ({"native": {"user": name}} for name in ("ada", "bob"))
    assert token_of(shop.ask(**ada)) == token_of(shop.ask(**ada)) != token_of(shop.ask(**bob))


@pytest.mark.loopback
def test_scopes_may_depend_on_the_caller(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Scopes depend on the caller; a caller without any gets 403, which is no error in the log."""
    allowed = {"cook": [SUBSCRIBE, PUBLISH], "ada": [SUBSCRIBE]}
    shop = Shop(server, clock, scopes=allowed.get)
    assert document(shop.ask("cook", PUBLISH))["scope"] == PUBLISH
    assert error_of(shop.ask("ada", PUBLISH)) == (400, "invalid_scope")
    assert error_of(shop.ask("guest", SUBSCRIBE)) == error_of(shop.ask("guest", None)) == (403, "access_denied")
    with pytest.raises(ConfigurationError, match=r"scopes is empty.*check\(caller\)"):
        shop.vendor.check()
    shop.vendor.check("cook")


# by address


ADDRESSES: dict[str, tuple[int, str, str | None, str | None]] = {
    "the peer": (0, "192.0.2.7", None, "address 192.0.2.7"),
    "an unexpected header": (0, "192.0.2.7", "10.0.0.1", "address 192.0.2.7"),
    "one proxy": (1, "10.0.0.1", "192.0.2.7", "address 192.0.2.7"),
    "what the client wrote is further left": (1, "10.0.0.1", "6.6.6.6, 192.0.2.7", "address 192.0.2.7"),
    "two proxies": (2, "10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2", "address 192.0.2.7"),
    "past a proxy": (2, "192.0.2.7", "6.6.6.6", "address 192.0.2.7"),
    "behind a proxy without the header": (1, "10.0.0.1", None, None),
    "nonsense from the proxy": (1, "10.0.0.1", "unknown", None),
    "with a port": (1, "10.0.0.1", "192.0.2.7:4711", "address 192.0.2.7"),
    "IPv6": (0, "2001:db8:1:2:3:4:5:6", None, "address 2001:db8:1:2::/64"),
    "IPv6 with brackets and port": (1, "::1", "[2001:db8:1:2::9]:80", "address 2001:db8:1:2::/64"),
    "IPv4 in IPv6": (0, "::ffff:192.0.2.7", None, "address 192.0.2.7"),
    "a Unix socket": (0, "", None, None),
}


@pytest.mark.loopback
def test_addresses_are_counted_from_the_right(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Entries of the client in X-Forwarded-For never count; addresses are normalised; a /64 is one caller."""
    for case in ADDRESSES:
        proxies, peer, forwarded, expected = ADDRESSES[case]
        shop = Shop(server, clock, caller=by_address(trusted_proxies=proxies))
        answer = shop.ask(address=peer, headers={"x-forwarded-for": forwarded})
        if expected is None:
            assert error_of(answer) == (401, "access_denied")
        else:
            token_of(answer)
            assert shop.sources[0].caller == expected


def test_a_number_of_proxies_that_is_none_is_refused() -> None:
    """At construction, naming it."""
    for wrong in [-1, True, "1", None]:
        with pytest.raises(ConfigurationError, match="trusted_proxies="):
            by_address(wrong)


# by a verified token


@pytest.mark.loopback
def test_a_verified_token_names_the_caller(server: FakeAuthorizationServer, clock: FakeClock, issuer: Issuer) -> None:
    """Two tokens of one user with equal rights get the same vended token; other users and other rights do not."""
    verifier = JWTVerifier(issuer.issuer, "https://api.example.com", issuer.jwks_uri, clock=clock)
    shop = Shop(server, clock, caller=by_bearer_token(verifier))

    def vended(subject: str, **claims: Any) -> str:
        return token_of(shop.ask(headers={"authorization": f"Bearer {issuer.token(sub=subject, **claims)}"}))

    assert vended("ada") == vended("ada", jti="another")
    weak = {"scope": "profile"}, {"client_id": "third-party"}
    assert len({vended("ada"), vended("bob"), *(vended("ada", **claims) for claims in weak)}) == 4


@pytest.mark.loopback
def test_a_token_that_is_not_good_gets_the_verifiers_answer(
    server: FakeAuthorizationServer, clock: FakeClock, verifier: JWTVerifier, issuer: Issuer
) -> None:
    """401 with RFC 6750's challenge for none and for an expired one, 400 for two; all JSON, all for a page to read."""
    shop = Shop(server, clock, caller=by_bearer_token(verifier))
    missing = shop.ask(headers={"authorization": None})
    assert missing.status == 401
    assert dict(missing.headers)["WWW-Authenticate"].startswith("Bearer")
    assert "Access-Control-Allow-Origin" in dict(missing.headers)
    good = issuer.token(sub="ada")
    assert error_of(shop.ask(headers={"authorization": f"Bearer {good}, Bearer {good}"})) == (400, "invalid_request")
    clock.advance(86400)
    assert error_of(shop.ask(headers={"authorization": f"Bearer {good}"})) == (401, "invalid_token")
    assert server.token_requests == 0


# token exchange


@pytest.mark.loopback
def test_a_token_exchange_sends_the_callers_latest_token(
    server: FakeAuthorizationServer, clock: FakeClock, verifier: JWTVerifier, issuer: Issuer
) -> None:
    """RFC 8693 §2.1's parameters; a renewed subject token costs no mint, and the next mint sends the newest."""
    server.grant_types = {EXCHANGE}
    shop = Shop(server, clock, caller=by_bearer_token(verifier))
    shop.source_options = {"exchange": TokenExchange(), "audience": "https://orders.example"}

    def vended(token: str) -> str:
        return token_of(shop.ask(headers={"authorization": f"Bearer {token}"}))

    first, second = (issuer.token(sub="ada", jti=number, exp=clock.wall() + 7200) for number in ("1", "2"))
    assert vended(first) == vended(second)
    assert server.mints == 1
    clock.advance(56 * 60)
    vended(second)
    assert [request.parameters["subject_token"] for request in server.requests] == [first, second]
    sent = dict(server.requests[0].parameters)
    del sent["subject_token"]
    assert sent == {
        "grant_type": EXCHANGE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": SUBSCRIBE,
        "audience": "https://orders.example",
    }


@pytest.mark.loopback
def test_the_subject_token_may_be_fetched(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A function fetches the subject token by the caller's name, once per mint."""
    server.grant_types = {EXCHANGE}
    shop = Shop(server, clock)
    shop.source_options = {"exchange": TokenExchange(subject_token=lambda name: f"token-of-{name}")}
    token_of(shop.ask("ada"))
    token_of(shop.ask("ada"))
    token_of(shop.ask("bob"))
    assert [each.parameters["subject_token"] for each in server.requests] == ["token-of-ada", "token-of-bob"]


@pytest.mark.loopback
def test_an_exchange_without_a_subject_token_says_what_is_missing(
    server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """The start's check raises with the fix, and nothing is sent."""
    shop = Shop(server, clock)
    shop.source_options = {"exchange": TokenExchange()}
    with pytest.raises(TokenUnavailable, match=r"no subject token. Fix: caller=by_bearer_token"):
        shop.vendor.check()
    assert server.token_requests == 0


@pytest.mark.loopback
def test_a_subject_token_that_the_server_repeats_is_shown_nowhere(
    server: FakeAuthorizationServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal that quotes the token: neither answer, nor log, nor any repr on the way has it."""
    canary = "subject-token-canary"
    server.fail("oauth_error", error="invalid_request", description=f"bad {canary}")
    shop = Shop(server, clock, caller=lambda _: Caller("ada", canary))
    shop.source_options = {"exchange": TokenExchange()}
    with caplog.at_level(logging.DEBUG):
        answer = shop.ask()
    assert error_of(answer) == (502, "server_error")
    assert shop.server.requests[0].parameters.get("subject_token") == canary
    shown = f"{answer!r} {answer.body!r} {caplog.text} {Caller('ada', canary)!r} {shop.sources!r} {shop.vendor!r}"
    assert canary not in shown


@pytest.mark.loopback
def test_a_refused_subject_token_does_not_keep_the_next_one_waiting(
    server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """A user who signs in again gets a token at once, though the server refused the old session's token; that one
    is sent once.
    """
    server.grant_types = {EXCHANGE}
    held = ["of a session that ended"]
    shop = Shop(server, clock, caller=lambda _: Caller("ada", held[0]))
    shop.source_options = {"exchange": TokenExchange()}
    server.fail("oauth_error", 1, error="invalid_grant")
    assert [shop.ask().status for _ in range(3)] == [502, 502, 502]
    assert server.token_requests == 1
    held[0] = "of the new session"
    assert [shop.ask().status for _ in range(3)] == [200, 200, 200]
    assert [each.parameters["subject_token"] for each in server.requests] == ["of a session that ended", held[0]]


# the cap


@pytest.mark.loopback
def test_a_caller_is_handed_so_many_tokens_an_hour_and_others_go_on(
    server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """Cached tokens count; over the cap the answer is 429 until the next UTC hour; other callers are not affected."""
    clock.advance(3600 - clock.wall() % 3600 + 1000)  # 1,000 s into an hour
    shop = Shop(server, clock, per_hour=3)
    for _ in range(3):
        token_of(shop.ask("ada"))
    refused = shop.ask("ada")
    assert error_of(refused) == (429, "slow_down")
    assert dict(refused.headers)["Retry-After"] == "2600"
    token_of(shop.ask("bob"))
    clock.advance(2600)
    token_of(shop.ask("ada"))


@pytest.mark.loopback
def test_the_cap_bounds_what_scope_sets_cost(server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A caller that asks for all subsets of the allow-list mints no more often than the cap allows."""
    names = [f"s{number}" for number in range(6)]
    shop = Shop(server, clock, scopes=names, per_hour=10)
    statuses = [
        shop.ask(scope=" ".join(name for bit, name in enumerate(names) if subset >> bit & 1)).status
        for subset in range(1, 64)
    ]
    assert (statuses.count(200), statuses.count(429), server.mints) == (10, 53, 10)


@pytest.mark.loopback
def test_workers_that_share_a_cache_count_together(
    server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path
) -> None:
    """Two vendors, one cache: three in an hour are three in all; another vendor's callers are others."""
    cache = f"disk:{tmp_path}/counts"
    one, two = (Shop(server, clock, per_hour=3, cache=cache) for _ in range(2))
    assert [shop.ask().status for shop in (one, two, one, two, one)] == [200, 200, 200, 429, 429]
    another = Shop(server, clock, per_hour=3, cache=cache, name="another")
    assert another.ask().status == 200
    another.vendor.close()


@pytest.mark.loopback
def test_a_closed_vendor_closes_the_caps_cache_and_works_again(
    server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path
) -> None:
    """``close()`` leaves no connection; a later request is counted as before."""
    closed: list[bool] = []

    class Noting(FaultyCache):
        """Notes that it was closed."""

        def close(self) -> None:
            closed.append(True)
            super().close()

    shop = Shop(server, clock, per_hour=2, cache=Noting(from_url(f"disk:{tmp_path}/counts")))
    token_of(shop.ask())
    shop.vendor.close()
    assert closed == [True]
    assert [shop.ask().status for _ in range(2)] == [200, 429]
    shop.vendor.close()


@pytest.mark.loopback
def test_two_vendors_with_functions_for_scopes_do_not_count_together(
    server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path
) -> None:
    """Two vendors with different names count separately, and a new allow-list does not reset a count."""
    cache = f"disk:{tmp_path}/counts"
    shops = [Shop(server, clock, per_hour=1, cache=cache, name=name, scopes=lambda _: SUBSCRIBE) for name in "ab"]
    assert [shop.ask().status for shop in shops] == [200, 200]
    released = Shop(server, clock, per_hour=1, cache=cache, name="a", scopes=[SUBSCRIBE, PUBLISH])
    assert released.ask().status == 429
    released.vendor.close()


@pytest.mark.loopback
@pytest.mark.parametrize("operation", ["get", "increment"])
def test_a_cache_that_fails_leaves_each_worker_its_own_count(
    server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path, operation: Any
) -> None:
    """While the cache fails, each process counts for itself, and no request fails."""
    disk = from_url(f"disk:{tmp_path}/counts")
    faulty = FaultyCache(disk)
    faulty.down = (operation,)
    shop = Shop(server, clock, per_hour=2, cache=faulty)
    assert [shop.ask().status for _ in range(3)] == [200, 200, 429]
    disk.close()
