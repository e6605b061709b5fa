"""The grants: what a token request asks with (RFC 6749 §1.3). The client authentication is another matter."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from ..errors import ConfigurationError
from .secrets import Secret, checked_secret, concealed

__all__ = ["ClientCredentials", "Grant", "RefreshToken", "first_refresh_token"]


@runtime_checkable
class Grant(Protocol):
    """A grant on the one life cycle: names itself, and adds its parameters to the token request.

    A grant that has a ``refresh_token`` attribute, a :class:`~m2m_auth.oauth2.secrets.Secret`, is one that rotates.
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
        """The grant's own parameters, without ``grant_type``; part of the cache key."""
        ...


class ClientCredentials:
    """The client-credentials grant (RFC 6749 §4.4).

    Args:
        encoding: ``form`` as the RFC has it, or ``json`` for servers that want a JSON body.
    """

    grant_type = "client_credentials"

    def __init__(self, encoding: Literal["form", "json"] = "form") -> None:
        if encoding not in ("form", "json"):
            raise ConfigurationError(f"ClientCredentials: encoding={encoding!r} must be 'form' or 'json'")
        self.encoding = encoding

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """None: the client authentication says it all."""
        return ()


def first_refresh_token(grant: Grant) -> Secret | None:
    """The refresh token that a rotating grant begins with, else None."""
    refresh_token: Secret | None = getattr(grant, "refresh_token", None)
    return refresh_token


class RefreshToken:
    """The refresh-token grant (RFC 6749 §6), with rotation (RFC 9700 §2.2.2), on the same life cycle.

    The newest refresh token is kept, sealed, in the shared cache, and only the holder of the lease uses it: what
    another process has rotated is adopted, never sent again. Without a shared cache it is kept in this process. Where
    the shared cache cannot be asked nothing is refreshed, since a token sent twice may be revoked with all its heirs.

    Args:
        refresh_token: the first one, from the user's consent or the server's console.
        encoding: ``form`` as the RFC has it, or ``json``.

    Raises:
        ConfigurationError: the refresh token is blank or has white space around it.
    """

    grant_type = "refresh_token"

    def __init__(self, refresh_token: str, encoding: Literal["form", "json"] = "form") -> None:
        refresh_token = concealed(refresh_token)
        if encoding not in ("form", "json"):
            raise ConfigurationError(f"RefreshToken: encoding={encoding!r} must be 'form' or 'json'")
        self.refresh_token = checked_secret("refresh_token", refresh_token)
        self.encoding = encoding

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """None: the refresh token is added when it is sent, since it changes."""
        return ()
