"""A vendor in front of third-party authorization servers that narrow."""

from __future__ import annotations

import pytest
import requests
from real_servers import AuthorizationServer
from vending_support import SHOP, ask, document, token_of, user

from m2m_auth.vending import TokenVendor

pytestmark = pytest.mark.processes


def test_real_servers_narrow_and_separate_callers(real_server: AuthorizationServer) -> None:
    """A client with read and write: a vended token is for read alone, the server says; two callers, two mints."""
    vendor = TokenVendor(
        lambda narrowed: narrowed.source(real_server.token_endpoint, "client", "secret"),
        caller=user,
        scopes=["read"],
        origins=[SHOP],
    )
    vendor.check()
    ada = document(ask(vendor, "ada", "read"))
    assert token_of(ask(vendor, "ada", "read")) == ada["access_token"] != token_of(ask(vendor, "bob", "read"))
    assert (ada["scope"], 3590 < ada["expires_in"] <= 3600) == ("read", True)
    assert real_server.mints("client") == 3  # the check's, ada's and bob's
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": real_server.introspection_authorization}
        form = {"token": ada["access_token"]}
        answer = session.post(real_server.introspection_url, form, headers=headers, timeout=60).json()
    assert (answer["active"], answer["scope"]) == (True, "read")
