"""The headers of a token request: its own, and those of the user's session that are for every server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..runtime.version import __version__

__all__ = ["headers_to_send", "our_user_agent"]

_ACCEPTED_CODINGS = "identity"
"""The ``Accept-Encoding`` of a token request: its answer is short, and servers do not agree on the codings' names."""
_NOT_FROM_A_SESSION = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "dpop",
        "host",
        "te",
        "transfer-encoding",
        "user-agent",
    }
)
"""Headers that a session has for its API: its credentials, its body. The token request has its own or none."""


def our_user_agent(library: str, version: str) -> str:
    """The ``User-Agent`` of token requests over a library, e.g. ``m2m-auth/1.0 requests/2.32``."""
    return f"m2m-auth/{__version__} {library}/{version}"


def headers_to_send(
    own: Mapping[str, str], session: Iterable[tuple[str, Any]], user_agent: str, default_user_agent: str
) -> dict[str, str]:
    """The token request's headers, spelt as they were given: matchers of mocked requests compare the names as text.

    Args:
        own: those of the token request.
        session: those of the user's session or client; empty for the private one.
        user_agent: ours.
        default_user_agent: how the library's own begins. A session that says something else keeps it.
    """
    sent: dict[str, tuple[str, str]] = {"user-agent": ("User-Agent", user_agent)}
    for name, given in session:
        lower, value = name.lower(), given.decode("latin-1") if isinstance(given, bytes) else str(given)
        theirs = lower == "user-agent" and not value.startswith(default_user_agent)
        if theirs or lower not in _NOT_FROM_A_SESSION:
            sent[lower] = ("User-Agent" if theirs else name, value)
    sent |= {name.lower(): (name, value) for name, value in own.items()}
    sent["accept-encoding"] = ("Accept-Encoding", _ACCEPTED_CODINGS)
    return dict(sent.values())
