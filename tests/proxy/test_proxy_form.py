"""How the proxy parses a token request (RFC 6749 §2.3.1, §3.2, §4.4.2), and what it refuses before any look-up."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_steps import post

from m2m_auth.proxy.token_requests import ParsedRequest, parse
from m2m_auth.serving import Request
from m2m_auth.serving.http_messages import ErrorAnswer
from m2m_auth.values import replace

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
GRANT = ("grant_type", "client_credentials")


def request(body: bytes, content_type: str = FORM, authorization: str | None = None) -> Request:
    """A POST to the token endpoint."""
    headers = {"content-type": content_type}
    if authorization is not None:
        headers["authorization"] = authorization
    return post("/oauth/token", headers, body)


def form(*pairs: tuple[str, str], authorization: str | None = None) -> ParsedRequest:
    """The first reading of a form."""
    return parse(request(urlencode(pairs).encode(), authorization=authorization))[0]


def document(value: Any, **options: Any) -> ParsedRequest:
    """The first reading of a JSON body."""
    return parse(request(json.dumps(value).encode(), JSON, **options))[0]


def basic(text: str) -> str:
    """An Authorization header with these characters in it."""
    return "Basic " + base64.b64encode(text.encode()).decode()


POSTED = {"grant_type": "client_credentials", "client_id": "acme", "client_secret": "s"}


def test_a_form_and_an_object_say_the_same() -> None:
    """Both encodings lead to the same request; credentials and the grant are taken out of the parameters."""
    more = {"audience": "https://api.example.com", "scope": "read write", "organization": "one"}
    as_form, as_json = form(*{**POSTED, **more}.items()), document({**POSTED, **more})
    assert as_form == as_json
    assert (as_form.client_id, as_form.secret.reveal(), dict(as_form.parameters)) == ("acme", "s", more)


def test_basic_is_percent_decoded() -> None:
    """RFC 6749 §2.3.1: id and secret are form-encoded in the header; a space may be %20 or a plus sign."""
    for encoded, expected in [
        ("acme:s3cret", ("acme", "s3cret")),
        ("a%3Ab:p%C3%A4ss%20w%2Brd", ("a:b", "päss w+rd")),
        ("acme:two+words", ("acme", "two words")),
        ("acme:with:colons", ("acme", "with:colons")),
    ]:
        asked = form(GRANT, authorization=basic(encoded))
        assert (asked.client_id, asked.secret.reveal()) == expected


def test_a_repeated_parameter_is_refused() -> None:
    """RFC 6749 §3.2: a repeated parameter is refused in a form and in JSON, also if both values are equal."""
    for name in ["grant_type", "scope", "audience", "client_id", "client_secret", "whatever"]:
        pairs = [*POSTED.items(), ("scope", "read"), ("audience", "a"), ("whatever", "x")]
        twice = [*pairs, (name, dict(pairs)[name])]
        as_json = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in twice) + "}"
        for bad in (request(urlencode(twice).encode()), request(as_json.encode(), JSON)):
            with pytest.raises(ErrorAnswer) as refused:
                parse(bad)
            assert (refused.value.status, refused.value.error) == (400, "invalid_request")


def test_basic_as_it_stands() -> None:
    """curl, requests and httpx do not encode. If that makes a difference, there are two readings, the RFC's first."""
    for encoded, beside, expected in [
        ("acme:s3cret", {}, [("acme", "s3cret")]),
        ("acme:a+b%2B", {}, [("acme", "a b+"), ("acme", "a+b%2B")]),
        ("acme:50%ff", {}, [("acme", "50%ff")]),
        ("a+c:s", {}, [("a c", "s"), ("a+c", "s")]),
        ("a+c:s", {"client_id": "a+c"}, [("a+c", "s")]),
        ("acme:%", {}, [("acme", "%")]),
    ]:
        found = parse(request(urlencode([GRANT, *beside.items()]).encode(), authorization=basic(encoded)))
        assert [(asked.client_id, asked.secret.reveal()) for asked in found] == expected


def test_resource_may_be_repeated() -> None:
    """RFC 8707 §2: ``resource`` may be repeated; in JSON it is a list."""
    one, two = "https://one.example", "https://two.example"
    assert form(*POSTED.items(), ("resource", one), ("resource", two)).resources == (one, two)
    assert document({**POSTED, "resource": [one, two]}).resources == (one, two)


def test_a_parameter_without_a_value_is_absent() -> None:
    """RFC 6749 §3.2; null in JSON likewise. An empty secret is no secret."""
    assert "scope" not in form(*POSTED.items(), ("scope", "")).parameters
    assert "scope" not in document({**POSTED, "scope": None}).parameters
    with pytest.raises(ErrorAnswer) as refused:
        document({**POSTED, "client_secret": ""})
    assert refused.value.error == "invalid_client"


def test_other_grants_are_not_served() -> None:
    """RFC 6749 §5.2's unsupported_grant_type; without any it is invalid_request."""
    for grant in ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS"]:
        with pytest.raises(ErrorAnswer) as refused:
            document({**POSTED, "grant_type": grant})
        assert (refused.value.status, refused.value.error) == (400, "unsupported_grant_type")
        with pytest.raises(ErrorAnswer) as refused:
            document({"client_id": "acme", "client_secret": "s"})
        assert refused.value.error == "invalid_request"


def test_one_way_to_authenticate() -> None:
    """RFC 6749 §2.3: two ways at once, two headers or half of the credentials are refused."""
    for posted, authorization, status, error in [
        ({"client_id": "acme", "client_secret": "s"}, basic("acme:s"), 400, "invalid_request"),
        ({"client_secret": "s"}, basic("acme:s"), 400, "invalid_request"),
        ({"client_id": "other"}, basic("acme:s"), 400, "invalid_request"),
        ({"client_assertion": "x"}, basic("acme:s"), 401, "invalid_client"),
        ({}, None, 401, "invalid_client"),
        ({"client_id": "acme"}, None, 401, "invalid_client"),
        ({}, "Bearer abc", 401, "invalid_client"),
        ({}, basic("acme"), 401, "invalid_client"),
        ({}, basic(":s"), 401, "invalid_client"),
        ({}, basic("acme:"), 401, "invalid_client"),
        ({}, "Basic ***", 401, "invalid_client"),
        ({}, "Basic " + base64.b64encode(b"acme:\xff").decode(), 401, "invalid_client"),
        ({}, f"{basic('acme:s')}, {basic('bolt:s')}", 401, "invalid_client"),
    ]:
        with pytest.raises(ErrorAnswer) as refused:
            form(GRANT, *posted.items(), authorization=authorization)
        assert (refused.value.status, refused.value.error) == (status, error)


def test_a_client_id_beside_basic_is_no_second_way() -> None:
    """Some clients send the same client id in the body as well; that is accepted."""
    assert form(GRANT, ("client_id", "acme"), authorization=basic("acme:s")).client_id == "acme"


def test_what_is_no_token_request() -> None:
    """Another encoding, type or structure is invalid_request, never another exception."""
    for body, content_type in [
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials", ""),
        (b"grant_type=client_credentials", "multipart/form-data; boundary=x"),
        (b"grant_type=\xff", FORM),
        (b"grant_type=%ff", FORM),
        (b"\xff", JSON),
        (b"[]", JSON),
        (b'"x"', JSON),
        (b"null", JSON),
        (b"{", JSON),
        (b"[" * 4000, JSON),
        (b'{"a":' * 1600, JSON),
        (b'{"grant_type": 1}', JSON),
        (b'{"grant_type": ["client_credentials"]}', JSON),
        (b'{"grant_type": {"a": "b"}}', JSON),
        (b'{"grant_type": "\\ud800"}', JSON),
        (b'{"resource": [["a"]]}', JSON),
        (b'{"scope": [{"a": "b"}]}', JSON),
        ("&".join(f"p{number}=x" for number in range(65)).encode(), FORM),
    ]:
        with pytest.raises(ErrorAnswer) as refused:
            parse(request(body, content_type))
        assert (refused.value.status, refused.value.error) == (400, "invalid_request")


def test_a_body_that_is_too_large() -> None:
    """The server does not read a larger body; the answer is 413."""
    with pytest.raises(ErrorAnswer) as refused:
        parse(replace(request(b""), too_large=True))
    assert refused.value.status == 413


def _flattened(value: Any) -> str:
    return json.dumps(value)


@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
            max_leaves=12,
        ).map(lambda value: _flattened(value).encode()),
        st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=8).map(
            lambda pairs: urlencode(
                [(k.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for k, v in pairs]
            ).encode()
        ),
    ),
    content_type=st.sampled_from([FORM, JSON, FORM + "; charset=utf-8", "text/plain"]),
    authorization=st.one_of(
        st.none(),
        st.text(max_size=40),
        st.binary(max_size=40).map(lambda raw: "Basic " + base64.b64encode(raw).decode()),
    ),
)
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str, authorization: str | None) -> None:
    """Any bytes lead to a token request or an OAuth error, and the error repeats nothing of the body."""
    try:
        readings = parse(request(body, content_type, authorization))
    except ErrorAnswer as refused:
        answer = refused.answer
        assert 400 <= answer.status < 500
        assert set(json.loads(answer.body)) == {"error", "error_description"}
    else:
        assert 1 <= len(readings) <= 2
        for asked in readings:
            assert asked.client_id
            assert asked.secret.reveal_bytes()
            assert {"grant_type", "client_id", "client_secret"}.isdisjoint(asked.parameters)


_words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(
    client_id=_words,
    secret=_words,
    parameters=st.dictionaries(st.sampled_from(["scope", "audience", "x"]), _words),
    way=st.sampled_from(["basic", "form", "json"]),
)
def test_what_was_written_is_read(client_id: str, secret: str, parameters: dict[str, str], way: str) -> None:
    """Ids, secrets and values with any characters arrive unchanged in each of the three encodings."""
    grant = {"grant_type": "client_credentials"}
    if way == "basic":
        pair = f"{urlencode({'': client_id})[1:]}:{urlencode({'': secret})[1:]}"
        asked = form(GRANT, *parameters.items(), authorization=basic(pair))
    elif way == "form":
        asked = form(GRANT, ("client_id", client_id), ("client_secret", secret), *parameters.items())
    else:
        asked = document({**grant, "client_id": client_id, "client_secret": secret, **parameters})
    assert (asked.client_id, asked.secret.reveal(), dict(asked.parameters)) == (client_id, secret, parameters)
