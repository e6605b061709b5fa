"""The client-credentials grant (RFC 6749 §4.4)."""

from __future__ import annotations

from typing import Literal

from .protocol import check_encoding

__all__ = ["ClientCredentials"]


class ClientCredentials:
    """The client-credentials grant (RFC 6749 §4.4): the client asks for itself.

    Args:
        encoding: ``form`` as in the RFC, or ``json`` for servers that want a JSON body.

    Raises:
        ConfigurationError: the encoding is another one.
    """

    grant_type = "client_credentials"

    def __init__(self, encoding: Literal["form", "json"] = "form") -> None:
        check_encoding("ClientCredentials", encoding)
        self.encoding = encoding

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return no parameters: the client authentication says everything."""
        return ()
