"""The receiving side: which service calls, by its bearer token, and what it may do.

Settings: ``M2M_AUTH = {"RECEIVING": {"ISSUER": …, "AUDIENCE": …}}`` (JWTs), or ``{"RECEIVING": {"INTROSPECTION":
{"ENDPOINT": …, "CLIENT_ID": …, "CLIENT_SECRET": …}}}``; see :func:`m2m_auth.verifier.verifier_from`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, cast, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase, JsonResponse

from m2m_auth.errors import ConfigurationError
from m2m_auth.verifier import BearerError, LazyVerifier, MissingToken, TokenVerifier, bearer_token, names

__all__ = ["M2MBearerMiddleware", "receiving_verifier", "require_m2m"]

View = Callable[..., Any]

_verifiers = LazyVerifier()


def receiving_verifier() -> TokenVerifier:
    """The verifier of ``M2M_AUTH["RECEIVING"]``; built once, without I/O, and anew when the settings are others.

    Raises:
        ImproperlyConfigured: the settings make no sense; the message says what, where and the fix.
    """
    problem = ""
    try:
        return _verifiers.of((getattr(settings, "M2M_AUTH", None) or {}).get("RECEIVING"), 'M2M_AUTH["RECEIVING"]')
    except ConfigurationError as error:
        problem = str(error)
    raise ImproperlyConfigured(problem)


class M2MBearerMiddleware:
    """Sets ``request.m2m``: the :class:`~m2m_auth.verifier.VerifiedToken` of the call, or None. Sync and async.

    A request without a good token passes: it is for :func:`require_m2m` to refuse it, so views for people and views
    for services can live in one project. A token is verified before the view, and in the async mode in a thread, so
    that reading ``request.m2m`` never waits for a server.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The response, or a coroutine for it."""
        if self._is_async:
            return self._acall(request)
        _look(request)
        return self.get_response(request)

    async def _acall(self, request: HttpRequest) -> Any:
        await _alook(request)
        return await self.get_response(request)


@overload
def require_m2m(view: View) -> View: ...
@overload
def require_m2m(*, scope: str | Iterable[str] | None = None, audience: str | None = None) -> Callable[[View], View]: ...
def require_m2m(
    view: View | None = None, *, scope: str | Iterable[str] | None = None, audience: str | None = None
) -> View | Callable[[View], View]:
    """Lets only calls with a good bearer token into a view, sync or async; ``request.m2m`` says whose it is.

    Others get 401, 403 (a scope is missing), 400 (a malformed header) or 503 (the issuer cannot be asked), with the
    challenge of RFC 6750 §3.1 and a JSON body. Works with :class:`M2MBearerMiddleware` and without it. The view is
    exempt from CSRF checks: no browser sends a bearer token by itself.

    For a class: ``@method_decorator(require_m2m(scope="read"), name="dispatch")``; where its methods are async, put
    the middleware in, too, or its sync ``dispatch`` does the verifying on the event loop.

    Args:
        view: the view, where the decorator is used without parentheses.
        scope: the scopes that the token must have, all of them; separated by spaces, or a list.
        audience: a value that must be among the token's ``aud``, besides what the settings say.

    Raises:
        ConfigurationError: ``scope`` is not one. On a call: ImproperlyConfigured, for settings that make no sense.
    """
    needed = names(scope)

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                await _alook(request)
                refused = _refused(request, needed, audience)
                return await view(request, *args, **kwargs) if refused is None else refused

            checked: Any = wraps(view)(checked_async)
        else:

            def checked_sync(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                _look(request)
                refused = _refused(request, needed, audience)
                return view(request, *args, **kwargs) if refused is None else refused

            checked = wraps(view)(checked_sync)
        checked.csrf_exempt = True
        return cast("View", checked)

    return decorate if view is None else decorate(view)


def _look(request: Any) -> None:
    """Verifies the token of a request, once: sets ``m2m``, and why it is None."""
    if not hasattr(request, "_m2m_refusal"):
        try:
            _found(request, receiving_verifier().verify(_token(request)))
        except BearerError as error:
            _found(request, None, error)


async def _alook(request: Any) -> None:
    if not hasattr(request, "_m2m_refusal"):
        try:
            token = _token(request)
            _found(request, await sync_to_async(receiving_verifier().verify, thread_sensitive=False)(token))
        except BearerError as error:
            _found(request, None, error)


def _token(request: HttpRequest) -> str:
    return bearer_token(request.headers.get("Authorization"), request.GET)


def _found(request: Any, token: Any, refusal: BearerError | None = None) -> None:
    request.m2m = token
    # Without its traceback, which holds the request, and the token in a frame.
    request._m2m_refusal = None if refusal is None else refusal.with_traceback(None)


def _refused(request: Any, scopes: frozenset[str], audience: str | None) -> HttpResponseBase | None:
    """The answer to a request that may not go on, or None."""
    error: BearerError | None = request._m2m_refusal
    if isinstance(error, MissingToken):
        error = MissingToken(scope=" ".join(sorted(scopes)))
    elif error is None:
        try:
            request.m2m.require(scopes, audience)
        except BearerError as lacking:
            error = lacking
    return None if error is None else JsonResponse(error.body, status=error.status, headers=error.headers)
