"""Step ⑤ of a flight: one token request, and what its answer is worth."""

from __future__ import annotations

import json
from functools import partial
from urllib.parse import quote

from .client_authentication import ASSERTION_TYPE
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
    secrets: list[Secret] = [secret for secret in (identity.secret, refresh_token) if secret is not None]
    request = _http_request(kit, identity, sent_wall, refresh_token, secrets)
    response: HttpResponse | Failure
    try:
        response = kit.transport(request)
    except TransportError as error:
        response = Failure(Kind.UNAVAILABLE, "TokenEndpointUnavailable", str(error), error.cause_code)
    if isinstance(response, Failure):
        return response
    with forks_wait():  # PyJWT is imported for the first JWT
        return parse(
            _without(secrets, response),
            sent_at=sent_wall,
            default_lifetime=kit.policy.default_lifetime,
            max_lifetime=kit.policy.max_lifetime,
            keep_refresh_token=refresh_token is not None,
        )


def _http_request(
    kit: Kit, identity: Identity, now: float, refresh_token: Secret | None, secrets: list[Secret]
) -> HttpRequest:
    """The request; what must not be shown of it is added to ``secrets``."""
    request = kit.request
    credentials = request.authentication.authenticate(request.client_id, identity.secret, request.token_endpoint, now)
    public = (request.client_id, ASSERTION_TYPE)
    secrets += (Secret(value) for _, value in credentials.parameters if value not in public)
    secrets += (Secret(value.rpartition(" ")[2]) for value in credentials.headers.values())
    refresh = [("refresh_token", refresh_token.reveal())] if refresh_token is not None else []
    return build(
        request.token_endpoint,
        [*request.parameters(), *refresh, *credentials.parameters],
        credentials.headers,
        request.grant.encoding,
        kit.policy.mint_deadline,
    )


def _without(secrets: list[Secret], response: HttpResponse) -> HttpResponse:
    """A refusal in which the server repeats a secret, without it: its description is shown."""
    if response.status == 200:
        return response
    body = response.body
    for secret in secrets:
        raw = secret.reveal_bytes()
        for form in (raw, json.dumps(secret.reveal())[1:-1].encode(), quote(raw, safe="").encode()):
            body = body.replace(form, b"***")
    return HttpResponse(response.status, response.headers, body)


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
