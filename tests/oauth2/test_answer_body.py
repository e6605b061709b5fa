"""Bodies: JSON and forms, whatever their type and charset say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.oauth2.answer_body import answer_fields, media_type
from m2m_auth.oauth2.transport import HttpResponse

FORM = "application/x-www-form-urlencoded"
GOOD = {"access_token": "opaque", "expires_in": 60}


def fields_of(body: bytes, content_type: str | None = "application/json") -> dict[str, object] | None:
    """The fields of a 200 with this body."""
    return answer_fields(HttpResponse(200, {} if content_type is None else {"Content-Type": content_type}, body))


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/html",
        "text/plain;charset=utf-8",
        "application/octet-stream",
        FORM,
        "application/vnd.x+json",
        "?",
    ],
)
def test_json_under_any_type(content_type: str | None) -> None:
    """Servers send JSON as text/html; RFC 6749 §5.1's type says no more than the body does."""
    assert fields_of(json.dumps(GOOD).encode(), content_type) == GOOD


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_json_in_any_charset(charset: str) -> None:
    """With or without a byte order mark, and whatever the type says of it."""
    text = json.dumps({**GOOD, "error_description": "caf\u00e9"}, ensure_ascii=False)
    found = fields_of(text.encode(charset), "application/json; charset=nonsense")
    assert found == {**GOOD, "error_description": "caf\u00e9"}


@pytest.mark.parametrize("before", ["", " ", "\r\n\t", "\ufeff", "\ufeff\ufeff\n"])
@pytest.mark.parametrize("after", ["", "\r\n", "\x00", " <!-- 12 ms -->", '{"access_token":"opaque"}', "]"])
def test_what_stands_around_the_json(before: str, after: str) -> None:
    """White space, a second byte order mark, what a server appends: the token is paid for."""
    assert fields_of(f"{before}{json.dumps(GOOD)}{after}".encode()) == GOOD


def test_json_that_was_encoded_twice() -> None:
    """Gateways and frameworks that get the JSON as a text and serialise it once more."""
    assert fields_of(json.dumps(json.dumps(GOOD)).encode()) == GOOD


def test_a_line_break_inside_of_a_string() -> None:
    """Strict JSON forbids it, and servers send descriptions with it."""
    assert fields_of(b'{"error":"invalid_client","error_description":"a\nb"}') == {
        "error": "invalid_client",
        "error_description": "a\nb",
    }


def test_the_first_object_of_a_list() -> None:
    """Salesforce sends errors so."""
    assert fields_of(b'[{"errorCode":"x"},{"errorCode":"y"}]') == {"errorCode": "x"}


@pytest.mark.parametrize("content_type", [f"{FORM}; charset=utf-8", FORM.upper(), "text/plain", "text/html", "", None])
@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_a_form_by_its_type_or_by_its_shape(content_type: str | None, end: bytes) -> None:
    """GitHub's answer, as it comes without ``Accept``; PHP sends forms as text/html."""
    body = b"access_token=gho_16C%2B7e&scope=repo%2Cgist&token_type=bearer&empty=" + end
    expected = {"access_token": "gho_16C+7e", "scope": "repo,gist", "token_type": "bearer", "empty": ""}
    assert fields_of(body, content_type) == expected


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"hello", b"<a href='/?x=1&access_token=s3cr3t&y=2'>", b"see access_token=x", b"access_token=x y"],
        *[b"<html><body>a=b&access_token=x</body></html>", b'"access_token=x"', b"null", b"5"],
    ],
)
@pytest.mark.parametrize("content_type", ["text/html", "text/plain", None])
def test_a_page_is_no_form(body: bytes, content_type: str | None) -> None:
    """A page with such words in it holds no token."""
    assert fields_of(body, content_type) is None


def test_a_form_of_many_fields_is_none() -> None:
    """A megabyte of ampersands costs no time."""
    assert fields_of(b"a=1&" * 200_000, FORM) is None


def test_a_form_needs_a_field() -> None:
    """An empty body of that type says nothing."""
    assert fields_of(b"", FORM) is None


def test_a_media_type_is_shown_or_nothing() -> None:
    """A header that is none is not repeated."""
    assert media_type(HttpResponse(200, {"Content-Type": " Text/HTML ; q"}, b"")) == "text/html"
    assert media_type(HttpResponse(200, {"Content-Type": "<script>"}, b"")) is None


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.none() | st.sampled_from([FORM, "text/plain", "application/json; charset=utf-16"]) | st.text(max_size=30),
)
def test_any_bytes_have_fields_or_none(body: bytes, content_type: str | None) -> None:
    """Nothing is raised."""
    found = fields_of(body, content_type)
    assert found is None or all(isinstance(name, str) for name in found)
