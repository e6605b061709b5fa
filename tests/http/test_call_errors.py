"""Without a token no call is sent; the error is m2m-auth's and the HTTP library's. Errors of the options, too."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from callers import CALLERS, SYNC, Caller, clients
from front_doors import FRONT_DOORS

import m2m_auth.requests
from m2m_auth import (
    ConfigurationError,
    InsecureTransport,
    MalformedTokenResponse,
    OriginNotAllowed,
    TokenEndpointUnavailable,
    TokenRequestRejected,
    TokenUnavailable,
)
from m2m_auth.testing import FailureMode, FakeAuthorizationServer, FakeClock


@pytest.mark.loopback
@clients("requests", "httpx")
@pytest.mark.parametrize(
    ("mode", "expected", "code"),
    [
        ("500", TokenEndpointUnavailable, "http_500"),
        ("429", TokenEndpointUnavailable, "http_429"),
        ("reset", TokenEndpointUnavailable, "connection"),
        ("invalid_client", TokenRequestRejected, "invalid_client"),
        ("oauth_error", TokenRequestRejected, "invalid_request"),
        ("empty_403", TokenRequestRejected, "http_403"),
        ("redirect", TokenRequestRejected, "http_302"),
        ("not_json", MalformedTokenResponse, "malformed_response"),
        ("empty", MalformedTokenResponse, "malformed_response"),
        ("huge", MalformedTokenResponse, "malformed_response"),
        ("truncated", TokenEndpointUnavailable, "connection"),
    ],
)
def test_without_a_token_no_call_goes_out(
    caller: Caller,
    server: FakeAuthorizationServer,
    clock: FakeClock,
    api: str,
    mode: FailureMode,
    expected: type[TokenUnavailable],
    code: str,
) -> None:
    """Each failure raises our error, which is also the library's, with facts and request; after the repair, 200."""
    requests = 2 if code == "connection" else 1  # a caller without a token gets a second attempt after a blip
    server.fail(mode)
    caller.attach(caller.auth(server, clock))
    with pytest.raises(expected) as caught:
        caller.get(api)
    error = caught.value
    assert isinstance(error, caller.error)
    assert error.cause_code == code
    assert (str(error.request.url), error.request.method) == (api, "GET")  # type: ignore[attr-defined]
    # The library's exception, if there was one, held the token request.
    assert error.__cause__ is None
    assert error.__context__ is None
    assert (server.api_calls, server.token_requests) == ([], requests)
    with pytest.raises(expected):
        caller.get(api)
    assert (server.api_calls, server.token_requests) == ([], requests)  # from the record
    server.recover()
    clock.advance(4000)
    assert caller.get(api).status == 200


@pytest.mark.loopback
def test_errors_are_new_for_each_call_and_survive_pickling(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """Two calls raise two objects, each with its own request; a pickle becomes the plain error with its facts."""
    server.fail("429", retry_after=30)
    caller.attach(caller.auth(server, clock))
    errors = []
    for path in ("/one", "/two"):
        with pytest.raises(caller.error) as caught:
            caller.get(api + path)
        errors.append(caught.value)
    assert [str(error.request.url)[-4:] for error in errors] == ["/one", "/two"]  # type: ignore[attr-defined]
    loaded = pickle.loads(pickle.dumps(errors[0]))
    assert type(loaded) is TokenEndpointUnavailable
    assert loaded.args == errors[0].args
    assert 30 <= loaded.retry_after <= 35
    assert loaded.status == 429


@pytest.mark.loopback
@clients(*CALLERS)
def test_a_call_that_may_not_carry_a_token(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """The wrong origin and plain http: the library's error, too, with the request; pickled as the plain error."""
    caller.attach(caller.auth(server, clock, allowed_origins=["https://api.example", server.base_url]))
    assert caller.get(api).status == 200  # the short cut of the next call sees another site
    for options, expected in (({}, OriginNotAllowed), ({"allowed_origins": None}, InsecureTransport)):
        auth = caller.auth(server, clock, **({"allowed_origins": ["https://api.example"]} | options))
        with pytest.raises(caller.error) as caught:
            caller.get("http://elsewhere.example/orders", auth=auth)
        error: Any = caught.value
        assert isinstance(error, expected)
        assert type(error).__name__ == expected.__name__
        assert str(error.request.url) == "http://elsewhere.example/orders"
        assert (error.origin, error.__cause__, error.__context__) == ("http://elsewhere.example", None, None)
        loaded = pickle.loads(pickle.dumps(error))
        assert type(loaded) is expected
        assert (str(loaded), loaded.origin) == (str(error), error.origin)
        assert getattr(loaded, "allowed", ("https://api.example",)) == ("https://api.example",)
    assert (server.token_requests, len(server.api_calls)) == (1, 1)


@pytest.mark.loopback
def test_a_dead_token_endpoint(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str) -> None:
    """Nothing listens on the port: one except clause for the library's own error catches it."""
    auth = caller.auth(server, clock)
    server.stop()
    with pytest.raises(caller.error, match="cannot be reached: ConnectionRefusedError") as caught:
        caller.get(api, auth=auth)
    assert isinstance(caught.value, TokenEndpointUnavailable)
    assert server.token_endpoint in str(caught.value)


@pytest.mark.loopback
@clients(*SYNC)
def test_an_unknown_option_is_named_with_the_nearest_one(caller: Caller, server: FakeAuthorizationServer) -> None:
    """A typo is a TypeError before any I/O, through every front door and in a front door's own options."""
    for typo, meant in (("audiance", "audience"), ("allowed_origin", "allowed_origins"), ("scopes", "scope")):
        with pytest.raises(TypeError, match=f"unknown option '{typo}'.*did you mean '{meant}'"):
            caller.auth(server, **{typo: "x"})
    assert server.token_requests == 0


@pytest.mark.loopback
@clients("requests")
@pytest.mark.parametrize("secret", [None, "", "  ", "secret\n"])
def test_a_bad_secret_raises_before_any_io(caller: Caller, server: FakeAuthorizationServer, secret: Any) -> None:
    """Missing, blank and padded secrets are refused, and the secret is not in the message."""
    with pytest.raises(ConfigurationError) as caught:
        caller.front_door.M2MAuth(server.token_endpoint, "client", secret)
    assert "client_secret" in str(caught.value)
    assert "secret\\n" not in str(caught.value)
    assert server.token_requests == 0


@pytest.mark.loopback
@clients("httpx", "httpx2", "httpx-asyncio")
def test_an_auth_of_requests_says_which_to_import(caller: Caller, server: FakeAuthorizationServer, api: str) -> None:
    """httpx takes any callable as its auth, so the front door for requests says itself that it is the wrong one."""
    auth = m2m_auth.requests.M2MAuth(server.token_endpoint, "client", "secret")
    with pytest.raises(TypeError, match=r"M2MAuth is for requests, .* Fix: import M2MAuth from m2m_auth.httpx or"):
        caller.get(api, auth=auth)
    assert server.token_requests == 0


@pytest.mark.loopback
@clients(*SYNC)
def test_an_auth_is_not_pickled(caller: Caller, server: FakeAuthorizationServer) -> None:
    """It holds a secret: the error of pickling it names the fix; its repr shows neither secret nor token."""
    auth = caller.auth(server)
    with pytest.raises(TypeError, match="build it where it is used"):
        pickle.dumps(auth)
    auth.source.token()
    assert auth.source.token().value not in repr(auth)
    assert "'secret'" not in repr(auth)


@pytest.mark.processes
@pytest.mark.parametrize("name", FRONT_DOORS)
def test_a_missing_library_is_named_with_its_extra(name: str) -> None:
    """Importing a front door without its library says what to install, as an ImportError that names the module."""
    script = f"""
        import sys
        sys.modules[{name!r}] = None
        try:
            import m2m_auth.{name}
        except ImportError as error:
            assert error.name == {name!r}, error.name
            assert "pip install 'm2m-auth[{name}]'" in str(error), error
            assert error.__cause__ is None and error.__suppress_context__
        else:
            raise SystemExit("imported")
    """
    _runs(script)


@pytest.mark.processes
def test_no_library_at_all() -> None:
    """A TokenSource without any HTTP library says what to install when it is built."""
    script = """
        import sys, m2m_auth

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name in ("requests", "httpx", "httpx2"):
                    raise ModuleNotFoundError(name, name=name)

        sys.meta_path.insert(0, Blocked())
        for name in ("requests", "httpx", "httpx2"):
            sys.modules[name] = None
        try:
            m2m_auth.TokenSource("https://as.example/token", "client", "secret")
        except m2m_auth.ConfigurationError as error:
            assert "pip install 'm2m-auth[requests]'" in str(error), error
        else:
            raise SystemExit("built")
    """
    _runs(script)


def _runs(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_httpx_and_httpx2_have_separate_auth_classes() -> None:
    """Each client accepts only its own library's Auth class, so there are two modules."""
    httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
    import m2m_auth.httpx
    import m2m_auth.httpx2

    options: Any = ("https://as.example/token", "client", "secret")
    with pytest.raises(TypeError, match="auth"):
        httpx2.Client(auth=m2m_auth.httpx.M2MAuth(*options))
    with pytest.raises(TypeError, match="auth"):
        httpx.Client(auth=m2m_auth.httpx2.M2MAuth(*options))
    for library, front_door in ((httpx, m2m_auth.httpx), (httpx2, m2m_auth.httpx2)):
        auth = front_door.M2MAuth(*options)
        with library.Client(auth=auth) as client:
            assert client.auth is auth
