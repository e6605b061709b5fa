"""Functions that identify the caller of a request. A caller that is not identified gets no token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, Protocol

from ..errors import ConfigurationError
from ..oauth2.bearer import bearer_token
from ..oauth2.secrets import Secret
from ..serving import Request, client_address

__all__ = ["Caller", "CallerFunction", "CallerVerifier", "Identified", "by_address", "by_bearer_token", "identified"]


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """The caller of one request. Its repr shows neither part."""

    name: str
    """A name that differs for every caller and is the same for all its requests, e.g. the user's primary key."""
    subject_token: str | Secret | None = None
    """The caller's own token, for a token exchange (RFC 8693 §2.1)."""

    def __repr__(self) -> str:
        return "<Caller>"


CallerFunction = Callable[[Request], "str | Caller | None"]
"""Identifies the caller of a request: a name, a :class:`Caller`, or None if the caller is unknown. It may raise a
:class:`~m2m_auth.verifier.BearerError`, which becomes the answer. ``request.native`` has the framework's own request,
and with it the session's user."""


class VerifiedCaller(Protocol):
    """What :func:`by_bearer_token` reads of a verified token, e.g. of :class:`~m2m_auth.verifier.VerifiedToken`."""

    @property
    def client_id(self) -> str:
        """The client that the token was issued to."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """The granted scopes."""
        ...

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims of the token."""
        ...


class CallerVerifier(Protocol):
    """Verifies the tokens of callers. Every :class:`~m2m_auth.verifier.TokenVerifier` does."""

    def verify(self, token: str) -> VerifiedCaller:
        """The facts of a good token. Raises a :class:`~m2m_auth.verifier.BearerError` for any other token."""
        ...


def by_bearer_token(verifier: CallerVerifier) -> CallerFunction:
    """Identifies callers by the bearer token that they send (RFC 6750 §2.1), verified.

    A caller is an issuer, a subject, a client and the granted scopes. So an application with fewer rights does not get
    a token that was exchanged for one with more rights. The token is also the subject token of a token exchange. If
    rights are in other claims, such as roles, write a function of your own and put them into the caller's name.

    Args:
        verifier: e.g. a :class:`~m2m_auth.verifier.JWTVerifier` for the issuer of the pages' own tokens.
    """

    def caller(request: Request) -> Caller | None:
        token = Secret(bearer_token(request.headers.get("authorization")))  # error reporters print locals
        verified = verifier.verify(token.reveal())
        subject = verified.claims.get("sub") or verified.client_id
        if not isinstance(subject, str) or not subject:
            return None
        name = [verified.claims.get("iss"), subject, verified.client_id, *sorted(verified.scopes)]
        return Caller(json.dumps(name), token)

    return caller


def by_address(trusted_proxies: int = 0) -> CallerFunction:
    """Identifies callers by their IP address: a weak choice, for public pages.

    All users behind one address are one caller, and so are all IPv6 addresses of a /64, which one subscriber has. This
    protects the quota from strangers; it does not distinguish users.

    Args:
        trusted_proxies: the number of reverse proxies in front. Their entries in ``X-Forwarded-For`` are counted from
            the right; 0 does not read the header.

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


_NOT_SIGNED_IN = {"", "None", "AnonymousUser"}
"""``str(user.pk)``, ``str(user.id)`` and ``str(user)`` of a user who is not signed in. As a name it would make all such
users one caller with a token."""
NoneType = type(None)


class Identified(NamedTuple):
    """A caller that was checked."""

    name: str
    subject_token: Secret | None

    def __repr__(self) -> str:
        return "<Identified>"


def identified(given: object) -> Identified | None:
    """The checked result of a caller function; None if the caller is unknown.

    Raises:
        ConfigurationError: the function returned another type.
    """
    caller = Caller(given) if isinstance(given, str) else given
    if caller is None:
        return None
    if not isinstance(caller, Caller) or not isinstance(caller.name, str):
        raise ConfigurationError(
            f"TokenVendor: caller= returned {type(given).__name__}. Fix: return a string, a Caller, or None"
        )
    if caller.name.strip() in _NOT_SIGNED_IN:
        return None
    if not isinstance(caller.subject_token, (str, Secret, NoneType)):
        kind = type(caller.subject_token).__name__
        raise ConfigurationError(f"TokenVendor: Caller.subject_token is of type {kind}. Fix: a string, or None")
    token = caller.subject_token or None
    return Identified(caller.name, Secret(token) if isinstance(token, str) else token)
