"""Does this response say that the token is out? (RFC 6750 §3; RFC 9110 §11.6.1.)"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["RejectionRule", "bearer_rejection", "challenges"]

RejectionRule = Callable[[int, Mapping[str, str]], bool]
"""``is_rejection=``: from status and headers to "this token is out"."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's token, a grammar
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(rf"({_TOKEN})(?=\s|,|$)(?!\s*=)")
_BETWEEN = re.compile(r"[\s,]+|[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))|.", re.DOTALL)


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a WWW-Authenticate value: (scheme in lower case, parameters).

    Lenient, as servers are: missing commas and token68 credentials are passed over, and no input takes
    more than linear time.
    """
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        parameter = _PARAMETER.match(header, position)
        if parameter:
            name, quoted, bare = parameter.groups()
            if found:
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
                found[-1][1].setdefault(name.lower(), value)
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if scheme:
            found.append((scheme.group(1).lower(), {}))
            position = scheme.end()
            continue
        between = _BETWEEN.match(header, position)
        position = between.end() if between else len(header)
    return found


def bearer_rejection(status: int, headers: Mapping[str, str]) -> bool:
    """The rule of RFC 6750: a 401 without a challenge, or with a Bearer one that has no error or ``invalid_token``.

    Not for 403, ``insufficient_scope``, ``invalid_request``, or a challenge for other schemes only: a new
    token would not help there.
    """
    if status != 401:
        return False
    header = headers.get("WWW-Authenticate")
    if header is None or not header.strip():
        return True
    return any(
        scheme == "bearer" and parameters.get("error", "invalid_token") == "invalid_token"
        for scheme, parameters in challenges(header)
    )
