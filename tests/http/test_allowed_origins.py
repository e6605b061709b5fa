"""Where a token may go. Where it may not, nothing is sent and nothing is minted (RFC 6750 §5.3)."""

from __future__ import annotations

from typing import Any

import pytest
from callers import SYNC, Caller, clients

from m2m_auth import ConfigurationError, InsecureTransport, M2MAuthError, OriginNotAllowed
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback

ALLOWED = "https://api.example.com"


def test_it_replaces_a_header_of_the_calls_own(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """The token replaces a header given with the call, in any case: there are never two."""
    assert caller.get(api, headers={"authorization": "Bearer mine"}).status == 200
    assert server.api_calls[0].headers["authorization"] == auth.source.token().authorization


@clients(*SYNC)
@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://api.example.com:443@evil.example/",
        "https://api.example.com%2f@evil.example/",
        "https://evil.example/https://api.example.com/",
        "https://evil.example/?https://api.example.com/",
        "https://evil.example/#@api.example.com/",
        "https://evil.example\\.api.example.com/",
        "https://api.example.com:444/",
        "https://api.example.com:80/",
        "https://notapi.example.com/",
        "https://example.com/",
        "https://[::1]/",
        "https://api.example.com\uff0eevil.example/",
        "https://\u0430pi.example.com/",
    ],
)
def test_a_url_outside_the_allowed_origins(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, url: str
) -> None:
    """However it is spelled, a URL of another origin is refused: no mint, no call, and the message names both."""
    caller.attach(caller.auth(server, clock, allowed_origins=[ALLOWED]))
    with pytest.raises((OriginNotAllowed, *_invalid_url(caller))) as caught:
        caller.get(url)
    assert server.token_requests == 0
    if isinstance(caught.value, OriginNotAllowed):
        assert caught.value.allowed == (ALLOWED,)
        assert ALLOWED in str(caught.value)
        assert caught.value.origin in str(caught.value)
        assert caught.value.origin != ALLOWED


def _invalid_url(caller: Caller) -> tuple[type[Exception], ...]:
    """What the library itself raises for text that is no URL, before it calls the auth."""
    name = caller.library.__name__
    return (caller.library.exceptions.InvalidURL if name == "requests" else caller.library.InvalidURL,)


@clients(*SYNC)
@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:443/x",
        "HTTPS://API.Example.COM/x?y#z",
        "https://user:password@api.example.com/",
        "https://api.example.com./",
        "https://api.example.com?q",
    ],
)
def test_spellings_of_an_allowed_origin(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, url: str
) -> None:
    """Case, a default port, user info, a trailing dot: still the allowed origin. A token is minted for the call."""
    auth = caller.auth(server, clock, allowed_origins=[ALLOWED])
    _attach_header(caller, auth, url)
    assert server.token_requests == 1


def _attach_header(caller: Caller, auth: Any, url: str) -> str:
    """The header that the auth sets on a request of the library; the request is not sent."""
    if caller.library.__name__ == "requests":
        prepared = caller.library.Request("GET", url, auth=auth).prepare()
        return str(prepared.headers["Authorization"])
    request = caller.library.Request("GET", url)
    flow = auth.sync_auth_flow(request)
    next(flow)
    flow.close()
    return str(request.headers["Authorization"])


def test_the_allowed_origin_gets_it(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """allowed_origins with a port, as for a service in a cluster, allows exactly that origin."""
    caller.attach(caller.auth(server, clock, allowed_origins=[server.base_url]))
    assert caller.get(server.base_url + "/api/things").status == 200
    with pytest.raises(OriginNotAllowed):
        caller.get(server.base_url.replace("127.0.0.1", "localhost") + "/api/things")
    assert len(server.api_calls) == 1


@pytest.mark.parametrize("url", ["http://api.example.com/", "http://192.0.2.1/", "http://[2001:db8::1]/", "http://lo/"])
def test_plain_http_to_another_machine(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, url: str
) -> None:
    """Refused before anything is minted or sent; an allowed origin, when it is configured. The fix is named."""
    caller.attach(caller.auth(server, clock))
    with pytest.raises(InsecureTransport, match="allow_insecure_http=True") as caught:
        caller.get(url)
    assert caught.value.origin.startswith("http://")
    with pytest.raises(ConfigurationError, match="allow_insecure_http=True"):
        caller.auth(server, clock, allowed_origins=[url])
    assert server.token_requests == 0


@clients(*SYNC)
def test_plain_http_where_the_user_says_so(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """allow_insecure_http=True is for trusted networks; allowed_origins still counts."""
    auth = caller.auth(server, clock, allow_insecure_http=True, allowed_origins=["http://api.internal:8080"])
    assert _attach_header(caller, auth, "http://api.internal:8080/x") == auth.source.token().authorization
    with pytest.raises(OriginNotAllowed):
        _attach_header(caller, auth, "http://api.internal/x")


@clients(*SYNC)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost", "api.localhost"])
def test_plain_http_to_this_machine(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, host: str
) -> None:
    """Loopback, by address and by name, needs no option."""
    auth = caller.auth(server, clock)
    assert _attach_header(caller, auth, f"http://{host}:8080/x") == auth.source.token().authorization


@clients("requests")
@pytest.mark.parametrize("origins", ["https://api.example.com", [], ["api.example.com"], ["https://a.example/path"]])
def test_wrong_allowed_origins(caller: Caller, server: FakeAuthorizationServer, origins: Any) -> None:
    """A string, an empty list, a name without a scheme, a path: a ConfigurationError when the auth is built."""
    with pytest.raises(ConfigurationError, match="allowed_origins"):
        caller.auth(server, allowed_origins=origins)
    assert server.token_requests == 0


def test_a_held_token_changes_nothing(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """Each call is checked, also while a fresh token is held."""
    caller.get(api)
    for url in ("http://api.example.com/", f"{server.base_url}@evil.example/", "http://127.0.0.1.evil.example/"):
        with pytest.raises(M2MAuthError):
            caller.get(url)
    assert len(server.api_calls) == 1
