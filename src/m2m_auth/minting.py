"""Step ⑤ of a flight: one token request, and what its answer is worth."""

from __future__ import annotations

from functools import partial

from .endpoint import HttpRequest, HttpResponse, TokenGrant, TransportError, build, parse
from .failure import Failure, Kind
from .fork import forks_wait
from .grants import first_refresh_token
from .kit import Identity, Kit
from .rotation import refreshed
from .token import Secret

__all__ = ["ask"]


def ask(kit: Kit, identity: Identity, sent_wall: float) -> TokenGrant | Failure:
    """One token request, and what its answer is worth."""
    first = first_refresh_token(kit.request.grant)
    if first is None:
        answer = _exchange(kit, identity, sent_wall, None)
    else:
        answer = refreshed(kit, identity, first, partial(_exchange, kit, identity, sent_wall))
    return answer if isinstance(answer, Failure) else _check_scope(kit, answer)


def _exchange(kit: Kit, identity: Identity, sent_wall: float, refresh_token: Secret | None) -> TokenGrant | Failure:
    """To the server and back. Whatever the transport raises is described, never kept: it holds the request."""
    request = _http_request(kit, identity, sent_wall, refresh_token)
    response: HttpResponse | Failure
    try:
        response = kit.transport(request)
    except TransportError as error:
        response = Failure(Kind.UNAVAILABLE, "TokenEndpointUnavailable", str(error), error.cause_code)
    if isinstance(response, Failure):
        return response
    with forks_wait():  # PyJWT is imported for the first JWT
        return parse(
            response,
            sent_at=sent_wall,
            default_lifetime=kit.policy.default_lifetime,
            max_lifetime=kit.policy.max_lifetime,
            keep_refresh_token=refresh_token is not None,
        )


def _http_request(kit: Kit, identity: Identity, now: float, refresh_token: Secret | None) -> HttpRequest:
    request = kit.request
    credentials = request.authentication.authenticate(request.client_id, identity.secret, request.token_endpoint, now)
    refresh = [("refresh_token", refresh_token.reveal())] if refresh_token is not None else []
    return build(
        request.token_endpoint,
        [*request.parameters(), *refresh, *credentials.parameters],
        credentials.headers,
        request.grant.encoding,
        kit.policy.mint_deadline,
    )


def _check_scope(kit: Kit, grant: TokenGrant) -> TokenGrant | Failure:
    """Less scope than asked is worth a warning (RFC 6749 §3.3); absent, more or reordered is fine."""
    granted = (grant.scope or "").split()
    missing = [scope for scope in kit.request.scopes if granted and scope not in granted]
    if not missing:
        return grant
    if kit.policy.require_scope:
        message = (
            f"The server granted less scope than asked; missing: {' '.join(missing)}. "
            "Fix: allow this client the scope, or policy.require_scope=False"
        )
        return Failure(Kind.CONFIGURATION, "TokenUnavailable", message, "scope_narrowed")
    kit.report.tell("scope_narrowed", reason=" ".join(missing))
    return grant
