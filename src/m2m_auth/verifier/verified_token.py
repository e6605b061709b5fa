"""A token that was found good, and what must be true of one: claims against expectations, no I/O and no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from ..errors import ConfigurationError
from ..oauth2.bearer_errors import InsufficientScope, InvalidRequest, InvalidToken, MissingToken

__all__ = ["Expectations", "TokenVerifier", "VerifiedToken", "bearer_token", "names", "verified"]


class VerifiedToken(NamedTuple):
    """Who calls, and what they may do. Its repr shows no other claims: they may be personal."""

    client_id: str
    """Whose token it is, by ``client_id`` (RFC 9068 §2.2), else ``azp``, ``cid`` or ``sub``; "" if nobody says."""
    scopes: frozenset[str]
    """The granted scopes, from ``scope`` (RFC 9068 §2.2.3) or ``scp``."""
    claims: Mapping[str, Any]
    """Everything that the JWT, or the introspection answer, says."""

    @property
    def audiences(self) -> frozenset[str]:
        """The values of ``aud``."""
        return _strings(self.claims.get("aud"))

    def require(self, scope: str | Iterable[str] | None = None, audience: str | None = None) -> None:
        """Raises unless the token has every one of these scopes, and is for this audience.

        Args:
            scope: scopes, separated by spaces or as a list.
            audience: a value that must be among the token's ``aud``.

        Raises:
            InvalidToken: it is for another audience.
            InsufficientScope: it lacks a scope.
        """
        if audience is not None and audience not in self.audiences:
            raise InvalidToken("The token is for another audience.")
        wanted = names(scope)
        if not wanted <= self.scopes:
            raise InsufficientScope(scope=wanted)

    def __repr__(self) -> str:
        return f"<VerifiedToken of {self.client_id!r}, scopes {sorted(self.scopes)}>"


@runtime_checkable
class TokenVerifier(Protocol):
    """What says whether a bearer token is good. Thread-safe; write your own with this one method."""

    def verify(self, token: str) -> VerifiedToken:
        """The token's facts. Raises InvalidToken, or VerifierUnavailable where nobody can tell."""
        ...


_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,16384}=*")


def bearer_token(authorization: str | None, query: Collection[str] = ()) -> str:
    """The token of an Authorization header (RFC 6750 §2.1).

    Args:
        authorization: the header's value, or None if there is none.
        query: the names of the request's query parameters. A token there is not read, since URLs are logged, but
            it must not come along with another one.

    Raises:
        MissingToken: there is none, or the header is for another scheme.
        InvalidRequest: two tokens, or a header with no or an odd token.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise MissingToken
    token = token.strip()
    if not _B64TOKEN.fullmatch(token):
        raise InvalidRequest("The Authorization header is not of the form: Bearer, a space, one token.")
    if "access_token" in query:
        raise InvalidRequest("There are two tokens. Send one, in the Authorization header.")
    return token


def names(given: str | Iterable[str] | None) -> frozenset[str]:
    """Scopes as a set. Raises ConfigurationError for what no scope can be (RFC 6749 §3.3)."""
    found = frozenset((given or "").split() if given is None or isinstance(given, str) else given)
    for name in found:
        if not isinstance(name, str) or not re.fullmatch(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+", name):
            raise ConfigurationError(f"scope={name!r} is not a scope. Fix: 'read write', or ['read', 'write']")
    return found


class Expectations(NamedTuple):
    """What a token's claims must say; None expects nothing. ``leeway`` is in seconds."""

    issuer: str | None
    audiences: frozenset[str] | None
    leeway: float
    required: frozenset[str]

    def check(self, claims: Mapping[str, Any], now: float) -> None:
        """Raises InvalidToken for claims that do not meet them at Unix time ``now``."""
        for name in sorted(self.required):
            if claims.get(name) in (None, "", []):
                raise InvalidToken("The token lacks a claim that is needed here.")
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise InvalidToken("The token is from another issuer.")
        if self.audiences is not None and not self.audiences & _strings(claims.get("aud")):
            raise InvalidToken("The token is for another audience.")
        expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is not None and now >= expires + self.leeway:
            raise InvalidToken("The token has expired.")
        if any(moment is not None and now < moment - self.leeway for moment in (begins, issued)):
            raise InvalidToken("The token is not valid yet.")
        if claims.get("cnf") is not None:
            # Bound to a key (RFC 9449 §7.2, RFC 8705 §3): whoever sends it as a mere bearer token may have stolen it.
            raise InvalidToken("The token is bound to a key, so it is not a bearer token.")


def expectations(
    who: str,
    issuer: str | None,
    audience: str | Iterable[str] | None,
    leeway: float,
    required_claims: Iterable[str],
    always: tuple[str, ...] = (),
) -> Expectations:
    """The expectations that these options describe, each checked. Raises ConfigurationError."""
    if issuer is not None and (not isinstance(issuer, str) or not issuer.strip()):
        raise ConfigurationError(
            f"{who}: issuer is blank. Fix: set it; an unset environment variable is the usual cause"
        )
    audiences = None if audience is None else _listed(who, "audience", audience)
    if audiences is not None and not audiences:
        raise ConfigurationError(
            f"{who}: audience is empty. Fix: name this API's, or pass None to take any, on purpose"
        )
    if isinstance(leeway, bool) or not isinstance(leeway, (int, float)) or not 0 <= leeway <= 300:
        raise ConfigurationError(f"{who}: leeway={leeway!r} must be 0 to 300 seconds")
    required = _listed(who, "required_claims", required_claims)
    return Expectations(issuer, audiences, leeway, required | set(always))


def verified(claims: Mapping[str, Any]) -> VerifiedToken:
    """The token with these claims, which were checked."""
    client = next((claims[name] for name in ("client_id", "azp", "cid", "sub") if _is_text(claims.get(name))), "")
    scope = claims["scope"] if claims.get("scope") is not None else claims.get("scp")
    return VerifiedToken(client, _strings(scope.split() if isinstance(scope, str) else scope), claims)


def _listed(who: str, name: str, given: str | Iterable[str]) -> frozenset[str]:
    values = frozenset((given,) if isinstance(given, str) else given)
    for value in values:
        if not _is_text(value):
            raise ConfigurationError(f"{who}: {name} has {value!r}, which is not a name")
    return values


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _strings(value: object) -> frozenset[str]:
    """A claim that is one string or a list of them; anything else in it counts for nothing."""
    if isinstance(value, str):
        return frozenset((value,))
    values = cast("list[object]", value) if isinstance(value, list) else []
    return frozenset(each for each in values if isinstance(each, str))


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2). Raises InvalidToken for one that is there and is no number."""
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
