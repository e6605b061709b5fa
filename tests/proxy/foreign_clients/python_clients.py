"""OAuth clients from PyPI, and curl, each as its documentation shows it: one access token from a token endpoint.

Every call is careless: a new client each time, so nothing is cached on this side. ``post``: the credentials go into the
body (``client_secret_post``) instead of an Authorization header.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import httpx_auth
import requests
from authlib.integrations.httpx_client import OAuth2Client as AuthlibHttpxClient
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauth2client import BearerToken, ClientSecretPost, OAuth2Client
from requests_oauthlib import OAuth2Session

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache


class Ask(NamedTuple):
    """Who asks where, and how."""

    endpoint: str
    client_id: str
    secret: str
    scope: str = "read"
    post: bool = False
    api: str = ""
    """A protected resource, for clients that ask for a token only when they call one."""


def authlib_requests(ask: Ask) -> str:
    """Authlib on requests."""
    method = "client_secret_post" if ask.post else "client_secret_basic"
    with AuthlibSession(ask.client_id, ask.secret, scope=ask.scope, token_endpoint_auth_method=method) as session:
        return str(session.fetch_token(ask.endpoint, grant_type="client_credentials")["access_token"])


def authlib_httpx(ask: Ask) -> str:
    """Authlib on httpx."""
    method = "client_secret_post" if ask.post else "client_secret_basic"
    with AuthlibHttpxClient(ask.client_id, ask.secret, scope=ask.scope, token_endpoint_auth_method=method) as client:
        return str(client.fetch_token(ask.endpoint, grant_type="client_credentials")["access_token"])


def requests_oauth2client(ask: Ask) -> str:
    """requests_oauth2client; ``testing`` lets it speak plain http, on loopback."""
    auth: Any = ClientSecretPost(ask.client_id, ask.secret) if ask.post else (ask.client_id, ask.secret)
    with requests.Session() as session:
        client = OAuth2Client(ask.endpoint, auth, session=session, testing=True)
        token = client.client_credentials(scope=ask.scope)
    assert isinstance(token, BearerToken)
    assert token.expires_at is not None, "it understands expires_in"
    return token.access_token


def requests_oauthlib(ask: Ask) -> str:
    """requests-oauthlib."""
    with OAuth2Session(client=BackendApplicationClient(ask.client_id, scope=ask.scope.split())) as session:
        if ask.post:
            token = session.fetch_token(ask.endpoint, client_secret=ask.secret, include_client_id=True)
        else:
            token = session.fetch_token(ask.endpoint, auth=HTTPBasicAuth(ask.client_id, ask.secret))
    return str(token["access_token"])


def httpx_auth_client(ask: Ask) -> str:
    """httpx-auth, which asks when it calls a protected resource; its cache of tokens is emptied first."""
    httpx_auth.OAuth2.token_cache.clear()
    auth = httpx_auth.OAuth2ClientCredentials(ask.endpoint, ask.client_id, ask.secret, scope=ask.scope)
    with httpx.Client(auth=auth) as client:
        answer = client.get(ask.api)
    return answer.request.headers["Authorization"].removeprefix("Bearer ")


def curl(ask: Ask) -> str:
    """curl; the secret is on stdin, because every user of the machine can read argv."""
    form = {"grant_type": "client_credentials", "scope": ask.scope}
    settings = [f'url = "{ask.endpoint}"', "silent", "show-error", "fail", "max-time = 30"]
    if ask.post:
        form |= {"client_id": ask.client_id, "client_secret": ask.secret}
    else:
        settings.append(f'user = "{ask.client_id}:{ask.secret}"')
    settings += [f'data-urlencode = "{name}={value}"' for name, value in form.items()]
    command = ["curl", "--config", "-"]
    done = subprocess.run(command, input="\n".join(settings).encode(), capture_output=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return str(json.loads(done.stdout)["access_token"])


def m2m_auth_itself(ask: Ask) -> str:
    """m2m-auth with a new cache each time, so that it shares nothing with the call before."""
    source = TokenSource(
        ask.endpoint,
        ask.client_id,
        ask.secret,
        scope=ask.scope,
        client_authentication="client_secret_post" if ask.post else "client_secret_basic",
        cache=MemoryTokenCache(),
    )
    return source()


CLIENTS: dict[str, Callable[[Ask], str]] = {
    "authlib-requests": authlib_requests,
    "authlib-httpx": authlib_httpx,
    "requests_oauth2client": requests_oauth2client,
    "requests-oauthlib": requests_oauthlib,
    "httpx-auth": httpx_auth_client,
    "curl": curl,
    "m2m-auth": m2m_auth_itself,
}
WITHOUT_POST = {"httpx-auth"}
"""Clients that support only one way to authenticate."""
