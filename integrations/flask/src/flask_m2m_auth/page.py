"""The status page: each client's token, mints and last failure, with buttons to renew and clear. Off by default.

Against forged requests it has means of its own, so that it needs neither a SECRET_KEY nor a session: a random cookie
(HttpOnly, SameSite=Strict), which each form repeats; and a POST of which the browser says, by ``Sec-Fetch-Site``, that
it comes from elsewhere is refused whatever it repeats, since a sibling domain can set cookies. It cannot be framed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from html import escape
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from m2m_auth import ConfigurationError, M2MAuthError

from .state import current_state

__all__ = ["status_page"]

_CSRF = "m2m_auth_csrf"
_POLICY = "default-src 'none'; style-src 'nonce-{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Service tokens</title>
<style nonce="{nonce}">:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;margin:1rem}}</style>
</head><body><h1>Service tokens</h1>
{problem}{page}</body></html>
"""


def status_page(access: Callable[[], Any], *, name: str = "m2m_auth") -> Blueprint:
    """The page as a blueprint: ``app.register_blueprint(status_page(is_operator), url_prefix="/service-tokens")``.

    It shows no token and no secret, but clients, endpoints and quotas, and its buttons spend mints: so there is no page
    without a check of who may see it.

    Args:
        access: called before each request, in its context. True lets it pass. A response, such as a redirect to a
            login, is given as it is; it may abort, too. Everything else is a 403. It may be async.
        name: the blueprint's name; its page is ``url_for("m2m_auth.status")``.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """
    if not callable(access):
        raise ConfigurationError(
            "status_page() needs a callable that says who may see it. Fix: status_page(lambda: current_user.is_admin)"
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
    from m2m_auth.operations import PageForm, page

    token = request.cookies.get(_CSRF) or secrets.token_urlsafe(32)
    nonce = secrets.token_urlsafe(16)
    here = url_for(".status")
    found = operations.reports(current_state("the status page").sources())
    shown = page(found, action=PageForm(url=here, hidden={_CSRF: token}), nonce=nonce)
    words = f"<p role='alert'><strong>{escape(problem)}</strong></p>" if problem else ""
    response = Response(_HTML.format(nonce=nonce, problem=words, page=shown), status=code)
    response.headers["Content-Security-Policy"] = _POLICY.format(nonce)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_cookie(_CSRF, token, path=here, secure=request.is_secure, httponly=True, samesite="Strict")
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
        abort(403, "This form is not from this page, or its cookie is gone. Load the page again.")
