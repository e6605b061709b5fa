"""A service of m2m-auth (the token proxy, a :class:`~m2m_auth.vending.TokenVendor`) as a Django view."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from m2m_auth.serving import MAX_BODY, Answer, Request, Service, answered

__all__ = ["view"]


def view(service: Service, *, max_body: int = MAX_BODY) -> Callable[..., HttpResponse]:
    """A Django view that hands every request to the service. Use it in the URLconf like any view.

    It is exempt from Django's CSRF check, since the service has its own, and from ``ATOMIC_REQUESTS``. A service with
    several paths gets the path below its own place from the route: ``path("oauth/<path:path>", view(proxy))``. Under
    ASGI Django runs it in a thread. ``request.native`` is Django's request, so a function of the service can use
    ``request.native.user``.

    Args:
        service: the service.
        max_body: how many bytes of a request's body are read at most.
    """

    def serve(request: HttpRequest, path: str = "") -> HttpResponse:
        given = _request(request, "/" + path if path else "", max_body)
        answer = Answer(400, (), b"") if given is None else answered(service, given)
        response = HttpResponse(answer.body, status=answer.status)
        del response["Content-Type"]  # the answer has its own
        for name, value in answer.headers:
            response[name] = value
        if answer.status != 204:
            response["Content-Length"] = str(len(answer.body))
        return response

    # Under ATOMIC_REQUESTS a transaction would stay open while the service waits for the authorization server.
    exempt: Callable[..., HttpResponse] = transaction.non_atomic_requests(csrf_exempt(serve))
    return exempt


def _request(request: HttpRequest, path: str, max_body: int) -> Request | None:
    """The request, or None where the client has closed the connection."""
    try:
        body = _body(request, max_body)
    except UnreadablePostError:
        return None
    return Request(
        method=request.method or "",
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body or b"",
        too_large=body is None,
        address=request.META.get("REMOTE_ADDR") or "",
        scheme=request.scheme or "http",
        native=request,
    )


def _body(request: HttpRequest, max_body: int) -> bytes | None:
    """The body, or None where it is too large; the rest is not read."""
    body = request.read(max_body + 1)  # Django itself stops at the Content-Length
    return body if len(body) <= max_body else None
