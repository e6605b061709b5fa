"""The words of a refusal, under the names that servers use, and nothing else of the body."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import answer, refused, unusable

from m2m_auth.oauth2.redaction import Redaction
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.oauth2.token_error_response import TokenErrorResponse, read_refusal
from m2m_auth.oauth2.transport import HttpResponse

GOOGLE = {"error": {"code": 401, "message": "Request had invalid credentials.", "status": "UNAUTHENTICATED"}}
FACEBOOK = {"error": {"message": "Invalid Client ID", "type": "OAuthException", "code": 101, "fbtrace_id": "Ab1"}}
APIGEE = {"fault": {"faultstring": "Invalid client", "detail": {"errorcode": "oauth.v2.InvalidClientIdentifier"}}}
ENTRA = {"error": "invalid_client", "error_description": "AADSTS7000215: bad", "error_codes": [7000215]}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param({"error": "invalid_client", "error_description": "no"}, "invalid_client", "no", id="RFC 6749"),
        pytest.param({"Error": "invalid_client", "ErrorDescription": "no"}, "invalid_client", "no", id="any case"),
        pytest.param(ENTRA, "invalid_client", "AADSTS7000215: bad", id="Entra"),
        pytest.param(GOOGLE, "UNAUTHENTICATED", "Request had invalid credentials.", id="Google"),
        pytest.param(FACEBOOK, "OAuthException", "Invalid Client ID", id="Facebook"),
        pytest.param(APIGEE, "oauth.v2.InvalidClientIdentifier", "Invalid client", id="Apigee"),
        pytest.param({"errorCode": "E0000011", "errorSummary": "Invalid"}, "E0000011", "Invalid", id="Okta"),
        pytest.param({"errors": [{"code": "601", "message": "Invalid"}]}, "601", "Invalid", id="Marketo"),
        pytest.param({"error": [{"code": "x", "detail": "d"}]}, "x", "d", id="a list of errors"),
        pytest.param({"error": ["invalid_client"]}, "invalid_client", None, id="a list of codes"),
        pytest.param({"errors": ["It is wrong"]}, None, "It is wrong", id="a list of words"),
        pytest.param([{"errorCode": "X", "message": "m"}], "X", "m", id="Salesforce's list"),
        pytest.param({"errcode": 40013, "errmsg": "invalid appid"}, "40013", "invalid appid", id="WeChat"),
        pytest.param({"reason": "Invalid client_id", "error": "invalid_client"}, "invalid_client", "Invalid client_id"),
        pytest.param({"error_message": "m"}, None, "m", id="error_message"),
        pytest.param({"Message": "Forbidden"}, None, "Forbidden", id="Message"),
        pytest.param({"message": "m", "detail": "d"}, None, "m", id="message first"),
        pytest.param({"error": "Client authentication failed"}, None, "Client authentication failed", id="a sentence"),
        pytest.param({"error": "x", "message": ""}, "x", None, id="empty words"),
        pytest.param({"error": "x", "message": "x"}, "x", None, id="the code again"),
        pytest.param({"title": "T", "detail": "D", "status": 401, "type": "about:blank"}, None, "D", id="problem+json"),
        pytest.param({"title": "T", "type": "urn:x"}, "urn:x", "T", id="a problem's type"),
        pytest.param({"error": 5, "message": ["m"]}, None, "m", id="words in a list"),
        pytest.param({"__type": "NotAuthorizedException", "message": "m"}, "NotAuthorizedException", "m", id="AWS"),
        pytest.param({"code": 401, "message": "m"}, None, "m", id="the status again"),
        pytest.param({"error": None, "code": "bad_secret"}, "bad_secret", None, id="code"),
        pytest.param({"detail": [{"loc": ["body"], "msg": "field required"}]}, None, "field required", id="FastAPI"),
        pytest.param({"client_secret": ["It is required."]}, None, "client_secret: It is required.", id="DRF"),
        pytest.param({"errors": {"client": ["is locked"]}}, None, "client: is locked", id="ASP.NET"),
        pytest.param({}, None, None, id="nothing"),
        pytest.param([], None, None, id="an empty list"),
    ],
)
def test_the_servers_own_words(body: Any, code: str | None, words: str | None) -> None:
    """Whatever it calls them; the code is one word, and a number only where there is no name."""
    found = refused(401, body)
    assert (found.error, found.error_description) == (code, words)


@pytest.mark.parametrize("media_type", ["application/problem+json", "text/plain", "text/html", ""])
def test_json_is_read_whatever_the_type(media_type: str) -> None:
    """RFC 9457 has a type of its own, and many servers send the wrong one."""
    found = refused(403, {"error": "invalid_client", "detail": "d"}, {"Content-Type": media_type})
    assert (found.error, found.error_description) == ("invalid_client", "d")


@pytest.mark.parametrize(
    ("media_type", "body", "words"),
    [
        ("text/plain", b"Invalid client secret\n", "Invalid client secret"),
        ("application/json", b'"Invalid client secret"', "Invalid client secret"),
        ("text/xml", b"<e><code>7</code>\n<m>Bad &amp; old secret</m></e>", "7 Bad & old secret"),
        ("text/html", b"<html><title>Oauth error\n invalid_client</title><p>s</p>", "Oauth error invalid_client"),
        ("text/html", b"<html><p>No title here</p></html>", None),
        ("text/html", b"<html><title>401</title>", None),
        ("text/plain", b"you sent 'a-token-of-some-length.xyz' to me", "you sent '***' to me"),
        ("text/plain", b"Forbidden", None),
        ("text/plain", b"\xff\xfe no text", None),
    ],
)
def test_the_words_of_a_body_that_is_no_json(media_type: str, body: bytes, words: str | None) -> None:
    """A plain text, XML without its tags, a page's title (Shopify); one word says no more than the status."""
    found = refused(401, body, {"Content-Type": media_type})
    assert (found.error, found.error_description) == (None, words)


def test_the_words_of_a_challenge() -> None:
    """Some servers say in WWW-Authenticate only what RFC 6749 §5.2 has in the body. The body comes first."""
    header = {"WWW-Authenticate": 'Bearer realm="x", error="invalid_client", error_description="It is locked"'}
    found = refused(401, b"", header)
    assert (found.error, found.error_description) == ("invalid_client", "It is locked")
    found = refused(401, {"error": "access_denied", "error_description": "No"}, header)
    assert (found.error, found.error_description) == ("access_denied", "No")


@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_form_is_read(status: int) -> None:
    """GitHub's answer to clients that ask for no type."""
    body = b"error=bad_verification_code&error_description=The+code+passed%21&error_uri=https%3A%2F%2Fx.example"
    found = refused(status, body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert found.error == "bad_verification_code"
    assert (found.error_description, found.error_uri) == ("The code passed!", "https://x.example")


def test_a_problems_type_is_its_page() -> None:
    """RFC 9457 §3.1.1."""
    assert refused(400, {"type": "https://as.example/probs/scope", "title": "T"}).error_uri == (
        "https://as.example/probs/scope"
    )


@pytest.mark.parametrize(
    "name",
    ["trace_id", "correlation_id", "errorId", "request_id", "requestId", "RequestId", "x-request-id", "traceId"],
)
def test_support_ids_are_kept(name: str) -> None:
    """Under the server's own name, at the top or in an object."""
    assert refused(401, {"error": "x", name: "id-1"}).support_ids == ((name, "id-1"),)
    assert refused(401, {"error": {"code": "x", name: 17}}).support_ids == ((name, "17"),)
    assert refused(401, {"error": "x", name: ""}).support_ids == ()


@pytest.mark.parametrize(
    "body",
    [
        {"user": "x", "type": "person"},
        {"code": "abc", "state": "x"},
        {"status": "ok"},
        {"message": "Welcome"},
        {"errcode": 0, "errmsg": "ok"},
        {"errors": []},
        {"error": None},
        {"error": ""},
    ],
)
def test_a_200_of_another_page_is_no_refusal(body: object) -> None:
    """It may be any page, so it stays an outage; the credentials are not suspected."""
    assert "it is not a JSON object with an access_token" in unusable(body)


@pytest.mark.parametrize(
    "body",
    [
        *[{"ok": False}, {"success": False}, {"code": 10003, "msg": "invalid app_id"}, GOOGLE, {"isSuccess": False}],
        *[{"status": "error", "message": "Invalid secret"}, {"status": False}, {"status": "FAILED", "msg": "x"}],
    ],
)
def test_a_200_that_says_no_is_a_refusal(body: object) -> None:
    """golang/oauth2#441: an error in a 200 was swallowed."""
    assert isinstance(answer(200, body), TokenErrorResponse)


# Redaction


def shown(secret: str, words: str, code: str = "invalid_client") -> TokenErrorResponse:
    """A refusal with these words, of a request with this secret."""
    members = {"error": code, "error_description": words}
    return read_refusal(HttpResponse(401, {}, b""), members, 0.0, Redaction([Secret(secret)]))


@pytest.mark.parametrize("secret", ["client", "invalid", "invalid_client", "a", "id", "in", "_", "invalid_cl"])
def test_a_known_code_is_never_redacted(secret: str) -> None:
    """A secret that is a plain word turned invalid_client into another code, and so into another failure."""
    assert shown(secret, "x").error == "invalid_client"


@pytest.mark.parametrize(
    ("secret", "words", "left"),
    [
        ("client", "The client and its client_id: 'client'", "The *** and its client_id: '***'"),
        ("a", "a bad day for a client: secret=a", "a bad day for a client: secret=***"),
        ("ab", "about: ab, tab='ab'", "about: ***, tab='***'"),
        (".", "No. Not. ok=.", "No. Not. ok=***"),
        ("credentials", "client_credentials with credentials", "client_credentials with ***"),
        ("s3cr3t-s3cr3t", "xs3cr3t-s3cr3tx", "x***x"),
        ("pass!", "my pass! passing", "my *** passing"),
        ("a1?", "a1? or ba1? or a1?b: secret a1?", "*** or ba1? or ***b: secret ***"),
        ("the", "there is the secret", "there is *** secret"),
        ("ab", "ab", "***"),
        ("S3cr3t-s3cr3t", "'S3CR3T-S3CR3T' and s3cr3t-s3cr3t", "'***' and ***"),
        ("a/b&c-'d'-e", "a\\/b&c-'d'-e, a/b&amp;c-&#39;d&#39;-e, a%252Fb%2526c-%2527d%2527-e", "***, ***, ***"),
    ],
)
def test_a_short_or_plain_secret_does_not_shred_the_words(secret: str, words: str, left: str) -> None:
    """It is replaced where it is a value or a word of its own."""
    assert shown(secret, words).error_description == left


@pytest.mark.parametrize("client_id", ["", "c", "client", "client-7"])
def test_a_secret_inside_of_base64_is_redacted(client_id: str) -> None:
    """A server that shows HTTP Basic of a client that posted its secret; at most a character's bits are left."""
    secret = "s3cr3t-s3cr3t"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        said = shown(secret, f"got {encode(f'{client_id}:{secret}'.encode()).decode()}").error_description or ""
        left = said.replace("***", "").removeprefix("got ").rstrip("=")
        assert len(left) <= len(client_id) * 4 // 3 + 5
    said = shown("p@ss/w+rd", f"got {base64.b64encode(b'client:p%40ss%2Fw%2Brd').decode()}").error_description or ""
    assert said.startswith("got Y2xpZW50On***")
    assert shown(secret, f"got {secret.encode().hex()}").error_description == "got ***"


@pytest.mark.parametrize("secret", ['p&ss w"rd/1=', "s3cr3t+s3cr3t", "gehe\u00efm-gehe\u00efm", "a\\b/c d~e%f"])
@pytest.mark.parametrize("spelling", range(8))
def test_each_spelling_of_a_secret_is_redacted(secret: str, spelling: int) -> None:
    """As sent, escaped, percent-encoded, in HTML, in base64: servers repeat the request in many ways."""
    echoed = [
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        quote(secret, safe=""),
        quote_plus(secret),
        re.sub("%..", lambda found: found[0].lower(), quote(secret, safe="")),
        html.escape(secret),
        base64.b64encode(secret.encode()).decode(),
    ][spelling]
    found = shown(secret, f"You sent {echoed} to us")
    assert "***" in (found.error_description or "")
    for part in (secret, echoed.strip('"')):
        assert part not in (found.error_description or "")


def test_a_secret_at_the_cut_is_redacted_first() -> None:
    """Half of a secret is a secret, too."""
    secret = "s3cr3t-" * 6
    found = shown(secret, "x" * 480 + secret + "y" * 100)
    assert found.error_description == ("x" * 480 + "***" + "y" * 100)[:500]


@pytest.mark.parametrize("field", ["error", "error_uri", "message", "trace_id"])
def test_every_field_is_redacted(field: str) -> None:
    """The secret may be anywhere."""
    members = {"x": 1, field: "s3cr3t-s3cr3t"}
    redact = Redaction([Secret("s3cr3t-s3cr3t")])
    assert "s3cr3t" not in repr(read_refusal(HttpResponse(401, {}, b""), members, 0.0, redact))


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=12), st.text(max_size=60))
def test_any_secret_and_any_text(secret: str, text: str) -> None:
    """Nothing is raised, and a secret of eight characters and more, not all letters, is never left in the text."""
    if any("\ud800" <= character <= "\udfff" for character in secret):
        return
    left = Redaction([Secret(secret)])(f"{text}{secret}{text}")
    if len(secret) >= 8 and not secret.isalpha() and secret not in text and "*" not in secret:
        assert secret not in left


def test_it_does_not_show_itself() -> None:
    """Error reporters print locals."""
    assert repr(Redaction([Secret("x")])) == "<Redaction>"
