"""The options of a token request: each mistake is explained before any I/O, and nothing more is refused."""

from __future__ import annotations

from typing import Any

import pytest

from m2m_auth import ConfigurationError
from m2m_auth.oauth2.grants import ClientCredentials
from m2m_auth.oauth2.token_request import TokenRequest

URL = "https://tenant.example/oauth/token"
LIKE = "is not a URL like 'https://tenant.example/oauth/token'"
BLANK = "is blank. Fix: set it; an unset environment variable is the usual cause"
NOT_UTF8 = "has characters that are not UTF-8. Fix: decode it with its own encoding"
NO_SCOPE = "has characters that no scope may have (RFC 6749 §3.3)"
COMMA = "has a comma. Fix: separate scopes by spaces, or pass a list"
NO_URI = "must be an absolute URI without a fragment (RFC 8707 §2). A plain name is usually an audience: pass audience="
PLAIN_HTTP = "is plain http, and the client secret goes there. Fix: use https (RFC 6749 §3.2), or pass "
PLAIN_HTTP += "allow_insecure_http=True if the network itself is trusted"

MISTAKES: list[tuple[dict[str, Any], str]] = [
    *(({name: ""}, f"{name} {BLANK}") for name in ("token_endpoint", "client_id", "audience", "resource")),
    *(({name: " \n"}, f"{name} {BLANK}") for name in ("token_endpoint", "client_id", "audience", "resource")),
    *(({name: 5}, f"{name} must be a string, not int") for name in ("token_endpoint", "client_id", "audience")),
    ({"client_id": " a"}, "client_id begins or ends with white space. Fix: client_id.strip()"),
    ({"client_id": "a\n"}, "client_id begins or ends with white space. Fix: client_id.strip()"),
    ({"client_id": "a\ud800"}, f"client_id {NOT_UTF8}"),
    ({"token_endpoint": "tenant.example/token"}, f"token_endpoint='tenant.example/token' {LIKE}"),
    ({"token_endpoint": "ftp://tenant.example/"}, f"token_endpoint='ftp://tenant.example/' {LIKE}"),
    ({"token_endpoint": "https:///token"}, f"token_endpoint='https:///token' {LIKE}"),
    ({"token_endpoint": "https://tenant.example:port/"}, f"token_endpoint {LIKE}"),
    ({"token_endpoint": "https://[::1/"}, f"token_endpoint {LIKE}"),
    ({"token_endpoint": "https://a.example/a b"}, f"token_endpoint='https://a.example/a b' {LIKE}"),
    ({"token_endpoint": "https://a.example/\x7f"}, f"token_endpoint='https://a.example/\\x7f' {LIKE}"),
    ({"token_endpoint": "https://a.example\\b/"}, f"token_endpoint='https://a.example\\\\b/' {LIKE}"),
    (
        {"token_endpoint": URL + "#top"},
        f"token_endpoint='{URL}#top' has a fragment (RFC 6749 §3.2). Fix: drop '#top'",
    ),
    *(
        (
            {"token_endpoint": f"https://{user}@a.example/"},
            "token_endpoint has credentials in the URL. Fix: pass client_id= and client_secret=",
        )
        for user in ("id:s3cr3t", "id", ":s3cr3t", "")
    ),
    ({"token_endpoint": "http://a.example/t"}, f"token_endpoint='http://a.example/t' {PLAIN_HTTP}"),
    ({"token_endpoint": "http://localhost.a.example/"}, f"token_endpoint='http://localhost.a.example/' {PLAIN_HTTP}"),
    ({"grant": "client_credentials"}, "grant=str is not a grant. Fix: leave it out, or pass ClientCredentials()"),
    ({"grant": ClientCredentials}, "grant=type is not a grant. Fix: leave it out, or pass ClientCredentials()"),
    ({"scope": "read,write"}, f"scope='read,write' {COMMA}"),
    ({"scope": ["read", "a,b"]}, f"scope='a,b' {COMMA}"),
    ({"scope": ["read write"]}, "scope='read write' has a space. Fix: in a list, each element is one scope"),
    *(({"scope": f"a{each}b"}, f"scope={f'a{each}b'!r} {NO_SCOPE}") for each in '"\\\x7f\u00e9\x00'),
    ({"scope": 5}, "scope must be a string or a list of strings, not int"),
    ({"scope": [5]}, "scope must be a string, not int"),
    ({"scope": ["read", ""]}, f"scope {BLANK}"),
    ({"resource": "api"}, f"resource='api' {NO_URI}"),
    ({"resource": ["urn:a", "urn:b#c"]}, f"resource='urn:b#c' {NO_URI}"),
    ({"resource": "https://[::1/"}, f"resource='https://[::1/' {NO_URI}"),
    ({"resource": 5}, "resource must be a string or a list of strings, not int"),
    ({"resource": [None]}, "resource must be a string, not NoneType"),
    ({"resource": [""]}, f"resource {BLANK}"),
    ({"extra_parameters": [("a", "b")]}, "extra_parameters must be a dict of strings, not list"),
    ({"extra_parameters": {"a": 5}}, "extra_parameters['a'] must be a string"),
    ({"extra_parameters": {5: "a"}}, "extra_parameters[5] must be a string"),
    ({"extra_parameters": {"a": "\ud800"}}, "extra_parameters['a'] has characters that are not UTF-8. Fix: decode it"),
    (
        {"extra_parameters": {"a\ud800": "a"}},
        "extra_parameters['a\\ud800'] has characters that are not UTF-8. Fix: decode it",
    ),
    *(
        (
            {"extra_parameters": {"b": "x", name: "a"}},
            f"extra_parameters has {name!r}, which has its own option. Fix: pass {option}=",
        )
        for name, option in [
            *((name, name) for name in ("scope", "audience", "resource", "client_id", "client_secret")),
            ("grant_type", "grant"),
            ("client_assertion", "client_authentication"),
            ("client_assertion_type", "client_authentication"),
        ]
    ),
]


def checked(options: dict[str, Any]) -> TokenRequest:
    """The request with these options."""
    names = ("grant", "audience", "scope", "resource", "extra_parameters")
    fine = {"token_endpoint": URL, "client_id": "client", "client_authentication": "client_secret_basic"}
    return TokenRequest.checked(**{**dict.fromkeys(names), **fine, **options})


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_is_explained(options: dict[str, Any], message: str) -> None:
    """The message names the option, what is wrong with it, and the fix; it shows no credentials."""
    with pytest.raises(ConfigurationError) as caught:
        checked(options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [
        *({"token_endpoint": url} for url in ("http://localhost:8080/t", "http://127.0.0.1/t", "http://[::1]:8080/t")),
        *({"token_endpoint": url} for url in ("http://as.localhost/t", "HTTPS://Tenant.example/token?tenant=a")),
        {"client_id": "p\u00e4ss w\u00f6rd: 50% + \u20ac"},
        {"scope": "read:users https://api.example/.default !#$[]~"},
        {"audience": "any text that is no URL"},
        {"resource": ("urn:a", "https://b.example/?q")},
        {"extra_parameters": {"organization": "", "client_secret2": "x"}},
        {"grant": ClientCredentials("json")},
    ],
)
def test_what_makes_sense_is_kept_as_it_is(options: dict[str, Any]) -> None:
    """The table above refuses nothing that a server may want."""
    request = checked(options)
    found = {**request._asdict(), "scope": " ".join(request.scopes), "resource": request.resources}
    found["extra_parameters"] = dict(request.extra_parameters)
    assert {name: found[name] for name in options} == options


def test_a_request_without_options_asks_for_the_grant_only() -> None:
    """Nothing is added that the user did not ask for."""
    request = checked({})
    assert (request.token_endpoint, request.client_id, request.authentication.method) == (
        URL,
        "client",
        "client_secret_basic",
    )
    assert (request.audience, request.scopes, request.resources, request.extra_parameters) == (None, (), (), ())
    assert request.parameters() == [("grant_type", "client_credentials")]


def test_the_same_scope_twice_is_asked_for_once() -> None:
    """The order of the user stays."""
    assert checked({"scope": ["b", "a", "b"]}).scopes == ("b", "a")


def test_a_digest_never_changes() -> None:
    """A fleet upgrades host by host, and the tokens in the shared cache stay valid: these values are from today."""
    every = {
        "audience": "https://api.example.com",
        "scope": "b a",
        "resource": ["urn:a"],
        "extra_parameters": {"x": "y"},
    }
    assert checked({}).digest(b"g").hex() == "812e00496e83dc45e247d0301794b6845d45cb111255f0356a4cced4d7db4f1b"
    assert checked(every).digest(b"g").hex() == "83dad640cae2affc2c150a78978cf79951d64c5de3485e31ea6f8cf228d56566"
