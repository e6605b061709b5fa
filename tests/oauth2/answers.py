"""Token responses for the tests of the endpoint, which does no I/O: a response is a value."""

from __future__ import annotations

import json
from typing import Any

from m2m_auth.lifecycle.failure import Failure
from m2m_auth.oauth2.token_response import TokenGrant, parse
from m2m_auth.oauth2.transport import HttpResponse

NOW = 1_700_000_000.25
JSON = {"Content-Type": "application/json;charset=UTF-8"}


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> TokenGrant | Failure:
    """What ``parse`` makes of this response; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(
        HttpResponse(status, JSON if headers is None else headers, raw),
        sent_at=NOW,
        default_lifetime=300.0,
        max_lifetime=86400.0,
    )


def granted(fields: dict[str, Any]) -> TokenGrant:
    """The grant in a 200 with an access token and these fields."""
    found = answer(200, {"access_token": "opaque", "token_type": "Bearer", **fields})
    assert isinstance(found, TokenGrant), found
    return found


def failed(status: int, body: object, headers: dict[str, str] | None = None) -> Failure:
    """The failure that this response is."""
    found = answer(status, body, headers)
    assert isinstance(found, Failure), found
    return found
