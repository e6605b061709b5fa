"""The issuer's keys: discovery, one fetch, rotation, a bounded rate of fetches, and outages."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from issuer import AUDIENCE, Issuer, public_jwk

from m2m_auth.errors import ConfigurationError
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.testing import FakeClock
from m2m_auth.verifier import InvalidToken, JWTVerifier, VerifierUnavailable

OAUTH, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"


def wait_for_refresh() -> None:
    """Waits until the background fetch has ended."""
    for thread in threading.enumerate():
        if thread.name == "m2m-auth-keys":
            thread.join(20)


def test_the_keys_are_fetched_once(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A new verifier fetches nothing, and a hundred tokens cause one fetch."""
    assert issuer.fetches == 0
    for number in range(100):
        verifier.verify(issuer.token(jti=str(number)))
    assert issuer.fetches == 1


def test_threads_that_start_together_fetch_once(issuer: Issuer, verifier: JWTVerifier) -> None:
    """16 first calls at once: one asks, the others wait for its answer."""
    issuer.open.clear()
    token = issuer.token()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(verifier.verify, token) for _ in range(16)]
        issuer.open.set()
        assert [call.result(20).client_id for call in calls] == ["billing"] * 16
    assert issuer.fetches == 1


def test_rotated_keys_are_found_at_once(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A token with a new key id causes one more fetch and is good; the old key is no longer accepted."""
    old = issuer.token()
    verifier.verify(old)
    issuer.keys = [public_jwk("two")]
    assert verifier.verify(issuer.token("two")).client_id == "billing"
    assert issuer.fetches == 2
    with pytest.raises(InvalidToken):
        verifier.verify(old)


def test_rotation_seen_by_many_threads_is_one_fetch(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Every thread's token has the new key: all are good, after one fetch."""
    verifier.verify(issuer.token())
    issuer.keys = [public_jwk("one"), public_jwk("two")]
    issuer.open.clear()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(verifier.verify, issuer.token("two", jti=str(n))) for n in range(16)]
        issuer.open.set()
        assert {call.result(20).client_id for call in calls} == {"billing"}
    assert issuer.fetches == 2


def test_a_flood_of_made_up_key_ids_is_a_bounded_number_of_fetches(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock
) -> None:
    """10,000 unknown key ids within 100 s, from 8 threads: 1 fetch at first, and 1 in 30 s; good tokens still pass."""
    good = issuer.token()
    verifier.verify(good)
    template = issuer.token("one")
    body = template.partition(".")[2]

    def flood(first: int) -> int:
        refused = 0
        for number in range(first, first + 125):
            header = base64url(f'{{"alg":"RS256","typ":"at+jwt","kid":"made-up-{number}"}}')
            try:
                verifier.verify(f"{header}.{body}")
            except InvalidToken:
                refused += 1
        return refused

    with ThreadPoolExecutor(8) as pool:
        for second in range(10):
            starts = range(second * 1000, (second + 1) * 1000, 125)
            assert sum(pool.map(flood, starts)) == 1000
            verifier.verify(good)
            clock.advance(10)
    assert issuer.fetches == 1 + 4, "the first one, and those at 0, 30, 60 and 90 s"


def base64url(text: str) -> str:
    """A JWT's part."""
    import base64

    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def test_keys_are_renewed_in_the_background(issuer: Issuer, verifier: JWTVerifier, clock: FakeClock) -> None:
    """After ten minutes a call is answered with the keys held, though the issuer hangs, and then the new ones serve."""
    token = issuer.token(exp=clock.wall() + 9000)
    verifier.verify(token)
    clock.advance(600)
    issuer.keys = [public_jwk("two")]
    issuer.open.clear()
    for _ in range(20):
        assert verifier.verify(token)
    issuer.open.set()
    wait_for_refresh()
    assert issuer.fetches == 2
    with pytest.raises(InvalidToken, match="key that the issuer does not have"):
        verifier.verify(token)


def test_keys_go_on_serving_while_the_issuer_is_down(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In an outage of hours tokens with held keys are good and the attempts are few; after a day it is a 503."""
    token = issuer.token(exp=clock.wall() + 200_000)
    verifier.verify(token)
    issuer.answers["/keys"] = 500, {}, b""
    with caplog.at_level(logging.WARNING, "m2m_auth.verifier"):
        for _ in range(120):
            clock.advance(600)
            assert verifier.verify(token)
            wait_for_refresh()
    assert issuer.fetches == 1 + 120, "one try for each time that keys were due, and none more"
    assert "(http_500); the held keys stay in use" in caplog.text
    clock.advance(86400)
    with pytest.raises(VerifierUnavailable, match="http_500"):
        verifier.verify(token)


def test_an_unknown_key_while_the_issuer_is_down_is_not_the_tokens_fault(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock
) -> None:
    """In an outage an unknown key may be a rotated one: 503 and not 401, so the client keeps its token."""
    verifier.verify(issuer.token())
    issuer.stop()
    issuer.keys = [public_jwk("two")]
    token = issuer.token("two")
    with pytest.raises(VerifierUnavailable):
        verifier.verify(token)
    issuer.start()
    clock.advance(30)
    assert verifier.verify(token).client_id == "billing"


def test_a_cold_start_while_the_issuer_is_down(issuer: Issuer, verifier: JWTVerifier, clock: FakeClock) -> None:
    """Without any key the answer is 503 with Retry-After; calls during the pause send nothing; then it recovers."""
    issuer.answers["/keys"] = 503, {"Retry-After": "20"}, b""
    token = issuer.token()
    for _ in range(50):
        with pytest.raises(VerifierUnavailable) as caught:
            verifier.verify(token)
    assert caught.value.status == 503
    assert caught.value.headers["Retry-After"] == "20"
    assert caught.value.challenge is None
    assert issuer.jwks_uri not in str(caught.value.body)
    assert issuer.fetches == 1
    issuer.answers.clear()
    clock.advance(20)
    assert verifier.verify(token)


@pytest.mark.parametrize("path", ["", "/tenant/one"])
def test_metadata_say_where_the_keys_are(clock: FakeClock, path: str) -> None:
    """RFC 8414: the well-known part is between host and path; metadata are read once, not with each fetch of keys."""
    with Issuer(clock, path) as issuer:
        verifier = JWTVerifier(issuer.issuer, AUDIENCE, clock=clock)
        verifier.verify(issuer.token())
        clock.advance(30)
        issuer.keys = [public_jwk("two")]
        verifier.verify(issuer.token("two"))
        assert (issuer.asked[OAUTH + path], issuer.fetches) == (1, 2)


def test_openid_metadata_serve_where_there_are_no_others(clock: FakeClock) -> None:
    """An issuer with a closing slash, as Auth0's, and OpenID Connect's document only."""
    with Issuer(clock, "/") as issuer:
        body = f'{{"issuer": "{issuer.issuer}", "jwks_uri": "{issuer.jwks_uri}"}}'
        issuer.answers = {OPENID: (200, {}, body.encode()), OAUTH: (404, {}, b""), OAUTH + "/": (404, {}, b"")}
        assert JWTVerifier(issuer.issuer, AUDIENCE, clock=clock).verify(issuer.token())
        assert issuer.asked[OPENID] == 1


def test_keys_that_move_are_found_again(issuer: Issuer, clock: FakeClock) -> None:
    """After the keys move, the old URL fails and the metadata are read again."""
    verifier = JWTVerifier(issuer.issuer, AUDIENCE, clock=clock)
    verifier.verify(issuer.token())
    moved = f'{{"issuer": "{issuer.issuer}", "jwks_uri": "{issuer.base_url}/moved"}}'
    keys = json.dumps({"keys": [public_jwk("two")]})
    issuer.answers = {
        "/keys": (404, {}, b""),
        OAUTH: (200, {}, moved.encode()),
        "/moved": (200, {}, keys.encode()),
    }
    with pytest.raises(VerifierUnavailable, match="http_404"):
        verifier.verify(issuer.token("two"))
    clock.advance(30)
    assert verifier.verify(issuer.token("two")).client_id == "billing"


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ('{"issuer": "https://other.example", "jwks_uri": "%s"}', "http_404"),
        ('{"jwks_uri": "%s"}', "http_404"),
        ("<html>", "http_404"),
    ],
)
def test_metadata_of_another_issuer_are_not_believed(issuer: Issuer, clock: FakeClock, metadata: str, why: str) -> None:
    """RFC 8414 §3.3: the issuer in the document must be the one asked for; else its keys are not even fetched."""
    issuer.answers[OAUTH] = 200, {}, metadata.replace("%s", issuer.jwks_uri).encode()
    with pytest.raises(VerifierUnavailable, match=why):
        JWTVerifier(issuer.issuer, AUDIENCE, clock=clock).verify(issuer.token())
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "uri", ["http://keys.example.com/", "file:///etc/passwd", "https://user:pw@keys.example/", "7"]
)
def test_metadata_cannot_send_the_verifier_anywhere(issuer: Issuer, clock: FakeClock, uri: str) -> None:
    """``jwks_uri`` from the document is held to the same rules as a configured one."""
    body = f'{{"issuer": "{issuer.issuer}", "jwks_uri": "{uri}"}}'.encode()
    issuer.answers = {OAUTH: (200, {}, body), OPENID: (200, {}, body)}
    with pytest.raises(VerifierUnavailable, match="bad_jwks_uri"):
        JWTVerifier(issuer.issuer, AUDIENCE, clock=clock).verify(issuer.token())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not_json"),
        (b"[]", "not_json"),
        (b"{}", "no_keys"),
        (b'{"keys": []}', "no_keys"),
        (b'{"keys": 7}', "no_keys"),
    ],
)
def test_an_answer_without_keys_does_not_replace_those_held(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock, body: bytes, why: str
) -> None:
    """An answer without keys counts as an outage: the held keys stay in use."""
    token = issuer.token(exp=clock.wall() + 9000)
    verifier.verify(token)
    issuer.answers["/keys"] = 200, {}, body
    clock.advance(600)
    verifier.verify(token)
    wait_for_refresh()
    assert verifier.verify(token)
    with pytest.raises(VerifierUnavailable, match=why):
        verifier.verify(issuer.token("two"))


def test_a_redirect_is_not_followed(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A redirect of the keys' URL is not followed."""
    issuer.answers["/keys"] = 302, {"Location": f"{issuer.base_url}/elsewhere"}, b""
    with pytest.raises(VerifierUnavailable, match="http_302"):
        verifier.verify(issuer.token())
    assert issuer.asked["/elsewhere"] == 0


def test_a_document_without_end_is_cut_off(issuer: Issuer, verifier: JWTVerifier) -> None:
    """2 MiB of white space around the keys: what does not fit into 1 MiB is no answer."""
    issuer.answers["/keys"] = 200, {}, b'{"keys": [' + b" " * (2 << 20) + b"]}"
    with pytest.raises(VerifierUnavailable, match="not_json"):
        verifier.verify(issuer.token())


def test_broken_keys_beside_a_good_one_do_no_harm(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Broken keys in a JWKS are skipped."""
    rubbish = [
        None,
        7,
        {},
        {"kty": "RSA", "kid": "one"},
        {"kty": "RSA", "n": "!", "e": 1, "kid": "x"},
        {"kty": ["RSA"]},
    ]
    issuer.keys = [*rubbish, public_jwk("one")]  # type: ignore[list-item]
    assert verifier.verify(issuer.token())
    with pytest.raises(InvalidToken):
        verifier.verify(issuer.token("two", headers={"kid": "x"}))


def test_a_token_without_a_key_id_is_tried_with_the_keys_that_suit(issuer: Issuer, verifier: JWTVerifier) -> None:
    """``kid`` is optional (RFC 7515 §4.1.4)."""
    issuer.keys = [public_jwk("an-es", "ES256"), public_jwk("two"), public_jwk("one")]
    assert verifier.verify(issuer.token(None)).client_id == "billing"


def test_any_transport_will_do(issuer: Issuer, clock: FakeClock) -> None:
    """A user's callable gets the request; if it raises, the answer is 503 without its words."""
    seen: list[HttpRequest] = []
    real = as_transport(None)

    def transport(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        if len(seen) == 1:
            raise RuntimeError("secret words")
        return real(request)

    verifier = JWTVerifier(issuer.issuer, AUDIENCE, issuer.jwks_uri, transport=transport, clock=clock)
    with pytest.raises(VerifierUnavailable, match="RuntimeError") as caught:
        verifier.verify(issuer.token())
    assert "secret words" not in str(caught.value)
    clock.advance(1)
    assert verifier.verify(issuer.token())
    assert [(request.method, request.url, request.timeout) for request in seen] == [("GET", issuer.jwks_uri, 5.0)] * 2


@pytest.mark.parametrize("library", ["requests.Session", "httpx.Client", "httpx2.Client"])
def test_the_users_own_session_or_client(issuer: Issuer, clock: FakeClock, library: str) -> None:
    """With a proxy or CA bundle of their own, say; the same as for TokenSource, and no redirect is followed either."""
    module, _, name = library.partition(".")
    pytest.importorskip(module, reason="httpx2 needs Python 3.11")
    with getattr(sys.modules[module], name)() as own:
        verifier = JWTVerifier(issuer.issuer, AUDIENCE, issuer.jwks_uri, transport=own, clock=clock)
        assert verifier.verify(issuer.token()).client_id == "billing"
        issuer.answers["/keys"] = 302, {"Location": f"{issuer.base_url}/elsewhere"}, b""
        with pytest.raises(VerifierUnavailable, match="http_302"):
            verifier.verify(issuer.token("two"))


def test_options_that_make_no_sense() -> None:
    """Each is a ConfigurationError before any I/O, naming the option; never its password."""
    for options, why in [
        ({"issuer": ""}, "issuer is missing or blank"),
        ({"issuer": "tenant.example"}, "is not a URL"),
        ({"issuer": "http://tenant.example"}, "plain http"),
        ({"jwks_uri": "http://tenant.example/keys"}, "plain http"),
        ({"jwks_uri": "https://user:pw@tenant.example"}, "credentials"),
        ({"audience": []}, "audience is empty"),
        ({"audience": " "}, "audience has ' '"),
        ({"leeway": -1}, "leeway"),
        ({"leeway": 301}, "leeway"),
        ({"leeway": True}, "leeway"),
        ({"timeout": 0}, "timeout"),
        ({"keys_lifetime": 0}, "keys_lifetime"),
        ({"unknown_key_interval": 0}, "unknown_key_interval"),
        ({"required_claims": [7]}, "required_claims"),
        ({"transport": 7}, "transport"),
    ]:
        given = {"issuer": "https://tenant.example", "audience": "a", **options}
        with pytest.raises(ConfigurationError, match=why) as caught:
            JWTVerifier(**given)  # type: ignore[arg-type]
        assert "pw" not in str(caught.value)


def _verified_in_child(verifier: JWTVerifier, token: str, answers: multiprocessing.SimpleQueue[str]) -> None:
    answers.put(verifier.verify(token).client_id)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_during_a_fetch_is_not_stuck(issuer: Issuer, verifier: JWTVerifier) -> None:
    """The parent's thread waits for the keys while it forks: the child has no such thread, and fetches by itself."""
    token = issuer.token()
    issuer.open.clear()
    waiting = threading.Thread(target=verifier.verify, args=(token,))
    waiting.start()
    while issuer.fetches == 0:
        waiting.join(0.01)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_verified_in_child, args=(verifier, token, answers))
    child.start()
    issuer.open.set()
    child.join(20)
    try:
        assert child.exitcode == 0, "the child hangs"
        assert answers.get() == "billing"
    finally:
        if child.is_alive():
            child.kill()
            child.join()
        child.close()
        answers.close()
        waiting.join(20)
    assert issuer.fetches == 2
