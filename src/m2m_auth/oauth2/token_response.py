"""Reads the answer to a token request (RFC 6749 §5). The room ``lifecycle`` decides what the answer means.

:func:`parse_token_response` gives a :class:`TokenResponse`, an :class:`UnusableTokenResponse`, or a
:class:`~m2m_auth.oauth2.token_error_response.TokenErrorResponse`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from .answer_body import answer_fields, by_name, media_type, plain_name
from .answer_rules import BOUND_TYPES, DEFAULT_ANSWERS, AnswerRules, type_name
from .lifetimes import UNSAID, granted_lifetime, jwt_claims
from .rate_limit_headers import quota_is_low
from .secrets import Secret
from .token_error_response import TokenErrorResponse, read_refusal, says_refused
from .transport import HttpResponse

__all__ = ["TokenResponse", "UnusableTokenResponse", "parse_token_response"]


class TokenResponse(NamedTuple):
    """A successful response (RFC 6749 §5.1) with a Bearer token that can be used."""

    access_token: str
    token_type: str
    scope: str | None
    """The granted scopes, or None if the server did not say."""
    lifetime: float
    """Seconds, counted from the moment when the request was sent."""
    refresh_token: Secret | None = None
    """The refresh token that replaces the one that was sent."""
    quota_low: bool = False
    """True if the server said that little is left of its quota."""
    lifetime_assumed: str = ""
    """Why the lifetime is the default, e.g. ``no expires_in``; ``""`` where the server said it."""

    @property
    def has_ended(self) -> bool:
        """True if the server says that the token has no time left, which is so where it gives a known one again."""
        return self.lifetime_assumed not in ("", UNSAID)

    def __repr__(self) -> str:
        return f"<TokenResponse {self.token_type} lifetime={self.lifetime:g}>"


class UnusableTokenResponse(NamedTuple):
    """A 2xx that is no refusal, whose token may not be used or is missing."""

    why: str
    """What is wrong, as the end of a sentence; nothing of the body is in it but names of fields and of types."""
    minted: bool = False
    """True if the server gave a token: one that may not be used is spent all the same."""
    status: int = 200
    """The HTTP status."""
    fix: str = ""
    """What to do, as a sentence, or ``""``."""


def parse_token_response(
    response: HttpResponse,
    *,
    sent_at: float,
    default_lifetime: float,
    max_lifetime: float,
    keep_refresh_token: bool = False,
    answers: AnswerRules = DEFAULT_ANSWERS,
    redact: Callable[[str], str] = str,
) -> TokenResponse | TokenErrorResponse | UnusableTokenResponse:
    """Read the answer to a token request. Unknown fields are ignored, and nothing is raised.

    Any 2xx with a token is a token, also with an ``error`` beside it: the quota is spent, and if the API refuses the
    token, another one is minted. A 2xx with an error and no token is a refusal.

    Args:
        response: the answer.
        sent_at: when the request was sent: Unix time in seconds.
        default_lifetime: the lifetime in seconds of a token whose server does not say.
        max_lifetime: longer lifetimes are cut to this many seconds.
        keep_refresh_token: False drops a refresh token: a client-credentials response has none (RFC 6749 §4.4.3).
        answers: how this server's answers differ.
        redact: replaces what must not be shown in the words of a refusal.
    """
    given = answer_fields(response) or {}
    fields, problem = _adapted(given, answers.adapt)
    refusal = {**given, **{name: value for name, value in fields.items() if value not in _NO_TEXT}}
    value, beside = _token_in(fields, answers.token_field)
    has_token = bool(value) and not problem
    if not 200 <= response.status < 300 or (not has_token and says_refused(refusal)):
        return read_refusal(response, refusal, sent_at, redact)
    if not has_token:
        if answers.adapt is not None and not problem and next(_token_paths(given), ""):
            problem = f"returned no {answers.token_field} for an answer that seems to have one"
        return _without_token(fields, problem, response, answers)
    value = re.sub(_SCHEME, "", value.strip(" "))
    unusable = _unusable(value, _token_type(beside), response, answers, redact)
    if unusable is not None:
        return unusable
    claims, date = jwt_claims(value), response.headers.get("date")
    lifetime = granted_lifetime(beside, claims, sent_at, default_lifetime, rules=answers, date=date)
    refresh = beside.get("refresh_token") if keep_refresh_token else None
    return TokenResponse(
        value,
        "Bearer",
        _scope(beside.get("scope"), answers.scope_separator),
        min(lifetime.seconds, max_lifetime),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        quota_is_low(response.headers),
        lifetime.assumed,
    )


# Strings: re compiles them when they are first used, which keeps the import cheap.
_HEADER_SAFE = r"[\x21-\x7e]+"
_NAME = r"[A-Za-z0-9_-]{1,20}"
_SCHEME = r"\A(?i:bearer) +"
_NO_TEXT = (None, "")
_URN = r"urn:[A-Za-z0-9:_-]{1,80}"
_TOKEN_FIELDS = ("accesstoken", "token", "jwt", "bearertoken", "authtoken", "tenantaccesstoken", "idtoken")
"""Where servers put the token that users ask for, if it is not in ``access_token``, as plain names."""
_ONE_LONG_WORD = r"[A-Za-z0-9._~+/=|!-]{16,}"
_NAME_OF_A_TOKEN = r"(?i)access[_-]?token"  # noqa: S105 - a name


def _adapted(
    fields: dict[str, Any], adapt: Callable[[dict[str, Any]], Mapping[str, Any]] | None
) -> tuple[dict[str, Any], str]:
    """The fields as the user's ``adapt`` gives them, and what is wrong with it; as they are, if something is.

    Its exception is named by its type: the message may hold the token.
    """
    if adapt is None or not fields:
        return fields, ""
    try:
        adapted: Any = adapt(dict(fields))
        if isinstance(adapted, Mapping):
            return {str(name): value for name, value in cast("Mapping[object, Any]", adapted).items()}, ""
        problem = f"returned {type(adapted).__name__}, which is no mapping"
    except (Exception, SystemExit) as error:
        problem = f"raised {type(error).__name__}"
    return fields, problem


def _token_in(fields: dict[str, Any], path: str) -> tuple[str, dict[str, Any]]:
    """The token, or ``""``, and the fields that count: those beside the token before those at the top."""
    *parents, name = (path,) if path in fields else path.split(".")
    inner: dict[str, Any] | None = fields
    for parent in parents:
        inner = _object(inner.get(parent)) if inner else None
    value = (inner or {}).get(name)
    return (value if isinstance(value, str) and value.strip() else ""), {**fields, **(inner or {})}


def _object(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _without_token(
    fields: dict[str, Any], problem: str, response: HttpResponse, answers: AnswerRules
) -> UnusableTokenResponse:
    """A 2xx without a token. Where ``adapt`` fails, or anything else looks like a token, the server has minted one."""
    if problem:
        fix = "Fix: return a dict with access_token and expires_in for this answer, too."
        return UnusableTokenResponse(f"answers.adapt {problem}", minted=True, status=response.status, fix=fix)
    shown = media_type(response) or "missing or invalid Content-Type"
    article = "an" if answers.token_field[0] in "aeiou" else "a"
    why = f"it is not a JSON object with {article} {answers.token_field} ({len(response.body)} bytes, {shown})"
    other = next((path for path in _token_paths(fields) if path != answers.token_field), "")
    if not other and not fields and _may_hold_a_token(response.body):
        fix = "Fix: let the server answer with a JSON object (RFC 6749 §5.1); what it sends looks like a token."
        return UnusableTokenResponse(why, minted=True, status=response.status, fix=fix)
    if not other:
        return UnusableTokenResponse(why, status=response.status)
    fix = f'Fix, if that is the token: answers=AnswerRules(token_field="{other}").'
    return UnusableTokenResponse(f"{why}; it has {other!r}", minted=True, status=response.status, fix=fix)


def _token_paths(fields: dict[str, Any]) -> Iterator[str]:
    """The fields, at the top and one object deeper, that are named as a token is and hold what a header may carry."""
    inner = {f"{name}.": _object(value) for name, value in fields.items() if re.fullmatch(_NAME, name)}
    for prefix, found in {"": fields, **inner}.items():
        for plain in _TOKEN_FIELDS:
            for name, value in (found or {}).items():
                if plain_name(name) == plain and isinstance(value, str) and re.fullmatch(_HEADER_SAFE, value):
                    yield prefix + name


def _may_hold_a_token(body: bytes) -> bool:
    """True for the body that is one long word, or that names a token in another notation (XML, JSONP).

    False for JSON that ends too early: the rest got lost on the way, and the next answer may be whole.
    """
    text = body.decode("latin-1").strip()
    if re.fullmatch(_ONE_LONG_WORD, text.strip('"')):
        return True
    return not text.startswith(("{", "[")) and "<html" not in text.lower() and bool(re.search(_NAME_OF_A_TOKEN, text))


def _unusable(
    value: str, token_type: object, response: HttpResponse, answers: AnswerRules, redact: Callable[[str], str]
) -> UnusableTokenResponse | None:
    """What is wrong with a token that the server gave; None if nothing is."""
    if not re.fullmatch(_HEADER_SAFE, value):
        why = f"its {answers.token_field} has characters that no header may carry"
        fix = "Fix: ask the server's operators for tokens of RFC 6750's characters."
        return UnusableTokenResponse(why, minted=True, status=response.status, fix=fix)
    if not _is_bearer(token_type, answers):
        text = token_type if isinstance(token_type, str) else ""
        named = re.fullmatch(f"{_NAME}|{_URN}", text) and redact(text) == text
        shown = repr(token_type) if named else "not a valid name"
        why = f"its token_type is {shown}, and only a Bearer token may be sent as one"
        fix = "Fix: let the server issue Bearer tokens for this client."
        if named and type_name(text) not in BOUND_TYPES:
            fix = f'Fix, if that is a Bearer token: answers=AnswerRules(token_types=("bearer", "{token_type}")).'
        return UnusableTokenResponse(why, minted=True, status=response.status, fix=fix)
    return None


def _token_type(fields: dict[str, Any]) -> object:
    """The type, also as ``tokenType``: a token that is bound to a key must not pass for a Bearer token."""
    given: object = fields.get("token_type") or by_name(fields).get("tokentype")
    return next(iter(cast("list[object]", given)), None) if isinstance(given, list) else given


def _is_bearer(token_type: object, answers: AnswerRules) -> bool:
    if token_type is None:
        return True
    return isinstance(token_type, str) and type_name(token_type) in ("", *map(type_name, answers.token_types))


def _scope(given: object, separator: str | None) -> str | None:
    """The scopes separated by spaces (RFC 6749 §3.3), however the server separates them."""
    if isinstance(given, str) and given.startswith("["):
        given = _json_list(given)
    if isinstance(given, list):
        given = " ".join(each for each in cast("list[object]", given) if isinstance(each, str)) or None
    if not isinstance(given, str):
        return None
    separated = given.replace(separator or ",", " ")
    return given if separated == given else " ".join(separated.split())


def _json_list(text: str) -> object:
    """The list that a server has written into a text; the text itself if it holds none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
