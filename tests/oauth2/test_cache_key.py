"""The digest behind the cache key and the single flight: every parameter counts, and no two requests share it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.grants import ClientCredentials
from m2m_auth.oauth2.token_request import TokenRequest

PLAIN: dict[str, Any] = {
    "token_endpoint": "https://tenant.example/oauth/token",
    "client_id": "client",
    "client_authentication": "client_secret_basic",
    "grant": None,
    "audience": "https://api.example.com",
    "scope": "read write",
    "resource": ["urn:a", "urn:b"],
    "extra_parameters": {"organization": "1"},
}


class Exchange:
    """A grant with parameters of its own."""

    grant_type = "client_credentials"
    encoding = "form"

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """One parameter."""
        return (("subject_token", "x"),)


def digest(generation: bytes = b"g", **options: Any) -> bytes:
    """The digest of the plain request with these options."""
    return TokenRequest.checked(**{**PLAIN, **options}).digest(generation)


@pytest.mark.parametrize(
    "options",
    [
        {"token_endpoint": "https://tenant.example/oauth/token2"},
        {"token_endpoint": "https://other.example/oauth/token"},
        {"client_id": "client2"},
        {"client_authentication": "client_secret_post"},
        {"client_authentication": ClientSecretBasic("raw")},
        {"grant": ClientCredentials("json")},
        {"grant": Exchange()},
        {"audience": None},
        {"audience": "https://api.example.com/"},
        {"scope": None},
        {"scope": "read"},
        {"scope": "readwrite"},
        {"scope": "READ write"},
        {"resource": None},
        {"resource": "urn:a"},
        {"resource": ["urn:b", "urn:a"]},
        {"extra_parameters": None},
        {"extra_parameters": {"organization": "2"}},
        {"extra_parameters": {"organisation": "1"}},
        {"extra_parameters": {"organization": "1", "x": ""}},
        {"generation": b"h"},
    ],
)
def test_every_parameter_changes_the_key(options: dict[str, Any]) -> None:
    """A key without one of them would serve one client's token to another."""
    assert digest(**options) != digest()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scope": "write read"},
        {"scope": ["write", "read", "write"]},
        {"scope": "  read\tread write "},
        {"grant": ClientCredentials()},
        {"client_authentication": ClientSecretBasic()},
        {"resource": ("urn:a", "urn:b")},
    ],
)
def test_the_same_request_written_differently_has_the_same_key(options: dict[str, Any]) -> None:
    """Scopes are a set; a name and its object are one method."""
    assert digest(**options) == digest()


def test_extra_parameters_are_a_set_too() -> None:
    """The order of a dict says nothing."""
    assert digest(extra_parameters={"a": "1", "b": "2"}) == digest(extra_parameters={"b": "2", "a": "1"})


def test_the_digest_is_a_sha256() -> None:
    """32 bytes, the same in every process: no hash randomisation."""
    assert len(digest()) == 32
    assert digest().hex() == digest().hex()


ENDPOINT = PLAIN["token_endpoint"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"token_endpoint": ENDPOINT + "x"}, {"client_id": "xclient"}),
        ({"extra_parameters": {"a": "bc"}}, {"extra_parameters": {"ab": "c"}}),
        ({"extra_parameters": {"a": "b", "c": "d"}}, {"extra_parameters": {"a": "bcd"}}),
        ({"scope": ["ab", "c"]}, {"scope": ["a", "bc"]}),
        ({"scope": ["a", "b"]}, {"scope": ["ab"]}),
        ({"scope": "x"}, {"audience": PLAIN["audience"] + "1x", "scope": None}),
        ({"resource": ["a:b", "a:c"]}, {"resource": ["a:ba", "a::c"]}),
        ({"resource": ["a:b", "c:d"]}, {"resource": ["a:bc:d"]}),
        ({"scope": ["a", "b:c"], "resource": None}, {"scope": ["a"], "resource": "b:c"}),
        ({"generation": b"gclient_credentials"}, {"generation": b"g"}),
    ],
)
def test_values_that_read_alike_in_a_row_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Without the length in front of each value, both requests would be the same bytes."""
    assert digest(**one) != digest(**other)


# From an alphabet of few letters, so that concatenations coincide wherever lengths are not kept apart.
WORD = st.text("a:1", min_size=1, max_size=3)
URI = WORD.map(lambda word: "a:" + word)
SETS = st.fixed_dictionaries(
    {
        "client_id": WORD,
        "audience": st.none() | WORD,
        "scope": st.lists(WORD, max_size=3),
        "resource": st.lists(URI, max_size=3),
        "extra_parameters": st.dictionaries(WORD, WORD | st.just(""), max_size=2),
        "generation": st.sampled_from([b"a", b"aa", b""]),
    }
)


def canonical(options: dict[str, Any]) -> dict[str, Any]:
    """What makes two sets of options the same request."""
    return {**options, "scope": frozenset(options["scope"])}


@settings(max_examples=500, deadline=None)
@given(SETS, SETS)
def test_two_different_requests_never_have_one_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Lengths and counts keep a value apart from the next field and from the end of its list."""
    assert (digest(**one) == digest(**other)) is (canonical(one) == canonical(other))


@settings(max_examples=300, deadline=None)
@given(SETS, st.data())
def test_moving_a_value_to_the_next_field_changes_the_key(options: dict[str, Any], data: st.DataObject) -> None:
    """Near misses: one value dropped, doubled, or moved between two fields."""
    names = ["scope", "resource"]
    source, target = data.draw(st.permutations(names))
    moved = {**options, source: [*options[source], "a:a"], target: options[target]}
    other = {**options, source: options[source], target: [*options[target], "a:a"]}
    assert (digest(**moved) == digest(**other)) is (canonical(moved) == canonical(other))
