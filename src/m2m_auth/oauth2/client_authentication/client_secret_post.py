"""``client_secret_post``: the id and the secret in the request body (RFC 6749 §2.3.1)."""

from __future__ import annotations

from ..secrets import Secret
from .protocol import RequestCredentials, _needed

__all__ = ["ClientSecretPost"]


class ClientSecretPost:
    """``client_secret_post``: id and secret in the body (RFC 6749 §2.3.1), for servers that take no Basic."""

    method = "client_secret_post"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client secret's bytes."""
        return _needed(client_secret, self.method).reveal_bytes()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,
        token_endpoint: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> RequestCredentials:
        """``client_id`` and ``client_secret`` parameters."""
        secret = _needed(client_secret, self.method)
        return RequestCredentials({}, (("client_id", client_id), ("client_secret", secret.reveal())))
