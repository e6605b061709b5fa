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

from m2m_auth import ConfigurationError
from m2m_auth.verifier import BearerError, LazyVerifier, Requirement, TokenVerifier, VerifiedToken, caller_of

__all__ = ["M2MBearerMiddleware", "receiving_verifier", "require_m2m"]

View = Callable[..., Any]

_verifiers = LazyVerifier()


def receiving_verifier() -> TokenVerifier:
    """The verifier of ``M2M_AUTH["RECEIVING"]``. It is built once, without I/O, and again after a change of settings.

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

    A request without a good token passes; :func:`require_m2m` refuses it. So views for people and views for services
    can live in one project. The token is verified before the view, in async mode in a thread, so reading
    ``request.m2m`` never waits for a server.
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
        _identify(request)
        return self.get_response(request)

    async def _acall(self, request: HttpRequest) -> Any:
        await _aidentify(request)
        return await self.get_response(request)


@overload
def require_m2m(view: View) -> View: ...
@overload
def require_m2m(*, scope: str | Iterable[str] | None = None, audience: str | None = None) -> Callable[[View], View]: ...
def require_m2m(
    view: View | None = None, *, scope: str | Iterable[str] | None = None, audience: str | None = None
) -> View | Callable[[View], View]:
    """Lets only calls with a good bearer token into a view, sync or async; ``request.m2m`` is the verified token.

    Others get 401, 403 (a scope is missing), 400 (a malformed header) or 503 (the issuer does not answer), with the
    challenge of RFC 6750 §3.1 and a JSON body. It works with :class:`M2MBearerMiddleware` and without it. The view is
    exempt from CSRF checks: no browser sends a bearer token by itself.

    For a class: ``@method_decorator(require_m2m(scope="read"), name="dispatch")``. Where its methods are async, add
    the middleware too, or its sync ``dispatch`` verifies on the event loop.

    Args:
        view: the view, where the decorator is used without parentheses.
        scope: the scopes that the token must have, all of them; separated by spaces, or a list.
        audience: a value that must be among the token's ``aud``, in addition to the check of the settings.

    Raises:
        ConfigurationError: ``scope`` is not one. On a call: ImproperlyConfigured, for settings that make no sense.
    """
    requirement = Requirement(scope, audience)

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                refusal = requirement.refusal(await _aidentify(request))
                return await view(request, *args, **kwargs) if refusal is None else _response(refusal)

            checked: Any = wraps(view)(checked_async)
        else:

            def checked_sync(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                refusal = requirement.refusal(_identify(request))
                return view(request, *args, **kwargs) if refusal is None else _response(refusal)

            checked = wraps(view)(checked_sync)
        checked.csrf_exempt = True
        return cast("View", checked)

    return decorate if view is None else decorate(view)


def _identify(request: Any) -> VerifiedToken | BearerError:
    """Who calls, or why that is not known; verified once per request. Sets ``request.m2m``."""
    if not hasattr(request, "_m2m_caller"):
        _remember(request, caller_of(receiving_verifier(), *_credentials(request)))
    caller: VerifiedToken | BearerError = request._m2m_caller
    return caller


async def _aidentify(request: Any) -> VerifiedToken | BearerError:
    if not hasattr(request, "_m2m_caller"):
        verify = sync_to_async(caller_of, thread_sensitive=False)
        _remember(request, await verify(receiving_verifier(), *_credentials(request)))
    caller: VerifiedToken | BearerError = request._m2m_caller
    return caller


def _credentials(request: HttpRequest) -> tuple[str | None, Any]:
    return request.headers.get("Authorization"), request.GET


def _remember(request: Any, caller: VerifiedToken | BearerError) -> None:
    request._m2m_caller = caller
    request.m2m = None if isinstance(caller, BearerError) else caller


def _response(refusal: BearerError) -> HttpResponseBase:
    return JsonResponse(refusal.body, status=refusal.status, headers=refusal.headers)
