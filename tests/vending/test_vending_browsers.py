"""Attacks of hostile pages and clients on a vendor, and what a page of a listed origin may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vending_support import PUBLISH, SHOP, SUBSCRIBE, Shop, ask, document, error_of, request_with, token_of

from m2m_auth.errors import ConfigurationError
from m2m_auth.serving import Answer
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer, FakeClock
from m2m_auth.vending import TokenVendor


@pytest.fixture
def shop(clock: FakeClock) -> Iterator[Shop]:
    """A vendor of tokens that live one hour."""
    forget_everything()
    with FakeAuthorizationServer(clock=clock) as server:
        server.lifetime = 3600
        yield Shop(server, clock)
    forget_everything()


@pytest.fixture
def closed_shop(clock: FakeClock) -> Shop:
    """A vendor whose authorization server does not run: for requests that must be refused before a token request."""
    return Shop(FakeAuthorizationServer(clock=clock), clock)


def cors(answer: Answer) -> dict[str, str]:
    """The headers that tell a browser what a page may read."""
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-")}


@pytest.mark.loopback
def test_a_page_of_a_listed_origin_reads_its_token(shop: Shop) -> None:
    """The exact origin comes back, with credentials allowed; ``Vary`` says that answers differ by origin."""
    answer = shop.ask()
    token_of(answer)
    assert cors(answer)["Access-Control-Allow-Origin"] == SHOP
    assert cors(answer)["Access-Control-Allow-Credentials"] == "true"
    assert dict(answer.headers)["Vary"] == "Origin"


def test_a_preflight_is_answered_without_knowing_who_asks(closed_shop: Shop) -> None:
    """It carries no cookie (Fetch): POST and the required header are allowed, and nothing is minted."""
    headers = {"access-control-request-method": "POST", "access-control-request-headers": "x-requested-with"}
    answer = closed_shop.ask(None, method="OPTIONS", headers={**headers, "x-requested-with": None})
    assert (answer.status, answer.body) == (204, b"")
    assert cors(answer)["Access-Control-Allow-Methods"] == "POST"
    assert "X-Requested-With" in cors(answer)["Access-Control-Allow-Headers"]
    assert cors(answer)["Access-Control-Allow-Origin"] == SHOP
    assert closed_shop.server.token_requests == 0


FOREIGN = {
    "another site": "https://evil.example",
    "a subdomain": "https://a.closed_shop.example",
    "a suffix": "https://shop.example.evil.example",
    "a prefix": "https://evilclosed_shop.example",
    "plain http": "http://closed_shop.example",
    "another port": "https://shop.example:8443",
    "the default port, written": "https://shop.example:443",
    "capitals": "https://SHOP.example",
    "a path": "https://shop.example/",
    "a sandboxed frame or a file": "null",
    "two of them": f"{SHOP}, {SHOP}",
    "one of two": f"{SHOP}, https://evil.example",
    "a list": f"{SHOP} https://evil.example",
    "every origin": "*",
    "nothing": "",
    "a dot at the end": f"{SHOP}.",
}


def test_a_page_of_any_other_origin_gets_nothing_and_reads_nothing(closed_shop: Shop) -> None:
    """The request and its preflight get 403 without a CORS header, before the caller is identified."""
    for site in [None, "cross-site", "same-site"]:
        for case in FOREIGN:
            headers = {"origin": FOREIGN[case], "sec-fetch-site": site}
            answer = closed_shop.ask(headers=headers)
            assert error_of(answer) == (403, "access_denied")
            preflight = closed_shop.ask(method="OPTIONS", headers={**headers, "access-control-request-method": "POST"})
            assert preflight.status == 403
            assert cors(answer) == cors(preflight) == {}
            assert (closed_shop.sources, closed_shop.server.token_requests) == ([], 0)


@given(st.text(max_size=40) | st.from_regex(r"https?://[a-z.:/@]{0,3}shop\.example[a-z0-9.:/@?#, ]{0,12}"))
def test_no_text_but_the_exact_origin_is_let_in(origin: str) -> None:
    """Matching is equality: over any text, an answer allows an origin only if it is the listed one."""
    vendor = TokenVendor(
        lambda narrowed: narrowed.source("https://as.example/token", "c", "s"),
        caller=lambda _: None,
        scopes=SUBSCRIBE,
        origins=[SHOP],
    )
    answer = ask(vendor, None, headers={"origin": origin})
    assert error_of(answer)[0] == (401 if origin == SHOP else 403)
    assert cors(answer).get("Access-Control-Allow-Origin") == (SHOP if origin == SHOP else None)


@pytest.mark.loopback
def test_a_page_of_the_same_origin_needs_no_entry(shop: Shop) -> None:
    """The browser says so in a header that no script can set; the opaque origin ``null`` is refused all the same."""
    own = {"origin": "https://tokens.example", "sec-fetch-site": "same-origin"}
    answer = shop.ask(headers=own)
    token_of(answer)
    assert cors(answer) == {}
    assert error_of(shop.ask(headers={**own, "origin": "null"})) == (403, "access_denied")


@pytest.mark.loopback
def test_a_program_that_is_no_browser_needs_no_origin(shop: Shop) -> None:
    """A program sends no Origin; a browser that says cross-site without an Origin is refused."""
    token_of(shop.ask(headers={"origin": None}))
    hidden = shop.ask(headers={"origin": None, "sec-fetch-site": "cross-site"})
    assert error_of(hidden) == (403, "access_denied")


def test_a_form_on_a_foreign_page_cannot_send_the_header(closed_shop: Shop) -> None:
    """A forged simple request may have the origin and the cookies, but no custom header, so it gets no token."""
    for value in [None, "", "  "]:
        for origin in (SHOP, None):
            answer = closed_shop.ask(headers={"x-requested-with": value, "origin": origin})
            assert error_of(answer) == (400, "invalid_request")
        assert closed_shop.server.token_requests == 0


@pytest.mark.loopback
def test_another_header_may_be_required(clock: FakeClock) -> None:
    """The configured header is required, in upper or lower case; the default one is not enough."""
    with FakeAuthorizationServer(clock=clock) as server:
        shop = Shop(server, clock, required_header="X-Pizza")
        assert error_of(shop.ask())[0] == 400
        token_of(shop.ask(headers={"x-pizza": "1"}))
        preflight = shop.ask(method="OPTIONS", headers={"access-control-request-method": "POST"})
        assert "X-Pizza" in cors(preflight)["Access-Control-Allow-Headers"]


def test_only_post_is_answered(closed_shop: Shop) -> None:
    """An image could cause a GET; an OPTIONS that is no preflight is refused as well."""
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "post", "OPTIONS"]:
        answer = closed_shop.ask(method=method)
        assert error_of(answer) == (405, "invalid_request")
        assert dict(answer.headers)["Allow"] == "POST"
        assert closed_shop.server.token_requests == 0


def test_below_its_place_there_is_nothing(closed_shop: Shop) -> None:
    """Every path below the mount is a 404."""
    for path in ["//", "/.", "/..", "/token", "/%2e%2e", "/;a=1", "/\x00", "/../../o/token"]:
        assert error_of(closed_shop.ask(path=path)) == (404, "invalid_request")


BODIES: dict[str, tuple[bytes, str | None, tuple[int, str]]] = {
    "twice": (b"scope=orders:subscribe&scope=orders:publish", None, (400, "invalid_request")),
    "twice in JSON": (b'{"scope": "orders:subscribe", "scope": "x"}', "application/json", (400, "invalid_request")),
    "no JSON": (b"{", "application/json", (400, "invalid_request")),
    "a JSON list": (b'["scope"]', "application/json", (400, "invalid_request")),
    "deep JSON": (b"[" * 4000, "application/json", (400, "invalid_request")),
    "a number": (b'{"scope": 1}', "application/json", (400, "invalid_scope")),
    "an object": (b'{"scope": {"a": "b"}}', "application/json", (400, "invalid_scope")),
    "null": (b'{"scope": null}', "application/json", (400, "invalid_scope")),
    "not UTF-8": (b"scope=\xff", None, (400, "invalid_request")),
    "control characters": (b"scope=orders:subscribe%0d%0aX: y", None, (400, "invalid_scope")),
    "another scope": (b"scope=admin", None, (400, "invalid_scope")),
    "one more": (b"scope=orders:subscribe+admin", None, (400, "invalid_scope")),
    "capitals": (b"scope=Orders:Subscribe", None, (400, "invalid_scope")),
    "all": (b"scope=*", None, (400, "invalid_scope")),
    "empty": (b"scope=", None, (400, "invalid_scope")),
    "none, of two that are allowed": (b"", None, (400, "invalid_scope")),
    "plain text": (b"scope=orders:subscribe", "text/plain", (415, "invalid_request")),
    "no type": (b"scope=orders:subscribe", "", (415, "invalid_request")),
    "multipart": (b"--b", "multipart/form-data; boundary=b", (415, "invalid_request")),
    "large": (b"scope=" + b"a" * 5000, None, (413, "invalid_request")),
}


def test_a_body_that_asks_for_something_else_is_refused(closed_shop: Shop) -> None:
    """Each bad body gets its status and code as JSON that the page may read, and no token request is sent."""
    for case in BODIES:
        body, media_type, expected = BODIES[case]
        changes: dict[str, Any] = {"body": body}
        if media_type is not None:
            changes["headers"] = {"content-type": media_type}
        answer = closed_shop.ask(**changes)
        assert error_of(answer) == expected
        assert cors(answer)["Access-Control-Allow-Origin"] == SHOP
        assert closed_shop.server.token_requests == 0


def test_a_body_that_was_not_read_for_its_size_is_refused(closed_shop: Shop) -> None:
    """A body that was cut for its size does not count as an empty one."""
    assert error_of(closed_shop.ask(body=b"", too_large=True)) == (413, "invalid_request")


@pytest.mark.loopback
def test_json_is_as_good_as_a_form(shop: Shop) -> None:
    """A form and JSON with the same scopes get the same token; unknown members are ignored (RFC 6749 §3.2)."""
    body = json.dumps({"scope": SUBSCRIBE, "audience": "https://evil.example"}).encode()
    answer = shop.ask(body=body, headers={"content-type": "application/json; charset=utf-8"})
    assert token_of(answer) == token_of(shop.ask())
    assert "audience" not in shop.server.requests[0].parameters


@given(st.lists(st.sampled_from([SUBSCRIBE, PUBLISH, "admin", "orders", "orders:", "*", ""]), max_size=4))
def test_a_token_is_for_allowed_scopes_or_there_is_none(names: list[str]) -> None:
    """For any list of names: the scopes pass only if each one is in the allow-list."""
    from m2m_auth.serving.http_messages import ErrorAnswer
    from m2m_auth.vending.asked_scopes import asked_scopes

    allowed = {SUBSCRIBE, PUBLISH}
    wanted = {name for name in names if name}
    try:
        asked = asked_scopes(request_with(" ".join(names)), allowed)
    except ErrorAnswer:
        assert not wanted or not wanted <= allowed
    else:
        assert set(asked) == wanted <= allowed
        assert list(asked) == sorted(set(asked))


WRONG_ORIGINS = {
    "*": "every site could read",
    "https://*.shop.example": "not an origin",
    "null": "not an origin",
    "shop.example": "not an origin",
    "https://shop.example/": "Fix: 'https://shop.example'",
    "https://shop.example:443": "Fix: 'https://shop.example'",
    "https://Shop.example": "Fix: 'https://shop.example'",
    "https://shop.example/path?q#f": "Fix: 'https://shop.example'",
    "https://user:pw@shop.example": "Fix: 'https://shop.example'",
    "http://shop.example": "Fix: use https",
    "https://shop.example:99999": "not an origin",
    "https://pizzería.example": "not an origin",
    "file:///shop": "not an origin",
    "": "not an origin",
}


def test_an_origin_that_no_browser_would_send_is_refused_at_construction() -> None:
    """``*`` and every entry that could never match are refused, with the spelling to use."""
    for origin in WRONG_ORIGINS:
        with pytest.raises(ConfigurationError, match=WRONG_ORIGINS[origin].replace("*", r"\*")):
            TokenVendor(lambda n: n.source("https://as.example/t", "c", "s"), caller=str, scopes="a", origins=[origin])  # type: ignore[arg-type]


def test_origins_as_one_string_are_refused() -> None:
    """A string is a list of letters, none of which is an origin."""
    with pytest.raises(ConfigurationError, match=r"must be a list. Fix: \['https://shop.example'\]"):
        TokenVendor(lambda n: n.source("https://as.example/t", "c", "s"), caller=str, scopes="a", origins=SHOP)  # type: ignore[arg-type]


def test_origins_as_browsers_write_them_are_taken() -> None:
    """https anywhere; plain http only on the developer's own machine."""
    for origin in [SHOP, "https://shop.example:8443", "http://localhost:3000", "http://[::1]:5000"]:
        TokenVendor(lambda n: n.source("https://as.example/t", "c", "s"), caller=str, scopes="a", origins=[origin])  # type: ignore[arg-type]


def test_a_header_that_proves_nothing_is_refused() -> None:
    """A header that forms, browsers or proxies send by themselves cannot prove that a page asked on purpose."""
    for header in [
        *("Accept", "Accept-Encoding", "content-type", "Cookie", "Origin", "Sec-Fetch-Site", "Proxy-A", "a b", ""),
        *("Cache-Control", "If-None-Match", "Priority", "Upgrade-Insecure-Requests", "Save-Data"),
        *("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Request-Id", "Via", "traceparent"),
    ]:
        with pytest.raises(ConfigurationError, match="required_header="):
            TokenVendor(
                lambda n: n.source("https://as.example/t", "c", "s"),
                caller=str,  # type: ignore[arg-type]
                scopes="a",
                required_header=header,
            )


@pytest.mark.loopback
def test_one_allowed_scope_need_not_be_named(clock: FakeClock) -> None:
    """With one allowed scope an empty POST is enough."""
    with FakeAuthorizationServer(clock=clock) as server:
        shop = Shop(server, clock, scopes=SUBSCRIBE)
        assert document(shop.ask(scope=None))["scope"] == SUBSCRIBE
