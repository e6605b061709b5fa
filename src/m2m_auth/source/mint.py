"""One token request: built, sent, and its answer read as a token or a failure."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlsplit

from ..lifecycle.failure import Failure, FailureKind
from ..lifecycle.refusals import SentRequest, failure_of
from ..oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from ..oauth2.client_authentication.protocol import ASSERTION_TYPE
from ..oauth2.grants import first_refresh_token
from ..oauth2.redaction import Redaction
from ..oauth2.secrets import Secret
from ..oauth2.token_error_response import shown_words
from ..oauth2.token_request import build
from ..oauth2.token_response import TokenResponse, parse_token_response
from ..oauth2.transport import HttpRequest, TransportError, user_agent_of
from .refresh_token_rotation import exchange_newest
from .renewal_context import Credential, RenewalContext

__all__ = ["request_token"]

_UNRESERVED = r"[\w.~-]*"
"""Percent-encoding changes none of these (RFC 3986 §2.3)."""


def request_token(context: RenewalContext, credential: Credential, sent_wall: float) -> TokenResponse | Failure:
    """One mint: a token, or the failure. It never raises for what the server or the network does."""
    configured = first_refresh_token(context.request.grant)
    if configured is None:
        answer = _exchange(context, credential, sent_wall, None)
    else:
        answer = exchange_newest(context, credential, configured, partial(_exchange, context, credential, sent_wall))
    return answer if isinstance(answer, Failure) else _check_scope(context, credential, answer)


def _exchange(
    context: RenewalContext, credential: Credential, sent_wall: float, refresh_token: Secret | None
) -> TokenResponse | Failure:
    """Sends the request and reads the answer. The transport's exception is described and not kept: it holds secrets."""
    secrets: list[Secret] = [secret for secret in (credential.secret, refresh_token) if secret is not None]
    if credential.secret is not None:  # HTTP Basic has it in base64, and a server may show that whatever was sent
        secrets.append(Secret(f"{context.request.client_id}:{credential.secret.reveal()}"))
    request = _http_request(context, credential, sent_wall, refresh_token, secrets)
    try:
        response = context.transport(request)
    except TransportError as error:
        kind = FailureKind.TIMEOUT if error.cause_code == "timeout" else FailureKind.UNAVAILABLE
        return Failure(kind, "TokenEndpointUnavailable", str(error), error.cause_code)
    answer = parse_token_response(
        response,
        sent_at=sent_wall,
        default_lifetime=context.policy.default_lifetime,
        max_lifetime=context.policy.max_lifetime,
        keep_refresh_token=refresh_token is not None,
        answers=context.answers,
        redact=Redaction(secrets),
    )
    return answer if isinstance(answer, TokenResponse) else failure_of(answer, _sent(context, credential))


def _sent(context: RenewalContext, credential: Credential) -> SentRequest:
    """What a refusal's advice depends on."""
    request = context.request
    encoding: str | None = None
    if isinstance(request.authentication, ClientSecretBasic) and credential.secret is not None:
        sent_alike = re.fullmatch(_UNRESERVED, request.client_id + credential.secret.reveal(), re.ASCII)
        encoding = None if sent_alike else request.authentication.encoding
    parts = urlsplit(request.token_endpoint)
    return SentRequest(
        f"{parts.scheme}://{parts.netloc}{parts.path}",
        request.grant.grant_type,
        request.grant.encoding,
        encoding,
        tuple(context.answers.credential_errors),
        user_agent_of(context.transport),
    )


def _http_request(
    context: RenewalContext, credential: Credential, now: float, refresh_token: Secret | None, secrets: list[Secret]
) -> HttpRequest:
    """The request; the secrets in it are added to ``secrets``."""
    request = context.request
    credentials = request.authentication.authenticate(request.client_id, credential.secret, request.token_endpoint, now)
    public = (request.client_id, ASSERTION_TYPE)
    secrets += (Secret(value) for _, value in credentials.parameters if value not in public)
    secrets += (Secret(value.rpartition(" ")[2]) for value in credentials.headers.values())
    refresh = [("refresh_token", refresh_token.reveal())] if refresh_token is not None else []
    return build(
        request.token_endpoint,
        [*request.parameters(), *refresh, *credentials.parameters],
        credentials.headers,
        request.grant.encoding,
        context.policy.mint_deadline,
    )


def _check_scope(context: RenewalContext, credential: Credential, grant: TokenResponse) -> TokenResponse | Failure:
    """Less scope than requested is an event or a failure (RFC 6749 §3.3); none, more or reordered is neither."""
    granted = (grant.scope or "").split()
    missing = [scope for scope in context.request.scopes if granted and scope not in granted]
    if not missing:
        return grant
    if context.policy.require_scope:
        shown = shown_words(" ".join(granted), 200, Redaction([credential.secret] if credential.secret else []))
        message = (
            f"The server granted less scope than asked; missing: {' '.join(missing)}; granted: {shown}. "
            f"Fix: {_separator(missing, granted) or 'allow this client the scope, or policy.require_scope=False'}"
        )
        return Failure(FailureKind.UNUSABLE, "TokenUnavailable", message, "scope_narrowed")
    context.events.emit("scope_narrowed", reason=" ".join(missing))
    return grant


def _separator(missing: list[str], granted: list[str]) -> str:
    """The option that would read the granted scopes as those that are missing, or ``""``."""
    for separator in ";|+:":
        if set(missing) <= {scope for each in granted for scope in each.split(separator)}:
            return f'answers=AnswerRules(scope_separator="{separator}")'
    return ""
