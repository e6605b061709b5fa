"""Which tokens a vendor gives, for how long, and to which caller, with a fake clock and counted mints."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from vending_support import PUBLISH, SHOP, SUBSCRIBE, Shop, document, error_of, token_of, user

from m2m_auth import MintBudget, TokenSource
from m2m_auth.errors import ConfigurationError
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer, FakeClock
from m2m_auth.vending import Narrowed, TokenVendor


@pytest.fixture
def shop(clock: FakeClock) -> Iterator[Shop]:
    """A vendor of tokens that live one hour."""
    forget_everything()
    with FakeAuthorizationServer(clock=clock) as server:
        server.lifetime = 3600
        yield Shop(server, clock)
    forget_everything()


@pytest.mark.loopback
def test_the_answer_is_a_token_and_nothing_more(shop: Shop) -> None:
    """The answer has RFC 6749 §5.1's members only; refresh tokens and other members of the server are dropped."""
    shop.server.extra_response = {"refresh_token": "r", "id_token": "i", "other": 1}
    given = document(shop.ask())
    assert given.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 3600, SUBSCRIBE)


@pytest.mark.loopback
def test_a_token_is_kept_for_55_of_60_minutes_and_expires_in_counts_down(shop: Shop) -> None:
    """The same token until 5 minutes before its end, always with its true remaining life; then a new one at once."""
    first = token_of(shop.ask())
    for minutes in (10, 25, 19):  # at 54 minutes
        shop.clock.advance(minutes * 60)
        answer = document(shop.ask())
        assert answer["access_token"] == first
    assert answer["expires_in"] == 6 * 60
    shop.clock.advance(59)  # a second is left of the 55 minutes
    assert token_of(shop.ask()) == first
    assert shop.server.mints == 1
    shop.clock.advance(1.5)
    second = document(shop.ask())
    assert second["access_token"] != first
    assert (second["expires_in"], shop.server.mints) == (3600, 2)


@pytest.mark.loopback
def test_the_leeway_is_the_users_and_shorter_tokens_have_it_in_proportion(clock: FakeClock) -> None:
    """``leeway=600`` of 3,600 s keeps a token of 60 s for 50 s."""
    with FakeAuthorizationServer(clock=clock) as server:
        server.lifetime = 60
        shop = Shop(server, clock, leeway=600)
        first = token_of(shop.ask())
        clock.advance(49.5)
        assert token_of(shop.ask()) == first
        clock.advance(1)
        assert token_of(shop.ask()) != first


@pytest.mark.loopback
def test_while_the_server_is_down_the_kept_token_serves_to_its_end(shop: Shop) -> None:
    """In an outage the old token is vended until its end with its true remaining life; after that 503."""
    first = token_of(shop.ask())
    shop.clock.advance(57 * 60)
    shop.server.stop()
    answer = document(shop.ask())
    assert (answer["access_token"], answer["expires_in"]) == (first, 180)
    shop.clock.advance(180)
    refused = shop.ask()
    assert error_of(refused) == (503, "temporarily_unavailable")
    assert "127.0.0.1" not in refused.body.decode()


@pytest.mark.loopback
def test_another_caller_gets_another_token(shop: Shop) -> None:
    """Callers with equal scopes have one token each, and get the same one again."""
    ada, bob = token_of(shop.ask("ada")), token_of(shop.ask("bob"))
    assert ada != bob
    assert (token_of(shop.ask("ada")), token_of(shop.ask("bob"))) == (ada, bob)
    assert shop.server.mints == 2


@pytest.mark.loopback
def test_each_scope_set_has_its_own_token_and_no_superset_is_reused(shop: Shop) -> None:
    """A caller with a token for two scopes gets another token for one of them; the order does not matter."""
    both = token_of(shop.ask(scope=f"{PUBLISH} {SUBSCRIBE}"))
    one = document(shop.ask(scope=SUBSCRIBE))
    assert one["access_token"] != both
    assert one["scope"] == SUBSCRIBE
    assert token_of(shop.ask(scope=f"{SUBSCRIBE} {PUBLISH} {SUBSCRIBE}")) == both
    assert [request.parameters["scope"] for request in shop.server.requests] == [f"{PUBLISH} {SUBSCRIBE}", SUBSCRIBE]


@pytest.mark.loopback
def test_a_storm_of_page_loads_mints_once(shop: Shop) -> None:
    """Sixteen requests of one caller at once, on a slow server: one mint, one token."""
    shop.server.latency = 0.2
    start = threading.Barrier(16)

    def load(_: int) -> str:
        start.wait(30)
        return token_of(shop.ask())

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(load, range(16)))) == 1
    assert shop.server.mints == 1


@pytest.mark.loopback
def test_workers_that_share_a_cache_share_each_callers_token_and_no_other(shop: Shop, tmp_path: Path) -> None:
    """A second worker finds ada's token sealed on the disk, and mints for bob; the client's ledger counts both."""
    shop.source_options = {"cache": f"disk:{tmp_path}/tokens", "budget": MintBudget(per_month=2, reserve=0)}
    ada = token_of(shop.ask("ada"))
    forget_everything()  # like another process with the same disk
    worker = Shop(shop.server, shop.clock)
    worker.source_options = shop.source_options
    assert token_of(worker.ask("ada")) == ada
    assert token_of(worker.ask("bob")) != ada
    assert shop.server.mints == 2
    assert error_of(worker.ask("carl")) == (503, "temporarily_unavailable")  # the one budget of the client is used up
    shop.vendor.close()
    worker.vendor.close()


@pytest.mark.loopback
def test_one_callers_entry_put_in_anothers_place_is_a_miss(shop: Shop, tmp_path: Path) -> None:
    """Copying ada's entry to bob's key is a miss, because each caller's entries have their own sealing key."""
    from m2m_auth.caches import Capabilities
    from m2m_auth.caches.memory import MemoryTokenCache

    class Swapped(MemoryTokenCache):
        """A cache that keeps all token entries under one key, as an attacker would."""

        capabilities = Capabilities(shared=True)

        def get(self, key: str) -> bytes | None:
            return super().get("m2m1.t" if key.startswith("m2m1.t") else key)

        def set(self, key: str, value: bytes, ttl: float) -> None:
            super().set("m2m1.t" if key.startswith("m2m1.t") else key, value, ttl)

    shop.source_options = {"cache": Swapped()}
    ada = token_of(shop.ask("ada"))
    assert token_of(shop.ask("bob")) != ada


@pytest.mark.loopback
def test_sources_are_bounded_and_an_evicted_caller_keeps_its_token(clock: FakeClock) -> None:
    """With room for two, the third caller evicts the first, whose next request builds a source but costs no mint."""
    with FakeAuthorizationServer(clock=clock) as server:
        shop = Shop(server, clock, most_sources=2)
        first = token_of(shop.ask("ada"))
        for name in ("bob", "carl", "dora"):
            token_of(shop.ask(name))
        assert repr(shop.vendor) == "<TokenVendor 2 sources>"
        assert token_of(shop.ask("ada")) == first
        assert [each.caller for each in shop.sources] == ["ada", "bob", "carl", "dora", "ada"]


# narrowing


BROADER: dict[str, tuple[dict[str, Any], str]] = {
    "all scopes": ({"scope": f"{SUBSCRIBE} {PUBLISH} admin"}, "admin"),
    "another scope": ({"scope": "profile"}, "profile"),
}


@pytest.mark.loopback
@pytest.mark.parametrize("case", BROADER)
def test_a_server_that_does_not_narrow_stops_the_start_and_says_why(shop: Shop, case: str) -> None:
    """``check()`` raises with both scopes in its message; no token that was not asked for is ever vended."""
    shop.server.extra_response, named = BROADER[case]
    with pytest.raises(ConfigurationError, match=f"does not narrow.*{named}.*Fix"):
        shop.vendor.check()
    answer = shop.ask(scope=SUBSCRIBE)
    assert error_of(answer) == (500, "server_error")
    assert b"admin" not in answer.body
    assert b"access_token" not in answer.body


@pytest.mark.loopback
@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "a b"},
        {"scp": ["orders:subscribe", "b"]},
        {"scp": "b"},
        {"scope": "orders:publish", "scp": ["b"]},
        {"scope": "", "scp": "b"},
        {"scope": {}, "scp": [None, 1, "b"]},
    ],
)
def test_a_jwt_that_says_more_than_the_answer_is_found_out(shop: Shop, claims: dict[str, Any]) -> None:
    """An answer without ``scope`` grants what was asked, but the JWT itself may name more; it is refused."""
    import jwt

    token = jwt.encode({**claims, "iat": 1, "exp": 3601}, "k" * 32)
    shop.server.extra_response = {"access_token": token}
    shop.server.leave_out = {"scope"}
    with pytest.raises(ConfigurationError, match="the token's own scope"):
        shop.vendor.check()


@pytest.mark.loopback
@pytest.mark.parametrize("value", ["a.b.c", "eyJ.!!.x", "a.W10.c", "a.e30.c", "a.bnVsbA.c", "opaque"])
def test_tokens_that_are_no_jwt_pass(shop: Shop, value: str) -> None:
    """A value with two dots need not be a JWT; an answer without scope grants what was asked (RFC 6749 §5.1)."""
    shop.server.extra_response = {"access_token": value}
    shop.server.leave_out = {"scope"}
    assert document(shop.ask()) == {
        "access_token": value,
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": SUBSCRIBE,
    }


@pytest.mark.loopback
def test_the_answer_names_the_granted_scopes(shop: Shop) -> None:
    """If the server grants one of two scopes, the answer names that one."""
    shop.server.extra_response = {"scope": SUBSCRIBE}
    assert document(shop.ask(scope=f"{PUBLISH} {SUBSCRIBE}"))["scope"] == SUBSCRIBE


@pytest.mark.loopback
def test_a_server_that_narrows_passes_the_check_with_one_mint_for_one_scope(shop: Shop) -> None:
    """Of an allow-list of two, one is asked for; a second check finds the token in the cache."""
    shop.vendor.check()
    shop.vendor.check()
    assert [request.parameters["scope"] for request in shop.server.requests] == [PUBLISH]


@pytest.mark.loopback
def test_a_token_that_lives_too_long_is_not_vended(shop: Shop) -> None:
    """A smaller ``expires_in`` would not shorten the token itself, so it is refused, with the fix."""
    shop.server.lifetime = 7200
    with pytest.raises(ConfigurationError, match=r"live 7200 s.*may live 3600 s.*lifetime="):
        shop.vendor.check()
    assert error_of(shop.ask()) == (500, "server_error")


@pytest.mark.loopback
def test_a_token_of_unknown_life_is_not_vended(shop: Shop) -> None:
    """A token without ``expires_in`` and ``exp`` may live for years, so it is refused."""
    shop.server.leave_out = {"expires_in"}
    with pytest.raises(ConfigurationError, match="does not say how long they live"):
        shop.vendor.check()
    assert error_of(shop.ask()) == (500, "server_error")


@pytest.mark.loopback
def test_a_request_waits_5_s_at_most(shop: Shop) -> None:
    """A waiting request holds a thread of the application, so it waits 5 s and not 20 s."""
    shop.ask()
    assert shop.sources[0].policy.max_wait == 5


@pytest.mark.loopback
def test_a_jwt_that_outlives_its_expires_in_is_not_vended(shop: Shop) -> None:
    """APIs check ``exp``: a token of a day is refused though the answer says an hour."""
    import jwt

    shop.server.extra_response = {"access_token": jwt.encode({"iat": 1_700_000_000, "exp": 1_700_086_400}, "k" * 32)}
    with pytest.raises(ConfigurationError, match="live 86400 s"):
        shop.vendor.check()


@pytest.mark.loopback
def test_a_server_with_one_token_for_all_is_found_out(shop: Shop) -> None:
    """A server that gives two callers one token is found out at the second caller."""
    shop.server.same_token = True
    token_of(shop.ask("ada"))
    assert error_of(shop.ask("bob")) == (500, "server_error")


@pytest.mark.loopback
def test_a_source_that_mixes_callers_is_found_out(clock: FakeClock) -> None:
    """``source_for`` that returns a plain TokenSource would give all callers one token, and the first one notices: with
    several workers, each might see one caller only.
    """
    with FakeAuthorizationServer(clock=clock) as server:

        def careless(narrowed: Narrowed) -> TokenSource:
            return TokenSource(server.token_endpoint, "client", "secret", scope=narrowed.scopes, clock=clock)

        shop = Shop(server, clock)
        shop.vendor = TokenVendor(careless, caller=user, scopes=SUBSCRIBE, origins=[SHOP], clock=clock)
        with pytest.raises(ConfigurationError, match=r"TokenSource that is not this caller's.*narrowed\.source"):
            shop.vendor.check()
        assert error_of(shop.ask("ada")) == (500, "server_error")
        assert server.token_requests == 0


@pytest.mark.loopback
def test_one_source_for_all_callers_is_found_out(shop: Shop) -> None:
    """A ``source_for`` that remembers the first caller's source does not hand it to the second."""
    kept: list[TokenSource] = []

    def careless(narrowed: Narrowed) -> TokenSource:
        if not kept:
            kept.append(narrowed.source(shop.server.token_endpoint, "client", "secret"))
        return kept[0]

    shop.vendor = TokenVendor(careless, caller=user, scopes=SUBSCRIBE, origins=[SHOP], clock=shop.clock)
    token_of(shop.ask("ada"))
    assert error_of(shop.ask("bob")) == (500, "server_error")


@pytest.mark.loopback
def test_user_1_of_one_vendor_is_not_user_1_of_another(shop: Shop) -> None:
    """Staff and customers, each numbered from 1, one client for both: the vendors' names separate their tokens."""
    tokens = {token_of(Shop(shop.server, shop.clock, name=name).ask("1")) for name in ("staff", "customers", "staff")}
    assert len(tokens) == 2


def test_each_pair_of_names_has_its_own_key() -> None:
    """Quotes, NUL and lone surrogates in names: each pair of names has a key of its own."""
    for one in [("a", 'b", "c'), ("a", "b\0c"), ('a", "b', "c"), ("a\0b", "c"), ("a", "b\udc80")]:
        import json

        from m2m_auth.vending.narrowing import caller_key

        key = caller_key(*one)
        assert key.isascii()
        assert tuple(json.loads(key)) == one


@pytest.mark.loopback
def test_a_refusal_of_the_server_is_not_shown_to_the_caller(shop: Shop) -> None:
    """The answer is 502 with fixed words; the server's words are in the log only."""
    shop.server.fail("oauth_error", error="invalid_scope")
    answer = shop.ask()
    assert error_of(answer) == (502, "server_error")
    assert b"scope" not in answer.body


@pytest.mark.loopback
def test_the_users_own_client_authentication_is_used(shop: Shop) -> None:
    """The user's own client authentication still authenticates the token request."""
    shop.source_options = {"client_authentication": ClientSecretPost(), "audience": "https://orders.example"}
    token_of(shop.ask())
    parameters = shop.server.requests[-1].parameters
    assert (parameters["client_secret"], parameters["audience"]) == ("secret", "https://orders.example")
    assert "ada" not in repr(parameters)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no scopes": ({"scopes": []}, "scopes is empty"),
    "commas": ({"scopes": ["a,b"]}, "not a scope"),
    "all day": ({"lifetime": 86400}, "lifetime=86400 must be seconds"),
    "a lifetime in words": ({"lifetime": "1h"}, "lifetime='1h'"),
    "leeway beyond the life": ({"leeway": 3600}, "leeway=3600"),
    "leeway of nothing": ({"leeway": 0}, "leeway=0"),
    "cap of nothing": ({"per_hour": 0}, "per_hour=0"),
    "no room": ({"most_sources": True}, "most_sources=True"),
    "a caller that is a name": ({"caller": "ada"}, "caller must be a function"),
    "no name": ({"name": ""}, "name=''"),
    "a name that is none": ({"name": 1}, "name=1"),
    "an unknown cache": ({"cache": "rediss"}, "no cache has this URL scheme"),
}


def test_mistakes_are_found_at_construction(clock: FakeClock) -> None:
    """Each bad option is a ConfigurationError that names it, before any request."""
    for case in MISTAKES:
        options, message = MISTAKES[case]
        given: dict[str, Any] = {"caller": user, "scopes": SUBSCRIBE, **options}
        with pytest.raises(ConfigurationError, match=message):
            TokenVendor(lambda narrowed: narrowed.source("https://as.example/token", "c", "s"), **given)


def test_an_option_that_the_vendor_sets_is_refused(clock: FakeClock) -> None:
    """An option that would undo the narrowing is a mistake, not an override."""
    for name in ["scope", "policy", "clock"]:
        vendor = TokenVendor(
            lambda narrowed, name=name: narrowed.source("https://as.example/token", "c", "s", **{name: None}),
            caller=user,
            scopes=SUBSCRIBE,
            clock=clock,
        )
        with pytest.raises(ConfigurationError, match=f"the TokenVendor sets {name}="):
            vendor.check()


def test_a_source_for_that_returns_no_source_says_so() -> None:
    """A forgotten return is the usual mistake."""
    nothing: Any = lambda narrowed: None  # noqa: E731
    with pytest.raises(ConfigurationError, match=r"source_for returned a NoneType.*return narrowed.source"):
        TokenVendor(nothing, caller=user, scopes=SUBSCRIBE).check()
