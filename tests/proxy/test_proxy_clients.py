"""Unchanged third-party clients, with the proxy's URL instead of django-oauth-toolkit's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from real_servers import Api, AuthorizationServer, ClientSpec, start_api, start_dot

sys.path.insert(0, str(Path(__file__).with_name("foreign_clients")))

import npm_clients
import python_clients
import served_proxy
from python_clients import Ask

SECRET = "the vendor's own secret"
WAYS = [
    pytest.param(client, post, id=f"{name}, {'post' if post else 'basic'}")
    for name, client in python_clients.CLIENTS.items()
    for post in (False, True)
    if not (post and name in python_clients.WITHOUT_POST)
]


class World(NamedTuple):
    """A running proxy, the servers behind it, and the vendor's credentials at the proxy."""

    proxy: str
    server: AuthorizationServer
    api: Api
    upstream_client: str
    secret: str

    def ask(self, *, post: bool = False, secret: str | None = None) -> Ask:
        """One token request of the vendor."""
        return Ask(self.proxy, "vendor", secret or self.secret, "read", post, f"{self.api.base_url}/hello")

    def mints(self) -> int:
        """The number of tokens that the authorization server minted for the client behind the vendor."""
        return self.server.mints(self.upstream_client)

    def opens_the_api(self, token: str) -> bool:
        """Whether the API accepts the token; it asks the authorization server."""
        request = Request(f"{self.api.base_url}/hello", headers={"Authorization": f"Bearer {token}"})
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
                return bool(json.load(answer) == {"hello": "world"})
        except HTTPError:
            return False


@pytest.fixture(scope="module", params=["own credentials", "the proxy's credentials"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both modes: the vendor is a client upstream, or only the proxy is. The command `m2m-auth proxy` serves it."""
    own, folder = request.param == "own credentials", tmp_path_factory.mktemp("proxy")
    clients = [ClientSpec("vendor", SECRET), ClientSpec("the-proxy", "the proxy's secret")]
    with start_dot(clients) as server, start_api(server) as api:
        vendors = {"vendor": {"audiences": [""], "scopes": ["read", "write"]}}
        if own:
            config = served_proxy.write_config(folder, server.token_endpoint, vendors)
            secret = SECRET
        else:
            upstream = {"client_id": "the-proxy", "client_secret": "the proxy's secret"}
            config = served_proxy.write_config(folder, server.token_endpoint, {}, upstream=upstream)
            secret = served_proxy.add_vendor(config, "vendor", "--scope", "read", "--scope", "write")
        with served_proxy.running(config) as proxy:
            yield World(proxy, server, api, "vendor" if own else "the-proxy", secret)


@pytest.fixture
def insecure_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Authlib and oauthlib speak plain http only where the environment allows it."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.usefixtures("insecure_transport")
@pytest.mark.parametrize(("client", "post"), WAYS)
def test_a_client_from_pypi(world: World, client: Callable[[Ask], str], post: bool) -> None:
    """Two requests get the same good token, minted once for all clients; a wrong secret raises the client's error."""
    tokens = {client(world.ask(post=post)) for _ in range(2)}
    assert [world.opens_the_api(token) for token in tokens] == [True]
    assert world.mints() == 1
    if not post:
        with pytest.raises(Exception, match=r"invalid_client|error: 401|^The remote endpoint returned an error"):
            client(world.ask(secret="a guess"))


@pytest.mark.parametrize("post", [False, True], ids=["basic", "post"])
@pytest.mark.parametrize("client", npm_clients.CLIENTS)
def test_a_client_from_npm(world: World, client: str, post: bool) -> None:
    """simple-oauth2 and the strict openid-client get the same token as all clients; a wrong secret is a 401."""
    try:
        npm_clients.installed()
    except npm_clients.Missing as missing:
        pytest.skip(str(missing))
    first, second = npm_clients.ask(client, world.ask(post=post), 2)
    assert first["access_token"] == second["access_token"]
    assert first["token_type"].lower() == "bearer"
    assert 3500 < first["expires_in"] <= 3600
    assert first["scope"] == "read"
    assert world.opens_the_api(first["access_token"])
    assert world.mints() == 1
    (refused,) = npm_clients.ask(client, world.ask(post=post, secret="a guess"))
    assert refused["status"] == 401
    assert "access_token" not in refused
