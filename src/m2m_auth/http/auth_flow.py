"""One call with a token, step by step: attach the token, judge the answer, replay once.

The steps are written once for every HTTP library. A front door has two parts: an
:class:`~m2m_auth.http.http_library.HttpLibrary`, which reads the requests and responses of its library, and a driver
(see :mod:`m2m_auth.http.steps`). For a library with generators or middlewares the driver runs :meth:`AuthFlow.steps`;
for one with hooks it runs :meth:`AuthFlow.attach` before the call and :meth:`AuthFlow.answer` after it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Hashable, Iterable
from typing import Any, NamedTuple

from ..errors import InsecureTransport, OriginNotAllowed, TokenUnavailable
from ..oauth2.challenges import RejectionRule
from ..oauth2.origin_policy import OriginPolicy
from ..oauth2.origins import Origin, is_loopback, same_origin, spelled
from ..oauth2.token_header import AUTHORIZATION, TokenHeader
from ..oauth2.tokens import AccessToken
from ..runtime.log_once import warn_once
from ..runtime.observers import observers
from ..source.token_source import TokenSource, engine_of
from .http_library import HttpLibrary
from .rejection_check import RejectionCheck
from .replay_cookies import cookies_for_replay
from .steps import Effect, Steps

__all__ = ["AuthFlow", "Sent", "TokenRefusal"]

_KNOWN_SITES = 64
"""Sites whose origin is remembered."""
_NOWHERE = "\n"
"""A site that no URL has."""


class Sent:
    """The facts about a request that was sent with a token.

    Args:
        origin: the origin that the token was attached for.
        token: the attached token; None: a recent token of the source, found by the header.
        start: where the body starts, if it is a file that can be rewound.
        began: when it was sent, by the monotonic clock; None while there is no observer.
        streams: True if the caller is known to read the body piece by piece.
    """

    __slots__ = ("began", "origin", "start", "streams", "token")

    def __init__(
        self,
        origin: Origin,
        token: AccessToken | None,
        start: int | None,
        began: float | None,
        *,
        streams: bool = False,
    ) -> None:
        self.origin = origin
        self.token = token
        self.start = start
        self.began = began
        self.streams = streams


class TokenRefusal(NamedTuple):
    """A response that refuses the token of its request."""

    response: Any
    """The response: the last one, or one before a redirect that the library has followed."""
    token: AccessToken | None
    """The refused token, which has been rejected; None: the request was a copy, whose header is redacted."""
    before: tuple[Any, ...]
    """The redirects before it."""
    after: tuple[Any, ...]
    """The responses after it."""


class _NeedToken(Effect):
    """A good token, or the TokenUnavailable that says why there is none."""

    __slots__ = ("_source",)

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def run(self) -> AccessToken | TokenUnavailable:
        try:
            return self._source.token()
        except TokenUnavailable as error:
            return error

    async def arun(self) -> AccessToken | TokenUnavailable:
        try:
            return await self._source.atoken()
        except TokenUnavailable as error:
            return error


class _ReadBody(Effect):
    """The first MiB of a response's body, which the caller can still read from its beginning."""

    __slots__ = ("_library", "_response", "_streams")

    def __init__(self, library: HttpLibrary, response: Any, *, streams: bool) -> None:
        self._library = library
        self._response = response
        self._streams = streams

    def run(self) -> bytes:
        return self._library.body(self._response, streams=self._streams)

    async def arun(self) -> bytes:
        return await self._library.abody(self._response)


class _Close(Effect):
    """A response closed, unread."""

    __slots__ = ("_library", "_response")

    def __init__(self, library: HttpLibrary, response: Any) -> None:
        self._library = library
        self._response = response

    def run(self) -> None:
        self._library.close(self._response)

    async def arun(self) -> None:
        await self._library.aclose(self._response)


class AuthFlow:
    """The steps of every call through one front door.

    Args:
        source: where the tokens come from.
        library: the front door's HTTP library.
        allowed_origins: the only origins that may get the token; None allows any https one.
        allow_insecure_http: True sends the token over plain http to other machines, too.
        is_rejection: decides whether a response refuses the token that it was sent; None: see
            :func:`~m2m_auth.oauth2.challenges.bearer_rejection`.
        header: the header that carries the token.
        scheme: the word before the token; ``""`` or None for the token alone.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    __slots__ = ("_check", "_engine", "_known", "_library", "_need_token", "_policy", "header", "latest")

    def __init__(
        self,
        source: TokenSource,
        library: HttpLibrary,
        allowed_origins: Iterable[str] | None,
        allow_insecure_http: bool,
        is_rejection: RejectionRule | None,
        header: str = AUTHORIZATION,
        scheme: str | None = "Bearer",
    ) -> None:
        self._engine = engine_of(source)
        self._library = library
        self._policy = OriginPolicy(allowed_origins, allow_insecure_http)
        self._check = RejectionCheck(is_rejection)
        self._need_token = _NeedToken(source)
        self._known: dict[Hashable, Origin] = {}
        self.header = TokenHeader(header, scheme)
        """How the token is attached."""
        self.latest: tuple[Hashable, Origin] = (_NOWHERE, ("", "", 0))
        """The site of the latest call and its origin, for a front door's short cut; only with the default header."""

    def steps(self, request: Any) -> Steps:
        """One call from beginning to end.

        Raises:
            OriginNotAllowed, InsecureTransport: the token may not go there; nothing is sent.
            TokenUnavailable: there is no token, so nothing is sent.
        """
        sent = yield from self.attach(request)
        response = yield request
        return (yield from self.answer(response, sent))

    def attach(self, request: Any) -> Generator[Effect, Any, Sent]:
        """The steps before the call: checks the origin, then gets a token and attaches it."""
        origin = self.origin(request)
        self._refuse_banned_call(request, origin)
        token = yield self._need_token
        if isinstance(token, TokenUnavailable):
            raise self._library.own_error(token, request)
        self._put(request, token)
        start = self._library.start_of_body(request)
        return Sent(origin, token, start, time.monotonic() if observers else None)

    def _refuse_banned_call(self, request: Any, origin: Origin) -> None:
        """While an origin refuses every token, a call there mints none; other origins do not notice."""
        engine = self._engine
        if not engine.state.on_trial or engine.is_ready():
            return
        try:
            engine.refuse_banned_call(origin)
        except TokenUnavailable as error:
            refused = error
        else:
            return
        raise self._library.own_error(refused, request)

    def answer(self, response: Any, sent: Sent) -> Steps:
        """The steps after the call: judges the response; if it refuses the token, replays the request once."""
        if sent.began is not None:
            self._notify(response, sent.token, sent.began)
        refusal = yield from self.judge(response, sent.origin, sent.token, streams=sent.streams)
        if refusal is None:
            return response
        replay = self._library.replay(refusal.response, sent.start)
        if replay is None:
            return response
        token = yield self._need_token
        if isinstance(token, TokenUnavailable) or token == refusal.token:
            return response  # the API's own answer says more than "no token"
        self._put(replay, token)
        self._bring_cookies(replay, (refusal.response, *refusal.after))
        yield _Close(self._library, response)
        began = time.monotonic() if observers else None
        second = yield replay
        self._library.keep_history(second, (*refusal.before, refusal.response), response)
        if began is not None:
            self._notify(second, token, began, again=True)
        yield from self.judge(second, sent.origin, token, streams=sent.streams)
        return second

    def settles(self, status: int) -> bool:
        """True if a response with this status needs no judgement, whatever its headers."""
        return status != 401 and self._check.only_401 and not self._engine.state.on_trial

    def judge(
        self, response: Any, origin: Origin, token: AccessToken | None = None, *, streams: bool = False
    ) -> Generator[Effect, Any, TokenRefusal | None]:
        """The refusal of a token by this response, or by one before a redirect; that token is then rejected.

        The response must come from ``origin``, and its request must have carried ``token`` (None: a recent one of
        the source). So the target of a foreign redirect rejects no token, and neither does a request whose header the
        user set.
        """
        # A library that follows redirects below its auth shows the page that a session without a token ends on.
        redirects = () if self._check.only_401 else tuple(self._library.followed(response))
        answers = (*redirects, response)
        for number, answer in enumerate(answers):
            if not self.settles(self._library.status(answer)):
                found = yield from self._judge_one(answer, origin, token, streams=streams)
                if found is not None:
                    before = tuple(self._library.followed(answer))
                    return TokenRefusal(answer, found[0], before, answers[number + 1 :])
        return None

    def _judge_one(
        self, answer: Any, origin: Origin, token: AccessToken | None, *, streams: bool
    ) -> Generator[Effect, Any, tuple[AccessToken | None] | None]:
        headers, request = self._library.read(answer)
        sent = request.headers.get(self.header.name)
        is_copy = sent == self.header.redacted
        if is_copy:
            token = None
        elif token is None:
            token = self._engine.token_sent_as(self.header.token_in(sent))
        if not is_copy and (token is None or self.header.value_of(token) != sent):
            return None
        if not same_origin(self._library.target(request), origin):
            return None
        status = self._library.status(answer)
        body = (yield _ReadBody(self._library, answer, streams=streams)) if self._check.reads_body else b""
        refused = self._check.refuses(status, headers, body)
        if token is not None and refused:
            self._engine.reject(token, origin)
        elif token is not None and status < 400 and self._engine.state.on_trial:
            self._engine.accepted(token, origin)
        return (token,) if refused else None

    def _put(self, request: Any, token: AccessToken) -> None:
        if self.header.is_default:
            request.headers[AUTHORIZATION] = token.authorization
        else:
            self._library.put_header(request, self.header.name, self.header.value_of(token))

    def _bring_cookies(self, replay: Any, answers: Iterable[Any]) -> None:
        """Adds the cookies that the answers have set, as a session does for its next request."""
        library = self._library
        set_since = [(library.target(library.read(each)[1]), library.set_cookies(each)) for each in answers]
        before = replay.headers.get("Cookie")
        cookie = cookies_for_replay(str(replay.url), before, set_since)
        if cookie is None:
            replay.headers.pop("Cookie", None)
        elif cookie != before:
            replay.headers["Cookie"] = cookie

    def origin(self, request: Any) -> Origin:
        """The request's origin, if the token may go there; the origins of the latest sites are remembered."""
        site = self._library.site(request)
        origin = self._known.get(site)
        if origin is None:
            origin = self._checked_origin(request)
            if site is None:
                return origin
            if len(self._known) >= _KNOWN_SITES:
                self._known.clear()
            self._known[site] = origin
        if self._engine.on_system_clock and self.header.is_default:
            self.latest = site, origin
        return origin

    def _checked_origin(self, request: Any) -> Origin:
        refused: OriginNotAllowed | InsecureTransport
        try:
            origin = self._policy.check(self._library.target(request))
        except (OriginNotAllowed, InsecureTransport) as error:
            refused = error
        else:
            if origin[0] == "http" and not is_loopback(origin[1]):
                warn_once(f"tokens go to {spelled(origin)} over plain http: every machine on the way can read them")
            return origin
        raise self._library.own_error(self._engine.worded(refused), request)

    def _notify(self, response: Any, token: AccessToken | None, began: float, *, again: bool = False) -> None:
        """Shows this context's observer each request that carried the token; the client may follow redirects."""
        from .calls import notify_call

        left = time.monotonic() - began
        for answer in (*self._library.followed(response), response):
            _, request = self._library.read(answer)
            carried = request.headers.get(self.header.name)
            if carried is None or (token is not None and self.header.value_of(token) != carried):
                continue
            seconds = left if answer is response else self._library.elapsed(answer)
            left -= seconds
            notify_call(
                self._engine.context.events,
                token or self._engine.token_sent_as(self.header.token_in(carried)),
                self._engine.clock.wall(),
                method=request.method or "",
                url=str(request.url),
                status=self._library.status(answer),
                seconds=seconds,
                again=again,
            )
