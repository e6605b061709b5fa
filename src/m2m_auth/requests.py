"""The front door for requests: ``session.auth = M2MAuth(…)``."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .errors import missing_extra

try:
    import requests  # noqa: F401 # pyright: ignore[reportUnusedImport] - the error then names the package
    from requests.auth import AuthBase
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.requests", error, "requests"), name=error.name) from None

from .http.auth_flow import AuthFlow, Sent
from .http.front_door import FrontDoor
from .http.requests_library import RequestsLibrary
from .http.steps import run
from .oauth2.origins import Origin
from .runtime.observers import observers
from .source.token_source import TokenSource

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

__all__ = ["M2MAuth"]

_WRONG_LIBRARY = (
    "m2m_auth.requests.M2MAuth is for requests, and this is a request of another library. "
    "Fix: import M2MAuth from m2m_auth.httpx or m2m_auth.httpx2"
)


class M2MAuth(FrontDoor, AuthBase):
    """Attaches a bearer token to every request of a session, and once replaces a token that the API refused."""

    _library: ClassVar[RequestsLibrary] = RequestsLibrary()

    def _open(self, source: TokenSource, flow: AuthFlow) -> None:
        super()._open(source, flow)
        site, origin = flow.latest
        self._latest: tuple[Any, _Hook] = site, _Hook(self._on_response, origin)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by requests for each request that it prepares."""
        held = self._engine.state.held
        site, hook = self._latest
        # The short cut of most calls, as the steps would do it: a fresh token, to the origin of the latest call.
        if (
            held is not None
            and time.monotonic() < held.fresh_until
            and time.time() < held.fresh_until_wall
            and request.url.startswith(site)  # type: ignore[union-attr]
        ):
            request.headers["Authorization"] = held.authorization
        else:
            if not isinstance(getattr(request, "url", None), (str, type(None))):
                raise TypeError(_WRONG_LIBRARY)
            sent: Sent = run(self._flow.attach(request))
            hook = _Hook(self._on_response, sent.origin)
            site, origin = self._flow.latest
            if origin == sent.origin:
                self._latest = site, hook
        request.hooks["response"].append(hook)
        return request

    def _on_response(self, origin: Origin, response: Response, **options: Any) -> Response:
        """The response hook. requests calls it for redirects' targets, too: the steps compare their origin."""
        flow = self._flow
        if flow.settles(response.status_code) and not observers and flow.header.is_default:
            return response

        def send(replay: PreparedRequest) -> Response:
            began = time.monotonic()
            second: Response = response.connection.send(replay, **options)
            second.elapsed = timedelta(seconds=time.monotonic() - began)  # as the session does for the first
            second.history = [*response.history, response]
            return second

        began = time.monotonic() - self._library.elapsed(response) if observers else None
        start, streams = self._library.start_of_body(response.request), bool(options.get("stream"))
        sent = Sent(origin, None, start, began, streams=streams)
        try:
            answer: Response = run(flow.answer(response, sent), send)
        except BaseException:  # an is_rejection that raises; requests closes nothing then
            response.close()
            raise
        if not flow.header.is_default and self._library.leads_away(answer, origin):
            response.request.headers.pop(flow.header.name, None)  # the session copies them to follow the redirect
        return answer


class _Hook(partial[Any]):
    """Our response hook on a prepared request. A copy in this process keeps it; in another, it does nothing."""

    def __deepcopy__(self, memo: object) -> _Hook:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _NoHook, ()


class _NoHook:
    """Our response hook in another process, where the request has no token."""

    def __call__(self, response: Response, **options: Any) -> None:
        """Leaves the response as it is."""
