"""The vending endpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import TokenSource
from ..errors import ConfigurationError, TokenRequestRejected, TokenUnavailable
from ..oauth2.bearer import BearerError, names
from ..oauth2.tokens import AccessToken
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..serving import Answer, Request
from ..serving.http_messages import ErrorAnswer, retry_after_header
from .asked_scopes import asked_scopes
from .caller_caps import HourlyCap
from .caller_sources import CallerSources
from .callers import Caller, CallerFunction, Identified, identified
from .cors import BrowserRules
from .narrowing import Narrowed, caller_key, schedule_for

if TYPE_CHECKING:
    from ..caches.protocol import TokenCache

__all__ = ["TokenVendor"]

_NO_SCOPES = "TokenVendor: scopes is empty, and a token without a scope may have every right."
_FAULT = Answer.json(500, {"error": "server_error", "error_description": "No token can be vended now."})
_log = logging.getLogger("m2m_auth.vending")


class TokenVendor:
    """Gives short-lived tokens with few rights to callers that cannot keep a secret, such as browser pages.

    It is a service for :func:`m2m_auth.serving.wsgi`, ``asgi``, Flask's blueprint or Django's view. Nothing is served
    until you mount it. A request is a ``POST`` with the required header, and ``scope`` in a form or JSON. The answer
    has ``access_token``, ``token_type``, ``expires_in`` and ``scope`` (RFC 6749 §5.1), and never a refresh token.

    Args:
        source_for: the token source for one caller and scope set; called once for each, while it is kept:
            ``lambda narrowed: narrowed.source(token_endpoint, client_id, client_secret, audience=…)``.
        caller: identifies the sender of a request: :func:`by_bearer_token`, :func:`by_address` or your own function.
        scopes: the allowed scopes, or a function from a caller's name to its allowed scopes; empty: 403.
        lifetime: the longest life of a vended token, in seconds, 12 hours at most. The server sets the life of its
            tokens; a token that lives longer is refused.
        leeway: how long before its end a token is replaced, in seconds; by default a twelfth of ``lifetime`` (5 of 60
            minutes). A token that lives shorter than ``lifetime`` has a leeway in proportion.
        origins: the origins of other sites whose pages may ask, written exactly as browsers do. Pages of the same
            origin need no entry if the browser sends ``Sec-Fetch-Site`` (over https, or on loopback).
        required_header: a header that every request must carry; a foreign page cannot send it.
        per_hour: the number of tokens that one caller gets in a UTC hour, cached ones included; after that 429.
        cache: a shared cache, so that all workers count ``per_hour`` together. Tokens are in the sources' own cache.
        most_sources: the number of sources that one process keeps; the least recently used is evicted.
        name: separates the callers of this vendor from those of another one. Give two vendors different names if their
            functions may name different people alike: otherwise user 1 of both has one token and one count.
        clock: the clocks; for tests.

    Raises:
        ConfigurationError: an option makes no sense; raised before any I/O.
    """

    def __init__(
        self,
        source_for: Callable[[Narrowed], TokenSource],
        *,
        caller: CallerFunction,
        scopes: str | Iterable[str] | Callable[[str], str | Iterable[str] | None],
        lifetime: float = 3600,
        leeway: float | None = None,
        origins: Iterable[str] = (),
        required_header: str = "X-Requested-With",
        per_hour: int = 120,
        cache: str | TokenCache | None = None,
        most_sources: int = 1024,
        name: str = "vendor",
        clock: Clock | None = None,
    ) -> None:
        for option, given in (("source_for", source_for), ("caller", caller)):
            if not callable(given):
                raise ConfigurationError(f"TokenVendor: {option} must be a function, not {type(given).__name__}")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"TokenVendor: name={name!r} must be a name")
        _seconds("lifetime", lifetime, 43200)
        leeway = lifetime / 12 if leeway is None else leeway
        _seconds("leeway", leeway, lifetime / 2)
        for option, count in (("per_hour", per_hour), ("most_sources", most_sources)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ConfigurationError(f"TokenVendor: {option}={count!r} must be a whole number of at least 1")
        self._caller = caller
        self._scopes = scopes if callable(scopes) else names(scopes)
        if not self._scopes:
            raise ConfigurationError(f"{_NO_SCOPES} Fix: name them")
        self._browsers = BrowserRules(origins, required_header)
        self._clock = clock or SYSTEM_CLOCK
        self._name = name
        self._sources = CallerSources(
            name, source_for, schedule_for(lifetime, leeway), lifetime, most_sources, self._clock
        )
        self._cap = HourlyCap(per_hour, cache, self._clock)

    def __repr__(self) -> str:
        return f"<TokenVendor {len(self._sources)} sources>"

    def check(self, caller: str | Caller = "m2m-auth check") -> None:
        """Mints one token for one scope, and raises if the server does not narrow it.

        Call it when the service starts. Every token is checked in the same way before it is vended. The token is
        cached like any other, so workers and restarts that share a cache mint it once per lifetime.

        Args:
            caller: the caller that the token is for; for a token exchange a :class:`Caller` with a subject token.

        Raises:
            ConfigurationError: the token has more scopes or lives longer than allowed; the message says which.
            TokenUnavailable: there is no token to check.
        """
        asking = identified(caller)
        if asking is None:
            raise ConfigurationError("TokenVendor.check(): the caller's name is empty")
        allowed = self._allowed_for(asking)
        if not allowed:
            raise ConfigurationError(f"{_NO_SCOPES} Fix: check(caller) with the name of a caller that has scopes")
        self._sources.token(asking, (min(allowed),))

    def answer(self, request: Request, /) -> Answer:
        """The token for the caller, or the error."""
        try:
            answer = self._answer(request)
        except ErrorAnswer as error:
            answer = error.answer
        except BearerError as error:
            answer = Answer.json(error.status, error.body, *error.headers.items())
        except ConfigurationError as error:
            _log.error("no token was vended: %s", error)
            answer = _FAULT
        except Exception:
            # The user's functions may raise anything. Pages of a listed origin must be able to read the answer.
            _log.exception("no token was vended")
            answer = _FAULT
        return replace(answer, headers=_once((*answer.headers, *self._browsers.cors(request))))

    def close(self) -> None:
        """Closes the caches of the kept sources and of the cap. They open again if they are used again."""
        self._sources.close()
        self._cap.close()

    def _answer(self, request: Request) -> Answer:
        if request.path not in ("", "/"):
            raise ErrorAnswer(404, "invalid_request", "There is nothing at this path.")
        if request.method == "OPTIONS":
            return self._browsers.preflight(request)
        if request.method != "POST":
            raise ErrorAnswer(405, "invalid_request", "Use POST.", ("Allow", "POST"))
        self._browsers.admit(request)
        caller = identified(self._caller(request))
        if caller is None:
            # RFC 9110 §11.6.1 wants a challenge; for this one no browser asks for a password.
            challenge = ("WWW-Authenticate", "Session")
            raise ErrorAnswer(401, "access_denied", "The caller is unknown.", challenge)
        allowed = self._allowed_for(caller)
        if not allowed:
            raise ErrorAnswer(403, "access_denied", "This caller may have no scope.")
        scopes = asked_scopes(request, allowed)
        wait = self._cap.wait(caller_key(self._name, caller.name))
        if wait is not None:
            raise ErrorAnswer(429, "slow_down", "Too many tokens in this hour.", retry_after_header(wait))
        return self._vended(self._token(caller, scopes), scopes)

    def _allowed_for(self, caller: Identified) -> frozenset[str]:
        scopes = self._scopes
        return names(scopes(caller.name)) if callable(scopes) else scopes

    def _token(self, caller: Identified, scopes: tuple[str, ...]) -> AccessToken:
        try:
            return self._sources.token(caller, scopes)
        except TokenRequestRejected:  # the engine logs it; the caller must not read the server's words
            raise ErrorAnswer(502, "server_error", "The authorization server refuses this token.") from None
        except TokenUnavailable as error:
            headers = () if error.retry_after is None else (retry_after_header(error.retry_after),)
            raise ErrorAnswer(503, "temporarily_unavailable", "There is no token now.", *headers) from None

    def _vended(self, token: AccessToken, scopes: tuple[str, ...]) -> Answer:
        left = math.floor(token.expires_at - self._clock.wall())
        if left < 1:
            raise ErrorAnswer(503, "temporarily_unavailable", "There is no token now.", retry_after_header(1))
        granted = sorted((token.scope or "").split()) or scopes
        members = {"access_token": token.value, "token_type": token.token_type, "expires_in": left}
        return Answer.json(200, {**members, "scope": " ".join(granted)})


def _seconds(name: str, value: object, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ConfigurationError(f"TokenVendor: {name}={value!r} must be seconds, more than 0 and at most {most:g}")


def _once(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Each header once, with its first value."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), (name, value))
    return tuple(found.values())
