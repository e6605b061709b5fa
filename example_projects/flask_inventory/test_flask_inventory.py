"""The inventory with tokens of the real authorization server, good ones and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.processes

RUN = Path(__file__).resolve().with_name("run.py")


def test_only_good_tokens_are_let_in(start: Any, session: requests.Session) -> None:
    """A token does what its scopes say; one for another API, none, or a made-up one is refused with a challenge.

    Ctrl-C ends every process.
    """
    example = start(RUN)
    inventory, endpoint = example.printed["inventory"], example.printed["authorization server"]

    def token(client: str, resource: str = "https://inventory.example") -> str:
        """A new token of this client, for this API."""
        secret = example.shell(f'printf %s "${client.upper()}_SECRET"')
        form = {"grant_type": "client_credentials", "resource": resource}
        return str(session.post(endpoint, form, auth=(client, secret), timeout=60).json()["access_token"])

    def call(method: str, path: str, token: str | None) -> tuple[int, str]:
        """The status and the challenge."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = session.request(method, inventory + path, headers=headers, timeout=60)
        return answer.status_code, answer.headers.get("WWW-Authenticate", "")

    orders = token("orders")
    assert call("GET", "", orders) == (200, "")
    assert call("POST", "/reservations", orders) == (200, "")
    shop = token("shop")
    assert call("GET", "", shop) == (200, "")
    status, challenge = call("POST", "/reservations", shop)
    assert status == 403
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="stock:reserve"' in challenge
    for bad in (token("shop", "https://billing.example"), "made-up"):
        status, challenge = call("GET", "", bad)
        assert status == 401
        assert 'Bearer error="invalid_token"' in challenge
    assert call("GET", "", None) == (401, 'Bearer realm="m2m", scope="stock:read"')
    example.interrupt()
