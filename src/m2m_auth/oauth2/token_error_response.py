"""Reads a refusal of the token endpoint: an OAuth error (RFC 6749 §5.2), or the words that servers send in its place.

:func:`read_refusal` finds the code, the words, the page, and the ids that support asks for, under the names that
servers use. Its answer is safe to show: redacted, in RFC 6749's characters, and cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from .answer_body import answer_fields, by_name, media_type, plain_name
from .rate_limit_headers import is_used_up, retry_after
from .transport import HttpResponse

__all__ = ["KNOWN_ERRORS", "TokenErrorResponse", "read_refusal", "says_refused", "shown_words"]

KNOWN_ERRORS = frozenset(
    (
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "invalid_target", "access_denied", "server_error", "temporarily_unavailable"),
        *("invalid_token", "insufficient_scope", "invalid_dpop_proof", "use_dpop_nonce", "expired_token"),
    )
)
"""Codes of the RFCs. They are never redacted, whatever the secret is."""

LONGEST = 500
"""The server's words are cut to this many characters."""
_LONGEST_CODE = 60
_LONGEST_PAGE = 16_384
"""Bytes of a body that are searched for words."""


class TokenErrorResponse(NamedTuple):
    """A response without a token: an OAuth error (RFC 6749 §5.2), or whatever the server sent in its place."""

    status: int
    """The HTTP status."""
    error: str | None = None
    """The server's code, e.g. ``invalid_client``, 60 characters at most; None if it sent none."""
    error_description: str | None = None
    """The server's words, 500 characters at most, or None."""
    error_uri: str | None = None
    """The server's page about the error, 500 characters at most, or None."""
    media_type: str | None = None
    """The media type of the body, e.g. ``text/html``; None if it is missing or not one."""
    retry_after: float | None = None
    """Seconds that the server asks to wait, 3600 at most, or None."""
    support_ids: tuple[tuple[str, str], ...] = ()
    """Names and values that the server's support asks for, e.g. ``trace_id``."""
    location: str | None = None
    """The origin that a redirect leads to; None if there is none, or if it is the same one."""
    server: str | None = None
    """The ``Server`` header, e.g. ``cloudflare``, or None."""
    throttled: bool = False
    """True for a 429, and for a 403 whose headers say that no request is left."""


def read_refusal(
    response: HttpResponse, members: dict[str, Any], sent_at: float, redact: Callable[[str], str]
) -> TokenErrorResponse:
    """Read a response that holds no token. Nothing is raised.

    Args:
        response: the response.
        members: the fields of its body, or none.
        sent_at: when the request was sent: Unix time in seconds.
        redact: replaces what must not be shown in a text of the server.
    """
    fields = _Fields(members)
    status, headers = response.status, response.headers
    challenge = dict(re.findall(_CHALLENGE, headers.get("www-authenticate", "")))
    code = fields.code(status) or challenge.get("error") or None
    words = fields.words(code) or challenge.get("error_description") or _unstructured(response)
    return TokenErrorResponse(
        status,
        code if code in KNOWN_ERRORS else shown_words(code, _LONGEST_CODE, redact),
        shown_words(words, LONGEST, redact),
        shown_words(fields.page(), LONGEST, redact),
        media_type(response),
        retry_after(headers, sent_at, status),
        tuple((name, shown_words(value, _LONGEST_CODE, redact) or "") for name, value in fields.support_ids()),
        _target(headers.get("location")) if 300 <= status < 400 else None,
        _name_of(headers.get("server")),
        status == 429 or (status == 403 and is_used_up(headers)),
    )


def says_refused(members: dict[str, Any]) -> bool:
    """Return whether the body of a 2xx, which has no token, is a refusal.

    GitHub and Slack answer 200 with an ``error`` (golang/oauth2#441), others with ``ok: false`` or with a code that is
    not zero.
    """
    return _Fields(members).say_refused


# Strings: re compiles them when they are first used, which keeps the import cheap.
_NOT_SHOWN = r"[^\x20-\x21\x23-\x5b\x5d-\x7e]"
_SERVER = r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,39}"
_HOST = r"[a-z0-9.:_-]{1,253}"
_CHALLENGE = r'\b(error|error_description)="([^"]*)"'
_TITLE = r"(?is)<title[^>]*>(.*?)</title>"
_TAG = r"(?s)<[^>]*>"
_LONG_WORD = r"[^\s'\",;()]{24,}"


_CODES = ("errorcode", "errcode", "code", "type", "status")
"""Where a code is, if ``error`` is none, in this order; ``type`` and ``status`` count inside an error object only."""
_SUCCESS = ("ok", "success", "issuccess", "succeeded", "status")
_FAILURE = ("error", "fail", "failed", "failure")
"""How a body says of itself that it is a refusal, whatever the HTTP status."""
_WORDS = (
    *("message", "errorsummary", "errormessage", "errmsg", "msg", "errormsg", "detail", "details", "description"),
    *("title", "reason", "faultstring"),
)
"""Where the server's words are, if ``error_description`` is none, in this order."""
_SUPPORT_IDS = frozenset(
    (
        *("traceid", "correlationid", "errorid", "requestid", "fbtraceid", "transactionid", "incidentid", "logid"),
        *("activityid", "xrequestid", "xcorrelationid", "referenceid", "supportid", "eventid", "debugid", "ecid"),
    )
)


class _Fields:
    """The members of a refusal, by their names in lower case and without separators: ``errorSummary``, ``Message``."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self._top = by_name(members)
        self._inner = list(self._objects())

    def _objects(self) -> Iterator[dict[str, Any]]:
        """The objects inside that describe the error: ``error``, ``errors[0]``, ``fault`` and its ``detail``."""
        for name in ("error", "errors", "fault"):
            inner = _first(self._top.get(name))
            if isinstance(inner, dict):
                found = by_name(cast("dict[str, Any]", inner))
                yield found
                detail: Any = found.get("detail")
                if isinstance(detail, dict):
                    yield by_name(cast("dict[str, Any]", detail))

    def code(self, status: int) -> str | None:
        """The code: one word. A sentence in its place is words; a number that repeats the status says nothing."""
        first = _first(self._top.get("error"))
        named = (
            *(first if isinstance(first, str) else None, *(inner.get("error") for inner in self._inner)),
            *(self._top.get(name) for name in _CODES[:2]),
        )
        for value in (*named, *self._inner_codes(), self._top.get("code"), self._top.get("type")):
            word = _word(value, status)
            if word is not None:
                return word
        return None

    def _inner_codes(self) -> Iterator[Any]:
        """A name is better than a number: Google and Facebook send both."""
        found = [inner.get(name) for inner in self._inner for name in _CODES]
        yield from (value for value in found if isinstance(value, str) and not value.isdigit())
        yield from found

    @property
    def say_refused(self) -> bool:
        """True if it is certainly an error: a page of another kind may have a ``code`` or a ``type``, too."""
        if self._inner or any(self._top.get(name) is False for name in _SUCCESS):
            return True
        if str(self._top.get("status")).lower() in _FAILURE and self.words(None) is not None:
            return True
        code = self.code(200)
        named = any(_word(_first(self._top.get(name)), 200) == code for name in ("error", "errors", *_CODES[:2]))
        return code is not None and (named or (self.words(code) is not None and "code" in self._top))

    def words(self, code: str | None) -> str | None:
        """The server's words."""
        first = self._top.get("errordescription")
        inner = [fields.get(name) for fields in self._inner for name in ("errordescription", *_WORDS)]
        outer = [self._top.get(name) for name in _WORDS]
        plain = [_first(self._top.get(name)) for name in ("error", "errors")]
        for value in (first, *inner, *outer, *plain):
            said = _first(value)
            if isinstance(said, dict):  # FastAPI's list of problems
                said = next((found for name in _WORDS if (found := by_name(cast("Any", said)).get(name))), None)
            if isinstance(said, str) and said.strip() and said != code:
                return said
        return self._about_a_parameter()

    def _about_a_parameter(self) -> str | None:
        """What Django REST framework and ASP.NET say of one parameter: ``{"client_id": ["is required"]}``."""
        objects = (self._top.get("errors"), self._members)
        for name, value in (pair for each in objects if isinstance(each, dict) for pair in cast("Any", each).items()):
            said = _first(value)
            if isinstance(value, list) and isinstance(said, str) and " " in said:
                return f"{name}: {said}"
        return None

    def page(self) -> str | None:
        """The page about the error; a problem's ``type`` is one (RFC 9457 §3.1.1)."""
        uri = self._top.get("erroruri")
        if isinstance(uri, str) and uri:
            return uri
        kind = self._top.get("type")
        return kind if isinstance(kind, str) and kind.startswith(("http://", "https://")) else None

    def support_ids(self) -> list[tuple[str, str]]:
        """The ids under the server's own names, four at most."""
        objects = [self._members, *(cast("Any", each) for each in self._members.values() if isinstance(each, dict))]
        found = {
            name: str(value)
            for members in objects
            for name, value in cast("dict[str, Any]", members).items()
            if plain_name(name) in _SUPPORT_IDS
            and isinstance(value, (str, int))
            and value
            and not isinstance(value, bool)
        }
        return [(name, value) for name, value in found.items() if re.fullmatch(r"[\w.-]{1,40}", name)][:4]


def _unstructured(response: HttpResponse) -> str | None:
    """The words of a body that is neither JSON nor a form: a page's title, else all of it without tags.

    One word, such as ``Forbidden``, says no more than the status. A long one may be a token, so it is not shown.
    """
    if answer_fields(response) is not None:
        return None
    try:
        text = response.body[:_LONGEST_PAGE].decode()
    except UnicodeDecodeError:
        return None
    from html import unescape  # a large table of names, which only a refusal needs

    title = re.search(_TITLE, text)
    if title is None and "<html" in text.lower():
        return None
    words = " ".join(unescape(re.sub(_TAG, " ", title[1] if title else text)).split()).strip('"')
    return re.sub(_LONG_WORD, "***", words) if " " in words else None


def _first(value: object) -> Any:
    """What a server has put into a list."""
    while isinstance(value, list) and value:
        value = cast("list[object]", value)[0]
    return cast("Any", value)


def _word(value: object, status: int) -> str | None:
    """The code that ``value`` is: text without a space, or a number. Zero, the status itself and URLs are no codes."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    no_code = text in ("", "0", str(status)) or " " in text or "://" in text or text == "about:blank"
    return None if no_code else text


def shown_words(value: str | None, limit: int, redact: Callable[[str], str]) -> str | None:
    """The server's words, redacted, in RFC 6749 §5.2's characters, and cut to ``limit``."""
    # Cut last: half of a secret is not found.
    return re.sub(_NOT_SHOWN, "?", redact(value))[:limit] if value else None


# The headers


def _target(location: str | None) -> str | None:
    """The origin of a redirect's target; never its path or query, which may hold anything."""
    try:
        parts = urlsplit(location or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(_HOST, host):
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _name_of(server: str | None) -> str | None:
    name = (server or "").strip()
    return name if re.fullmatch(_SERVER, name) else None
