"""The token proxy: ``POST /oauth/token`` for other people's clients, one mint per vendor, audience and lifetime."""

from __future__ import annotations

from typing import Any, cast

from ..caches.protocol import TokenCache
from ..errors import ConfigurationError, TokenRequestRejected, TokenUnavailable
from ..http.transports import as_transport
from ..lifecycle.utc_periods import utc_period
from ..oauth2.secrets import Secret
from ..oauth2.tokens import AccessToken
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..serving import Answer, Request
from ..serving.http_messages import ErrorAnswer
from ..shared_cache.counters import SharedCounters
from .allow_lists import allowed_request
from .allowances import Allowance, keyed_name
from .configuration.config import ProxyConfig, VendorConfig
from .ledger import VendorLedger
from .rate_limits import Addresses, FailedAttempts, RequestRate
from .responses import UNKNOWN_CLIENT, credentials_refused, error_answer_for, token_answer, try_later
from .secret_verifiers import SecretsOnTrial, SecretVerifiers
from .token_requests import RequestReader, RequestReading
from .upstream_durations import UpstreamDurations
from .upstream_transport import BUDGET, SECRET_ATTEMPTS, unpacked
from .vendor_sources import VendorSource, VendorSources

__all__ = ["TokenProxy"]

_BASIC_CHALLENGE = ("WWW-Authenticate", 'Basic realm="token proxy", charset="UTF-8"')


class TokenProxy:
    """The service behind the token proxy's URL; framework-neutral (see :mod:`m2m_auth.serving`).

    A request is read, its secret is checked, and only then the vendor's token is looked up, in this order. A secret
    that this process does not know is looked up in the shared cache. A vendor that keeps its own credentials may then
    try it at the authorization server, a few times a minute.

    Args:
        config: the configuration; see :func:`m2m_auth.proxy.load`.
        transport: reaches the token endpoints, as for :class:`~m2m_auth.TokenSource`.
        clock: the clocks; for tests.

    Attributes:
        config: the configuration, checked.
        ledger: each vendor's requests, mints and refusals: ``proxy.ledger.report()``.
        durations: how long the authorization servers took.
        counters: what all workers and hosts count together.
        sources: the vendors' token sources.

    Raises:
        ConfigurationError: the configuration makes no sense; raised before any I/O.
    """

    def __init__(self, config: ProxyConfig, *, transport: Any = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.config = config = config.checked()
        pepper = cast("Secret", config.pepper)
        key = pepper.reveal_bytes()
        self._cache = cast("TokenCache", config.cache)
        self._wall = clock.wall
        counters = self.counters = SharedCounters(self._cache, "token proxy", clock)
        self.ledger = VendorLedger(config.vendors, counters, key)
        configured = {name: vendor.verifiers for name, vendor in config.vendors.items()}
        self._verifiers = SecretVerifiers(pepper, configured, counters)
        self._failures = FailedAttempts(counters, key, config.failures_per_minute)
        limit: dict[str, int | None] = {"minute": config.secret_attempts_per_minute}
        self._attempts = {
            name: Allowance(counters, f"m2m1.pg.{keyed_name(key, 'guesses', name)}", limit)
            for name in ("", *config.vendors)
        }
        """Trials of unknown secrets, per vendor; unknown clients have one allowance together, under ''."""
        self._rates = {name: RequestRate(vendor.requests_per_minute) for name, vendor in config.vendors.items()}
        self.durations = UpstreamDurations(config.upstreams, counters, key)
        self.sources = VendorSources(config, self.ledger, self.durations, as_transport(transport), clock)
        self._addresses = Addresses(config.trusted_proxies)
        self._reader = RequestReader(self._verifiers, config.max_entries)
        self._on_trial = SecretsOnTrial()
        """A second request with a secret on trial waits for the outcome, and costs no attempt."""
        self._outage_until = 0.0
        """The authorization server fails, so unknown secrets cannot be judged until this Unix time."""

    def __repr__(self) -> str:
        return f"<TokenProxy {self.config.path} for {len(self.config.vendors)} vendors>"

    def close(self) -> None:
        """Writes the rest of the ledger, and closes the cache's connections."""
        self.ledger.close()
        self._cache.close()

    def answer(self, request: Request) -> Answer:
        """The answer to one request: a token (RFC 6749 §5.1) or an error (§5.2)."""
        try:
            if request.path != self.config.path:
                raise ErrorAnswer(404, "not_found", "The token endpoint has another path")
            if request.method != "POST":
                raise ErrorAnswer(
                    405, "invalid_request", "The token endpoint takes POST (RFC 6749 3.2)", ("Allow", "POST")
                )
            return self._answer(request)
        except ErrorAnswer as error:
            if error.status == 401 and "authorization" in request.headers:
                error.headers = (*error.headers, _BASIC_CHALLENGE)
            return error.answer

    def _answer(self, request: Request) -> Answer:
        digest, readings = self._reader.read(request)
        address = self._addresses.of(request)
        for reading in readings:
            wait = self._failures.wait(reading.client_id, address)
            if wait:
                raise self._outage() or try_later(429, "Too many failed attempts", wait)
        known = [reading for reading in readings if self._verifiers.knows(reading.client_id, reading.mac)]
        if known:
            reading = known[0]
            self._failures.succeeded(reading.client_id, address)
            first = reading.allowed is None
            answer = self._answer_known(reading)
            if first:
                self._reader.remember(digest, reading)  # only requests that got a token are remembered
            return answer
        try:
            return self._answer_unknown(readings, address)
        finally:
            self.counters.release_thread()

    # A secret that this process knows

    def _answer_known(self, reading: RequestReading) -> Answer:
        name, vendor, began = reading.client_id, self.config.vendors[reading.client_id], self._wall()
        own = self._keeps_its_own(vendor)
        try:
            wait = self._rates[name].wait(began)
            if wait:
                raise try_later(429, "This client asks too often", wait)
            parsed = reading.parsed
            if reading.allowed is None:
                reading.allowed = allowed_request(vendor, parsed.parameters, parsed.resources)
        except ErrorAnswer:
            self.ledger.refused(name)
            raise
        kept = self.sources.kept(name, vendor, reading.allowed, parsed.secret if own else None, reading.mac)
        try:
            token = kept.source.token()
        except TokenUnavailable as error:
            if own and credentials_refused(error):
                self._verifiers.forget(name, reading.mac)
            raise self._no_token(name, error, own) from None
        return self._granted(name, kept, token, reading.mac if own else None, began)

    def _granted(
        self, name: str, kept: VendorSource, token: AccessToken, enrolling: bytes | None, began: float
    ) -> Answer:
        value, lifetime = unpacked(token)
        ends, now = token.issued_at + lifetime, self._wall()
        # If the minting host's clock is ahead, only one thing is certain: the engine still accepts the token.
        left = ends - now if token.issued_at <= now + 1 else min(lifetime, self.config.min_validity)
        if enrolling is not None and kept.enrolled_until < ends:
            kept.enrolled_until = ends
            self._verifiers.enrol(name, enrolling, ends)
        hit = token.issued_at < began or kept.last_fingerprint == token.fingerprint
        if not hit:
            kept.last_fingerprint = token.fingerprint
        self.ledger.served(name, hit=hit)
        shown = ("HIT" if hit else "MISS") if self.config.debug_header else None
        latest = kept.answer
        if latest is not None and latest[:3] == (token.fingerprint, int(left), shown):
            return latest[3]
        headers = () if shown is None else (("X-M2M-Cache", shown),)
        answer = token_answer(value, max(int(left), 1), token.scope, *headers)  # many clients read 0 as "never ends"
        kept.answer = token.fingerprint, int(left), shown, answer
        return answer

    def _no_token(self, name: str, error: TokenUnavailable, own: bool) -> ErrorAnswer:
        if error.cause_code != BUDGET:
            self.ledger.refused(name)
            return error_answer_for(error, own_credentials=own, budget_wait=0.0)
        self.ledger.refused_over_budget(name)
        answer = error_answer_for(error, own_credentials=own, budget_wait=self.ledger.mints(name).retry_after())
        self.counters.release_thread()
        return answer

    # A secret that this process does not know

    def _answer_unknown(self, readings: list[RequestReading], address: str) -> Answer:
        """Asks the other workers, then the authorization server; else refuses, at the same cost for every client."""
        for reading in readings:
            answer = self._answer_learnt(reading, address)
            if answer is not None:
                return answer
        vendor = self.config.vendors.get(readings[0].client_id)
        outage = self._outage() if vendor is None or self._keeps_its_own(vendor) else None
        for name in {reading.client_id for reading in readings}:
            # In an outage only the client is counted: the secret may be right, and others may share the address.
            self._failures.failed(name, None if outage else address)
        raise outage or ErrorAnswer(401, "invalid_client", UNKNOWN_CLIENT)

    def _answer_learnt(self, reading: RequestReading, address: str) -> Answer | None:
        name, mac = reading.client_id, reading.mac
        attempts = self._attempts.get(name, self._attempts[""])
        joins = mac in self._on_trial
        learnt, spent = self._verifiers.learn(name, mac), attempts.retry_after() > 0
        if learnt:
            self._failures.succeeded(name, address)
            return self._answer_known(reading)
        vendor = self.config.vendors.get(name)
        own = vendor is not None and self._keeps_its_own(vendor)
        joins |= mac in self._on_trial or self._verifiers.knows(name, mac)  # or its trial has just ended
        if vendor is None or not own or (spent and not joins):
            return None
        answer = self._answer_tried(reading, vendor, attempts)
        if answer is not None:
            self._failures.succeeded(name, address)
        return answer

    def _outage(self) -> ErrorAnswer | None:
        """The answer to an unknown secret while the authorization server fails; None while it does not."""
        left = self._outage_until - self._wall()
        if not 0 < left <= 60:
            return None
        return try_later(
            503, "The authorization server does not answer, so this client's secret cannot be checked", left
        )

    def _answer_tried(self, reading: RequestReading, vendor: VendorConfig, attempts: Allowance) -> Answer | None:
        """The answer to a client whose secret the authorization server accepts; None if it refuses it."""
        name, parsed, began = reading.client_id, reading.parsed, self._wall()
        try:
            allowed = allowed_request(vendor, parsed.parameters, parsed.resources)
            with self._on_trial.trial(reading.mac):
                token = self.sources.build(name, vendor, allowed, parsed.secret, attempts).token()
        except (ErrorAnswer, ConfigurationError):  # a client without the right secret learns nothing of the allow-lists
            return None
        except TokenUnavailable as error:
            if credentials_refused(error) or error.cause_code == SECRET_ATTEMPTS:
                return None
            if not isinstance(error, TokenRequestRejected) and error.cause_code != BUDGET:
                self._outage_until = utc_period("minute", self._wall()).end  # then the attempts start again
            raise self._no_token(name, error, own=True) from None
        kept = self.sources.kept(name, vendor, allowed, parsed.secret, reading.mac)
        return self._granted(name, kept, token, reading.mac, began)

    def _keeps_its_own(self, vendor: VendorConfig) -> bool:
        """Whether the vendor has its own credentials upstream, instead of a secret that the proxy gave it."""
        return self.config.upstreams[vendor.upstream].client_id is None
