"""One call with a token, step by step: attach the token, judge the answer, replay once.

The steps are generators, written once for every HTTP library, sync and async. They do no I/O and hold no lock. They
yield each piece of work; a driver does it and sends the outcome back.

- A request that is yielded is sent; the outcome is its response. The token request is never one of them.
- An :class:`Effect` is performed: ``run()`` by a synchronous driver, ``await arun()`` by an asynchronous one.

A front door has two parts: an :class:`~m2m_auth.http.http_library.HttpLibrary`, which reads the requests and responses
of its library, and a driver. For a library with generators or middlewares the driver runs :meth:`AuthFlow.steps`; for
one with hooks it runs :meth:`AuthFlow.attach` before the call and :meth:`AuthFlow.answer` after it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Hashable, Iterable
from typing import Any

from ..errors import TokenUnavailable
from ..oauth2.challenges import RejectionRule, bearer_rejection
from ..oauth2.origin_policy import OriginPolicy
from ..oauth2.origins import Origin, same_origin
from ..oauth2.tokens import AccessToken
from ..runtime.observers import observers
from ..source.token_source import TokenSource, engine_of
from .http_library import HttpLibrary

__all__ = ["AuthFlow", "Effect", "Sent", "Steps", "adrive", "drive", "run"]

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
    """

    __slots__ = ("began", "origin", "start", "token")

    def __init__(self, origin: Origin, token: AccessToken | None, start: int | None, began: float | None) -> None:
        self.origin = origin
        self.token = token
        self.start = start
        self.began = began


class Effect(ABC):
    """A piece of work of the steps that may block."""

    __slots__ = ()

    @abstractmethod
    def run(self) -> Any:
        """Does it, blocking this thread; returns the outcome."""

    @abstractmethod
    async def arun(self) -> Any:
        """The same without blocking the event loop."""


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


Steps = Generator[Any, Any, Any]
"""Yields requests and effects, receives responses and outcomes, and returns the response for the caller."""


class AuthFlow:
    """The steps of every call through one front door.

    Args:
        source: where the tokens come from.
        library: the front door's HTTP library.
        allowed_origins: the only origins that may get the token; None allows any https one.
        allow_insecure_http: True sends the token over plain http to other machines, too.
        is_rejection: decides whether a response refuses the token that it was sent; None: RFC 6750's rule.

    Raises:
        ConfigurationError: an allowed origin is not an origin.
    """

    __slots__ = ("_engine", "_is_rejection", "_known", "_library", "_need_token", "_only_401", "_policy", "latest")

    def __init__(
        self,
        source: TokenSource,
        library: HttpLibrary,
        allowed_origins: Iterable[str] | None,
        allow_insecure_http: bool,
        is_rejection: RejectionRule | None,
    ) -> None:
        self._engine = engine_of(source)
        self._library = library
        self._policy = OriginPolicy(allowed_origins, allow_insecure_http)
        self._is_rejection = is_rejection or bearer_rejection
        self._only_401 = self._is_rejection is bearer_rejection
        self._need_token = _NeedToken(source)
        self._known: dict[Hashable, Origin] = {}
        self.latest: tuple[Hashable, Origin] = (_NOWHERE, ("", "", 0))
        """The site of the latest call and its origin, for a front door's short cut."""

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
        token = yield self._need_token
        if isinstance(token, TokenUnavailable):
            raise self._library.own_error(token, request)
        request.headers["Authorization"] = token.authorization
        start = self._library.start_of_body(request)
        return Sent(origin, token, start, time.monotonic() if observers else None)

    def answer(self, response: Any, sent: Sent) -> Steps:
        """The steps after the call: judges the response; if it refuses the token, replays the request once."""
        if sent.began is not None:
            self._notify(response, sent.token, sent.began)
        refused = self.judge(response, sent.origin, sent.token)
        if refused is None:
            return response
        replay = self._library.replay(response, sent.start)
        if replay is None:
            return response
        token = yield self._need_token
        if isinstance(token, TokenUnavailable) or token == refused:
            return response  # the API's own answer says more than "no token"
        replay.headers["Authorization"] = token.authorization
        yield _Close(self._library, response)
        began = time.monotonic() if observers else None
        second = yield replay
        if began is not None:
            self._notify(second, token, began, again=True)
        self.judge(second, sent.origin, token)
        return second

    def settles(self, status: int) -> bool:
        """True if a response with this status cannot refuse a token, whatever its headers."""
        return status != 401 and self._only_401

    def judge(self, response: Any, origin: Origin, token: AccessToken | None = None) -> AccessToken | None:
        """The token that this response refuses, which is then rejected; None if it refuses none.

        The response must come from ``origin``, and its request must have carried ``token`` (None: a recent one of
        the source). So the target of a foreign redirect rejects no token, and neither does a request whose header the
        user set.
        """
        status = self._library.status(response)
        if self.settles(status):
            return None
        headers, request = self._library.read(response)
        authorization = request.headers.get("Authorization")
        if token is None:
            token = self._engine.token_sent_as(authorization)
        if token is None or token.authorization != authorization:
            return None
        if not same_origin(self._library.target(request), origin) or not self._is_rejection(status, headers):
            return None
        self._engine.reject(token)
        return token

    def origin(self, request: Any) -> Origin:
        """The request's origin, if the token may go there; the origins of the latest sites are remembered."""
        site = self._library.site(request)
        origin = self._known.get(site)
        if origin is None:
            origin = self._policy.check(self._library.target(request))
            if site is None:
                return origin
            if len(self._known) >= _KNOWN_SITES:
                self._known.clear()
            self._known[site] = origin
        if self._engine.on_system_clock:
            self.latest = site, origin
        return origin

    def _notify(self, response: Any, token: AccessToken | None, began: float, *, again: bool = False) -> None:
        """Shows this context's observer each request that carried the token; the client may follow redirects."""
        from .calls import notify_call

        left = time.monotonic() - began
        for answer in (*self._library.followed(response), response):
            _, request = self._library.read(answer)
            authorization = request.headers.get("Authorization")
            if authorization is None or (token is not None and token.authorization != authorization):
                continue
            seconds = left if answer is response else self._library.elapsed(answer)
            left -= seconds
            notify_call(
                self._engine.context.events,
                token or self._engine.token_sent_as(authorization),
                self._engine.clock.wall(),
                method=request.method or "",
                url=str(request.url),
                status=self._library.status(answer),
                seconds=seconds,
                again=again,
            )


def run(steps: Steps, send: Callable[[Any], Any] | None = None) -> Any:
    """The synchronous driver for hooks and middlewares: sends with ``send``, returns what the steps return."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            return end.value
        outcome = step.run() if isinstance(step, Effect) or send is None else send(step)


def drive(steps: Steps) -> Generator[Any, Any, None]:
    """The synchronous driver for libraries that take a generator of requests."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            return
        outcome = step.run() if isinstance(step, Effect) else (yield step)


async def adrive(steps: Steps) -> AsyncGenerator[Any, Any]:
    """The asynchronous driver for libraries that take a generator of requests."""
    outcome = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            return
        outcome = await step.arun() if isinstance(step, Effect) else (yield step)
