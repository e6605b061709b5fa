"""The tokens that the fake server has issued, and how long they are valid."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

TokenFormat: TypeAlias = Literal["opaque", "jwt"]


@dataclass
class IssuedToken:
    """One token and its facts; times are Unix seconds."""

    value: str = field(repr=False)
    client_id: str
    scope: str | None
    audience: Any
    issued_at: float
    lifetime: float | None
    revoked: bool = False

    def active(self, now: float) -> bool:
        """Whether a resource server accepts it."""
        return not self.revoked and (self.lifetime is None or now < self.issued_at + self.lifetime)

    def remaining(self, now: float) -> int | float | None:
        """The correct ``expires_in``: the lifetime at first, later the remaining whole seconds."""
        if self.lifetime is None:
            return None
        if now > self.issued_at:
            return math.floor(self.issued_at + self.lifetime - now)
        return _plain(self.lifetime)

    def claims(self, issuer: str) -> dict[str, Any]:
        """The claims of the JWT, and of the introspection answer."""
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": self.client_id,
            "client_id": self.client_id,
            "iat": int(self.issued_at),
        }
        if self.lifetime is not None:
            # From the same whole second as iat, so that exp - iat is the lifetime.
            claims["exp"] = _plain(int(self.issued_at) + self.lifetime)
        if self.scope is not None:
            claims["scope"] = self.scope
        if self.audience is not None:
            claims["aud"] = self.audience
        return claims


class TokenStore:
    """All tokens of one server, by value. Not thread-safe: the server holds its lock."""

    def __init__(self) -> None:
        self._tokens: dict[str, IssuedToken] = {}
        self._latest: dict[str, IssuedToken] = {}
        self._signing_key = secrets.token_bytes(32)

    def issue(self, token: IssuedToken, issuer: str, token_format: TokenFormat) -> None:
        """Gives the token its value and stores it."""
        if token_format == "jwt":  # noqa: S105 - a format
            token.value = self._signed({**token.claims(issuer), "jti": secrets.token_hex(8)})
        else:
            token.value = secrets.token_urlsafe(32)
        self._tokens[token.value] = self._latest[_kind(token)] = token

    def again(self, like: IssuedToken, now: float) -> IssuedToken | None:
        """The latest token for the same client, scope and audience, if it is valid for another second."""
        latest = self._latest.get(_kind(like))
        return latest if latest is not None and latest.active(now + 1) else None

    def active(self, value: str | None, now: float) -> IssuedToken | None:
        """The token with this value, unless it is unknown, expired or revoked."""
        token = self._tokens.get(value or "")
        return token if token is not None and token.active(now) else None

    def revoke(self, value: str) -> None:
        """Makes one token inactive. Raises ValueError if this server did not issue it."""
        if value not in self._tokens:
            raise ValueError("revoke(): this token was not issued by this server")
        self._tokens[value].revoked = True

    def revoke_all(self) -> None:
        """Makes every token that was issued so far inactive."""
        for token in self._tokens.values():
            token.revoked = True

    def _signed(self, claims: Mapping[str, Any]) -> str:
        """A JWT, signed with HS256 by a key that only this server knows: tests can read it, but not verify it."""
        head = _base64url(json.dumps({"alg": "HS256", "typ": "at+jwt"}).encode())
        signed = f"{head}.{_base64url(json.dumps(claims).encode())}"
        return f"{signed}.{_base64url(hmac.digest(self._signing_key, signed.encode(), hashlib.sha256))}"


def _kind(token: IssuedToken) -> str:
    return json.dumps([token.client_id, token.scope, token.audience])


def _plain(seconds: float) -> int | float:
    """An integer where possible: real servers send 3600, not 3600.0."""
    return int(seconds) if seconds == int(seconds) else seconds


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
