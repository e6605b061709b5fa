"""Type-checked, never run: the front doors as the HTTP libraries' own types see them."""

from __future__ import annotations

import httpx
import httpx2
import requests
from requests.auth import AuthBase
from typing_extensions import assert_type

import m2m_auth.httpx
import m2m_auth.httpx2
import m2m_auth.requests
from m2m_auth import TokenSource
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT

URL = "https://tenant.example/oauth/token"

for_requests = m2m_auth.requests.M2MAuth(URL, client_id="client", client_secret="secret", audience="api", cache="disk:")
for_httpx = m2m_auth.httpx.M2MAuth(URL, "client", "secret", scope=["a"], allowed_origins=["https://api.example.com"])
for_httpx2 = m2m_auth.httpx2.M2MAuth(URL, "client", client_authentication=PrivateKeyJWT("key.pem"))

as_base: AuthBase = for_requests
as_auth: httpx.Auth = for_httpx
as_auth2: httpx2.Auth = for_httpx2

session = requests.Session()
session.auth = for_requests
requests.get("https://api.example.com", auth=for_requests, timeout=5)
httpx.Client(auth=for_httpx)
httpx.AsyncClient(auth=for_httpx)
httpx2.Client(auth=for_httpx2)
httpx2.AsyncClient(auth=for_httpx2)

assert_type(for_requests.source, TokenSource)
assert_type(m2m_auth.httpx.M2MAuth.from_source(for_requests.source), m2m_auth.httpx.M2MAuth)
assert_type(m2m_auth.requests.M2MAuth.from_source(for_httpx.source), m2m_auth.requests.M2MAuth)


def rejected(status: int, headers: object) -> bool:
    """An ``is_rejection``."""
    return status in (401, 403)


m2m_auth.httpx.M2MAuth(URL, "client", "secret", is_rejection=rejected, allow_insecure_http=True)

# For type checkers, an unknown option and a value of the wrong type are errors.
m2m_auth.requests.M2MAuth(URL, "client", audiance="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
m2m_auth.httpx.M2MAuth(URL, "client", audiance="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
m2m_auth.httpx.M2MAuth(URL, "client", scope=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
