"""The errors: their tree, their facts, and how they travel to another process."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from m2m_auth import errors
from m2m_auth.errors import (
    CacheUnavailable,
    ConfigurationError,
    InsecureTransport,
    M2MAuthError,
    MalformedTokenResponse,
    MintBudgetExhausted,
    OriginNotAllowed,
    TokenEndpointUnavailable,
    TokenRequestRejected,
    TokenUnavailable,
    also_a,
)

FACTS: dict[str, Any] = {
    "status": 401,
    "error": "invalid_client",
    "error_description": "No.",
    "error_uri": "https://as.example/e",
}
UNAVAILABLE: list[TokenUnavailable] = [
    TokenUnavailable("none", cause_code="max_wait", retry_after=1.5),
    TokenRequestRejected("no", cause_code="invalid_client", retry_after=30.0, **FACTS),
    TokenEndpointUnavailable("down", cause_code="http_503", retry_after=None, status=503),
    MalformedTokenResponse("what?", cause_code="malformed_response", retry_after=2.0),
    MintBudgetExhausted("spent", cause_code="budget", retry_after=60.0),
]
OTHERS: list[M2MAuthError] = [
    ConfigurationError("fix it"),
    OriginNotAllowed("no", origin="https://a.example", allowed=("https://b.example",)),
    InsecureTransport("no", origin="http://a.example"),
    CacheUnavailable("gone"),
]


class ErrorWithWords(Exception):
    """A library's base error with words of its own, such as urllib's ``URLError``."""

    def __str__(self) -> str:
        raise AttributeError("an attribute that only this library sets")


LIBRARIES: list[type[Exception]] = [requests.RequestException, httpx.HTTPError, ErrorWithWords]


def plain_facts(error: BaseException) -> tuple[Any, ...]:
    """Two errors are the same if these are equal."""
    return type(error), error.args, str(error), vars(error)


def test_the_tree() -> None:
    """The base classes are the API of every ``except`` clause."""
    parents = {name: getattr(errors, name).__bases__ for name in errors.__all__}
    assert parents.pop("M2MAuthError") == (Exception,)
    for name in ("ConfigurationError", "OriginNotAllowed", "InsecureTransport", "TokenUnavailable", "CacheUnavailable"):
        assert parents.pop(name) == (M2MAuthError,)
    assert {"TokenRequestRejected", "TokenEndpointUnavailable", "MalformedTokenResponse"} <= set(parents)
    assert set(parents.values()) == {(TokenUnavailable,)}


def test_every_error_of_the_tree_is_tested_here() -> None:
    """A new error class needs an example in this file."""
    assert {type(error).__name__ for error in [*UNAVAILABLE, *OTHERS]} == {*errors.__all__} - {"M2MAuthError"}


def test_facts_are_attributes() -> None:
    """A program reads the facts as attributes; it does not parse the message."""
    rejected, down = UNAVAILABLE[1], UNAVAILABLE[2]
    assert vars(rejected) == {**FACTS, "cause_code": "invalid_client", "retry_after": 30.0}
    assert vars(down) == {"cause_code": "http_503", "retry_after": None, "status": 503}
    assert vars(OTHERS[1]) == {"origin": "https://a.example", "allowed": ("https://b.example",)}
    assert vars(OTHERS[2]) == {"origin": "http://a.example"}


def test_every_error_survives_a_pickle_and_a_copy() -> None:
    """Process pools pickle errors, and retry libraries copy them: type, message and facts stay."""
    for error in [*UNAVAILABLE, *OTHERS]:
        pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
        for again in [*pickled, copy.copy(error), copy.deepcopy(error)]:
            assert again is not error
            assert plain_facts(again) == plain_facts(error)


def test_an_error_is_also_the_librarys() -> None:
    """Both families catch the combined error. It has the library's attributes and the plain class's name and docs."""
    for error, library in product(UNAVAILABLE, LIBRARIES):
        combined = also_a(error, library, request=object())
        assert isinstance(combined, library)
        assert isinstance(combined, type(error))
        assert (type(combined).__name__, type(combined).__doc__) == (type(error).__name__, type(error).__doc__)
        assert str(combined) == str(error)
        assert vars(combined)["cause_code"] == error.cause_code
        assert type(also_a(error, library)) is type(combined), "one class per pair, not one per error"


def test_a_combined_error_is_pickled_as_the_plain_one() -> None:
    """The other process may lack the library, and a request may hold what cannot be pickled."""
    for error, library, protocol in product(UNAVAILABLE, LIBRARIES, range(pickle.HIGHEST_PROTOCOL + 1)):
        attribute = "_request" if library is httpx.HTTPError else "request"
        combined = also_a(error, library, **{attribute: lambda: None, "response": None})
        again = pickle.loads(pickle.dumps(combined, protocol))
        for copied in (again, copy.copy(combined), copy.deepcopy(combined), pickle.loads(pickle.dumps(again))):
            assert plain_facts(copied) == plain_facts(error)
        with pytest.raises(type(error)) as caught:
            raise again
        assert caught.value.retry_after == error.retry_after


class OwnError(TokenUnavailable):
    """An error class that a user derives."""


def test_a_users_subclass_keeps_its_class() -> None:
    """Pickling replaces only the classes that ``also_a`` makes."""
    again = pickle.loads(pickle.dumps(OwnError("mine", cause_code="own")))
    assert (type(again), again.cause_code) == (OwnError, "own")


def test_a_message_is_enough_to_rebuild_an_error() -> None:
    """Task queues such as Celery rebuild an error from its class and its message."""
    for kind in {type(error) for error in UNAVAILABLE}:
        rebuilt = kind("no token")
        assert (str(rebuilt), rebuilt.cause_code, rebuilt.retry_after) == ("no token", "unknown", None)


TOP = Path(__file__).parent.parent


def written_cause_codes() -> Iterator[str]:
    """Every cause code that the engine and the transports write as a literal."""
    for room in ("source", "lifecycle", "oauth2", "http"):
        for file in (TOP / "src" / "m2m_auth" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                for expression in code_expressions(node):
                    constants = (each.value for each in ast.walk(expression) if isinstance(each, ast.Constant))
                    yield from (
                        each for each in constants if isinstance(each, str) and re.fullmatch("[a-z_]{3,}", each)
                    )


def code_expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Where a cause code stands: in a call, as a default, and at the end of what ``_words()`` returns."""
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        yield from node.args[{"Failure": 3, "TransportError": 1}.get(name, len(node.args)) :][:1]
        yield from (each.value for each in node.keywords if each.arg == "cause_code")
    if isinstance(node, ast.FunctionDef) and node.name == "_words":
        tuples = (each.value for each in ast.walk(node) if isinstance(each, ast.Return))
        yield from (each.elts[-1] for each in tuples if isinstance(each, ast.Tuple))


def test_the_page_has_every_cause_code() -> None:
    """docs/errors.md lists the words that dashboards are built on, and none that no code writes."""
    page = (TOP / "docs" / "errors.md").read_text("utf-8")
    first_cells = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    listed = {code for cell in first_cells for code in re.findall(r"`([a-z_0-9]+)`", cell)}
    of_servers = {"invalid_client", "invalid_scope", "http_403", "http_429", "http_503", "cause_code"}
    assert listed - of_servers == {*written_cause_codes()}
