"""A token that was verified, and the protocol of every verifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from ..oauth2.bearer import InsufficientScope, InvalidToken, names
from ..values import Value

__all__ = ["TokenVerifier", "VerifiedToken", "strings_of"]


def strings_of(value: object) -> frozenset[str]:
    """A claim that is one string or a list of them, as a set. Everything else in it is ignored."""
    if isinstance(value, str):
        return frozenset((value,))
    values = cast("list[object]", value) if isinstance(value, list) else []
    return frozenset(each for each in values if isinstance(each, str))


class VerifiedToken(Value):
    """The client that calls, and its rights. The repr shows no other claims, because they may be personal data."""

    client_id: str
    """The client of the token: ``client_id`` (RFC 9068 §2.2), else ``azp``, ``cid`` or ``sub``, else ""."""
    scopes: frozenset[str]
    """The granted scopes, from ``scope`` (RFC 9068 §2.2.3) or ``scp``."""
    claims: Mapping[str, Any]
    """All claims of the JWT, or all members of the introspection answer."""

    @property
    def audiences(self) -> frozenset[str]:
        """The values of ``aud``."""
        return strings_of(self.claims.get("aud"))

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
    """Decides whether a bearer token is good. Thread-safe. Write your own with this one method."""

    def verify(self, token: str) -> VerifiedToken:
        """The facts of a good token. Raises InvalidToken, or VerifierUnavailable if it cannot be verified now."""
        ...
