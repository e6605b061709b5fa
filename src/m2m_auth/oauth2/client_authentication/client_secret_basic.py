"""``client_secret_basic``: HTTP Basic (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
from typing import Literal
from urllib.parse import quote

from ...errors import ConfigurationError
from ..secrets import Secret
from .protocol import RequestCredentials, required_secret

__all__ = ["ClientSecretBasic"]


class ClientSecretBasic:
    """``client_secret_basic``: HTTP Basic (RFC 6749 §2.3.1).

    Args:
        encoding: ``percent`` is the RFC's form encoding, with a space as ``%20``; ``raw`` is for servers that decode
            nothing. The two differ only for ids and secrets with special characters.

    Raises:
        ConfigurationError: the encoding is another one.
    """

    def __init__(self, encoding: Literal["percent", "raw"] = "percent") -> None:
        if encoding not in ("percent", "raw"):
            raise ConfigurationError(f"ClientSecretBasic: encoding={encoding!r} must be 'percent' or 'raw'")
        self.encoding = encoding
        self.method = "client_secret_basic" if encoding == "percent" else "client_secret_basic:raw"

    def credential(self, client_secret: Secret | None) -> bytes:
        """Return the client secret's bytes."""
        return required_secret(client_secret, "client_secret_basic").reveal_bytes()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,
        token_endpoint: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> RequestCredentials:
        """Return an ``Authorization: Basic`` header."""
        user, password = client_id, required_secret(client_secret, "client_secret_basic").reveal()
        if self.encoding == "percent":
            user, password = quote(user, safe=""), quote(password, safe="")
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return RequestCredentials({"Authorization": f"Basic {pair}"}, ())
