"""The refresh-token grant (RFC 6749 §6)."""

from __future__ import annotations

from typing import Literal

from ..secrets import checked_secret, concealed
from .protocol import check_encoding

__all__ = ["RefreshToken"]


class RefreshToken:
    """The refresh-token grant (RFC 6749 §6), with rotation (RFC 9700 §2.2.2).

    The shared cache keeps the newest refresh token, sealed, and only the holder of the lease sends it. A process never
    sends a token that another process has rotated: it adopts the newer one. Without a shared cache this process keeps
    the newest one. While the shared cache cannot be read, nothing is refreshed, because a refresh token that is sent
    twice may revoke the whole token family (RFC 9700 §4.14.2).

    Args:
        refresh_token: the first one, from the user's consent or the server's console.
        encoding: ``form`` as in the RFC, or ``json`` for servers that want a JSON body.

    Raises:
        ConfigurationError: the refresh token is blank or has white space around it.
    """

    grant_type = "refresh_token"

    def __init__(self, refresh_token: str, encoding: Literal["form", "json"] = "form") -> None:
        refresh_token = concealed(refresh_token)
        check_encoding("RefreshToken", encoding)
        self.refresh_token = checked_secret("refresh_token", refresh_token)
        self.encoding = encoding

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return no parameters: the engine adds the refresh token when it is sent, because it changes."""
        return ()
