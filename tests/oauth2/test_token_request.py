"""How a token request is written: form or JSON, and nothing in it is lost or shown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.oauth2.client_authentication.protocol import RequestCredentials
from m2m_auth.oauth2.grants import ClientCredentials
from m2m_auth.oauth2.token_request import TokenRequest, build
from m2m_auth.oauth2.transport import HttpRequest

URL = "https://tenant.example/oauth/token"
PLAIN: dict[str, Any] = {
    "client_authentication": "client_secret_basic",
    "grant": None,
    "audience": None,
    "scope": None,
    "resource": None,
    "extra_parameters": None,
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def parameters(**options: Any) -> list[tuple[str, str]]:
    """The parameters of the token request with these options."""
    return TokenRequest.checked(URL, "client", **{**PLAIN, **options}).parameters()


def test_a_form_by_default() -> None:
    """RFC 6749 §4.4.2: a POST with a form, which asks for JSON."""
    request = build(URL, [("grant_type", "client_credentials")], {"Authorization": "Basic x"}, "form", 7.5)
    assert (request.method, request.url, request.timeout) == ("POST", URL, 7.5)
    assert request.body == b"grant_type=client_credentials"
    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Cache-Control": "no-store",
        "Authorization": "Basic x",
    }


def test_json_as_an_option() -> None:
    """Some vendors want a JSON object; a repeated parameter is a list there."""
    pairs = [("grant_type", "client_credentials"), ("resource", "a:1"), ("resource", "b:2")]
    request = build(URL, pairs, {}, "json", 7.5)
    assert json.loads(request.body) == {"grant_type": "client_credentials", "resource": ["a:1", "b:2"]}
    assert request.headers["Content-Type"] == "application/json"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_a_form_reads_back_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    """Space, %, :, +, &, = and every other character survive."""
    body = build(URL, pairs, {}, "form", 1.0).body.decode("ascii")
    assert parse_qsl(body, keep_blank_values=True) == pairs


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXT, TEXT, max_size=6))
def test_json_reads_back_as_it_was_written(pairs: dict[str, str]) -> None:
    """The same for the JSON body."""
    assert json.loads(build(URL, pairs.items(), {}, "json", 1.0).body) == pairs


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"audience": "https://api.example.com"}, [("audience", "https://api.example.com")]),
        ({"scope": "read write"}, [("scope", "read write")]),
        ({"scope": ["write", "read", "write"]}, [("scope", "write read")]),
        ({"scope": "  read \t write  read "}, [("scope", "read write")]),
        ({"scope": ""}, []),
        ({"scope": []}, []),
        ({"resource": "https://a.example"}, [("resource", "https://a.example")]),
        ({"resource": ["urn:a", "urn:b"]}, [("resource", "urn:a"), ("resource", "urn:b")]),
        ({"extra_parameters": {"organization": "org_1", "x": ""}}, [("organization", "org_1"), ("x", "")]),
        ({"grant": ClientCredentials("json")}, []),
    ],
)
def test_options_become_parameters(options: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Audience, scope (string or list), resource (repeatable) and the extra ones: each once, in order."""
    assert parameters(**options) == [("grant_type", "client_credentials"), *expected]


def test_the_request_shows_neither_headers_nor_body() -> None:
    """Error reporters print the repr of a transport's locals."""
    request = HttpRequest("POST", URL, {"Authorization": "s3cr3t"}, b"s3cr3t", 1.0)
    assert repr(request) == f"<HttpRequest POST {URL}>"
    assert (
        repr(RequestCredentials({"Authorization": "s3cr3t"}, (("client_secret", "s3cr3t"),))) == "<RequestCredentials>"
    )
