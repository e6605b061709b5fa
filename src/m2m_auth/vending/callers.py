"""Who asks: the functions that identify a caller. No token is vended to somebody unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from ..errors import ConfigurationError
from ..oauth2.secrets import Secret
from ..serving import Request, client_address
from ..verifier import TokenVerifier, bearer_token

__all__ = ["Caller", "CallerFunction", "by_address", "by_bearer_token", "Identified", "identified"]


class Caller(NamedTuple):
    """Who asks for a token. Its repr shows neither part."""

    name: str
    """What is different for every caller and the same for all requests of one, e.g. the user's primary key."""
    subject_token: str | Secret | None = None
    """The caller's own token, for a token exchange (RFC 8693 §2.1)."""

    def __repr__(self) -> str:
        return "<Caller>"


CallerFunction = Callable[[Request], "str | Caller | None"]
"""Says who sent a request: a name, a :class:`Caller`, or None for somebody unknown. It may raise a
:class:`~m2m_auth.verifier.BearerError`, which is then the answer. What the framework knows, such as the session's
user, is on ``request.native``."""


def by_bearer_token(verifier: TokenVerifier) -> CallerFunction:
    """Identifies callers by the bearer token that they send (RFC 6750 §2.1), verified.

    A caller is an issuer, a subject, a client and the granted scopes: another application's token for the same user
    does not find what a stronger one was exchanged for. The token is also the subject token of a token exchange.
    Where rights are in other claims, such as roles, write a function of your own that has them in the caller's name.

    Args:
        verifier: e.g. a :class:`~m2m_auth.verifier.JWTVerifier` for the issuer of the pages' own tokens.
    """

    def caller(request: Request) -> Caller | None:
        token = Secret(bearer_token(request.headers.get("authorization")))  # error reporters print locals
        verified = verifier.verify(token.reveal())
        subject = verified.claims.get("sub") or verified.client_id
        if not isinstance(subject, str) or not subject:
            return None
        who = [verified.claims.get("iss"), subject, verified.client_id, *sorted(verified.scopes)]
        return Caller(json.dumps(who), token)

    return caller


def by_address(trusted_proxies: int = 0) -> CallerFunction:
    """Identifies callers by their IP address: a weak choice, for pages that anybody may open.

    Everybody behind one address is one caller, and one subscriber's IPv6 addresses (a /64) are one, too. It keeps
    strangers from burning the quota; it does not tell people apart.

    Args:
        trusted_proxies: how many proxies of your own stand in front. Their entries in ``X-Forwarded-For`` are counted
            from the right; 0 reads no such header.

    Raises:
        ConfigurationError: ``trusted_proxies`` is not a whole number of at least 0.
    """
    if isinstance(trusted_proxies, bool) or not isinstance(trusted_proxies, int) or trusted_proxies < 0:
        raise ConfigurationError(f"by_address: trusted_proxies={trusted_proxies!r} must be a whole number, 0 or more")

    def caller(request: Request) -> str | None:
        found = client_address(request, trusted_proxies)
        if not found:
            return None
        address = ip_address(found)
        return f"address {address if address.version == 4 else ip_network((address, 64), strict=False)}"

    return caller


_NOBODY = {"", "None", "AnonymousUser"}
"""What ``str(user.pk)``, ``str(user.id)`` and ``str(user)`` are for somebody who has not signed in: they would all be
one caller, and would all have a token."""
NoneType = type(None)


class Identified(NamedTuple):
    """A caller that was checked."""

    name: str
    subject_token: Secret | None

    def __repr__(self) -> str:
        return "<Identified>"


def identified(given: object) -> Identified | None:
    """What a caller function returned, checked; None for nobody. Raises ConfigurationError for what is no caller."""
    caller = Caller(given) if isinstance(given, str) else given
    if caller is None:
        return None
    if not isinstance(caller, Caller) or not isinstance(caller.name, str):
        raise ConfigurationError(
            f"TokenVendor: caller= returned {type(given).__name__}. Fix: return a string, a Caller, or None"
        )
    if caller.name.strip() in _NOBODY:
        return None
    if not isinstance(caller.subject_token, (str, Secret, NoneType)):
        kind = type(caller.subject_token).__name__
        raise ConfigurationError(f"TokenVendor: Caller.subject_token is of type {kind}. Fix: a string, or None")
    token = caller.subject_token or None
    return Identified(caller.name, Secret(token) if isinstance(token, str) else token)
