"""The protocol of a grant (RFC 6749 §1.3)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ...errors import ConfigurationError
from ..secrets import Secret

__all__ = ["Grant", "check_encoding", "first_refresh_token"]


@runtime_checkable
class Grant(Protocol):
    """A grant names itself, and adds its parameters to the token request. Any object with these names is one.

    A grant with a ``refresh_token`` attribute, a :class:`~m2m_auth.oauth2.secrets.Secret`, is one that rotates: the
    engine keeps the newest refresh token and adds it to the request.
    """

    @property
    def grant_type(self) -> str:
        """The ``grant_type`` parameter."""
        ...

    @property
    def encoding(self) -> str:
        """``form`` or ``json``: how the request body is written."""
        ...

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return the grant's own parameters, without ``grant_type``; they are part of the cache key."""
        ...


def first_refresh_token(grant: Grant) -> Secret | None:
    """Return the refresh token that a rotating grant begins with; None for other grants."""
    refresh_token: Secret | None = getattr(grant, "refresh_token", None)
    return refresh_token


def check_encoding(grant: str, encoding: object) -> None:
    """Raise ConfigurationError unless ``encoding`` is ``form`` or ``json``; ``grant`` is the class's name."""
    if encoding not in ("form", "json"):
        raise ConfigurationError(f"{grant}: encoding={encoding!r} must be 'form' or 'json'")
