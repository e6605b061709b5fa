"""From a source's options to its engine: every option is checked here, before any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..caches.protocol import TokenCache
from ..events import EventEmitter, Subscriber
from ..lifecycle.mint_budget import MintBudget
from ..lifecycle.policy import DEFAULT_POLICY, RenewalPolicy
from ..oauth2.answer_rules import DEFAULT_ANSWERS, AnswerRules
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.grants import Grant
from ..oauth2.origins import is_loopback, origin_of, spelled
from ..oauth2.secrets import SecretSource, checked_secret_source, concealed
from ..oauth2.token_request import TokenRequest
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..runtime.log_once import warn_once
from ..shared_cache.opening import checked_cache
from ..shared_cache.sealing import checked_keys
from .credentials import CredentialSource
from .default_transport import transport_for
from .engine import Engine
from .options import checked_alias, checked_clock, checked_record, checked_subscriber
from .renewal_context import RenewalContext

__all__ = ["construct_engine"]


def construct_engine(
    token_endpoint: str,
    client_id: str,
    client_secret: str | SecretSource | None,
    *,
    audience: str | None,
    scope: str | Iterable[str] | None,
    resource: str | Sequence[str] | None,
    extra_parameters: Mapping[str, str] | None,
    client_authentication: str | ClientAuthentication,
    grant: Grant | None,
    answers: AnswerRules | None,
    cache: str | TokenCache | None,
    encryption_keys: Sequence[str | bytes] | None,
    policy: RenewalPolicy | None,
    budget: MintBudget | None,
    transport: Any,
    verify: Any,
    proxies: Any,
    clock: Clock | None,
    on_event: Subscriber | None,
    alias: str | None,
    allow_insecure_http: bool,
) -> Engine:
    """The engine for these options, which are those of :class:`~m2m_auth.TokenSource`. It does no I/O.

    Raises:
        ConfigurationError: an option makes no sense.
    """
    client_secret, encryption_keys = concealed(client_secret), concealed(encryption_keys)
    request = TokenRequest.checked(
        token_endpoint,
        client_id,
        client_authentication=client_authentication,
        grant=grant,
        audience=audience,
        scope=scope,
        resource=resource,
        extra_parameters=extra_parameters,
        allow_insecure_http=allow_insecure_http,
    )
    if allow_insecure_http:
        _warn_of_plain_http(request.token_endpoint)
    secret = checked_secret_source(client_secret)
    keys = checked_keys(encryption_keys)
    opened = checked_cache(cache)
    policy = checked_record("policy", policy, RenewalPolicy) or DEFAULT_POLICY
    answers = checked_record("answers", answers, AnswerRules) or DEFAULT_ANSWERS
    clock = checked_clock(clock)
    context = RenewalContext(
        request,
        answers,
        policy,
        transport_for(transport, verify, proxies),
        clock or SYSTEM_CLOCK,
        EventEmitter(request.client_id, checked_subscriber(on_event), request.audience, checked_alias(alias)),
        checked_record("budget", budget, MintBudget),
    )
    credentials = CredentialSource(request, secret, keys, opened, policy, answers, clock)
    return Engine(context, credentials, opened, on_system_clock=clock is None)


def _warn_of_plain_http(token_endpoint: str) -> None:
    scheme, host, _ = origin = origin_of(token_endpoint)
    if scheme == "http" and not is_loopback(host):
        warn_once(f"the token endpoint {spelled(origin)} is plain http: every machine on the way can read the secret")
