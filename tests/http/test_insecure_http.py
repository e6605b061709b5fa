"""``allow_insecure_http=True``: plain http in a trusted network, for the API and for the token endpoint."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import pytest
from front_doors import INSTALLED

from m2m_auth import ConfigurationError, InsecureTransport, TokenSource
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.testing import FakeClock

KEYCLOAK = "http://keycloak{number}:8080/realms/x/protocol/openid-connect/token"
"""As in a compose file; each test has its own host, because a process warns of each once."""

EVERY = "every machine on the way can read"


def mint(request: HttpRequest) -> HttpResponse:
    """The token endpoint."""
    return HttpResponse(200, {}, b'{"access_token": "t1", "token_type": "Bearer", "expires_in": 3600}')


def attached(library: str, auth: Any, url: str) -> Any:
    """A request of the library with the auth's token on it; it is not sent."""
    http = __import__(library)
    if library == "requests":
        return http.Request("GET", url, auth=auth).prepare()
    request = http.Request("GET", url)
    flow = auth.sync_auth_flow(request)
    next(flow)
    flow.close()
    return request


@pytest.mark.parametrize("library", ["source", *INSTALLED])
def test_a_token_endpoint_in_compose(library: str) -> None:
    """Refused by default, and the message names the option; with it, tokens are minted."""
    cls: Any = TokenSource if library == "source" else __import__(f"m2m_auth.{library}", fromlist=["M2MAuth"]).M2MAuth
    url = KEYCLOAK.format(number=1)
    with pytest.raises(ConfigurationError, match=r"is plain http.*Fix: use https .*or pass allow_insecure_http=True"):
        cls(url, "client", "secret", transport=mint)
    auth = cls(url, "client", "secret", transport=mint, allow_insecure_http=True, clock=FakeClock())
    source = auth if library == "source" else auth.source
    assert source.token().value == "t1"


@pytest.mark.parametrize("library", INSTALLED)
@pytest.mark.parametrize("given", ["false", "true", "", 0, 1, None])
def test_a_text_is_no_answer(library: str, given: Any) -> None:
    """``os.environ.get("ALLOW_HTTP", "false")`` must not send secrets over plain http."""
    door = importlib.import_module(f"m2m_auth.{library}").M2MAuth
    client: tuple[Any, ...] = ("https://issuer.example/token", "client", "secret")
    source = TokenSource(*client, transport=mint)
    for constructor, arguments in ((TokenSource, client), (door, client), (door.from_source, (source,))):
        with pytest.raises(
            ConfigurationError, match=r"allow_insecure_http must be a bool, not .*\. Fix: True or False"
        ):
            constructor(*arguments, allow_insecure_http=given)


def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each token endpoint and each API, although every request may build an auth; never for loopback."""
    auth_class = __import__(f"m2m_auth.{INSTALLED[0]}", fromlist=["M2MAuth"]).M2MAuth
    with caplog.at_level(logging.WARNING, "m2m_auth"):
        for number in (2, 2, 3):
            options: Any = {"transport": mint, "allow_insecure_http": True, "clock": FakeClock()}
            auth = auth_class(KEYCLOAK.format(number=number), "client", "secret", **options)
            for api in (f"http://orders{number}:8000/a", f"http://orders{number}:8000/b", "http://localhost:9/"):
                attached(INSTALLED[0], auth, api)
        auth_class("http://127.0.0.1:8080/token", "client", "secret", **options)
    plain = [record.getMessage() for record in caplog.records if "plain http" in record.getMessage()]
    assert plain == [
        text
        for number in (2, 3)
        for text in (
            f"the token endpoint http://keycloak{number}:8080 is plain http: {EVERY} the secret",
            f"tokens go to http://orders{number}:8000 over plain http: {EVERY} them",
        )
    ]


@pytest.mark.parametrize("library", INSTALLED)
def test_a_front_door_over_a_source_has_its_own(library: str) -> None:
    """from_source: the source's option is about the token endpoint, the front door's about the API."""
    source = TokenSource(KEYCLOAK.format(number=4), "client", "secret", transport=mint, allow_insecure_http=True)
    cls = __import__(f"m2m_auth.{library}", fromlist=["M2MAuth"]).M2MAuth
    with pytest.raises(InsecureTransport):
        attached(library, cls.from_source(source), "http://orders4:8000/")
    open_ = cls.from_source(source, allow_insecure_http=True)
    assert attached(library, open_, "http://orders4:8000/").headers["Authorization"] == "Bearer t1"
