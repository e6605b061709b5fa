"""The claims that a good token must have, as a check without I/O or a clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from ..oauth2.bearer import InvalidToken
from .verified_token import VerifiedToken, strings_of

__all__ = ["ExpectedClaims", "expected_claims", "verified_token"]


class ExpectedClaims(NamedTuple):
    """What a token's claims must say. None checks nothing; ``leeway`` is in seconds."""

    issuer: str | None
    audiences: frozenset[str] | None
    leeway: float
    required: frozenset[str]

    def check(self, claims: Mapping[str, Any], now: float) -> None:
        """Raises InvalidToken if the claims are not good at Unix time ``now``."""
        for name in sorted(self.required):
            if claims.get(name) in (None, "", []):
                raise InvalidToken("The token lacks a required claim.")
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise InvalidToken("The token is from another issuer.")
        if self.audiences is not None and not self.audiences & strings_of(claims.get("aud")):
            raise InvalidToken("The token is for another audience.")
        expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is not None and now >= expires + self.leeway:
            raise InvalidToken("The token has expired.")
        if any(moment is not None and now < moment - self.leeway for moment in (begins, issued)):
            raise InvalidToken("The token is not valid yet.")
        if claims.get("cnf") is not None:
            # Bound to a key (RFC 9449 §7.2, RFC 8705 §3): a sender that proves no possession may have stolen it.
            raise InvalidToken("The token is bound to a key, so it is not a bearer token.")


def expected_claims(
    who: str,
    issuer: str | None,
    audience: str | Iterable[str] | None,
    leeway: float,
    required_claims: Iterable[str],
    always: tuple[str, ...] = (),
) -> ExpectedClaims:
    """The expected claims by these options, each checked. Raises ConfigurationError."""
    if issuer is not None and (not isinstance(issuer, str) or not issuer.strip()):
        raise ConfigurationError(
            f"{who}: issuer is blank. Fix: set it; an unset environment variable is the usual cause"
        )
    audiences = None if audience is None else _names(who, "audience", audience)
    if audiences is not None and not audiences:
        raise ConfigurationError(f"{who}: audience is empty. Fix: name this API's audience, or pass None to accept any")
    if isinstance(leeway, bool) or not isinstance(leeway, (int, float)) or not 0 <= leeway <= 300:
        raise ConfigurationError(f"{who}: leeway={leeway!r} must be 0 to 300 seconds")
    required = _names(who, "required_claims", required_claims)
    return ExpectedClaims(issuer, audiences, leeway, required | set(always))


def verified_token(claims: Mapping[str, Any]) -> VerifiedToken:
    """The token with these claims, which were checked."""
    client = next((claims[name] for name in ("client_id", "azp", "cid", "sub") if _is_text(claims.get(name))), "")
    scope = claims["scope"] if claims.get("scope") is not None else claims.get("scp")
    scopes = strings_of(scope.split() if isinstance(scope, str) else scope)
    return VerifiedToken(client_id=client, scopes=scopes, claims=claims)


def _names(who: str, name: str, given: str | Iterable[str]) -> frozenset[str]:
    values = frozenset((given,) if isinstance(given, str) else given)
    for value in values:
        if not _is_text(value):
            raise ConfigurationError(f"{who}: {name} has {value!r}, which is not a name")
    return values


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2), or None. Raises InvalidToken if the claim is not a number."""
    value = claims.get(name)
    if value is None:
        return None
    try:
        moment = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        moment = math.nan
    if not math.isfinite(moment):
        raise InvalidToken("The token has a time that is not a number.")
    return moment
