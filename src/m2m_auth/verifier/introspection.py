"""Asks the authorization server about each token (RFC 7662), and remembers the answer for a short while."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..errors import ConfigurationError
from ..http.transports import as_transport
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.client_authentication.registry import by_name
from ..oauth2.secrets import Secret, SecretSource, checked_secret, checked_secret_source, concealed
from ..oauth2.tokens import token_fingerprint
from ..oauth2.transport import HttpRequest
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..runtime.fork_safety import on_fork
from .bearer_errors import BearerError, InvalidToken, VerifierUnavailable
from .introspection_request import Backoff, NoAnswer, Turns, ask, checked_url, seconds
from .verified_token import VerifiedToken, expectations, verified

__all__ = ["IntrospectionVerifier"]

_log = logging.getLogger("m2m_auth.verifier")

Answer = VerifiedToken | InvalidToken


class Remembered:
    """The latest answers, by fingerprint, each until a monotonic time; the oldest goes when there are too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[str, tuple[Answer, float]] = OrderedDict()
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """A lock of the child's own."""
        self._lock = threading.Lock()

    def get(self, key: str, now: float) -> Answer | None:
        """The answer, if it may still be used."""
        with self._lock:
            answer, until = self._answers.get(key, (None, 0.0))
            if answer is None or now >= until:
                self._answers.pop(key, None)
                return None
            self._answers.move_to_end(key)
            return answer

    def put(self, key: str, answer: Answer, until: float) -> None:
        """Remembers it."""
        with self._lock:
            self._answers[key] = answer, until
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._answers)


class Durations(NamedTuple):
    """For how many seconds an answer may be used."""

    active: float
    inactive: float


class IntrospectionVerifier:
    """Verifies tokens by RFC 7662 introspection. Thread-safe; no I/O until the first token.

    Answers are kept by the token's keyed fingerprint, never by the token. A revoked token is found out after
    ``cache_for`` seconds at the latest. While the server does not answer, calls get a 503 and not a 401: their
    tokens may be good, and a renewal would not help.

    Args:
        endpoint: the introspection endpoint.
        client_id: this API's own client at the authorization server.
        client_secret: its secret, or a callable that fetches it; asked again when the server refuses it.
        client_authentication: how it proves who it is, as for TokenSource; or an object of your own.
        issuer: what the answer's ``iss`` must be; None does not look.
        audience: what must be among the answer's ``aud``: one of these; None leaves it to the server.
        cache_for: seconds for which an active token is not asked about again (never beyond its end); 0 always asks.
        cache_inactive_for: the same for a token that is not active; ``cache_for`` at most.
        cache_size: how many answers of each kind are kept.
        leeway: seconds by which the clocks may differ, for ``exp``, ``nbf`` and ``iat``.
        required_claims: members that the answer must have.
        timeout: seconds that one answer may take.
        transport: a callable, a requests.Session or an httpx.Client, as for TokenSource.
        clock: the time.

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
            self._authentication.credential(fixed)  # says what it lacks
        self._expected = expectations(who, issuer, audience, leeway, required_claims)
        active = seconds(who, "cache_for", cache_for, 0, 3600)
        self._durations = Durations(
            active, min(active, seconds(who, "cache_inactive_for", cache_inactive_for, 0, 3600))
        )
        if isinstance(cache_size, bool) or not isinstance(cache_size, int) or cache_size < 1:
            raise ConfigurationError(f"{who}: cache_size={cache_size!r} must be a number of answers, at least 1")
        # Apart from each other, so that made-up tokens cannot push out the answers about real ones.
        self._active, self._inactive = Remembered(cache_size), Remembered(cache_size)
        self._timeout = seconds(who, "timeout", timeout, 0.1, 60)
        self._transport = as_transport(transport)
        clock = clock or SYSTEM_CLOCK
        self._monotonic, self._wall = clock.monotonic, clock.wall
        self._backoff = Backoff(clock)
        self._turns = Turns()
        self._key = os.urandom(32)

    def __repr__(self) -> str:
        return f"<IntrospectionVerifier at {self._endpoint}>"

    def verify(self, token: str) -> VerifiedToken:
        """The facts of an active token.

        Raises:
            InvalidToken: it is not active (unknown, expired or revoked: RFC 7662 §2.2), or not for this API.
            VerifierUnavailable: the server does not answer, or does not let this API ask.
        """
        mark = token_fingerprint(self._key, token)
        answer = self._remembered(mark)
        if answer is None and self._durations.active:
            with self._turns.take(mark):
                answer = self._remembered(mark) or self._ask(token, mark)
        elif answer is None:
            answer = self._ask(token, mark)
        if isinstance(answer, InvalidToken):
            raise InvalidToken(answer.description)  # a new one: a raised exception belongs to one thread
        return answer

    def _remembered(self, mark: str) -> Answer | None:
        now = self._monotonic()
        return self._active.get(mark, now) or self._inactive.get(mark, now)

    def _ask(self, token: str, mark: str) -> Answer:
        left = self._backoff.left(self._monotonic())
        if left:
            raise self._unavailable(left)
        asked = self._monotonic()
        try:
            data = ask(self._transport, self._request(token), self._wall())
        except NoAnswer as error:
            problem = error
        else:
            self._backoff.succeeded()
            return self._judged(data, mark, asked)
        if problem.cause in ("http_401", "http_403") and self._secret_source is not None:
            self._secret = None  # perhaps it was rotated: the next call fetches it again
        self._backoff.failed(self._monotonic(), problem)
        _log.warning("introspection at %s failed (%s); calls are answered 503", self._endpoint, problem.cause)
        raise self._unavailable(self._backoff.left(self._monotonic()))

    def _unavailable(self, wait: float) -> VerifierUnavailable:
        hint = ""
        if self._backoff.cause in ("http_401", "http_403"):
            hint = ". Check client_id, client_secret, and that this client may introspect"
        reason = f"introspection at {self._endpoint} failed ({self._backoff.cause}){hint}"
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
        except Exception as error:  # the user's secret manager is down: that is no fault of the token
            problem = f"secret_source_{type(error).__name__}"
        raise NoAnswer(problem)

    def _judged(self, data: Mapping[str, Any], mark: str, asked: float) -> Answer:
        """What the answer, asked for at monotonic time ``asked``, means; remembered for as long as it may be."""
        answer: Answer
        now = self._wall()
        try:
            if data.get("active") is not True:
                raise InvalidToken("The token is not active.")
            if str(data.get("token_type", "Bearer")).lower() not in ("bearer", "access_token"):
                raise InvalidToken("The token is not a bearer token.")
            self._expected.check(data, now)
            answer = verified(data)
        except BearerError as refused:
            answer = InvalidToken(refused.description)
            self._inactive.put(mark, answer, asked + self._durations.inactive)
        else:
            exp = data.get("exp")
            left = self._durations.active if exp is None else min(self._durations.active, exp - now)
            self._active.put(mark, answer, asked + left)
        return answer
