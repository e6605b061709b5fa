"""Bad input: each mistake is an error that says what is wrong, where, and the fix."""

from __future__ import annotations

import os
from typing import Any

import pytest

from m2m_auth import AnswerRules, ConfigurationError, TokenSource
from m2m_auth.errors import missing_extra, nearest
from m2m_auth.oauth2.grants import ClientCredentials
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse

URL = "https://tenant.example/oauth/token"
BLANK = ["is blank", "Fix: set it", "environment variable"]
NOT_URL = ["token_endpoint", "is not a URL like 'https://tenant.example/oauth/token'"]

# options, and what the message must contain: what it is, where it is, what to do
TABLE: list[tuple[dict[str, Any], list[str]]] = [
    ({"client_id": ""}, ["client_id", *BLANK]),
    ({"client_id": " \n"}, ["client_id", *BLANK]),
    ({"client_id": None}, ["client_id must be a string, not NoneType"]),
    ({"client_id": " client"}, ["client_id begins or ends with white space", "Fix: client_id.strip()"]),
    ({"client_id": "a\ud800"}, ["client_id has characters that are not UTF-8", "Fix: "]),
    ({"client_secret": None}, ["client_secret is missing", "client_secret_basic", "Fix: pass client_secret="]),
    ({"client_secret": ""}, ["client_secret", *BLANK]),
    ({"client_secret": "   "}, ["client_secret", *BLANK]),
    ({"client_secret": "s3cr3t\n"}, ["client_secret begins or ends with white space", "Fix: client_secret.strip()"]),
    ({"client_secret": "\ts3cr3t"}, ["client_secret begins or ends with white space"]),
    ({"client_secret": b"s3cr3t"}, ["client_secret must be a string or a callable", "not bytes"]),
    ({"client_secret": 5}, ["client_secret must be a string or a callable", "not int"]),
    ({"client_secret": "s3cr3t\udcff"}, ["client_secret has characters that are not UTF-8", "Fix: "]),
    ({"token_endpoint": ""}, ["token_endpoint", *BLANK]),
    ({"token_endpoint": None}, ["token_endpoint must be a string, not NoneType"]),
    ({"token_endpoint": "tenant.example/oauth/token"}, NOT_URL),
    ({"token_endpoint": "ftp://tenant.example/"}, NOT_URL),
    ({"token_endpoint": "https:///oauth/token"}, NOT_URL),
    ({"token_endpoint": "https://tenant.example:port/"}, NOT_URL),
    ({"token_endpoint": "https://[::1/"}, NOT_URL),
    ({"token_endpoint": "https://tenant.example/a b"}, NOT_URL),
    ({"token_endpoint": "https://tenant.example/a\nb"}, NOT_URL),
    ({"token_endpoint": "https://tenant.example\\evil/"}, NOT_URL),
    ({"token_endpoint": URL + "#top"}, ["token_endpoint", "fragment", "Fix: drop '#top'"]),
    (
        {"token_endpoint": "https://id:s3cr3t@tenant.example/"},
        ["token_endpoint has credentials", "Fix: pass client_id="],
    ),
    ({"token_endpoint": "http://tenant.example/t"}, ["'http://tenant.example/t' is plain http", "Fix: use https"]),
    ({"token_endpoint": "http://localhost.tenant.example/t"}, ["is plain http", "Fix: use https"]),
    ({"scope": "read,write"}, ["scope='read,write' has a comma", "Fix: separate scopes by spaces"]),
    ({"scope": ["read", "a,b"]}, ["scope='a,b' has a comma", "or pass a list"]),
    ({"scope": ["read write"]}, ["scope='read write' has a space", "Fix: in a list, each element is one scope"]),
    ({"scope": 'say"hi"'}, ["no scope may have (RFC 6749 §3.3)"]),
    ({"scope": "l\u00e9ger"}, ["no scope may have"]),
    ({"scope": 5}, ["scope must be a string or a list of strings, not int"]),
    ({"scope": [5]}, ["scope must be a string, not int"]),
    ({"scope": ["read", ""]}, ["scope", *BLANK]),
    ({"audience": ""}, ["audience", *BLANK]),
    ({"audience": ["a"]}, ["audience must be a string, not list"]),
    ({"audience": "https://api.example.com "}, ["audience begins or ends with white space", "Fix: audience.strip()"]),
    ({"resource": "api"}, ["resource='api' must be an absolute URI", "pass audience="]),
    ({"resource": ["urn:a", "urn:b#c"]}, ["resource='urn:b#c'", "without a fragment"]),
    ({"resource": "https://[::1/"}, ["resource='https://[::1/' must be an absolute URI"]),
    ({"resource": 5}, ["resource must be a string or a list of strings, not int"]),
    ({"resource": [None]}, ["resource must be a string, not NoneType"]),
    ({"resource": ""}, ["resource", *BLANK]),
    ({"alias": ""}, ["alias='' must be a short printable name"]),
    ({"alias": "a\nb"}, ["alias='a\\nb' must be"]),
    ({"alias": 5}, ["alias=5 must be"]),
    ({"extra_parameters": [("a", "b")]}, ["extra_parameters must be a dict of strings, not list"]),
    ({"extra_parameters": {"a": 5}}, ["extra_parameters['a'] must be a string"]),
    ({"extra_parameters": {5: "a"}}, ["extra_parameters[5] must be a string"]),
    ({"extra_parameters": {"a": "\ud800"}}, ["extra_parameters['a'] has characters that are not UTF-8"]),
    ({"extra_parameters": {"audience": "a"}}, ["'audience', which has its own option", "Fix: pass audience="]),
    ({"extra_parameters": {"grant_type": "a"}}, ["'grant_type', which has its own option", "Fix: pass grant="]),
    ({"extra_parameters": {"client_assertion_type": "a"}}, ["Fix: pass client_authentication="]),
    ({"grant": "client_credentials"}, ["grant=str is not a grant", "Fix: leave it out, or pass ClientCredentials()"]),
    ({"grant": ClientCredentials}, ["grant=type is not a grant", "Fix: "]),
    ({"client_authentication": "client_secret_pos"}, ["did you mean 'client_secret_post'?", "Known: "]),
    ({"cache": "redys://x"}, ["cache='redys://x'", "Known: memory:, disk:"]),
    ({"cache": "disc:"}, ["cache='disc:'", "did you mean 'disk'?"]),
    ({"cache": "disk"}, ["cache='disk'", "did you mean 'disk:'?", "Known: "]),
    ({"cache": object()}, ["cache=object is neither a URL such as 'disk:', nor a known client"]),
    ({"cache": {}}, ["cache=dict is neither"]),
    ({"encryption_keys": "0123456789abcdef"}, ["encryption_keys must be a list", "Fix: [key]"]),
    ({"encryption_keys": 5}, ["encryption_keys must be a list", "Fix: [key]"]),
    ({"encryption_keys": []}, ["encryption_keys is empty", "Fix: leave it out"]),
    ({"encryption_keys": ["short-s3cr3t"]}, ["shorter than 16 bytes", "Fix: secrets.token_urlsafe(32)"]),
    ({"encryption_keys": ["0123456789abcdef", None]}, ["a key that is neither text nor bytes", "Fix: secrets."]),
    ({"policy": {"max_wait": 3}}, ["policy must be a RenewalPolicy, not dict", "Fix: RenewalPolicy(**policy)"]),
    ({"policy": 0}, ["policy must be a RenewalPolicy, not int"]),
    ({"answers": {"token_field": "token"}}, ["answers must be an AnswerRules, not dict. Fix: AnswerRules(**answers)"]),
    ({"answers": AnswerRules}, ["answers must be an AnswerRules, not the class AnswerRules itself"]),
    ({"allow_insecure_http": "false"}, ["allow_insecure_http must be a bool, not 'false'", "Fix: True or False"]),
    ({"allow_insecure_http": None}, ["allow_insecure_http must be a bool, not NoneType"]),
    ({"budget": 100}, ["budget must be a MintBudget, not int", "Fix: MintBudget(…)"]),
    ({"clock": 5}, ["clock=int has no monotonic()", "Fix: subclass m2m_auth.Clock"]),
    ({"on_event": "print"}, ["on_event=str is not callable", "Fix: a function"]),
    ({"transport": 5}, ["transport=int is neither a callable", "requests.Session"]),
]


def no_network(request: HttpRequest) -> HttpResponse:
    """A transport that must not be asked."""
    raise AssertionError("bad input is found before any I/O")


def source(**options: Any) -> TokenSource:
    """A source with these options, the rest in order."""
    fine: dict[str, Any] = {"token_endpoint": URL, "client_id": "client", "client_secret": "s3cr3t"}
    return TokenSource(**{**fine, "transport": no_network, **options})


@pytest.mark.parametrize(("options", "words"), TABLE)
def test_every_mistake_is_explained(options: dict[str, Any], words: list[str]) -> None:
    """What, where, and the fix; never the secret."""
    with pytest.raises(ConfigurationError) as caught:
        source(**options)
    message = str(caught.value)
    assert [word for word in words if word not in message] == []
    assert "s3cr3t" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"audiance": "a"},
            ["unknown option 'audiance'", "did you mean 'audience'?", "Known: token_endpoint, client_id"],
        ),
        ({"scopes": "a"}, ["unknown option 'scopes'", "did you mean 'scope'?"]),
        ({"zzz": "a"}, ["unknown option 'zzz'. Known: token_endpoint"]),
        ({"allowed_origins": ["https://a"]}, ["allowed_origins is an option of M2MAuth", "not of TokenSource"]),
    ],
)
def test_a_typo_in_an_option_is_a_type_error(options: dict[str, Any], words: list[str]) -> None:
    """A keyword argument that does not exist is a TypeError, as in any Python call; it names the nearest one."""
    with pytest.raises(TypeError) as caught:
        source(**options)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"token_endpoint": "http://localhost:8080/token"},
        {"token_endpoint": "http://127.0.0.1/token"},
        {"token_endpoint": "http://[::1]:8080/token"},
        {"token_endpoint": "http://as.localhost/token"},
        {"token_endpoint": "HTTPS://Tenant.example/token?tenant=a"},
        {"client_secret": "p\u00e4ss w\u00f6rd: 50% + \u20ac"},
        {"client_secret": lambda: "s3cr3t"},
        {"scope": "read:users https://api.example/.default"},
        {"scope": {"a", "b"}},
        {"resource": ("urn:a", "https://b.example/")},
        {"extra_parameters": {"organization": ""}},
        {"encryption_keys": [b"0123456789abcdef", "0123456789abcdef"]},
    ],
)
def test_what_makes_sense_is_accepted(options: dict[str, Any]) -> None:
    """Options that make sense are not refused."""
    assert source(**options).status().state == "none"


def test_a_secret_with_a_wrong_byte_is_not_in_the_chain_of_the_error() -> None:
    """Python's own UnicodeEncodeError would carry the whole secret along, for an error reporter to print."""
    secret = os.fsdecode(b"s3cr3t\xff")
    with pytest.raises(ConfigurationError) as caught:
        source(client_secret=secret)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_missing_extra_names_the_command() -> None:
    """The message ends with a command that a reader can paste into a shell."""
    message = missing_extra("cache='redis://x'", ImportError("no", name="redis"), "redis")
    assert "cache='redis://x' needs the package 'redis'" in message
    assert message.endswith("pip install 'm2m-auth[redis]'")


def test_the_nearest_name_is_offered_only_when_it_is_near() -> None:
    """A name that is not near is not offered: it would mislead."""
    assert nearest("audiance", ["scope", "audience"]) == " (did you mean 'audience'?)"
    assert nearest("zzz", ["scope", "audience"]) == ""
