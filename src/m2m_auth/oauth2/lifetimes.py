"""How long a token lives, by what its server says: ``expires_in`` (RFC 6749 §5.1) and a JWT's own claims."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, cast

__all__ = ["granted_lifetime", "jwt_claims"]


def granted_lifetime(expires_in: object, claims: Mapping[str, Any], sent_at: float, default: float) -> float:
    """Return the seconds that a token lives: ``expires_in``, else the JWT's ``exp - iat``, else ``default``.

    A JWT's ``exp`` shortens what ``expires_in`` says, and never lengthens it. A numeric string is a number: some
    servers send one.

    Args:
        expires_in: the field of the response, or None.
        claims: the token's claims, as :func:`jwt_claims` gives them.
        sent_at: when the request was sent: Unix time in seconds.
        default: seconds.

    Raises:
        ValueError: ``expires_in`` is not a positive number (RFC 6749 §5.1).
    """
    by_jwt = _jwt_lifetime(claims, sent_at)
    if expires_in is None:
        return default if by_jwt is None else by_jwt
    lifetime = _number(expires_in)
    if lifetime is None:
        raise ValueError("its expires_in is not a number")
    if lifetime <= 0:
        raise ValueError("its expires_in is not a positive number of seconds")
    return lifetime if by_jwt is None else min(lifetime, by_jwt)


def _number(value: object) -> float | None:
    """A JSON number, or the string of one, as a finite float; None for anything else. A bool is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _jwt_lifetime(claims: Mapping[str, Any], sent_at: float) -> float | None:
    """``exp - iat``, both by the server's clock. Without ``iat``: ``exp`` minus the time of the request.

    Servers cut ``iat`` to whole seconds, which makes a token look up to a second longer than it is. So ``exp`` counts
    from the request where ``iat`` is less than a second before it: there the two clocks agree.
    """
    exp, iat = _number(claims.get("exp")), _number(claims.get("iat", sent_at))
    if exp is None or iat is None:
        return None
    lifetime = exp - (sent_at if 0 <= sent_at - iat < 1 else iat)
    return lifetime if lifetime > 0 else None


_LONGEST_CLAIMS = 65_536
"""Characters of a JWT's encoded claims that are read. Access tokens are shorter: servers cut headers at 8 to 64 kB."""


def jwt_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token that is a signed JWT (RFC 7519 §7.2); of any other token, none.

    Nothing is raised, and the signature is not verified: the API does that.
    """
    parts = token.split(".", 3)
    if len(parts) != 3 or not token.startswith("eyJ") or len(parts[1]) > _LONGEST_CLAIMS:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}
