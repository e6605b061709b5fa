"""Real servers for every test file. Each starts once per test process, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from real_servers import Api, AuthorizationServer, ClientSpec, start_api, start_authlib, start_dot

LIFETIMES = {"client": 3600, "short": 4, "brief": 2}
"""The registered clients and the lifetime of their tokens in seconds. The secret of each is ``secret``."""


def _clients() -> list[ClientSpec]:
    return [ClientSpec(name, "secret", lifetime=seconds) for name, seconds in LIFETIMES.items()]


@pytest.fixture(scope="session")
def authlib_server() -> Iterator[AuthorizationServer]:
    """Authlib's server: JWT access tokens."""
    with start_authlib(_clients()) as server:
        yield server


@pytest.fixture(scope="session")
def authlib_api(authlib_server: AuthorizationServer) -> Iterator[Api]:
    """The protected API behind Authlib's server. It verifies the JWTs itself."""
    with start_api(authlib_server) as api:
        yield api


@pytest.fixture(scope="session")
def dot_server() -> Iterator[AuthorizationServer]:
    """django-oauth-toolkit: opaque tokens, and a decorator that answers 403 to an expired token."""
    with start_dot(_clients()) as server:
        yield server


@pytest.fixture(scope="session")
def dot_api(dot_server: AuthorizationServer) -> Iterator[Api]:
    """The protected API behind django-oauth-toolkit. It introspects every token."""
    with start_api(dot_server) as api:
        yield api


@pytest.fixture(params=["authlib", "dot"])
def real_server(request: pytest.FixtureRequest) -> AuthorizationServer:
    """Each of the two authorization servers, with its counts at zero."""
    server: AuthorizationServer = request.getfixturevalue(f"{request.param}_server")
    server.reset()
    return server


@pytest.fixture
def protected_api(request: pytest.FixtureRequest, real_server: AuthorizationServer) -> Api:
    """The API behind ``real_server``, with its counts at zero and no refused tokens."""
    name = "authlib_api" if real_server.jwks_url else "dot_api"
    api: Api = request.getfixturevalue(name)
    api.reset()
    return api
