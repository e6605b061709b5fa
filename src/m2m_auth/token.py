"""The access token as the rest of the library and its users see it: immutable, and silent about its value."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import ConfigurationError

__all__ = ["AccessToken", "Secret", "fingerprint"]


class Secret:
    """A string that does not show itself: in repr, str, format, pickles and error reporters' locals."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode() if isinstance(value, str) else value

    def reveal(self) -> str:
        """The secret itself. Do not keep it in a variable longer than needed: error reporters print locals."""
        return self._value.decode()

    def reveal_bytes(self) -> bytes:
        """The secret's UTF-8 bytes."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would leave the process in the clear")


def fingerprint(key: bytes, value: str) -> str:
    """The keyed fingerprint of a token: 64 hexadecimal digits, useless without the token (HMAC-SHA256)."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


class AccessToken:
    """A minted access token (RFC 6749 §1.4) with the end of its life.

    Times are Unix times in seconds, by this machine's wall clock. Equality compares the values.

    Args:
        value: the token itself.
        token_type: as the server named it, normally ``Bearer`` (RFC 6750).
        scope: the granted scopes, or None if the server did not say.
        issued_at: when the token request was sent.
        expires_at: from when on it must not be used.
        fingerprint: the token's keyed fingerprint; logs and events show its first 8 digits.
    """

    __slots__ = ("_mark", "authorization", "expires_at", "issued_at", "scope", "token_type")

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
        put(self, "_mark", fingerprint)
        put(self, "authorization", _Redacted(f"{token_type} {value}"))

    token_type: str
    scope: str | None
    issued_at: float
    expires_at: float
    authorization: str
    """The value of the Authorization header: ``Bearer …``. A str whose repr is redacted."""
    _mark: str

    @property
    def value(self) -> str:
        """The token itself. It is kept once, in the header."""
        return self.authorization[len(self.token_type) + 1 :]

    @property
    def fingerprint(self) -> str:
        """8 hexadecimal digits that stand for this token in logs and events."""
        return self._mark[:8]

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

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AccessToken is not pickled: it would leave the process in the clear")


class _Redacted(str):
    """A header value that HTTP libraries take as the str it is, while repr (locals, dicts, logs) hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer …'"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not pickled: it would leave the process in the clear")


class Concealed:
    """What a user passed as a secret, of whatever type, out of sight of error reporters that print locals."""

    __slots__ = ("reveal",)

    def __init__(self, given: Any) -> None:
        self.reveal: Callable[[], Any] = lambda: given  # an attribute could be printed

    def __repr__(self) -> str:
        return "<concealed>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: it would leave the process in the clear")


def concealed(given: Any) -> Any:
    """``given`` out of sight, for the first line of a constructor; None and callables stay as they are."""
    return given if given is None or callable(given) or isinstance(given, Concealed) else Concealed(given)


def checked_secret(name: str, secret: object) -> Secret:
    """A secret that a user typed, or the ConfigurationError that says what is wrong with it."""
    hidden: Any = concealed(secret)
    secret = hidden
    problem = _problem(name, hidden)
    if problem:
        raise ConfigurationError(problem)
    return Secret(hidden.reveal())


def _problem(name: str, secret: Any) -> str:
    """What is wrong with it, in words; a function of its own, so that no frame of the traceback holds the secret."""
    given = secret.reveal() if isinstance(secret, Concealed) else secret
    if not isinstance(given, str):
        return f"{name} must be a string or a callable that returns one, not {type(given).__name__}"
    if not given.strip():
        return f"{name} is blank. Fix: set it; an unset environment variable is the usual cause"
    if given != given.strip():
        return f"{name} begins or ends with white space (a line break from a file?). Fix: {name}.strip()"
    if not encodable(given):
        return (
            f"{name} has characters that are not UTF-8 (a lone surrogate: bytes from the environment?). "
            "Fix: read it with the encoding that it was written in"
        )
    return ""


def encodable(text: str) -> bool:
    """True if ``text`` has a UTF-8 form; the exception of one that has not would carry the text along."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
