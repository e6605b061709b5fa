"""The cookies of a request that is sent again (RFC 6265): those that it had, and those that the answers have set since.

An API may set a session cookie with its 401, and expect it beside the new token.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

__all__ = ["cookies_for_replay"]


def cookies_for_replay(url: str, cookie: str | None, answers: Iterable[tuple[str, list[str]]]) -> str | None:
    """The Cookie header for the replay; None if it has no cookies.

    Args:
        url: where the replay goes; a cookie of another domain or path, or a secure one over http, is left out.
        cookie: the Cookie header that the request had.
        answers: for each answer since then, its URL and the values of its Set-Cookie headers.
    """
    answers = [(where, values) for where, values in answers if values]
    if not answers:
        return cookie
    from email.message import Message
    from urllib.request import Request

    jar, request = _Jar(), Request(url)  # noqa: S310 - it is not sent
    for where, values in answers:
        head = Message()
        for value in values:
            head.add_header("Set-Cookie", value)
        jar.extract_cookies(cast("Any", _HeadOnly(head)), Request(where))  # noqa: S310
    jar.add_cookie_header(request)
    pairs = (pair.strip() for pair in (request.get_header("Cookie") or "").split(";"))
    new = [pair for pair in pairs if pair and pair.isprintable()]  # no header carries control characters
    replaced = {_name(pair) for pair in new} | jar.ended_for(request)
    kept = [pair.strip() for pair in (cookie or "").split(";") if pair.strip() and _name(pair) not in replaced]
    return "; ".join([*kept, *new]) or None


def _name(pair: str) -> str:
    return pair.partition("=")[0].strip()


class _HeadOnly:
    """As much of a response as the standard library's cookie jar reads."""

    def __init__(self, head: Any) -> None:
        self._head = head

    def info(self) -> Any:
        """The headers."""
        return self._head


class _Jar(CookieJar):
    """A cookie jar that remembers which cookies an answer has ended (``Max-Age=0``)."""

    def __init__(self) -> None:
        super().__init__(DefaultCookiePolicy())
        self._ended: list[tuple[str, str, str]] = []

    def clear(self, domain: str | None = None, path: str | None = None, name: str | None = None) -> None:
        """Called for a cookie whose end has come."""
        if domain is not None and path is not None and name is not None:
            self._ended.append((domain, path, name))
        super().clear(domain, path, name)

    def ended_for(self, request: Any) -> set[str]:
        """The names of those that would go along with this request."""
        policy = DefaultCookiePolicy()
        return {
            name
            for domain, path, name in self._ended
            if policy.domain_return_ok(domain, request) and policy.path_return_ok(path, request)
        }
