"""Asks the authorization server about each token (RFC 7662), and keeps the answer for a short while."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from ..errors import ConfigurationError
from ..http.transports import as_transport
from ..oauth2.bearer import BearerError, InvalidToken, VerifierUnavailable
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.client_authentication.registry import by_name
from ..oauth2.secrets import Secret, SecretSource, checked_secret, checked_secret_source, concealed
from ..oauth2.tokens import token_fingerprint
from ..oauth2.transport import HttpRequest
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import SYSTEM_CLOCK, Clock
from .expected_claims import expected_claims, verified_token
from .issuer_requests import IssuerPause, KeyedLocks, NoAnswer, ask
from .option_checks import checked_seconds, checked_url
from .verified_token import VerifiedToken

__all__ = ["IntrospectionVerifier"]

_log = logging.getLogger("m2m_auth.verifier")


class _AnswerCache:
    """The latest answers by the token's fingerprint, each until a monotonic time. A bounded number is kept."""

    def __init__(self, capacity: int) -> None:
        self._answers: BoundedMap[str, tuple[VerifiedToken | InvalidToken, float]] = BoundedMap(capacity)

    def get(self, fingerprint: str, now: float) -> VerifiedToken | InvalidToken | None:
        """The answer, if it may still be used."""
        answer, until = self._answers.get(fingerprint) or (None, 0.0)
        if answer is not None and now >= until:
            self._answers.pop(fingerprint)
            return None
        return answer

    def set(self, fingerprint: str, answer: VerifiedToken | InvalidToken, until: float) -> None:
        """Keeps an answer until this monotonic time."""
        self._answers.set(fingerprint, (answer, until))

    def __len__(self) -> int:
        return len(self._answers)


class IntrospectionVerifier:
    """Verifies tokens by RFC 7662 introspection. Thread-safe; no I/O until the first token.

    Answers are kept under the token's keyed fingerprint, never under the token. A revoked token is refused after
    ``cache_for`` seconds at the latest. While the server does not answer, calls get a 503 and not a 401: their tokens
    may be good, and a renewal would not help.

    Args:
        endpoint: the introspection endpoint.
        client_id: this API's own client at the authorization server.
        client_secret: its secret, or a callable that fetches it and is called again when the server refuses it.
        client_authentication: how this API authenticates: a name or an object, as for TokenSource.
        issuer: the value of the answer's ``iss``; None does not check it.
        audience: the answer's ``aud`` must have this value, or one of these; None leaves the check to the server.
        cache_for: seconds for which the answer about an active token is kept, at most until its end; 0 always asks.
        cache_inactive_for: the same for a token that is not active; at most ``cache_for``.
        cache_size: the number of answers of each kind that are kept.
        leeway: seconds by which the clocks may differ, for ``exp``, ``nbf`` and ``iat``.
        required_claims: members that the answer must have.
        timeout: seconds that one answer may take.
        transport: a callable, a requests.Session or an httpx.Client, as for TokenSource.
        clock: the clocks.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def __init__(
        self,
        endpoint: str,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        *,
        client_authentication: str | ClientAuthentication = "client_secret_basic",
        issuer: str | None = None,
        audience: str | Iterable[str] | None = None,
        cache_for: float = 30,
        cache_inactive_for: float = 5,
        cache_size: int = 4096,
        leeway: float = 30,
        required_claims: Iterable[str] = (),
        timeout: float = 5,
        transport: Any = None,
        clock: Clock | None = None,
    ) -> None:
        client_secret = concealed(client_secret)
        who = "IntrospectionVerifier"
        self._endpoint = checked_url(who, "endpoint", endpoint)
        if not isinstance(client_id, str) or not client_id.strip():
            raise ConfigurationError(f"{who}: client_id is missing or blank. Fix: this API's own client's id")
        self._client_id = client_id
        self._authentication = by_name(client_authentication)
        self._secret_source: Any = client_secret if callable(client_secret) else None
        fixed: Any = None if self._secret_source is not None else checked_secret_source(client_secret)
        self._secret: Secret | None = fixed
        if self._secret_source is None:
            self._authentication.credential(fixed)  # raises if the method needs a secret
        self._expected = expected_claims(who, issuer, audience, leeway, required_claims)
        self._active_for = checked_seconds(who, "cache_for", cache_for, 0, 3600)
        self._inactive_for = min(
            self._active_for, checked_seconds(who, "cache_inactive_for", cache_inactive_for, 0, 3600)
        )
        if isinstance(cache_size, bool) or not isinstance(cache_size, int) or cache_size < 1:
            raise ConfigurationError(f"{who}: cache_size={cache_size!r} must be a number of answers, at least 1")
        # Two caches, so that made-up tokens cannot evict the answers about real ones.
        self._active, self._inactive = _AnswerCache(cache_size), _AnswerCache(cache_size)
        self._timeout = checked_seconds(who, "timeout", timeout, 0.1, 60)
        self._transport = as_transport(transport)
        clock = clock or SYSTEM_CLOCK
        self._monotonic, self._wall = clock.monotonic, clock.wall
        self._pause = IssuerPause(clock)
        self._locks = KeyedLocks()
        self._key = os.urandom(32)

    def __repr__(self) -> str:
        return f"<IntrospectionVerifier at {self._endpoint}>"

    def verify(self, token: str) -> VerifiedToken:
        """The facts of an active token.

        Raises:
            InvalidToken: it is not active (unknown, expired or revoked: RFC 7662 §2.2), or not for this API.
            VerifierUnavailable: the server does not answer, or refuses this API's request.
        """
        fingerprint = token_fingerprint(self._key, token)
        answer = self._kept(fingerprint)
        if answer is None and self._active_for:
            with self._locks.hold(fingerprint):
                answer = self._kept(fingerprint) or self._ask(token, fingerprint)
        elif answer is None:
            answer = self._ask(token, fingerprint)
        if isinstance(answer, InvalidToken):
            raise InvalidToken(answer.description)  # a new one: a raised exception belongs to one thread
        return answer

    def _kept(self, fingerprint: str) -> VerifiedToken | InvalidToken | None:
        now = self._monotonic()
        return self._active.get(fingerprint, now) or self._inactive.get(fingerprint, now)

    def _ask(self, token: str, fingerprint: str) -> VerifiedToken | InvalidToken:
        left = self._pause.left(self._monotonic())
        if left:
            raise self._unavailable(left)
        asked = self._monotonic()
        try:
            data = ask(self._transport, self._request(token), self._wall())
        except NoAnswer as error:
            problem = error
        else:
            self._pause.succeeded()
            return self._judged(data, fingerprint, asked)
        if problem.cause in ("http_401", "http_403") and self._secret_source is not None:
            self._secret = None  # it may be rotated: the next call fetches it again
        self._pause.failed(self._monotonic(), problem)
        _log.warning("introspection at %s failed (%s); calls are answered 503", self._endpoint, problem.cause)
        raise self._unavailable(self._pause.left(self._monotonic()))

    def _unavailable(self, wait: float) -> VerifierUnavailable:
        hint = ""
        if self._pause.cause in ("http_401", "http_403"):
            hint = ". Check client_id, client_secret, and that this client may introspect"
        reason = f"introspection at {self._endpoint} failed ({self._pause.cause}){hint}"
        return VerifierUnavailable(reason, retry_after=wait)

    def _request(self, token: str) -> HttpRequest:
        if self._secret is None and self._secret_source is not None:
            self._secret = self._fetched_secret()
        secret = self._secret
        credentials = self._authentication.authenticate(self._client_id, secret, self._endpoint, self._wall())
        form = [("token", token), ("token_type_hint", "access_token"), *credentials.parameters]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            **credentials.headers,
        }
        return HttpRequest("POST", self._endpoint, headers, urlencode(form).encode(), self._timeout)

    def _fetched_secret(self) -> Secret:
        problem = ""
        try:
            return checked_secret("client_secret", self._secret_source())
        except ConfigurationError:
            raise
        except Exception as error:  # the user's secret manager fails; the token may be good
            problem = f"secret_source_{type(error).__name__}"
        raise NoAnswer(problem)

    def _judged(self, data: Mapping[str, Any], fingerprint: str, asked: float) -> VerifiedToken | InvalidToken:
        """The verdict of an answer to a request of monotonic time ``asked``; kept for as long as it may be used."""
        answer: VerifiedToken | InvalidToken
        now = self._wall()
        try:
            if data.get("active") is not True:
                raise InvalidToken("The token is not active.")
            if str(data.get("token_type", "Bearer")).lower() not in ("bearer", "access_token"):
                raise InvalidToken("The token is not a bearer token.")
            self._expected.check(data, now)
            answer = verified_token(data)
        except BearerError as refused:
            answer = InvalidToken(refused.description)
            self._inactive.set(fingerprint, answer, asked + self._inactive_for)
        else:
            exp = data.get("exp")
            left = self._active_for if exp is None else min(self._active_for, exp - now)
            self._active.set(fingerprint, answer, asked + left)
        return answer
