"""The header that carries a token (RFC 6750 §2.1): ``header=`` and ``scheme=``."""

from __future__ import annotations

import re

from ..errors import ConfigurationError
from .header_value import HeaderValue
from .tokens import AccessToken

__all__ = ["AUTHORIZATION", "TokenHeader"]

AUTHORIZATION = "Authorization"
"""RFC 6750's header, which HTTP libraries drop when they follow a redirect to another origin."""


class TokenHeader:
    """How tokens are attached: ``header=`` and ``scheme=``.

    Args:
        name: the header, e.g. ``X-Api-Token``.
        scheme: the word before the token, e.g. ``Token``; ``""`` or None for the token alone.

    Raises:
        ConfigurationError: a name or a scheme that no header may have (RFC 9110 §5.1 and §11.1).
    """

    __slots__ = ("_latest", "is_default", "name", "redacted", "scheme")

    def __init__(self, name: str, scheme: str | None) -> None:
        self.name = _checked("header", name, "X-Api-Token")
        self.scheme = _checked("scheme", scheme, "Token") if scheme else ""
        if self.name.lower() in _OF_THE_MESSAGE:
            raise ConfigurationError(
                f"header={name!r} has another meaning in every request. Fix: the header that the API's documentation "
                "names for the token"
            )
        self.is_default = (self.name.lower(), self.scheme) == (AUTHORIZATION.lower(), "Bearer")
        self.redacted = f"{self.scheme} [redacted]".lstrip()
        self._latest: tuple[AccessToken | None, str] = None, ""

    def value_of(self, token: AccessToken) -> str:
        """The header's value for a token; that of the latest token is kept."""
        if self.is_default:
            return token.authorization
        latest, value = self._latest
        if latest is not token:
            value = HeaderValue(f"{self.scheme} {token.value}".lstrip())
            self._latest = token, value
        return value

    def token_in(self, value: str | None) -> str | None:
        """The token in a header's value; None where it has another scheme."""
        scheme, _, token = (value or "").rpartition(" ")
        return str(token) if token and scheme == self.scheme else None


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a name without white space
_OF_THE_MESSAGE = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "cookie",
    "upgrade",
    "te",
}


def _checked(option: str, given: object, example: str) -> str:
    if not isinstance(given, str):
        raise ConfigurationError(f"{option} must be a string, not {type(given).__name__}. Fix: {option}={example!r}")
    if not given:
        raise ConfigurationError(f"{option}={given!r} is empty. Fix: a name such as {example!r}, or leave it out")
    if given != given.strip():
        fix = repr(given.strip()) if given.strip() else f"a name such as {example!r}"
        raise ConfigurationError(f"{option}={given!r} begins or ends with white space. Fix: {fix}")
    if not re.fullmatch(_TOKEN, given):
        raise ConfigurationError(
            f"{option}={given!r} has characters that an HTTP header cannot have there (RFC 9110). "
            f"Fix: a name such as {example!r}"
        )
    return given
