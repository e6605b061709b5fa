"""How long a token lives, by what its server says (BEHAVIOUR §1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["granted_lifetime", "jwt_claims"]


def granted_lifetime(expires_in: object, claims: Mapping[str, Any], sent_at: float, default: float) -> float:
    """Seconds a token lives: ``expires_in``, else the JWT's ``exp - iat``, else ``default``.

    A JWT's ``exp`` may only shorten what ``expires_in`` says. Numeric strings are numbers, as some servers
    send them. Raises ValueError for an ``expires_in`` that is not a positive number (RFC 6749 §5.1).
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
    """A JSON number, or the string of one, as a finite float; None for anything else, a bool included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _jwt_lifetime(claims: Mapping[str, Any], sent_at: float) -> float | None:
    """``exp - iat``: both by the server's clock, so ours does not matter; without ``iat``, ours must do.

    Servers cut ``iat`` to whole seconds, which makes a token look up to a second longer than it is: where the
    two clocks agree anyhow, ``exp`` counts from the moment of the request.
    """
    exp, iat = _number(claims.get("exp")), _number(claims.get("iat", sent_at))
    if exp is None or iat is None:
        return None
    lifetime = exp - (sent_at if 0 <= sent_at - iat < 1 else iat)
    return lifetime if lifetime > 0 else None


def jwt_claims(token: str) -> dict[str, Any]:
    """The claims of a token that is a signed JWT; of any other token, none. The signature is the API's to check."""
    if token.count(".") != 2 or not token.startswith("eyJ"):
        return {}
    try:
        import jwt
    except ImportError:
        return {}
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims
