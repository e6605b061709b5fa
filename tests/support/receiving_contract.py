"""What ``@require_m2m`` does over the wire, the same for Django and Flask: each runs this suite on a real port.

A subclass's ``serve`` starts an application with these views, each answering ``{"client": …, "scopes": […]}``:
``/read`` (scope "read"), ``/admin`` (scope "read admin"), ``/other`` (audience "other"), ``/bare`` (any good token),
and ``/async`` (an async view, scope "read"); all take GET and POST.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
import requests
from issuer import AUDIENCE, Issuer

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.challenges import challenges
from m2m_auth.requests import M2MAuth
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

VIEWS = ["/read", "/bare", "/async"]


class ReceivingContract:
    """The suite. ``issuer`` and ``authorization`` use ``clock``, the API uses ``api_clock``."""

    def serve(self, receiving: Any) -> AbstractContextManager[str]:
        """The base URL of a running application with these settings."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The time of the client and of the authorization server."""
        return FakeClock()

    @pytest.fixture
    def api_clock(self) -> FakeClock:
        """The time of the API."""
        return FakeClock()

    @pytest.fixture
    def issuer(self, clock: FakeClock) -> Iterator[Issuer]:
        """Signs JWTs."""
        with Issuer(clock) as running:
            yield running

    @pytest.fixture
    def authorization(self, clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
        """Mints tokens, and introspects them."""
        with FakeAuthorizationServer(clock=clock) as running:
            yield running

    @pytest.fixture
    def api(self, issuer: Issuer, api_clock: FakeClock) -> Iterator[str]:
        """An API that takes the issuer's JWTs."""
        with self.serve({"ISSUER": issuer.issuer, "AUDIENCE": AUDIENCE, "CLOCK": api_clock}) as url:
            yield url

    @pytest.fixture
    def introspecting_api(self, authorization: FakeAuthorizationServer, api_clock: FakeClock) -> Iterator[str]:
        """An API that introspects every token."""
        inner = {"ENDPOINT": f"{authorization.base_url}/introspect", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
        with self.serve({"INTROSPECTION": {**inner, "CACHE_FOR": 0, "CLOCK": api_clock}}) as url:
            yield url

    @pytest.fixture
    def session(self, authorization: FakeAuthorizationServer, clock: FakeClock) -> Iterator[requests.Session]:
        """A requests session with M2MAuth."""
        with requests.Session() as session:
            options: dict[str, Any] = {"cache": MemoryTokenCache(), "clock": clock}
            session.auth = M2MAuth(authorization.token_endpoint, "client", "secret", scope="read", **options)
            yield session

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_good_token_gets_in(self, api: str, issuer: Issuer, view: str, method: str) -> None:
        """The view knows who calls; a POST needs no CSRF token, for no browser sends a bearer token by itself."""
        answer = requests.request(method, api + view, headers={"Authorization": f"Bearer {issuer.token()}"}, timeout=20)
        assert answer.status_code == 200
        assert answer.json() == {"client": "billing", "scopes": ["read", "write"]}

    @pytest.mark.parametrize("view", VIEWS)
    def test_no_token(self, api: str, issuer: Issuer, view: str) -> None:
        """401 with a challenge that has no error (RFC 6750 §3.1) but names the scope; no request goes to the issuer."""
        for headers in ({}, {"Authorization": "Basic YTpi"}):
            answer = requests.get(api + view, headers=headers, timeout=20)
            assert answer.status_code == 401
            ((scheme, parameters),) = challenges(answer.headers["WWW-Authenticate"])
            assert scheme == "bearer"
            assert parameters == {"realm": "m2m", **({} if view == "/bare" else {"scope": "read"})}
        assert issuer.asked.total() == 0

    @pytest.mark.parametrize("view", VIEWS)
    def test_an_expired_token(self, api: str, issuer: Issuer, api_clock: FakeClock, view: str) -> None:
        """401 invalid_token in the header, and the same in a JSON body; nothing to be cached."""
        token = issuer.token()
        api_clock.advance(700)
        answer = requests.get(api + view, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        assert answer.status_code == 401
        words = {"error": "invalid_token", "error_description": "The token has expired."}
        assert challenges(answer.headers["WWW-Authenticate"]) == [("bearer", words)]
        assert answer.json() == words
        assert answer.headers["Cache-Control"] == "no-store"

    def test_another_audience(self, api: str, issuer: Issuer) -> None:
        """A view may ask for more than the settings do; a token for both gets in."""
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        assert requests.get(f"{api}/other", headers=headers, timeout=20).status_code == 401
        headers = {"Authorization": f"Bearer {issuer.token(aud=[AUDIENCE, 'other'])}"}
        assert requests.get(f"{api}/other", headers=headers, timeout=20).status_code == 200

    def test_a_missing_scope(self, api: str, issuer: Issuer) -> None:
        """403 insufficient_scope, with all the scopes that are needed."""
        answer = requests.get(f"{api}/admin", headers={"Authorization": f"Bearer {issuer.token()}"}, timeout=20)
        assert answer.status_code == 403
        ((_, parameters),) = challenges(answer.headers["WWW-Authenticate"])
        assert (parameters["error"], parameters["scope"]) == ("insufficient_scope", "admin read")

    @pytest.mark.parametrize("view", VIEWS)
    def test_malformed_requests(self, api: str, issuer: Issuer, view: str) -> None:
        """400: no token behind the scheme, two headers, and a second token in the URL."""
        token = issuer.token()
        assert requests.get(api + view, headers={"Authorization": "Bearer "}, timeout=20).status_code == 400
        both = requests.get(f"{api}{view}?access_token=x", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        assert both.status_code == 400
        assert 'error="invalid_request"' in both.headers["WWW-Authenticate"]
        connection = http.client.HTTPConnection(api.removeprefix("http://"), timeout=20)
        connection.putrequest("GET", view)
        connection.putheader("Authorization", f"Bearer {token}")
        connection.putheader("Authorization", f"Bearer {token}")
        connection.endheaders()
        with connection.getresponse() as answer:
            assert answer.status == 400
        connection.close()

    @pytest.mark.parametrize("view", VIEWS)
    def test_an_issuer_that_is_down(self, api: str, issuer: Issuer, view: str) -> None:
        """503 with Retry-After and no challenge: the token may be good."""
        token = issuer.token()
        issuer.stop()
        answer = requests.get(api + view, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        issuer.start()
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert "WWW-Authenticate" not in answer.headers
        assert issuer.base_url not in answer.text

    def test_first_calls_fetch_the_keys_once(self, api: str, issuer: Issuer) -> None:
        """16 calls at once to an application that has just started: one verifier, one fetch."""
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        with ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda _: requests.get(f"{api}/read", headers=headers, timeout=20), range(16))
            assert {answer.status_code for answer in answers} == {200}
        assert issuer.fetches == 1

    @pytest.mark.parametrize("view", VIEWS)
    def test_a_revoked_token_is_one_renewal_and_a_200(
        self,
        introspecting_api: str,
        authorization: FakeAuthorizationServer,
        session: requests.Session,
        clock: FakeClock,
        view: str,
    ) -> None:
        """End to end with the client side: it reads the challenge, renews once, replays, and the call succeeds."""
        assert session.get(introspecting_api + view).status_code == 200
        authorization.revoke_all()
        clock.advance(10)
        answer = session.post(introspecting_api + view, data=b"order 7")
        assert answer.status_code == 200
        assert [each.status_code for each in answer.history] == [401]
        assert session.get(introspecting_api + view).history == []
        assert authorization.mints == 2

    def test_a_token_revoked_under_16_threads_is_one_renewal(
        self,
        introspecting_api: str,
        authorization: FakeAuthorizationServer,
        session: requests.Session,
        clock: FakeClock,
    ) -> None:
        """All calls get the 401 at once; one token is minted for all, and every call ends with a 200."""
        assert session.get(f"{introspecting_api}/read").status_code == 200
        authorization.revoke_all()
        clock.advance(10)
        together = threading.Barrier(16)

        def call(_: int) -> int:
            with requests.Session() as own:
                own.auth = session.auth
                together.wait(20)
                return own.get(f"{introspecting_api}/read").status_code

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(call, range(16))) == [200] * 16
        assert authorization.mints == 2

    def test_a_token_that_the_api_finds_expired_is_one_renewal_and_a_200(
        self,
        api: str,
        issuer: Issuer,
        authorization: FakeAuthorizationServer,
        session: requests.Session,
        clock: FakeClock,
        api_clock: FakeClock,
    ) -> None:
        """End to end with JWTs: the API's clock is ahead, so a token that the client holds for fresh has expired."""
        authorization.extra_response = {"access_token": issuer.token(), "expires_in": 600}
        assert session.get(f"{api}/read").status_code == 200
        clock.advance(10)
        api_clock.advance(700)
        authorization.extra_response = {
            "access_token": issuer.token(exp=api_clock.wall() + 600),
            "expires_in": 600,
        }
        answer = session.get(f"{api}/read")
        assert answer.status_code == 200
        assert [each.status_code for each in answer.history] == [401]
        assert authorization.mints == 2

    def test_a_missing_scope_and_a_server_that_is_down_cost_no_token(
        self,
        introspecting_api: str,
        api_clock: FakeClock,
        authorization: FakeAuthorizationServer,
        session: requests.Session,
        clock: FakeClock,
    ) -> None:
        """403 and 503 reach the caller as they are: another token would not help."""
        assert session.get(f"{introspecting_api}/read").status_code == 200
        clock.advance(10)
        assert session.get(f"{introspecting_api}/admin").status_code == 403
        authorization.stop()
        assert session.get(f"{introspecting_api}/read").status_code == 503
        authorization.start()
        api_clock.advance(1)
        assert session.get(f"{introspecting_api}/read").status_code == 200
        assert authorization.mints == 1
