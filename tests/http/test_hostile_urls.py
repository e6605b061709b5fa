"""Hostile URLs: the short cut decides as the origin check does, and both as the library connects."""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from m2m_auth import M2MAuthError
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.origin_policy import OriginPolicy
from m2m_auth.oauth2.origins import origin_of
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.requests import M2MAuth

ALLOWED = ("https://api.example.com", "https://api.example.com:8443", "http://[::1]:8080")
PIECES = [
    *("https://", "HTTPS://", "http://", "https:/", "https:", "//", "/", "\\", "@", ":", "?", "#", "%2f", "%40", "%5c"),
    *("api.example.com", "API.example.com", "evil.example", "[::1]", "[::1", "127.0.0.1", "localhost", ".", "..", " "),
    *(":443", ":8443", ":8080", ":80", ":", "user", "user:password@", "\t", "\n", "\x00", "\u3002", "\u2100", "ü", "x"),
]
hostile = st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join)
near = st.tuples(st.sampled_from(ALLOWED), st.lists(st.sampled_from(PIECES), max_size=5).map("".join)).map("".join)
urls = st.one_of(hostile, near, hostile.map(lambda rest: "https://" + rest))
checked = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def token_endpoint(request: HttpRequest) -> HttpResponse:
    """Grants a token, without a network."""
    return HttpResponse(200, {}, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}')


@pytest.fixture(scope="module")
def warm() -> Any:
    """An auth whose short cut knows every allowed origin, as it is after a call to each."""
    auth = M2MAuth(
        "https://as.example/token",
        "client",
        "secret",
        allowed_origins=ALLOWED,
        cache=MemoryTokenCache(),
        transport=token_endpoint,
    )
    for origin in ALLOWED:
        for suffix in ("", "/", "/a/b?c#d", "?q"):
            requests.Request("GET", origin + suffix, auth=auth).prepare()
    assert len(auth._flow._known) == len(ALLOWED)
    return auth


@checked
@given(urls)
@example("https://api.example.com@evil.example/")
@example("https://api.example.com\\@evil.example/")
@example("https://evil.example\\@api.example.com/")
@example("https://api.example.com/@evil.example/")
@example("https://api.example.com:8443@evil.example/")
@example("https://api.example.com/../..//evil.example/")
def test_the_short_cut_is_not_fooled(warm: Any, url: str) -> None:
    """For any URL that requests prepares, the header is set exactly if OriginPolicy.check allows that URL."""
    try:
        prepared = requests.Request("GET", url).prepare()
    except (requests.RequestException, ValueError):
        return  # requests itself refuses it, before any auth
    try:
        OriginPolicy(ALLOWED, False).check(prepared.url or "")
        allowed = True
    except M2MAuthError:
        allowed = False
    with contextlib.suppress(M2MAuthError):
        warm(prepared)
    assert (prepared.headers.get("Authorization") == "Bearer t") is allowed
    assert len(prepared.hooks["response"]) == int(allowed)


@checked
@given(urls)
def test_what_is_checked_is_where_requests_connects(warm: Any, url: str) -> None:
    """A header is set only where urllib3, which opens the connection, sees an allowed host and port."""
    try:
        prepared = requests.Request("GET", url, auth=warm).prepare()
    except (requests.RequestException, ValueError, M2MAuthError):
        return
    target = parse_url(prepared.url or "")
    host = (target.host or "").strip("[]").rstrip(".").lower()
    port = target.port or {"http": 80, "https": 443}[target.scheme or ""]
    assert (target.scheme, host, port) in {origin_of(origin) for origin in ALLOWED}


@functools.cache
def warm_httpx(name: str) -> Any:
    """The same for httpx and httpx2."""
    auth = importlib.import_module(f"m2m_auth.{name}").M2MAuth(
        "https://as.example/token",
        "client",
        "secret",
        allowed_origins=ALLOWED,
        cache=MemoryTokenCache(),
        transport=token_endpoint,
    )
    for origin in ALLOWED:
        flow = auth.sync_auth_flow(importlib.import_module(name).Request("GET", origin))
        next(flow)
        flow.close()
    return auth


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
@checked
@given(url=urls)
@example(url="https:////api.example.com")
@example(url="https://api.example.com\\@evil.example/")
def test_what_is_checked_is_where_httpx_connects(name: str, url: str) -> None:
    """The same for httpx: a request that gets the header goes to an allowed host and port."""
    library = pytest.importorskip(name)
    auth = warm_httpx(name)
    try:
        request = library.Request("GET", url)
        flow = auth.sync_auth_flow(request)
        next(flow)
        flow.close()
    except (library.InvalidURL, ValueError, M2MAuthError):
        return
    assert request.headers["Authorization"] == "Bearer t"
    host = request.url.raw_host.decode().rstrip(".").lower()
    port = request.url.port or {"http": 80, "https": 443}[request.url.scheme]
    assert (request.url.scheme, host, port) in {origin_of(origin) for origin in ALLOWED}


def test_only_so_many_origins_are_remembered() -> None:
    """A client that calls a thousand hosts keeps 64 entries, and each call gets the header."""
    auth = M2MAuth("https://as.example/token", "client", "secret", cache=MemoryTokenCache(), transport=token_endpoint)
    for number in range(1000):
        prepared = requests.Request("GET", f"https://host-{number}.example/", auth=auth).prepare()
        assert prepared.headers["Authorization"] == "Bearer t"
    assert len(auth._flow._known) <= 64
