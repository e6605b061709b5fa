"""Token responses as values, for the tests of the rooms without I/O."""

from __future__ import annotations

import json
from typing import Any

from m2m_auth.lifecycle.failure import Failure
from m2m_auth.lifecycle.refusals import failure_of
from m2m_auth.oauth2.token_error_response import TokenErrorResponse
from m2m_auth.oauth2.token_response import (
    TokenResponse,
    UnusableTokenResponse,
    parse_token_response,
)
from m2m_auth.oauth2.transport import HttpResponse

NOW = 1_700_000_000.25
JSON = {"Content-Type": "application/json;charset=UTF-8"}

Answer = TokenResponse | TokenErrorResponse | UnusableTokenResponse


def answer(status: int, body: object, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    """The parsed response; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = {"sent_at": NOW, "default_lifetime": 300.0, "max_lifetime": 86400.0, **options}
    return parse_token_response(HttpResponse(status, JSON if headers is None else headers, raw), **options)


def granted(fields: dict[str, Any]) -> TokenResponse:
    """The token of a 200 with an access token and these fields."""
    found = answer(200, {"access_token": "opaque", "token_type": "Bearer", **fields})
    assert isinstance(found, TokenResponse), found
    return found


def refused(status: int, body: object, headers: dict[str, str] | None = None) -> TokenErrorResponse:
    """The error response that this answer is."""
    found = answer(status, body, headers)
    assert isinstance(found, TokenErrorResponse), found
    return found


def unusable(body: object, headers: dict[str, str] | None = None) -> str:
    """Why this body of a 200 is no usable token."""
    found = answer(200, body, headers)
    assert isinstance(found, UnusableTokenResponse), found
    return found.why


def failed(status: int, body: object, headers: dict[str, str] | None = None) -> Failure:
    """The failure that this answer means."""
    found = answer(status, body, headers)
    assert not isinstance(found, TokenResponse), found
    return failure_of(found)
