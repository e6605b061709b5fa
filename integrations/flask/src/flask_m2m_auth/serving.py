"""A service of m2m-auth (the token proxy, a :class:`~m2m_auth.vending.TokenVendor`) as a Flask blueprint."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from m2m_auth.serving import MAX_BODY, Request, Service, answered

__all__ = ["blueprint"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""All of them: the service itself answers a method that it does not know, instead of Flask's page of HTML."""


def blueprint(service: Service, name: str, url_prefix: str, *, max_body: int = MAX_BODY) -> Blueprint:
    """A blueprint that hands every request below ``url_prefix`` to the service.

    The service runs in the request's context, so its functions may use Flask's ``session``, ``g`` and ``current_user``.
    Exempt it from CSRF protection by token, such as Flask-WTF's (``csrf.exempt(…)``): the service has its own.

    Args:
        service: the service.
        name: the blueprint's name, different for each service.
        url_prefix: where it is mounted, e.g. ``/token``; the service sees the path below it.
        max_body: how many bytes of a request's body are read at most.
    """
    mounted = Blueprint(name, __name__, url_prefix=url_prefix)

    def serve(below: str = "") -> Response:
        answer = answered(service, _request("/" + below if below else "", max_body))
        response = Response(answer.body, answer.status)
        del response.headers["Content-Type"]  # the answer has its own
        response.headers.extend(answer.headers)
        return response

    for rule, endpoint in (("", "at"), ("/", "root"), ("/<path:below>", "below")):
        mounted.add_url_rule(
            rule,
            endpoint,
            serve,
            methods=_METHODS,
            provide_automatic_options=False,
            strict_slashes=True,
            merge_slashes=False,  # werkzeug's redirect to a path with fewer slashes would be an answer in HTML
        )
    return mounted


def _request(path: str, max_body: int) -> Request:
    body = _body(max_body)
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return Request(
        method=request.method,
        path=path,
        query=request.query_string.decode("latin-1"),
        headers=headers,
        body=body or b"",
        too_large=body is None,
        address=request.remote_addr or "",
        scheme=request.scheme,
        native=request,
    )


def _body(max_body: int) -> bytes | None:
    """The body, or None where it is too large; also where a hook of the app has read or parsed it before."""
    length = request.content_length
    if length is not None and length > max_body:
        return None
    if length is None and "stream" not in vars(request):  # in chunks, and untouched: read up to the limit only
        return _read(max_body)
    body = request.get_data()
    if not body and request.form:
        body = urlencode(list(request.form.items(multi=True))).encode()
    return body if len(body) <= max_body else None


def _read(max_body: int) -> bytes | None:
    body = bytearray()
    while len(body) <= max_body:
        piece = request.stream.read(max_body + 1 - len(body))
        if not piece:
            return bytes(body)
        body += piece
    return None
