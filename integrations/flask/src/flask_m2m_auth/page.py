"""The status page: each client's token, mints and last failure, with buttons to renew and clear. Off by default.

Its protection against forged requests needs no SECRET_KEY and no session. Each form repeats a random cookie (HttpOnly,
SameSite=Strict). A sibling domain can set cookies, so a POST that comes from another site by its ``Sec-Fetch-Site``
header is refused in any case. The page cannot be framed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from m2m_auth import ConfigurationError, M2MAuthError

from .app_state import current_state

__all__ = ["status_page"]

_CSRF = "m2m_auth_csrf"
_POLICY = "default-src 'none'; style-src 'nonce-{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def status_page(access: Callable[[], Any], *, name: str = "m2m_auth") -> Blueprint:
    """The page as a blueprint: ``app.register_blueprint(status_page(is_operator), url_prefix="/service-tokens")``.

    It shows no token and no secret. It shows clients, endpoints and quotas, and its buttons spend mints: so it demands
    a check of who may see it.

    Args:
        access: called before each request, in its context. It returns True to allow the request, or a response, such
            as a redirect to a login. It may also abort. Everything else is a 403. It may be async.
        name: the blueprint's name; its page is ``url_for("m2m_auth.status")``.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """
    if not callable(access):
        raise ConfigurationError(
            "status_page() needs a callable that decides who may see it. Fix: status_page(is_operator)"
        )
    blueprint = Blueprint(name, __name__)

    @blueprint.before_request
    def check() -> AnyResponse | None:
        allowed: Any = current_app.ensure_sync(access)()
        if allowed is not True and not isinstance(allowed, AnyResponse):
            abort(403)
        return None if allowed is True else allowed

    blueprint.add_url_rule("/", "status", _status, methods=["GET"])
    blueprint.add_url_rule("/", "operate", _operate, methods=["POST"])
    return blueprint


def _status(problem: str = "", code: int = 200) -> Response:
    from m2m_auth import operations

    token = request.cookies.get(_CSRF) or secrets.token_urlsafe(32)
    nonce = secrets.token_urlsafe(16)
    address = url_for(".status")
    found = operations.reports(current_state("the status page").sources())
    form = operations.PageForm(url=address, hidden={_CSRF: token})
    response = Response(operations.document(found, problem=problem, action=form, nonce=nonce), status=code)
    response.headers["Content-Security-Policy"] = _POLICY.format(nonce)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_cookie(_CSRF, token, path=address, secure=request.is_secure, httponly=True, samesite="Strict")
    return response


def _operate() -> AnyResponse:
    from m2m_auth import operations

    _refuse_forged()
    alias, operation = request.form.get("alias", ""), request.form.get("operation", "")
    operate: Callable[..., object] | None = {"renew": operations.renew, "clear": operations.clear}.get(operation)
    state = current_state("the status page")
    if operate is None or alias not in state:
        abort(400)
    problem = ""
    try:
        operate(state.client(alias).source)
    except M2MAuthError as error:
        problem = f"{alias}: {error}"
    if problem:
        return _status(problem, 502)
    return redirect(url_for(".status"), 303)


def _refuse_forged() -> None:
    """403 unless the form was made by this page, for this browser."""
    known, given = request.cookies.get(_CSRF, ""), request.form.get(_CSRF, "")
    elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
    if elsewhere or not known or not hmac.compare_digest(known.encode(), given.encode()):
        abort(403, "The form does not match the cookie of this page. Load the page again.")
