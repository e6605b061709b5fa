"""Every private attribute of httpx and httpx2 that m2m-auth reads, each with a public fallback.

If a release drops one, calls get slower or a body is not replayed. No call breaks.
"""

from __future__ import annotations

from typing import Any

__all__ = ["body_of", "files_of", "parts_of"]


def parts_of(url: Any) -> tuple[Any, ...]:
    """Scheme, user info, host and port of a URL: equal only for URLs of one origin."""
    try:
        parts: tuple[Any, ...] = url._uri_reference[:4]  # a parsed URL; the public properties cost ten times as much
    except AttributeError:
        return url.scheme, url.userinfo, url.host, url.port
    return parts


def body_of(stream: Any) -> Any | None:
    """The file or iterator behind a request's stream; None if there is none, and such a body is not sent again."""
    return getattr(stream, "_stream", None)


def files_of(stream: Any) -> list[Any] | None:
    """The contents of a multipart stream's files; None if it is not a multipart stream."""
    fields = getattr(stream, "fields", None)
    return None if fields is None else [field.file for field in fields if hasattr(field, "file")]
