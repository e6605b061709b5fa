"""Whether a response refuses the token it was sent with (RFC 6750 §3; RFC 9110 §11.6.1), as APIs answer in practice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["RejectionRule", "bearer_rejection", "challenges"]

RejectionRule = Callable[[int, Mapping[str, str]], bool] | Callable[[int, Mapping[str, str], bytes], bool]
"""``is_rejection=``: takes the status and the headers, and the body if it has a third parameter, as bytes; returns
whether the API refused the token."""

# Strings: re compiles them when they are first used, which keeps the import cheap.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PIECE = r'(?s)"(?:[^"\\]|\\.)*"?|[^\s,="]+|=+|,|\s+'
"""A quoted string (with or without its end), a word, equals signs, a comma, white space: one of them matches."""


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return the challenges of a WWW-Authenticate value: pairs of a scheme in lower case and its parameters.

    Commas may be missing, and token68 credentials are skipped: servers write both. Every input takes linear time.
    """
    found: list[tuple[str, dict[str, str]]] = []
    pieces = [piece for piece in re.findall(_PIECE, header) if not piece.isspace()]
    pieces += ["", ""]
    position, after_scheme = 0, False
    while pieces[position]:
        word, sign, value = pieces[position : position + 3] if pieces[position + 1] else (pieces[position], "", "")
        after_scheme, had_scheme = False, after_scheme
        if not re.fullmatch(_NAME, word):
            position += 1
        elif sign == "=" and value not in ("", ","):
            if found:
                found[-1][1].setdefault(word.lower(), _unquoted(value))
            position += 3
        elif sign.startswith("=") or (had_scheme and sign in ("", ",")):
            position += 1  # token68
        else:
            found.append((word.lower(), {}))
            position, after_scheme = position + 1, True
    return found


def _unquoted(value: str) -> str:
    return re.sub(r'\\(.)|"', r"\1", value, flags=re.DOTALL) if value.startswith('"') else value


_NOT_THE_TOKEN = {"insufficient_scope", "invalid_request"}
"""The errors of a Bearer challenge that another token would not end (RFC 6750 §3.1)."""


def bearer_rejection(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether an API refuses the token: every 401, unless a Bearer challenge says that another would not help.

    Many APIs do not answer as RFC 6750 says. Django REST framework challenges with its first authentication class,
    ``Basic`` or ``Token`` (django-rest-framework#4680); others with ``JWT``, ``OAuth`` or ``Negotiate``, with codes of
    their own, or with nothing. Their 401 means the same. The exceptions are ``insufficient_scope`` and
    ``invalid_request``. A 403 is about rights, not about the token.

    Args:
        status: the HTTP status.
        headers: the response's headers; the mapping ignores the case of names. Several WWW-Authenticate headers are
            one value, joined by commas (RFC 9110 §5.3).
    """
    if status != 401:
        return False
    errors = {
        parameters.get("error", "").strip(" '").lower()
        for scheme, parameters in challenges(headers.get("WWW-Authenticate") or "")
        if scheme == "bearer"
    }
    return not errors & _NOT_THE_TOKEN or "invalid_token" in errors
