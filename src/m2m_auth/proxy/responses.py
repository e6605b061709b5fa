"""What the token endpoint answers: RFC 6749 §5.1 and §5.2, and when to come back."""

from __future__ import annotations

import math

from ..serving import Answer

__all__ = ["Refused", "granted"]

_BASIC = ("WWW-Authenticate", 'Basic realm="token proxy", charset="UTF-8"')


class Refused(Exception):
    """No token: an error answer (RFC 6749 §5.2).

    Args:
        status: the HTTP status.
        error: the error code.
        description: for whoever runs the client; in the RFC's characters, and never with anything of a secret.
        retry_after: seconds until it makes sense to ask again, where waiting helps.
        allow: the methods that are allowed, for a 405.
    """

    def __init__(
        self, status: int, error: str, description: str, *, retry_after: float | None = None, allow: str = ""
    ) -> None:
        super().__init__(description)
        self.status, self.error, self.description = status, error, description
        self.retry_after, self.allow = retry_after, allow

    def answer(self, *, basic: bool) -> Answer:
        """The answer; with a challenge on a 401 to a client that came with an Authorization header."""
        headers: list[tuple[str, str]] = []
        if self.retry_after is not None:
            headers.append(("Retry-After", str(max(math.ceil(self.retry_after), 1))))
        if self.allow:
            headers.append(("Allow", self.allow))
        if self.status == 401 and basic:
            headers.append(_BASIC)
        return Answer.json(self.status, {"error": self.error, "error_description": self.description}, *headers)


def granted(token: str, expires_in: int, scope: str | None, *headers: tuple[str, str]) -> Answer:
    """A token (RFC 6749 §5.1): ``expires_in`` in seconds from now; ``scope`` only where it is known."""
    document: dict[str, str | int] = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}
    if scope is not None:
        document["scope"] = scope
    return Answer.json(200, document, *headers)
