"""Secrets that do not show themselves, and the checks of those that a user passes."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import ConfigurationError

__all__ = ["Concealed", "Secret", "SecretSource", "checked_secret", "checked_secret_source", "concealed", "encodable"]

SecretSource = Callable[[], str]
"""A callable that fetches the client secret, e.g. from a secret manager."""


def checked_secret_source(client_secret: str | SecretSource | None) -> Secret | SecretSource | None:
    """A secret, a callable that fetches one later, or None."""
    if client_secret is None or callable(client_secret):
        return client_secret
    return checked_secret("client_secret", client_secret)


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
