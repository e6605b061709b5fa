"""The receiving side: which service calls, by its bearer token, and what it may do.

Config: ``M2M_AUTH_RECEIVING = {"ISSUER": …, "AUDIENCE": …}`` (JWTs), or ``{"INTROSPECTION": {"ENDPOINT": …,
"CLIENT_ID": …, "CLIENT_SECRET": …}}``; see :func:`m2m_auth.verifier.verifier_from`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, overload

from flask import Response, current_app, g, jsonify, request

from m2m_auth.verifier import BearerError, LazyVerifier, Requirement, TokenVerifier, caller_of

__all__ = ["receiving_verifier", "require_m2m"]

View = Callable[..., Any]


def receiving_verifier() -> TokenVerifier:
    """The verifier of the current app's ``M2M_AUTH_RECEIVING``; it is built once, without I/O.

    Raises:
        ConfigurationError: the config makes no sense; the message says what, where and the fix.
        RuntimeError: there is no app context.
    """
    verifiers: LazyVerifier = current_app.extensions.setdefault("m2m_auth_receiving", LazyVerifier())
    return verifiers.of(current_app.config.get("M2M_AUTH_RECEIVING"), "M2M_AUTH_RECEIVING")


@overload
def require_m2m(view: View) -> View: ...
@overload
def require_m2m(*, scope: str | Iterable[str] | None = None, audience: str | None = None) -> Callable[[View], View]: ...
def require_m2m(
    view: View | None = None, *, scope: str | Iterable[str] | None = None, audience: str | None = None
) -> View | Callable[[View], View]:
    """Lets only calls with a good bearer token into a view, sync or async; ``g.m2m`` is the verified token.

    Others get 401, 403 (a scope is missing), 400 (a malformed header) or 503 (the issuer does not answer), with the
    challenge of RFC 6750 §3.1 and a JSON body. Write it below ``@app.get(…)``: Flask registers the decorated view.

    Args:
        view: the view, where the decorator is used without parentheses.
        scope: the scopes that the token must have, all of them; separated by spaces, or a list.
        audience: a value that must be among the token's ``aud``, in addition to the check of the config.

    Raises:
        ConfigurationError: ``scope`` is not one; on a call, the config makes no sense.
    """
    requirement = Requirement(scope, audience)

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            caller = caller_of(receiving_verifier(), request.headers.get("Authorization"), request.args)
            refusal = requirement.refusal(caller)
            if refusal is not None:
                return _response(refusal)
            g.m2m = caller
            return current_app.ensure_sync(view)(*args, **kwargs)

        return checked

    return decorate if view is None else decorate(view)


def _response(refusal: BearerError) -> Response:
    response = jsonify(refusal.body)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response
