"""Secrets that do not show themselves, and the check of those that a user passes.

Error reporters print the locals of every frame of a traceback. So a constructor that takes a secret begins with
``client_secret = concealed(client_secret)``, and from there on no local holds the secret itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, NoReturn, cast

from ..errors import ConfigurationError

__all__ = ["Secret", "SecretSource", "checked_secret", "checked_secret_source", "concealed", "encodable"]

_COROUTINE = 0x80
"""The flag of a coroutine function's code (``inspect.CO_COROUTINE``); inspect is slow to import."""

SecretSource = Callable[[], str]
"""A callable that fetches the client secret, e.g. from a secret manager."""


class Secret:
    """A value that does not show itself: in repr, str, format, pickles and error reporters' locals.

    Two secrets are equal if their text is equal, bytes being UTF-8; the comparison takes constant time. A secret that
    is not text, such as a list of keys, equals another secret of the same object only.

    Args:
        value: the secret: text, bytes, or whatever a user passed in its place.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value itself, bytes as text. Call it inside the expression that needs the value.

        Bytes that are not UTF-8 become lone surrogates (PEP 383), which :func:`checked_secret` refuses.
        """
        return self._value.decode(errors="surrogateescape") if isinstance(self._value, bytes) else self._value

    def reveal_bytes(self) -> bytes:
        """Return the UTF-8 bytes of a secret that is text.

        Raises:
            UnicodeEncodeError: the text has no UTF-8 form; see :func:`encodable`.
        """
        value: bytes = self._value.encode() if isinstance(self._value, str) else self._value
        return value

    def _comparable(self) -> bytes:
        if isinstance(self._value, str):
            return self._value.encode(errors="surrogatepass")
        return self._value if isinstance(self._value, bytes) else b"object %d" % id(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._comparable(), other._comparable())

    def __hash__(self) -> int:
        return hash((Secret, self._comparable()))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would leave the process in the clear")


def concealed(given: Any) -> Any:
    """Return what a user passed as a :class:`Secret`; None, callables and secrets stay as they are."""
    return given if given is None or callable(given) or isinstance(given, Secret) else Secret(given)


def checked_secret(name: str, given: Any) -> Secret:
    """Return the secret that a user passed as ``name``, concealed or not.

    Raises:
        ConfigurationError: it is not text, it is blank, it has white space around it, or it has no UTF-8 form.
    """
    given = concealed(given)
    problem = _problem(name, given)
    if problem:
        raise ConfigurationError(problem)
    secret: Secret = given
    return secret


def checked_secret_source(client_secret: Any) -> Secret | SecretSource | None:
    """Return a client secret that a user passed, checked; a callable that fetches it, and None, as they are.

    Raises:
        ConfigurationError: as for :func:`checked_secret`, or the callable is asynchronous.
    """
    client_secret = concealed(client_secret)
    if callable(client_secret) and (_is_async(client_secret) or _is_async(type(client_secret).__call__)):
        raise ConfigurationError(
            "client_secret is an async function. Fix: def, not async def; it is called on a thread of its own"
        )
    if client_secret is None or callable(client_secret):
        return cast("SecretSource | None", client_secret)
    return checked_secret("client_secret", client_secret)


def _is_async(function: object) -> bool:
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE)


def _problem(name: str, secret: Any) -> str:
    """What is wrong with a secret, in words. This frame holds it, so this function raises nothing."""
    given = secret._value if isinstance(secret, Secret) else secret  # pyright: ignore[reportPrivateUsage]
    if not isinstance(given, str):
        return f"{name} must be a string or a callable that returns one, not {type(given).__name__}"
    if not given.strip():
        return f"{name} is blank. Fix: set it; an unset environment variable is the usual cause"
    if given != given.strip():
        fix = f"{name}.strip()" if name.isidentifier() else "strip it"
        return f"{name} begins or ends with white space (a line break from a file?). Fix: {fix}"
    if not encodable(given):
        return (
            f"{name} has characters that are not UTF-8 (a lone surrogate: bytes from the environment?). "
            "Fix: read it with the encoding that it was written in"
        )
    return ""


def encodable(text: str) -> bool:
    """Return whether ``text`` has a UTF-8 form. The exception of ``str.encode`` would carry the text along."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
