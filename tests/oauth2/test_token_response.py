"""Reading the token endpoint's answers, good and bad (RFC 6749 §5)."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from token_answers import NOW, answer, granted, refused, unusable

from m2m_auth.oauth2.redaction import Redaction
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.oauth2.token_error_response import TokenErrorResponse
from m2m_auth.oauth2.token_response import TokenResponse, UnusableTokenResponse
from m2m_auth.oauth2.transport import HttpResponse


def test_a_good_answer_is_a_token_response() -> None:
    """It has the token, its type, its scope and its lifetime, and its repr hides the token."""
    found = answer(200, {"access_token": "t0k3n", "token_type": "bearer", "expires_in": 60, "scope": "a b"})
    assert found == TokenResponse("t0k3n", "Bearer", "a b", 60.0)
    assert repr(found) == "<TokenResponse Bearer lifetime=60>"


def test_unknown_fields_and_a_refresh_token_are_dropped() -> None:
    """A refresh_token has no place in a client-credentials response (RFC 6749 §4.4.3)."""
    found = granted({"refresh_token": "r3fr3sh", "id_token": "1d", "interval": 5, "expires_in": 60})
    assert found == TokenResponse("opaque", "Bearer", None, 60.0)


@pytest.mark.parametrize(
    ("refresh_token", "kept"), [("r3fr3sh", Secret("r3fr3sh")), ("", None), (None, None), (7, None), (["x"], None)]
)
def test_the_refresh_token_grant_keeps_a_new_refresh_token(refresh_token: object, kept: Secret | None) -> None:
    """A rotating grant needs it; anything but a string with characters is none."""
    found = answer(200, {"access_token": "x", "refresh_token": refresh_token}, keep_refresh_token=True)
    assert isinstance(found, TokenResponse)
    assert found.refresh_token == kept


@pytest.mark.parametrize("scope", [None, 5, {}, [], [5], [None]])
def test_a_scope_that_is_no_text_is_no_scope(scope: object) -> None:
    """The cache key knows what was asked for."""
    assert granted({"scope": scope}).scope is None


@pytest.mark.parametrize("scope", ["", "a", "a b", "a  b", "https://graph.example/.default"])
def test_a_scope_is_kept_as_it_is(scope: str) -> None:
    """An empty string is what the server said."""
    assert granted({"scope": scope}).scope == scope


@pytest.mark.parametrize(
    "scope",
    [
        *["a,b c", "a, b , c", "a,b,c,", ["a", "b", "c"], ["a b", "c"], ["a,b", "c"], ["a", 5, "b", None, "c"]],
        '["a", "b", "c"]',
    ],
)
def test_scopes_by_commas_or_in_a_list(scope: object) -> None:
    """GitHub separates them by commas, others send lists. Users and ``require_scope`` see RFC 6749 §3.3's spaces."""
    assert granted({"scope": scope}).scope == "a b c"


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
def test_an_oauth_error_is_read_with_any_status(status: int) -> None:
    """Each field of RFC 6749 §5.2, the status and the media type; a 200 with an error is an error too."""
    body = {"error": "invalid_client", "error_description": "Not you.", "error_uri": "https://as.example/e"}
    found = refused(status, body)
    expected = (status, "invalid_client", "Not you.", "https://as.example/e", "application/json", None)
    assert found == TokenErrorResponse(*expected, throttled=status == 429)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "media_type"),
    [
        ({}, None),
        ({"content-type": "text/html; charset=utf-8"}, "text/html"),
        ({"Content-Type": " Application/JSON ;x=/"}, "application/json"),
        ({"Content-Type": "</title><script>"}, None),
        ({"Content-Type": "html"}, None),
        ({"Content-Type": "a/b/c"}, None),
        ({"Content-Type": f"{'a' * 40}/{'b' * 40}"}, f"{'a' * 40}/{'b' * 40}"),
        ({"Content-Type": f"{'a' * 41}/b"}, None),
        ({"Content-Type": f"a/{'b' * 41}"}, None),
    ],
)
def test_the_media_type_of_a_refusal(headers: dict[str, str], media_type: str | None) -> None:
    """In lower case and without parameters; a header that is not a media type is not repeated."""
    assert refused(403, b"", headers) == TokenErrorResponse(403, media_type=media_type)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error":""}', b"[]", b"null"])
def test_a_refusal_without_an_oauth_error(body: bytes) -> None:
    """The status is all there is to know."""
    assert refused(403, body, {}) == TokenErrorResponse(403)


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_any_2xx_with_a_token_is_a_token(status: int) -> None:
    """Servers answer 201 because they create one, proxies 203 because they have touched it: the quota is spent."""
    assert answer(status, {"access_token": "x", "expires_in": 60}) == TokenResponse("x", "Bearer", None, 60.0)


@pytest.mark.parametrize("status", [199, 302, 404, 500])
def test_a_token_with_another_status_is_refused(status: int) -> None:
    """An error page may show a token that is none."""
    assert refused(status, {"access_token": "x", "expires_in": 60}).status == status


@pytest.mark.parametrize("error", ["invalid_client", "", None, 0, False, {"code": 7}])
def test_a_token_beside_an_error_is_a_token(error: object) -> None:
    """It is paid for; if the API refuses it, another one is minted, which an error would have done at once."""
    assert granted({"error": error, "ok": False, "expires_in": 60}).access_token == "opaque"


@pytest.mark.parametrize("token", [None, "", " ", [], 5])
@pytest.mark.parametrize("fields", [{"error": "invalid_client"}, {"ok": False, "error": "invalid_client"}])
def test_a_200_with_an_error_and_no_token_is_a_refusal(token: object, fields: dict[str, object]) -> None:
    """GitHub and Slack answer a wrong secret so."""
    found = refused(200, {**fields, "access_token": token})
    assert (found.status, found.error) == (200, "invalid_client")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 89.75),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "2", "X-RateLimit-Reset": "9"}, 2.0),
        ({"X-RateLimit-Reset": str(int(NOW) + 30)}, 29.75),
        ({"X-RateLimit-Reset": "30"}, 30.0),
        ({"X-RateLimit-Reset": "30", "Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99"}, 30.0),
        ({"Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99"}, 99.0),
        ({"Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99, b=per_day;q=100;r=0;t=1200"}, 1200.0),
        ({"Auth0-Client-Quota-Limit": "b=per_day;t=1200,b=per_hour;t=99"}, 1200.0),
        ({"Auth0-Client-Quota-Limit": "t=99,t=1200"}, 1200.0),
        ({"Auth0-Organization-Quota-Limit": "b=per_hour;q=10;r=0;t=98"}, 98.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "30"}, 30.0),
        ({"X-Rate-Limit-Reset": str(int(NOW) + 30)}, 29.75),
        ({"X-RateLimit-Reset": str(int(NOW) * 1000 + 30_000)}, 29.75),
        ({"X-RateLimit-Reset": formatdate(NOW + 90, usegmt=True)}, 89.75),
        ({"RateLimit-Reset": "30"}, 30.0),
        ({"RateLimit": '"default";r=0;t=30'}, 30.0),
        ({"RateLimit": '"day";r=70;t=9000, "minute";r=0;t=40'}, 40.0),
        ({"RateLimit": '"day";r=70;t=900, "minute";r=3;t=40'}, 900.0),
        ({"RateLimit": "limit=10, remaining=0, reset=30"}, 30.0),
        ({"RateLimit": "nonsense"}, None),
        ({"Retry-After": "120, 120"}, 120.0),
        ({"Retry-After": "30s"}, 30.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf", "X-RateLimit-Reset": "nan"}, None),
        ({}, None),
    ],
)
def test_a_refusal_says_when_to_come_back(headers: dict[str, str], wait: float | None) -> None:
    """Retry-After, else X-RateLimit-Reset, else the quota header; an hour at most, and never a negative time."""
    assert refused(429, b"", headers).retry_after == pytest.approx(wait)


@pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset", "RateLimit-Reset"])
@pytest.mark.parametrize("skew", [-300, -3, 300, 7200])
def test_a_moment_counts_by_the_clock_of_its_server(name: str, skew: int) -> None:
    """A server whose clock is 5 minutes behind named a time that had passed here: 586 requests an hour, not 6."""
    theirs = int(NOW) + skew
    moment = formatdate(theirs + 600, usegmt=True) if name == "Retry-After" else str(theirs + 600)
    assert refused(429, b"", {name: moment, "Date": formatdate(theirs, usegmt=True)}).retry_after == 600.0


def test_a_moment_that_is_past_by_its_own_date_counts_from_now() -> None:
    """The Date header may be wrong itself, or be no date."""
    for date in (formatdate(NOW + 9000, usegmt=True), "soon", ""):
        wait = refused(429, b"", {"X-RateLimit-Reset": str(int(NOW) + 600), "Date": date}).retry_after
        assert wait == 599.75


@pytest.mark.parametrize(
    ("reset", "wait"), [("1000000000", 3600.0), ("1000000001", 0.0), ("3600", 3600.0), ("3599", 3599.0)]
)
def test_a_large_rate_limit_reset_is_a_time(reset: str, wait: float) -> None:
    """Vendors send seconds or a Unix time; above 1,000,000,000 it is a time."""
    assert refused(429, b"", {"X-RateLimit-Reset": reset}).retry_after == wait


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"null", b"[]", b'"token"', b"5", b"{}", b"<html>Sign in</html>", b'{"access_token', b"\xff\xfe\x00"],
        *[b'{"error":""}', b"[" * 100_000, b'{"access_token":null}', b'{"access_token":""}', b'{"access_token":5}'],
        *[b'{"access_token":["t"]}', b'{"access_token":true}', b'{"token":"two words"}', b'{"message":"back soon"}'],
        *[b"[[]]", b"[5]", b"{}{}", b"access_token=", b"a=b&c=d", b"{" + b'"a":{' * 100_000],
    ],
)
def test_a_200_that_is_not_a_token(body: bytes) -> None:
    """It is an outage; only the length and the type of the body are shown."""
    shown = f"({len(body)} bytes, application/json)"
    assert unusable(body) == f"it is not a JSON object with an access_token {shown}"


def test_a_200_without_a_content_type_says_so() -> None:
    """A page without a type is shown as what it is."""
    assert unusable(b"x", {}).endswith("(1 bytes, missing or invalid Content-Type)")


@pytest.mark.parametrize("token", ["a b", "a\nb", "ab\n", "a\r\nX: y", "a\x00", "tok\u00e9n", "a\x7f", "Bearer a b"])
def test_a_token_that_no_header_may_carry_is_refused(token: object) -> None:
    """Control characters would be a header injection; the token itself is not shown, and it is spent."""
    found = answer(201, {"access_token": token, "expires_in": 60})
    why = "its access_token has characters that no header may carry"
    fix = "Fix: ask the server's operators for tokens of RFC 6750's characters."
    assert found == UnusableTokenResponse(why, minted=True, status=201, fix=fix)


@pytest.mark.parametrize("token", ["Bearer opaque", "bearer  opaque", " opaque ", " Bearer opaque"])
def test_what_stands_around_a_token_is_taken_off(token: str) -> None:
    """A few servers send what belongs into the header, or pad the token with spaces."""
    assert granted({"access_token": token}).access_token == "opaque"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"token": "s3cr3t"}, "token"),
        ({"accessToken": "s3cr3t", "expiresIn": 5}, "accessToken"),
        ({"data": {"access_token": "s3cr3t"}}, "data.access_token"),
        ({"access_token": {"token": "s3cr3t"}}, "access_token.token"),
        ({"Access_Token": "s3cr3t", "Expires_In": 5}, "Access_Token"),
        ({"tenant_access_token": "s3cr3t", "expire": 7200}, "tenant_access_token"),
    ],
)
def test_a_token_in_another_field_is_a_mint(body: object, field: str) -> None:
    """Asked again at an outage's pace, the server would mint each time; the message names the field and the option."""
    found = answer(200, body)
    assert isinstance(found, UnusableTokenResponse)
    assert found.minted
    assert found.why.endswith(f"; it has {field!r}")
    assert found.fix == f'Fix, if that is the token: answers=AnswerRules(token_field="{field}").'
    assert "s3cr3t" not in repr(found)


@pytest.mark.parametrize(
    "body",
    [
        *[b"a-token-of-some-length", b'"a-token-of-some-length"\n', b"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"],
        *[b"<r><access_token>a-token</access_token></r>", b')]}\'\n{"access_token":"a-token"}'],
        b'callback( {"accessToken":"a-token"} );',
    ],
)
def test_a_token_that_is_not_in_a_json_object_is_a_mint(body: bytes) -> None:
    """A bare token, XML, JSONP: each answer costs one, so the next attempt is held off and the budget counts."""
    found = answer(200, body)
    assert isinstance(found, UnusableTokenResponse)
    assert found.minted
    assert found.why == f"it is not a JSON object with an access_token ({len(body)} bytes, application/json)"
    assert "JSON object" in found.fix
    assert "a-token" not in repr(found)


@pytest.mark.parametrize("body", [b'{"access_token":"a-tok', b"[", b"<html>access_token</html>", b"a short page"])
def test_what_got_lost_on_the_way_is_an_outage(body: bytes) -> None:
    """JSON that ends too early may be whole the next time; a page is no token."""
    found = answer(200, body)
    assert isinstance(found, UnusableTokenResponse)
    assert not found.minted


@pytest.mark.parametrize("token", ["!", "~", "a.b-c_d~e+f/g=="])
def test_every_visible_character_may_be_in_a_token(token: str) -> None:
    """What RFC 6750 §2.1 allows and a little more: servers send it."""
    assert granted({"access_token": token}).access_token == token


@pytest.mark.parametrize(
    ("token_type", "shown"),
    [
        ("DPoP", "'DPoP'"),
        ("mac", "'mac'"),
        ("N_A", "'N_A'"),
        ("t" * 20, repr("t" * 20)),
        ("urn:ietf:params:oauth:token-type:jwt", "'urn:ietf:params:oauth:token-type:jwt'"),
        (["mac", "Bearer"], "'mac'"),
        ("t" * 21, "not a valid name"),
        ("Bearer,DPoP", "not a valid name"),
        (7, "not a valid name"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "not a valid name"),
        ({"x": "s3cr3t-s3cr3t"}, "not a valid name"),
    ],
)
def test_a_token_of_another_type_is_never_sent_as_bearer(token_type: object, shown: str) -> None:
    """A DPoP token without its proof is useless, and sent as Bearer it is exposed (RFC 9449).

    A confused server may put a token into token_type, so only a name is shown.
    """
    found = answer(200, {"access_token": "x", "token_type": token_type})
    assert isinstance(found, UnusableTokenResponse)
    assert found.why == f"its token_type is {shown}, and only a Bearer token may be sent as one"
    assert found.minted


def test_a_token_type_that_is_the_secret_is_not_shown() -> None:
    """It may be as short as a name."""
    found = answer(
        200, {"access_token": "x", "token_type": "Xy9-kd8s_ab12"}, redact=Redaction([Secret("Xy9-kd8s_ab12")])
    )
    assert isinstance(found, UnusableTokenResponse)
    assert found.why.startswith("its token_type is not a valid name")
    assert "Xy9" not in repr(found)


def test_a_token_type_in_another_spelling_counts() -> None:
    """With ``token_field="accessToken"``, the type is in ``tokenType``: DPoP must not pass for Bearer."""
    found = answer(200, {"access_token": "x", "tokenType": "DPoP"})
    assert isinstance(found, UnusableTokenResponse)


@pytest.mark.parametrize(
    ("token_type", "fix"),
    [
        ("DPoP", "Fix: let the server issue Bearer tokens for this client."),
        ({}, "Fix: let the server issue Bearer tokens for this client."),
        ("JWT", 'Fix, if that is a Bearer token: answers=AnswerRules(token_types=("bearer", "JWT")).'),
    ],
)
def test_the_fix_for_a_token_of_another_type(token_type: object, fix: str) -> None:
    """A name that the library does not know may mean Bearer; a token that is bound to a key never does."""
    found = answer(200, {"access_token": "x", "token_type": token_type})
    assert isinstance(found, UnusableTokenResponse)
    assert found.fix == fix


@pytest.mark.parametrize(
    "token_type",
    [
        *["bearer", "BEARER", "Bearer", " Bearer ", "BearerToken", "bearertoken", "Bearer Token", "bearer_token"],
        *["Application Access Token", None, "", " "],
        ["Bearer"],
    ],
)
def test_a_token_type_that_means_bearer(token_type: object) -> None:
    """RFC 6749 §5.1: case-insensitive. Apigee sends ``BearerToken``, eBay more. Sent in RFC 6750's spelling."""
    assert granted({"token_type": token_type}).token_type == "Bearer"


def test_a_missing_token_type_is_bearer() -> None:
    """Some servers leave it out."""
    found = answer(200, {"access_token": "x"})
    assert isinstance(found, TokenResponse)
    assert found.token_type == "Bearer"


def test_an_error_is_repeated_in_the_rfcs_characters_and_cut() -> None:
    """The server's words go into logs: no control characters, no quotes, 60 or 500 characters."""
    said = 'line\nbreak "quoted" back\\slash \u00e9\x1b[31m ' + "x" * 900
    found = refused(400, {"error": "invalid\r\nscope" + "y" * 100, "error_description": said, "error_uri": "u" * 999})
    assert found.error_description == ("line?break ?quoted? back?slash ??[31m " + "x" * 500)[:500]
    assert found.error == ("invalid??scope" + "y" * 100)[:60]
    assert found.error_uri == "u" * 500


@pytest.mark.parametrize("value", [7, {"x": "y"}, None, True, ""])
def test_descriptions_of_another_type_are_none(value: object) -> None:
    """Only strings are words."""
    found = refused(400, {"error": "invalid_scope", "error_description": value, "error_uri": value})
    assert (found.error_description, found.error_uri) == (None, None)


def test_a_response_shows_its_size_only() -> None:
    """The repr of a response is what an error reporter prints of a flight's locals."""
    assert repr(HttpResponse(200, {}, b"secret")) == "<HttpResponse 200, 6 bytes>"
