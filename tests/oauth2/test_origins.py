"""Where a token may go: origins, loopback, and plain http."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth import ConfigurationError, InsecureTransport, OriginNotAllowed
from m2m_auth.oauth2.origin_policy import OriginPolicy
from m2m_auth.oauth2.origins import is_loopback, origin_of, same_origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com", ("https", "api.example.com", 443)),
        ("HTTPS://API.Example.COM:443/path?q#f", ("https", "api.example.com", 443)),
        ("http://api.example.com/", ("http", "api.example.com", 80)),
        ("https://api.example.com:8443/", ("https", "api.example.com", 8443)),
        ("https://api.example.com./", ("https", "api.example.com", 443)),
        ("https://[2001:DB8::1]:8443/", ("https", "2001:db8::1", 8443)),
        ("https://api.example.com@evil.example/", ("https", "evil.example", 443)),
        ("https://user:pw@api.example.com/", ("https", "api.example.com", 443)),
    ],
)
def test_the_origin_of_a_url(url: str, origin: tuple[str, str, int]) -> None:
    """Scheme, host and port, in one spelling; user information is not a host."""
    assert origin_of(url) == origin
    assert same_origin(url, origin)


@pytest.mark.parametrize("url", ["", "/path", "api.example.com", "https://", "https:///x", "https://a:b/", "mailto:x"])
def test_a_url_without_an_origin(url: str) -> None:
    """It equals no origin, and no token goes there."""
    with pytest.raises(ValueError, match=r"."):
        origin_of(url)
    assert not same_origin(url, ("https", "api.example.com", 443))
    with pytest.raises(OriginNotAllowed, match="a URL without an origin"):
        OriginPolicy(None, True).check(url)


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_loopback(host: str) -> None:
    """Plain http is allowed, because the token stays on the machine."""
    assert is_loopback(host)
    url = f"http://[{host}]/" if ":" in host else f"http://{host}:8080/"
    assert OriginPolicy(None, False).check(url)[1] == host


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "mylocalhost",
        "127.0.0.1.nip.io",
        "10.0.0.1",
        "0.0.0.0",
        "128.0.0.1",
        "fe80::1",
    ],
)
def test_plain_http_to_another_machine_is_refused(host: str) -> None:
    """A typo does not show the token to the network; the error has the origin and the fix."""
    assert not is_loopback(host)
    url = f"http://[{host}]/x?secret" if ":" in host else f"http://{host}/x?secret"
    with pytest.raises(InsecureTransport) as caught:
        OriginPolicy(None, False).check(url)
    assert caught.value.origin == url.partition("/x")[0]
    assert "Fix: use https, or pass allow_insecure_http=True" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert OriginPolicy(None, True).check(url)[0] == "http"


def test_without_a_list_any_https_origin_may_get_it() -> None:
    """By default https is allowed everywhere, and no scheme but http and https."""
    policy = OriginPolicy(None, False)
    assert policy.check("https://anywhere.example:1234/x") == ("https", "anywhere.example", 1234)
    for url in ("ftp://anywhere.example:21/", "ws://localhost:80/", "file:///etc/passwd"):
        with pytest.raises(OriginNotAllowed, match=r"any http\(s\) origin"):
            policy.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com:8443/",
        "http://api.example.com/",
        "https://example.com/",
        "https://api.example.com.evil.example/",
        "https://evil.example/?https://api.example.com",
        "https://api.example.com@evil.example/",
        "https://api.example.com:443@evil.example/",
    ],
)
def test_only_the_listed_origins_get_it(url: str) -> None:
    """Scheme, host and port must all be the same; the message names both."""
    policy = OriginPolicy(["https://api.example.com", "https://b.example:8443/"], True)
    with pytest.raises(OriginNotAllowed) as caught:
        policy.check(url)
    assert caught.value.allowed == ("https://api.example.com", "https://b.example:8443")
    assert caught.value.origin in str(caught.value)
    assert "https://api.example.com, https://b.example:8443" in str(caught.value)
    assert "Fix: add the origin" in str(caught.value)


def test_listed_origins_in_any_spelling() -> None:
    """Case, default port, a trailing dot and the path make no difference."""
    policy = OriginPolicy(("HTTPS://API.example.com:443/", "http://10.0.0.1:80"), True)
    assert policy.check("https://api.example.com./path") == ("https", "api.example.com", 443)
    assert policy.check("http://10.0.0.1/") == ("http", "10.0.0.1", 80)


WILDCARDS = [
    "https://*.example.com",
    "https://*.bücher.example:8443",
    "HTTPS://*.Corp.Internal.",
    "http://*.localhost:80",
]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/x",
        "https://a.b.c.example.com",
        "https://API.EXAMPLE.COM.:443/",
        "https://eu.xn--bcher-kva.example:8443/",
        "https://eu.Bücher.example:8443/",
        "https://a.corp.internal/",
        "http://api.localhost/",
    ],
)
def test_a_wildcard_is_any_subdomain(url: str) -> None:
    """At any depth, in any spelling: case, trailing dot, international names."""
    assert OriginPolicy(WILDCARDS, False).check(url) == origin_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://.example.com/",
        "https://badexample.com/",
        "https://api.example.com:8443/",
        "http://api.example.com/",
        "https://api.example.com.evil.example/",
        "https://api.bücher.example/",
        "https://evil.example/.example.com",
        "https://evil.example\\.example.com/",
    ],
)
def test_a_wildcard_is_nothing_else(url: str) -> None:
    """Not the apex, no other port or scheme, and no name that only ends alike."""
    with pytest.raises(OriginNotAllowed, match=r"https://\*\.example\.com, https://\*\.xn--bcher-kva\.example:8443"):
        OriginPolicy(WILDCARDS, True).check(url)


def test_two_spellings_of_an_address_or_a_name_are_one_origin() -> None:
    """IPv6 long and short; a letter that IDNA 2003 would turn into another name stays itself."""
    policy = OriginPolicy(["https://[2001:db8:0:0:0:0:0:1]", "https://straße.example"], False)
    assert policy.check("https://[2001:DB8::1]/x") == ("https", "2001:db8::1", 443)
    assert policy.check("https://xn--strae-oqa.example/")[1] == "xn--strae-oqa.example"
    with pytest.raises(OriginNotAllowed):
        policy.check("https://strasse.example/")


@pytest.mark.parametrize(
    ("entry", "why", "fix"),
    [
        ("http://api.example.com", "matches no call", "use https, or pass allow_insecure_http=True"),
        ("http://*.example.com", "matches no call", "use https, or pass allow_insecure_http=True"),
        ("*", "names no host", "leave the option out"),
        ("https://*", "names no host", "leave the option out"),
        ("https://*:8443", "names no host", "leave the option out"),
        ("https://", "names no host", "leave the option out"),
        ("", "names no host", "leave the option out"),
        ("   ", "names no host", "leave the option out"),
        ("https://*.com", "is every name below .com", "'https://*.example.com'"),
        ("https://*.*.example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://api.*.example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://api-*.example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://**.example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://*example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://*-api.example.com", "has a '*' that", "'https://*.example.com'"),
        ("https://api.*.com", "has a '*' that", "'https://*.example.com'"),
        ("https://api.example*", "has a '*' that", "'https://*.example.com'"),
        ("https://*.10.0.0.1", "is no address and no name", "or a name"),
        ("https://10.0.0.256", "is no address and no name", "or a name"),
        ("https://.example.com", "begins with a dot", "'https://*.example.com'"),
        ("https://api..com", "has a host that does not exist", "'https://api.example.com'"),
        ("https://api.example.com..", "has a host that does not exist", "'https://api.example.com'"),
        ("https://api example.com", "has a host that does not exist", "'https://api.example.com'"),
        ("https://api,example.com", "has a host that does not exist", "'https://api.example.com'"),
        (f"https://{'a' * 64}.example", "has a host that does not exist", "'https://api.example.com'"),
        ("https://[::g]", "a host or a port that does not exist", "'https://api.example.com:8443'"),
        ("https://api.example.com:0", "has port 0", "'https://api.example.com'"),
        ("https://api.example.com:70000", "a port that does not exist", "'https://api.example.com:8443'"),
        ("https://api.example.com:*", "a port that does not exist", "'https://api.example.com:8443'"),
        ("ftp://api.example.com", "neither https nor http", "'https://api.example.com'"),
        ("wss://api.example.com", "neither https nor http", "'https://api.example.com'"),
        ("//api.example.com", "is not an origin like", "'https://api.example.com'"),
        ("api.example.com:8443", "is not an origin like", "'https://api.example.com:8443'"),
        ("https://api.example.com\n", "has white space", "'https://api.example.com'"),
        (" https://api.example.com", "has white space", "'https://api.example.com'"),
        ("https://api.exam\tple.com", "has white space", "'https://api.example.com'"),
        ("https://api.example.com\\x", "has white space or characters", "'https://api.example.com'"),
        ("https://*.example.com/v1", "has more than an origin", "'https://*.example.com'"),
    ],
)
def test_an_entry_that_can_match_nothing_is_refused(entry: str, why: str, fix: str) -> None:
    """When it is configured, not at the first call; the message names the entry and a fix that works."""
    with pytest.raises(ConfigurationError) as caught:
        OriginPolicy(["https://good.example", entry], False)
    message, _, advice = str(caught.value).partition(". Fix: ")
    assert message.startswith("allowed_origins: ")
    assert why in message
    assert fix in advice
    OriginPolicy(re.findall(r"^'(https.*)'$", advice) or None, False)


@pytest.mark.parametrize(
    "entry",
    [
        "https://my_service:8443",
        "https://billing",
        "https://*.internal",
        "https://*.co.uk",
        "https://10.0.0.1",
        "http://[::1]:8080",
    ],
)
def test_an_entry_that_people_have_is_taken(entry: str) -> None:
    """Names of compose and Kubernetes services, addresses, private domains."""
    OriginPolicy([entry], False)
    OriginPolicy([entry.replace("https", "http")], True)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ("https://api.example.com", ["must be a list of origins", "Fix: ['https://api.example.com']"]),
        ([], ["allowed_origins is empty", "Fix: name one, or leave the option out"]),
        (5, ["must be a list of origins, not int", "Fix: ["]),
        (["api.example.com"], ["'api.example.com' is not an origin like 'https://api.example.com'"]),
        ([None], ["None is no text", "Fix: 'https://api.example.com'; is an environment variable unset?"]),
        ([5], ["5 is no text", "Fix: 'https://api.example.com'"]),
        ([b"https://api.example.com"], ["b'https://api.example.com' is no text", "Fix: "]),
        (["https://api.example.com/v1"], ["has more than an origin", "Fix: 'https://api.example.com'"]),
        (["https://api.example.com:8443?x"], ["has more than an origin", "Fix: 'https://api.example.com:8443'"]),
        (["https://[::1]:1/#x"], ["has more than an origin", "Fix: 'https://[::1]:1'"]),
        (["https://u:s3cr3t@api.example.com"], ["an entry with credentials", "Fix: 'https://api.example.com'"]),
    ],
)
def test_a_list_that_makes_no_sense_is_explained(allowed: Any, words: list[str]) -> None:
    """The message has the entry and the fix; it does not repeat a password."""
    with pytest.raises(ConfigurationError) as caught:
        OriginPolicy(allowed, False)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "s3cr3t" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="htps:/@.[]%#?\\ab1 \t", max_size=40))
def test_any_text_is_an_origin_or_refused(url: str) -> None:
    """The check raises the two errors only, for any text that a redirect may carry."""
    for text in (url, f"https://{url}", f"https://api.example.com{url}"):
        try:
            origin = OriginPolicy(None, False).check(text)
        except (OriginNotAllowed, InsecureTransport):
            continue
        assert origin == origin_of(text)
        assert origin[0] == "https" or is_loopback(origin[1])


@pytest.mark.parametrize(
    ("url", "allowed", "message"),
    [
        (
            "https://a.example:444/x",
            None,
            None,
        ),
        (
            "ftp://a.example:21/",
            None,
            "no token was sent to ftp://a.example:21: allowed_origins is any http(s) origin. "
            "Fix: add the origin there if this call is meant to carry the token",
        ),
        (
            "nonsense",
            ["https://b.example", "https://a.example"],
            "no token was sent to a URL without an origin: allowed_origins is https://a.example, https://b.example. "
            "Fix: add the origin there if this call is meant to carry the token",
        ),
        (
            "http://[2001:db8::1]:8080/",
            None,
            "no token was sent to http://[2001:db8::1]:8080: every machine on the way can read plain http. "
            "Fix: use https, or pass allow_insecure_http=True if the network itself is trusted",
        ),
    ],
)
def test_a_refused_origin_is_explained(url: str, allowed: list[str] | None, message: str | None) -> None:
    """The message says where the token would have gone, and the fix; no message: the token may go there."""
    policy = OriginPolicy(allowed, False)
    if message is None:
        assert policy.check(url) == origin_of(url)
        return
    with pytest.raises((OriginNotAllowed, InsecureTransport)) as caught:
        policy.check(url)
    assert str(caught.value) == message


@pytest.mark.parametrize(("url", "shown"), [("https://", "https"), ("/path", "this"), ("", "this")])
def test_a_url_without_an_origin_is_named_by_its_scheme(url: str, shown: str) -> None:
    """The URL itself may hold anything."""
    with pytest.raises(ValueError, match=f"^{shown} URL has no origin that a token could be sent to$"):
        origin_of(url)


@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        ([], "allowed_origins is empty, so no call could carry a token. Fix: name one, or leave the option out"),
        (
            ["https://api.example.com/v1"],
            "allowed_origins: 'https://api.example.com/v1' has more than an origin. Fix: 'https://api.example.com'",
        ),
        (
            ["https://u:s3cr3t@api.example.com"],
            "allowed_origins: an entry with credentials has more than an origin. Fix: 'https://api.example.com'",
        ),
    ],
)
def test_a_wrong_entry_is_explained_in_full(allowed: list[str], message: str) -> None:
    """The whole message: what, where, and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        OriginPolicy(allowed, False)
    assert str(caught.value) == message


def test_a_trailing_dot_is_the_only_thing_cut_from_a_host() -> None:
    """A host may end in any letter."""
    assert origin_of("https://api.exampleX./")[1] == origin_of("https://api.examplex")[1] == "api.examplex"


def test_no_url_has_no_origin() -> None:
    """A request without a URL is sent to none."""
    assert not same_origin(None, ("https", "api.example.com", 443))
