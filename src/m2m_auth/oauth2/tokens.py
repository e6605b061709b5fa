"""The access token as the rest of the library and its users see it: immutable, and its repr hides the value."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NoReturn

from .header_value import HeaderValue
from .secrets import Secret

__all__ = ["AccessToken", "token_fingerprint"]


def token_fingerprint(key: bytes, value: str) -> str:
    """Return the keyed fingerprint of a token (HMAC-SHA256): 64 hexadecimal digits that do not reveal the token."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


class AccessToken:
    """A minted access token (RFC 6749 §1.4) with the end of its life.

    Times are Unix times in seconds, by this machine's wall clock. Equality compares the values.

    Args:
        value: the token itself.
        token_type: as the server named it, normally ``Bearer`` (RFC 6750); it is sent as ``Bearer`` in any case.
        scope: the granted scopes, or None if the server did not say.
        issued_at: when the token request was sent.
        expires_at: the time from which it must not be used.
        fingerprint: the token's keyed fingerprint; logs and events show its first 8 digits.
    """

    __slots__ = ("_fingerprint", "authorization", "expires_at", "issued_at", "scope", "token_type")

    def __init__(
        self,
        value: str,
        *,
        token_type: str = "Bearer",  # noqa: S107 - RFC 6750's name, no password
        scope: str | None = None,
        issued_at: float,
        expires_at: float,
        fingerprint: str,
    ) -> None:
        put = object.__setattr__
        put(self, "token_type", token_type)
        put(self, "scope", scope)
        put(self, "issued_at", issued_at)
        put(self, "expires_at", expires_at)
        put(self, "_fingerprint", fingerprint)
        put(self, "authorization", HeaderValue(f"Bearer {value}"))

    token_type: str
    scope: str | None
    issued_at: float
    expires_at: float
    authorization: str
    """The value of the Authorization header: ``Bearer …``. A str whose repr, pickle and deep copy are redacted."""
    _fingerprint: str

    @property
    def value(self) -> str:
        """The token itself."""
        return self.authorization[len("Bearer ") :]

    @property
    def fingerprint(self) -> str:
        """8 hexadecimal digits that stand for this token in logs and events."""
        return self._fingerprint[:8]

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"an AccessToken cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an AccessToken cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessToken) and Secret(self.value) == Secret(other.value)

    def __hash__(self) -> int:
        return hash(Secret(self.value))

    def __repr__(self) -> str:
        return f"<AccessToken {self.fingerprint} {self.token_type} expires_at={self.expires_at:.0f}>"

    def __deepcopy__(self, memo: object) -> AccessToken:
        return self  # it does not change, and a copy in this process shows it to no one

    def __copy__(self) -> AccessToken:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AccessToken is not pickled: it would leave the process in the clear")
