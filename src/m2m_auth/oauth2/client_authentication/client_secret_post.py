"""``client_secret_post``: the id and the secret in the request body (RFC 6749 §2.3.1)."""

from __future__ import annotations

from ..secrets import Secret
from .protocol import RequestCredentials, required_secret

__all__ = ["ClientSecretPost"]


class ClientSecretPost:
    """``client_secret_post``: the id and the secret in the body (RFC 6749 §2.3.1), for servers without Basic."""

    method = "client_secret_post"

    def credential(self, client_secret: Secret | None) -> bytes:
        """Return the client secret's bytes."""
        return required_secret(client_secret, self.method).reveal_bytes()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,
        token_endpoint: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> RequestCredentials:
        """Return the parameters ``client_id`` and ``client_secret``."""
        secret = required_secret(client_secret, self.method)
        return RequestCredentials({}, (("client_id", client_id), ("client_secret", secret.reveal())))
